"""ViewDefinition over HTTP (SQL on FHIR v2): the resources; runs and exports of them are next door.

    POST /fhir/ViewDefinition        GET|PUT|DELETE /fhir/ViewDefinition/[id]       GET /fhir/ViewDefinition?url=…

R4 has no ViewDefinition; it is served beside the types of R4, as the guide's additional resource. The views of the libraries are
there too, for reading.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from healthbrain.access import Gate
from healthbrain.api import media
from healthbrain.api.answer import Answer, of_version
from healthbrain.api.call import Call, decode_params, version_of
from healthbrain.api.lending import ask, lend
from healthbrain.api.platform import Platform
from healthbrain.api.view_exports import ViewExports
from healthbrain.api.view_runs import ViewRuns
from healthbrain.api.view_wishes import EXPORT, ID, RUN, TYPE
from healthbrain.errors import Incorrect, NotFound
from healthbrain.exchange import read_fhir
from healthbrain.fhir import dump
from healthbrain.lake import library, stored
from healthbrain.lake.stored import StoredView, library_id
from healthbrain.scope import Scope

_MOST_LISTED = 500

Handlers = dict[str, Callable[[], Awaitable[Answer]]]


class Views:
    """The requests around views."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate
        self._runs = ViewRuns(platform, gate)
        self._exports = ViewExports(platform, gate, self._runs)

    def handlers(self, call: Call) -> Handlers | None:
        """What may be done at this address; None when it has nothing to do with views."""
        match call.segments:
            case [operation] if operation == RUN[0]:
                return {"POST": lambda: self._runs.run(call, "")}
            case [operation] if operation == EXPORT[0]:
                return {"POST": lambda: self._exports.export(call, "")}
            case [type_, *rest] if type_ == TYPE:
                call.trace.type = TYPE
                return self._of_type(call, rest)
        return None

    def _of_type(self, call: Call, rest: list[str]) -> Handlers | None:
        match rest:
            case []:
                return {"GET": lambda: self.search(call), "POST": lambda: self.create(call)}
            case ["_search"]:
                return {"POST": lambda: self.search(call)}
            case [operation] if operation in RUN:
                return {"POST": lambda: self._runs.run(call, "")}
            case [id_, operation] if operation in RUN and ID.fullmatch(id_):
                return {"GET": lambda: self._runs.run(call, id_), "POST": lambda: self._runs.run(call, id_)}
            case [operation] if operation in EXPORT:
                return {"POST": lambda: self._exports.export(call, "")}
            case [id_, operation] if operation in EXPORT and ID.fullmatch(id_):
                return {"GET": lambda: self._exports.export(call, id_), "POST": lambda: self._exports.export(call, id_)}
            case [id_] if ID.fullmatch(id_):
                return {
                    "GET": lambda: self.read(call, id_),
                    "PUT": lambda: self.update(call, id_),
                    "DELETE": lambda: self.delete(call, id_),
                }
            case [id_, "_history"] if ID.fullmatch(id_):
                return {"GET": lambda: self.history(call, id_)}
            case [id_, "_history", version] if ID.fullmatch(id_):
                return {"GET": lambda: self.vread(call, id_, version)}
        raise NotFound("there is nothing at this address")

    async def read(self, call: Call, id_: str) -> Answer:
        """GET ViewDefinition/id"""
        await self._decide(call, "read", "read", "R", id_)
        if (known := stored.of_library(id_)) is not None:
            if known.derived is not None:
                raise NotFound(
                    "this view is made by SQL over other views of the libraries and is no ViewDefinition; its definition is a "
                    "Library on its page of the data catalogue, and it runs like any other"
                )
            return Answer(200, dump({"resourceType": TYPE, "id": id_, **known.definition}))
        return _shown(await ask(self._platform.readers, lambda c: stored.read(c, id_)))

    async def vread(self, call: Call, id_: str, version: str) -> Answer:
        """GET ViewDefinition/id/_history/version"""
        await self._decide(call, "read", "vread", "R", id_)
        if not version.isdigit() or len(version) > 9:
            raise NotFound("there is no such version")
        return _shown(await ask(self._platform.readers, lambda c: stored.read(c, id_, int(version))))

    async def history(self, call: Call, id_: str) -> Answer:
        """GET ViewDefinition/id/_history"""
        await self._decide(call, "read", "history", "R", id_)
        found = await ask(self._platform.readers, lambda c: stored.history(c, id_))
        entries: list[dict[str, Any]] = []
        for one in found:
            request = {"method": "DELETE" if one.deleted else "PUT", "url": f"{TYPE}/{id_}"}
            entry: dict[str, Any] = {"fullUrl": f"{call.base}/{TYPE}/{id_}", "request": request}
            if not one.deleted:
                entry["resource"] = one.as_resource()
            entries.append(entry)
        return Answer(200, dump({"resourceType": "Bundle", "type": "history", "total": len(found), "entry": entries}))

    async def search(self, call: Call) -> Answer:
        """GET ViewDefinition?… or POST ViewDefinition/_search: by url, name, resource, status, version, _id"""
        await self._decide(call, "search", "search", "R", "")
        if call.method == "POST":
            call.add_params(decode_params(await call.body()))
        query, count, offset = _search(call)
        found, total = await ask(self._platform.readers, lambda c: stored.search(c, query, count, offset))
        own = _of_libraries(query)
        views = [one.as_resource() for one in found]
        if not offset:
            views += own
        entries = [
            {"fullUrl": f"{call.base}/{TYPE}/{one['id']}", "resource": one, "search": {"mode": "match"}}
            for one in views
        ]
        links = [{"relation": "self", "url": f"{call.base}/{TYPE}"}]
        if offset + count < total:
            asked_ = "&".join(f"{name}={value}" for name, value in query)
            links.append(
                {"relation": "next", "url": f"{call.base}/{TYPE}?{asked_}&_count={count}&_offset={offset + count}"}
            )
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": total + len(own), "link": links}
        return Answer(200, dump({**bundle, **({"entry": entries} if entries else {})}))

    async def create(self, call: Call) -> Answer:
        """POST ViewDefinition"""
        return await self._write(call, "", "create", "C")

    async def update(self, call: Call, id_: str) -> Answer:
        """PUT ViewDefinition/id, with If-Match only over the version the client has seen"""
        return await self._write(call, id_, "update", "U")

    async def _write(self, call: Call, id_: str, interaction: str, action: str) -> Answer:
        scope = await self._decide(call, "write", interaction, action, id_)
        media.check_resource_type(call)
        definition = await read_fhir(await call.body())
        if definition.get("resourceType") != TYPE:
            raise Incorrect("a ViewDefinition belongs here")
        if id_ and definition.get("id", id_) != id_:
            raise Incorrect("the id in the resource is not the one in the address")
        expected = version_of(call.header(b"if-match"), "If-Match")
        async with lend(self._platform.pool) as connection:
            view, new = await stored.write(
                connection, definition, scope=scope, owner=call.who.organisation, at=call.at, id_=id_, expected=expected
            )
        call.trace.id = view.id
        return _shown(view, 201 if new else 200, f"{call.base}/{TYPE}/{view.id}/_history/{view.version}")

    async def delete(self, call: Call, id_: str) -> Answer:
        """DELETE ViewDefinition/id"""
        scope = await self._decide(call, "delete", "delete", "D", id_)
        expected = version_of(call.header(b"if-match"), "If-Match")
        async with lend(self._platform.pool) as connection:
            await stored.delete(
                connection, id_, scope=scope, owner=call.who.organisation, at=call.at, expected=expected
            )
        return Answer(204)

    async def _decide(self, call: Call, allowed: str, interaction: str, action: str, id_: str) -> Scope:
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id = interaction, action, TYPE, id_ or None
        return await self._gate.decide(call.who, allowed, TYPE, call.at)  # type: ignore[arg-type]  # one of the actions


