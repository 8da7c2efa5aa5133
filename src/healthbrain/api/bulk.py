"""Bulk Data over HTTP: kick-off, status, files (Bulk Data Access 2.0, asynchronous request pattern of R4).

A kick-off checks everything that can be checked at once, adds a job and answers 202 with its address. The job itself
is worked on elsewhere. Only who asked sees a job or its files, with a token of theirs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from healthbrain import exchange
from healthbrain.access import Gate
from healthbrain.api import uploads, view_exports
from healthbrain.api.answer import Answer, http_date
from healthbrain.api.call import Call, Params
from healthbrain.api.lending import ask, lend
from healthbrain.api.media import UnsupportedMedia
from healthbrain.api.platform import Platform
from healthbrain.api.streamed import Streamed
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.exchange import Source, bulkdata
from healthbrain.exchange.bulkdata import Job, Wish
from healthbrain.exchange.bulkdata.files import pieces
from healthbrain.exchange.bulkdata.wishes import NDJSON, Level
from healthbrain.fhir import dump, parse
from healthbrain.lake.sof.files import CONTENT
from healthbrain.store.streaming import check_filter

JOBS = "$bulk"  # the path below which jobs and their files are
_RETRY = b"1"
_KINDS: dict[str, bytes] = {kind: text.encode() for kind, text in CONTENT.items()}  # of the files of views

Handlers = dict[str, Callable[[], Awaitable[Answer]]]


class Bulk:
    """The requests around bulk jobs."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    def handlers(self, call: Call) -> Handlers | None:
        """What may be done at this address; None when it has nothing to do with bulk data."""
        match call.segments:
            case ["$export"]:
                return self._kick_off(call, "system", "")
            case ["$import"]:
                return {"POST": lambda: self.take_in(call)}
            case ["Patient", "$export"]:
                return self._kick_off(call, "patient", "")
            case ["Group", id_, "$export"]:
                return self._kick_off(call, "group", id_)
            case [name, id_] if name == JOBS:
                return {"GET": lambda: self.status(call, id_), "DELETE": lambda: self.cancel(call, id_)}
            case [name, id_, file] if name == JOBS:
                return {"GET": lambda: self.file(call, id_, file)}
        return None

    def _kick_off(self, call: Call, level: Level, group: str) -> Handlers:
        return {"GET": lambda: self.export(call, level, group), "POST": lambda: self.export(call, level, group)}

    async def export(self, call: Call, level: Level, group: str) -> Answer:
        """GET or POST …/$export: 202 and where to ask how far it is"""
        self._trace(call, "Group" if group else "Patient" if level == "patient" else "", group, f"$export {level}")
        parameters = call.params if call.method == "GET" else [*call.params, *_parameters(parse(await call.body()))]
        lenient = _prefers(call, "handling=lenient")
        if not _prefers(call, "respond-async"):
            raise Incorrect("$export is answered asynchronously only: send Prefer: respond-async")
        wish = bulkdata.read_wish(level, parameters, group=group, lenient=lenient)
        await self._check(call, wish)
        who = call.who
        request = f"{call.base}/{'/'.join(call.segments)}"
        if call.query_string:
            request += f"?{call.query_string.decode('ascii', 'replace')}"
        async with lend(self._platform.pool) as connection:
            id_ = await bulkdata.add(
                connection, "export", who, wish.as_json(), base=call.base, request=request, at=call.at
            )
        call.trace.detail += f" {id_}"
        return accepted(call, id_)

    async def _check(self, call: Call, wish: Wish) -> None:
        """Refuse at once what could only fail later."""
        for type_ in (*wish.types, *(("Group",) if wish.level == "group" else ())):
            scope = await self._gate.decide(call.who, "search", type_, call.at)
            if not scope.identified:
                raise Forbidden("you see figures, not single residents; declare a purpose of use that allows it first")
        if not wish.types:
            await self._gate.decide(call.who, "search", "Patient", call.at)
        if wish.level == "group":
            scope = await self._gate.decide(call.who, "read", "Group", call.at)
            read, group = self._platform.store.read, wish.group
            await ask(self._platform.readers, lambda c: read(c, "Group", group, scope=scope))
        for type_, query in wish.filters:
            pairs = parse_qsl(query, keep_blank_values=True)
            await ask(self._platform.readers, lambda c, t=type_, q=pairs: check_filter(c, t, q))  # type: ignore[misc]  # mypy infers no default arguments of a lambda

    async def take_in(self, call: Call) -> Answer:
        """POST $import with a file of resources: 202 and where to ask how far it is"""
        self._trace(call, "Bundle", "", "$import")
        kind = call.header(b"content-type").partition(";")[0].strip().lower()
        if kind not in NDJSON:
            raise UnsupportedMedia("$import takes a body of application/fhir+ndjson")
        async with lend(self._platform.pool) as connection:
            source = await self._source(connection, call)
        id_ = bulkdata.new_id()
        folder = bulkdata.folder_of(self._root, id_)
        try:
            digest = await uploads.keep(call, folder / bulkdata.UPLOAD)
            name = (call.param("name") or f"$import {id_[:8]}")[:200]
            wish = {"source": source.key, "name": name, "digest": digest}
            request = f"{call.base}/$import"
            async with lend(self._platform.pool) as connection:
                await bulkdata.add(
                    connection, "import", call.who, wish, base=call.base, request=request, at=call.at, id_=id_
                )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        call.trace.detail += f" {id_}"
        return accepted(call, id_)

    async def _source(self, connection: Connection, call: Call) -> Source:
        """Whose file it is: the source named, that of the token, or the requester's organisation itself.

        Raises Forbidden when the requester may not write for it.
        """
        scope = await self._gate.decide(call.who, "write", "Patient", call.at)
        await self._gate.decide(call.who, "write", "Organization", call.at)
        tree = await self._gate.tree(call.who.organisation)
        code = call.param("source")
        found = None
        if code:
            found = await exchange.source_by_code(connection, code)
        elif call.who.source is not None:
            found = await exchange.source(connection, call.who.source)
        else:
            own = tree[call.who.organisation]
            found = await exchange.source_by_code(connection, f"ndjson-{own.code}") or await exchange.put_source(
                connection, code=f"ndjson-{own.code}", name=own.name, organisation=own.key, door="ndjson", at=call.at
            )
        if found is None or (scope.organisations is not None and found.organisation not in scope.organisations):
            raise Forbidden("you may not deliver for this source; see `hb source` for those of your organisation")
        return found

    async def status(self, call: Call, id_: str) -> Answer:
        """GET the address a kick-off gave: 202 while it is worked on, then 200 with the manifest"""
        self._trace(call, "", id_, f"{JOBS} status")
        job = await self._job(call, id_)
        if job.state in ("waiting", "running"):
            progress = job.progress or ("waiting" if job.state == "waiting" else "started")
            return Answer(202, None, [(b"x-progress", progress.encode("ascii", "replace")), (b"retry-after", _RETRY)])
        if job.state == "failed":
            return Answer(500, dump(job.error or {}))
        headers = [(b"expires", http_date(job.expires_at))] if job.expires_at else []
        if job.kind == "view":
            return Answer(200, dump(view_exports.result_of(job)), headers)
        manifest = manifest_of(job)
        return Streamed(200, None, headers, pieces=iter([json.dumps(manifest, ensure_ascii=False).encode()]))

    async def cancel(self, call: Call, id_: str) -> Answer:
        """DELETE the address a kick-off gave: it is stopped, its files are removed"""
        self._trace(call, "", id_, f"{JOBS} cancel")
        call.trace.action = "D"
        job = await self._job(call, id_)
        async with lend(self._platform.pool) as connection:
            await bulkdata.cancel(connection, job.id, call.at)
        await bulkdata.sweep(self._platform.pool, self._root, call.at)
        return Answer(202)

    async def file(self, call: Call, id_: str, name: str) -> Answer:
        """GET one of the files"""
        self._trace(call, "", id_, f"{JOBS} file {name}"[:200])
        job = await self._job(call, id_)
        path = bulkdata.open_file(self._root, job, name)
        packed = b"gzip" in call.headers.get(b"accept-encoding", b"")
        headers: list[tuple[bytes, bytes]] = []
        if packed:
            headers = [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % path.stat().st_size)]
        kind = _KINDS.get(name.rpartition(".")[2]) if job.kind == "view" else None
        return Streamed(200, None, headers, kind or b"application/fhir+ndjson", pieces(path, packed=packed))

    # -- what they share

    @property
    def _root(self) -> Path:
        return self._platform.settings.data / "export"

    async def _job(self, call: Call, id_: str) -> Job:
        return await ask(self._platform.readers, lambda c: bulkdata.find(c, id_, call.who, call.at))

    def _trace(self, call: Call, type_: str, id_: str, detail: str) -> None:
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id, trace.detail = "operation", "E", type_, id_[:64], detail


