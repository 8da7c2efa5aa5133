"""GET and POST /$graphql, /Type/id/$graphql: the query in the URL, in a JSON body, or as the body itself."""

from __future__ import annotations

from typing import Any

import orjson

from healthbrain.access import Gate
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.graphql import document
from healthbrain.api.graphql.answering import Answering
from healthbrain.api.lending import ask
from healthbrain.api.media import UnsupportedMedia
from healthbrain.api.platform import Platform
from healthbrain.errors import Forbidden, Incorrect, Malformed
from healthbrain.fhir import dump
from healthbrain.scope import Action, Scope
from healthbrain.store import Page

_JSON = frozenset({"application/json", "application/fhir+json", ""})


class GraphQl:
    """The operation, at both levels."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    async def answer(self, call: Call, type_: str = "", id_: str = "") -> Answer:
        """The result as GraphQL has it: data, and errors where something was not to be had."""
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id = "operation", "E", type_, id_ or None
        trace.detail = "$graphql"
        text, variables, name = await _asked(call)
        fields = document.read(text, variables, name)

        async def read(kind: str, key: str) -> dict[str, Any]:
            return await self._read(call, kind, key)

        async def search(kind: str, question: list[tuple[str, str]]) -> Page:
            return await self._search(call, kind, question)

        answering = Answering(read, search)
        if type_:
            data = await answering.instance(await self._read(call, type_, id_), fields)
        else:
            data = await answering.system(fields)
        result: dict[str, Any] = {"data": data}
        if answering.errors:
            result["errors"] = answering.errors
        return Answer(200, dump(result), kind=b"application/json")

    async def _read(self, call: Call, type_: str, id_: str) -> dict[str, Any]:
        scope = await self._scope(call, "read", type_)
        read = self._platform.store.read
        stored = await ask(self._platform.readers, lambda c: read(c, type_, id_, scope=scope))
        if stored.patient is not None:
            call.trace.patients.add(stored.patient)
        return stored.resource

    async def _search(self, call: Call, type_: str, question: list[tuple[str, str]]) -> Page:
        scope = await self._scope(call, "search", type_)
        search = self._platform.store.search
        page = await ask(self._platform.readers, lambda c: search(c, type_, question, scope=scope))
        call.trace.patients.update(one.patient for one in page.matches if one.patient is not None)
        return page

    async def _scope(self, call: Call, action: Action, type_: str) -> Scope:
        if type_ == "AuditEvent":
            raise Forbidden("the audit log is read and searched by itself")
        scope = await self._gate.decide(call.who, action, type_, call.at)
        if not scope.identified:
            raise Forbidden(f"as {call.who.role} you see figures, not single residents")
        return scope


async def _asked(call: Call) -> tuple[str, dict[str, Any], str]:
    """Query, variables and the operation's name."""
    if call.method != "POST":
        return call.param("query"), _variables(call.param("variables")), call.param("operationName")
    kind = call.header(b"content-type").partition(";")[0].strip().lower()
    raw = await call.body()
    if kind == "application/graphql":
        try:
            return raw.decode(), {}, call.param("operationName")
        except UnicodeDecodeError:
            raise Malformed("the query is not UTF-8") from None
    if kind not in _JSON:
        raise UnsupportedMedia("a query is application/graphql, or application/json with 'query' and 'variables'")
    body = _loaded(raw)
    query, variables, name = body.get("query"), body.get("variables") or {}, body.get("operationName") or ""
    if not isinstance(query, str) or not isinstance(variables, dict) or not isinstance(name, str):
        raise Incorrect("the body holds 'query' as text, 'variables' as an object, 'operationName' as text")
    return query, variables, name


def _variables(text: str) -> dict[str, Any]:
    return _loaded(text.encode("utf-8", "surrogatepass")) if text else {}


def _loaded(raw: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Malformed("the query's body or variables cannot be read as JSON") from None
    if not isinstance(found, dict):
        raise Malformed("the query's body and variables are JSON objects")
    return found
