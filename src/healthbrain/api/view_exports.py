"""$viewdefinition-export: views over the lake as files, in the background (SQL on FHIR v2; asynchronous request pattern of R4).

    POST /fhir/$viewdefinition-export     POST /fhir/ViewDefinition/$viewdefinition-export     GET|POST …/[id]/$viewdefinition-export

A kick-off checks everything that can be checked at once and answers 202 with the address of the job, which is asked, cancelled
and expires like those of Bulk Data. The result is told as Parameters, an `output` per view with the address of its file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from healthbrain.access import Gate
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.lending import ask, lend
from healthbrain.api.parameters import Asked, asked
from healthbrain.api.platform import Platform
from healthbrain.api.view_runs import ViewRuns
from healthbrain.api.view_wishes import EXPORT, TYPE, reference_text, wanted
from healthbrain.errors import Incorrect
from healthbrain.exchange import bulkdata, read_fhir
from healthbrain.exchange.bulkdata import Job
from healthbrain.fhir import dump
from healthbrain.lake import stored
from healthbrain.lake.library import View
from healthbrain.lake.sof import ViewDefinition

_ASKED = (
    "_format",
    "header",
    "view",
    "viewReference",
    "viewResource",
    "patient",
    "group",
    "_since",
    "clientTrackingId",
)
_JOBS = "$bulk"  # the path below which jobs and their files are
_MOST_VIEWS = 50
_INSTANT = "milliseconds"


class ViewExports:
    """Asking for files of views."""

    def __init__(self, platform: Platform, gate: Gate, runs: ViewRuns) -> None:
        self._platform = platform
        self._gate = gate
        self._runs = runs

    async def export(self, call: Call, id_: str) -> Answer:
        """GET or POST …/$viewdefinition-export: 202 and where to ask how far it is"""
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id, trace.detail = (
            "operation",
            "E",
            TYPE,
            id_ or None,
            EXPORT[0],
        )
        if "respond-async" not in call.header(b"prefer").lower():
            raise Incorrect("$viewdefinition-export is answered asynchronously only: send Prefer: respond-async")
        given = await asked(call)
        given.only(_ASKED)
        want = wanted(call, given)
        if want.fhir or want.format == "json":
            raise Incorrect("files of views are csv, ndjson or parquet: set _format")
        views = []
        for name, dataset, definition, view in await self._views(call, id_, given):
            await self._runs.question(call, view, want)
            views.append({"name": name, "dataset": dataset, "definition": definition})
        wish = {
            "views": views, "format": want.format, "header": want.header, "patients": list(want.patients),
            "groups": list(want.groups), "since": want.since.isoformat() if want.since else "",
            "tracking": given.text("clientTrackingId")[:200],
        }  # fmt: skip
        request = f"{call.base}/{'/'.join(call.segments)}"
        async with lend(self._platform.pool) as connection:
            job = await bulkdata.add(connection, "view", call.who, wish, base=call.base, request=request, at=call.at)
        trace.detail += f" {job}"
        place = f"{call.base}/{_JOBS}/{job}"
        told = _parameters(_told(job, wish, "accepted", place))
        return Answer(202, dump(told), [(b"content-location", place.encode()), (b"retry-after", b"1")])

    async def _views(self, call: Call, id_: str, given: Asked) -> list[tuple[str, str, Any, ViewDefinition | View]]:
        """The views with what their files are called. Raises Incorrect with every fault of one, NotFound."""
        wishes: list[tuple[str, Any, Any]] = [("", id_, None)] if id_ else []
        wishes += [("", one, None) for one in given.all("viewReference")]
        wishes += [("", None, one) for one in given.all("viewResource")]
        wishes += await _nested(call)
        if not wishes or len(wishes) > _MOST_VIEWS:
            raise Incorrect(
                f"name 1 to {_MOST_VIEWS} views, each in a parameter 'view' with viewReference or viewResource"
            )
        if any(body is None for _, _, body in wishes):
            await self._gate.decide(call.who, "read", TYPE, call.at)
        found: list[tuple[str, str, Any, ViewDefinition | View]] = []
        for name, reference, body in wishes:
            dataset, definition = "", body
            if definition is None:
                text = reference_text(reference, "viewReference")
                dataset, definition = await ask(self._platform.readers, lambda c, t=text: stored.resolve(c, t))  # type: ignore[misc]  # mypy infers no default arguments of a lambda
            await self._runs.admit(call, dataset)
            view = stored.runnable(dataset, definition)
            found.append((_file_name(name or view.name or view.resource), dataset, definition, view))
        return found


async def _nested(call: Call) -> list[tuple[str, Any, Any]]:
    """The parameters `view` of a body: (name, reference, resource) from their parts."""
    if call.method != "POST" or not (raw := await call.body()).strip():
        return []
    wishes: list[tuple[str, Any, Any]] = []
    for parameter in (await read_fhir(raw)).get("parameter", []):
        if parameter.get("name") != "view":
            continue
        values: dict[str, Any] = {}
        for part in parameter.get("part") or ():
            if isinstance(part, dict):
                value = next((one for key, one in part.items() if key.startswith("value") or key == "resource"), None)
                values[str(part.get("name"))] = value
        reference, body = values.get("viewReference"), values.get("viewResource")
        if (reference is None) == (body is None):
            raise Incorrect("each 'view' has either viewReference or viewResource")
        wishes.append((str(values.get("name") or ""), reference, body))
    return wishes


def result_of(job: Job) -> dict[str, Any]:
    """What a job that is done has made."""
    place = f"{job.base}/{_JOBS}/{job.id}"
    result = job.result or {}
    told = [*_told(job.id, job.wish, "completed", place)]
    told += [{"name": "exportStartTime", "valueInstant": _instant(job.asked_at)}]
    if job.ended_at:
        told += [
            {"name": "exportEndTime", "valueInstant": _instant(job.ended_at)},
            {"name": "exportDuration", "valueInteger": max(0, round((job.ended_at - job.asked_at).total_seconds()))},
        ]
    for one in result.get("output", ()):
        parts = [
            {"name": "name", "valueString": one["type"]},
            {"name": "location", "valueUri": f"{place}/{one['name']}"},
            {"name": "count", "valueInteger": one["count"]},
        ]
        told.append({"name": "output", "part": parts})
    return _parameters(told)


def _told(job: str, wish: dict[str, Any], status: str, place: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [{"name": "exportId", "valueString": job}]
    if wish["tracking"]:
        told.append({"name": "clientTrackingId", "valueString": wish["tracking"]})
    return [
        *told,
        {"name": "status", "valueCode": status},
        {"name": "location", "valueUri": place},
        {"name": "cancelUrl", "valueUri": place},
        {"name": "_format", "valueCode": wish["format"]},
    ]


def _parameters(told: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": told}


def _file_name(name: str) -> str:
    """A name of a view as a file can have it."""
    kept = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "_" for one in name)[:60]
    return kept if kept[:1].isalpha() else f"view_{kept}"


def _instant(at: datetime) -> str:
    return at.isoformat(timespec=_INSTANT).replace("+00:00", "Z")