def _search(call: Call) -> tuple[list[tuple[str, str]], int, int]:
    query, numbers = [], {"_count": 100, "_offset": 0}
    for name, value in call.params:
        if name in stored.SEARCHED:
            query.append((name, value))
        elif name in numbers:
            if not value.isdigit() or len(value) > 6:
                raise Incorrect(f"{name} is a whole number")
            numbers[name] = int(value)
        elif name not in ("_format", "_pretty"):
            raise Incorrect(f"ViewDefinition is searched by {', '.join(stored.SEARCHED)}")
    return query, max(1, min(numbers["_count"], _MOST_LISTED)), numbers["_offset"]


def _of_libraries(query: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """The views of the libraries that a search finds."""
    found = []
    for one in library.views():
        if one.derived is not None:
            continue
        held = {**one.definition, "_id": library_id(one)}
        if all(_matches(str(held.get(name, "")), name, value) for name, value in query):
            found.append({"resourceType": TYPE, "id": library_id(one), **one.definition})
    return found


def _matches(held: str, name: str, value: str) -> bool:
    wanted_ = value.split(",")
    return any(held.lower().startswith(one.lower()) for one in wanted_) if name == "name" else held in wanted_


def _shown(view: StoredView, status: int = 200, location: str = "") -> Answer:
    return of_version(status, dump(view.as_resource()), view.version, view.updated, location)
