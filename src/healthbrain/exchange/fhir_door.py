"""The FHIR door: a transaction or batch Bundle, or one REST write, as it came: JSON, XML, or a patch.

What something is written in is seen from its first character, so that a delivery can be replayed from its bytes alone.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, Invalid, Issue, operation_outcome
from healthbrain.exchange.plausible import future_facts
from healthbrain.exchange.values import Arrival, Interaction
from healthbrain.fhir import parse
from healthbrain.fhir.patch import is_xml_patch
from healthbrain.fhir.xml import from_xml
from healthbrain.store import JSON_PATCH, XML_PATCH, Observer, Store, Write, WriteContext, Written, json_patch

_LARGE = 256 * 1024
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


async def write_fhir(
    connection: Connection, store: Store, arrival: Arrival, context: WriteContext, observers: Sequence[Observer]
) -> dict[str, Any]:
    """Write it in the caller's transaction; returns the fields of an Outcome."""
    wanted = arrival.interaction
    if wanted is not None and wanted.method == "PATCH":
        return await _write_patch(connection, store, wanted, arrival.raw, context, observers)
    body = await read_fhir(arrival.raw) if not wanted or wanted.method != "DELETE" else {}
    if wanted is None:
        if body.get("resourceType") != "Bundle":
            raise Incorrect("only a Bundle can be posted to the base; post a resource to its type, as in /fhir/Patient")
        return await write_bundle(connection, store, body, context, observers)
    if wanted.if_none_exist or wanted.condition:
        return await write_bundle(connection, store, _conditional(wanted, body), context, observers, single=True)
    kind = {"POST": "create", "PUT": "update", "DELETE": "delete"}[wanted.method]
    resource = None if kind == "delete" else body
    if resource is not None and (wrong := future_facts(resource, context.at)):
        raise Invalid(f"{wrong[0].expression}: {wrong[0].text}", issues=wrong)
    if resource is not None and kind == "create":
        resource = {name: value for name, value in resource.items() if name != "id"}
    write = Write(kind, wanted.type, wanted.id, resource, wanted.if_match)  # type: ignore[arg-type]  # one of the three
    (done,) = await store.write(connection, [write], context, observers=observers)
    return {"written": (done,), "response": done.resource, "entries": 1, "changed": int(done.changed)}


async def read_fhir(raw: bytes) -> dict[str, Any]:
    """A resource in JSON or XML."""
    read = from_xml if begins(raw) == b"<" else parse
    return await asyncio.to_thread(read, raw) if len(raw) > _LARGE else read(raw)


def begins(raw: bytes) -> bytes:
    """The first character of a text."""
    return raw[:64].removeprefix(_BOM).lstrip(_SPACE)[:1]


async def _write_patch(
    connection: Connection,
    store: Store,
    wanted: Interaction,
    raw: bytes,
    context: WriteContext,
    observers: Sequence[Observer],
) -> dict[str, Any]:
    """A patch is a transaction of one entry, as the standard writes patches in bundles."""
    if begins(raw) == b"[":
        json_patch(raw)  # what is wrong with it is said before it travels as base64
        patch = _held(JSON_PATCH, raw)
    elif begins(raw) == b"<" and is_xml_patch(raw):
        patch = _held(XML_PATCH, raw)
    else:
        patch = await read_fhir(raw)
        if patch.get("resourceType") != "Parameters":
            raise Incorrect("a patch is a JSON Patch, an XML Patch or the Parameters of a FHIRPath Patch")
    return await write_bundle(connection, store, _conditional(wanted, patch), context, observers, single=True)


def _held(kind: str, raw: bytes) -> dict[str, Any]:
    return {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(raw).decode()}


async def write_bundle(
    connection: Connection,
    store: Store,
    bundle: dict[str, Any],
    context: WriteContext,
    observers: Sequence[Observer],
    *,
    single: bool = False,
) -> dict[str, Any]:
    """Process a Bundle; returns the fields of an Outcome. `single`: its only entry's answer is the response."""
    asked = bundle.get("entry", [])
    if _patches(asked):  # what a patch makes of a resource is known only when it is written
        observers = (*observers, _plausible)
    wrong = _implausible(asked, context.at)
    if wrong and bundle.get("type") != "batch":
        found = [issue for n in sorted(wrong) for issue in wrong[n]]
        raise Invalid(f"{found[0].expression}: {found[0].text}", issues=found)
    if wrong:
        passed = replace(context, elsewhere=context.elsewhere | wrong.keys())
        response = await store.bundle(connection, bundle, passed, observers=observers)
        for n in wrong:
            response["entry"][n] = _refusal(wrong[n])
    else:
        response = await store.bundle(connection, bundle, context, observers=observers)
    answers = [entry.get("response", {}) for entry in response.get("entry", [])]
    changed, refused, issues = 0, 0, []
    for n, (entry, answer) in enumerate(zip(asked, answers, strict=False)):
        status = str(answer.get("status", ""))[:1]
        method = entry.get("request", {}).get("method", "GET")
        if status == "2" and method != "GET":
            changed += 1
        elif status in {"4", "5"}:
            refused += 1
            issues += _issues_of(n, answer.get("outcome", {}))
    return {
        "response": answers[0] if single and answers else response,
        "entries": len(asked),
        "changed": changed,
        "refused": refused,
        "issues": tuple(issues),
        "message_at": _timestamp(bundle),
    }


def _implausible(entries: Any, at: datetime) -> dict[int, list[Issue]]:
    """The entries whose resource states facts of the future. What isn't shaped like an entry is the store's to refuse."""
    found = {}
    for n, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and (wrong := future_facts(resource, at, f"Bundle.entry[{n}].resource")):
            found[n] = wrong
    return found


def _patches(entries: Any) -> bool:
    requests = (
        [entry.get("request") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    return any(isinstance(request, dict) and request.get("method") == "PATCH" for request in requests)


async def _plausible(_: Connection, context: WriteContext, written: Sequence[Written]) -> None:
    for one in written:
        if one.changed and one.resource is not None and (wrong := future_facts(one.resource, context.at)):
            raise Invalid(f"{wrong[0].expression}: {wrong[0].text}", issues=wrong)


def _refusal(issues: list[Issue]) -> dict[str, Any]:
    outcome = operation_outcome(Invalid(issues[0].text, issues=issues))
    return {"response": {"status": "422 Unprocessable Entity", "outcome": outcome}}


def _conditional(wanted: Interaction, body: Mapping[str, Any]) -> dict[str, Any]:
    """A conditional write, or a patch, is a transaction of one entry."""
    name = f"{wanted.type}/{wanted.id}" if wanted.id else wanted.type
    url = f"{wanted.type}?{wanted.condition}" if wanted.condition else name
    request: dict[str, Any] = {"method": wanted.method, "url": url}
    if wanted.if_none_exist:
        request["ifNoneExist"] = wanted.if_none_exist
    if wanted.if_match is not None:
        request["ifMatch"] = f'W/"{wanted.if_match}"'
    entry: dict[str, Any] = {"request": request}
    if body:
        entry["resource"] = dict(body)
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def _issues_of(n: int, outcome: Mapping[str, Any]) -> list[Issue]:
    found = []
    for one in outcome.get("issue", []):
        place = (one.get("expression") or [""])[0]
        if not place.startswith("Bundle."):
            place = f"Bundle.entry[{n}]"
        found.append(Issue(one["severity"], one["code"], place, one.get("diagnostics", "refused")))
    return found


def _timestamp(bundle: Mapping[str, Any]) -> datetime | None:
    try:
        found = datetime.fromisoformat(bundle["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo else None