def accepted(call: Call, id_: str) -> Answer:
    """202: it will be done."""
    return Answer(202, None, [(b"content-location", f"{call.base}/{JOBS}/{id_}".encode()), (b"retry-after", _RETRY)])


def manifest_of(job: Job) -> dict[str, Any]:
    """The manifest of a job that is done."""
    result = job.result or {}

    def listed(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        place = f"{job.base}/{JOBS}/{job.id}"
        return [{"type": one["type"], "url": f"{place}/{one['name']}", "count": one["count"]} for one in files]

    manifest: dict[str, Any] = {
        "transactionTime": _instant(job.transaction_at or job.asked_at),
        "request": job.request,
        "requiresAccessToken": True,
    }
    for name in ("output", "deleted", "error"):
        manifest[name] = listed(result.get(name, []))
    if "extension" in result:
        manifest["extension"] = result["extension"]
    return manifest


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _prefers(call: Call, wanted: str) -> bool:
    text = call.header(b"prefer").lower().replace(";", ",")
    return wanted in {part.strip().replace(" ", "") for part in text.split(",")}


def _parameters(body: dict[str, Any]) -> Params:
    """The parameters of a POSTed kick-off."""
    if body.get("resourceType") != "Parameters":
        raise Incorrect("a POSTed $export takes Parameters")
    found: Params = []
    for parameter in body.get("parameter") or ():
        values = [value for key, value in parameter.items() if key.startswith("value")] if parameter else []
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str) or len(values) != 1:
            raise Incorrect("each parameter of $export has a name and one value")
        value = values[0].get("reference", "") if isinstance(values[0], dict) else values[0]
        found.append((name, str(value)))
    return found
