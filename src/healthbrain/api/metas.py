"""$meta, $meta-add and $meta-delete: the profiles, tags and security labels of resources (R4 resource-operations).

Adding and deleting is a change like any other: it is written as a patch of `meta` alone, guarded by the version it was
made from and begun again when somebody else was faster, and it stands in the ledger and the audit log. In a transaction
the store does it with the other changes (store.metas).
"""

from __future__ import annotations

from typing import Any

from healthbrain.access import Gate
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.lending import ask
from healthbrain.api.parameters import asked, parameters
from healthbrain.api.platform import Platform
from healthbrain.api.writing import Writing
from healthbrain.errors import Busy, Forbidden, Incorrect, PreconditionFailed
from healthbrain.exchange import Interaction
from healthbrain.fhir import dump, parse
from healthbrain.scope import Scope
from healthbrain.store import united, without

_ATTEMPTS = 5

Meta = dict[str, Any]


class Metas:
    """The three operations."""

    def __init__(self, platform: Platform, gate: Gate, writing: Writing) -> None:
        self._platform = platform
        self._gate = gate
        self._writing = writing

    async def of_one(self, call: Call, type_: str, id_: str) -> Answer:
        """GET /Type/id/$meta"""
        self._note(call, type_, id_, "$meta", "R")
        scope = await self._identified(call, type_)
        meta, _ = await self._current(call, type_, id_, scope)
        return Answer(200, parameters(("return", "valueMeta", meta)))

    async def of_all(self, call: Call, type_: str | None) -> Answer:
        """GET /Type/$meta and /$meta: every profile, tag and label in use, as far as the caller sees"""
        self._note(call, type_ or "", None, "$meta", "E")
        scopes: dict[str, Scope] = {}
        for name in [type_] if type_ else self._platform.definitions.types:
            try:
                scopes[name] = await self._identified(call, name, "search")
            except Forbidden:
                if type_:
                    raise
        labels = self._platform.store.labels
        found: Meta = {}
        for one in await ask(self._platform.readers, lambda c: labels(c, scopes)):
            found = united(found, one)
        return Answer(200, parameters(("return", "valueMeta", found)))

    async def change(self, call: Call, type_: str, id_: str, *, add: bool) -> Answer:
        """POST /Type/id/$meta-add and $meta-delete"""
        self._note(call, type_, id_, "$meta-add" if add else "$meta-delete", "U")
        given = (await asked(call)).all("meta")
        if len(given) != 1 or not isinstance(given[0], dict):
            raise Incorrect("send Parameters with one parameter 'meta' that holds a Meta")
        writing = await self._gate.decide(call.who, "write", type_, call.at)
        reading = await self._identified(call, type_)
        for _ in range(_ATTEMPTS):
            meta, version = await self._current(call, type_, id_, reading)
            wanted = united(meta, given[0]) if add else without(meta, given[0])
            kept = {name: value for name, value in wanted.items() if name not in ("versionId", "lastUpdated")}
            patch = dump({"op": "add", "path": "/meta", "value": kept})
            interaction = Interaction("PATCH", type_, id_, if_match=version)
            try:
                await self._writing.change(call, interaction, b"[" + patch + b"]", writing)
            except PreconditionFailed:
                continue
            meta, _ = await self._current(call, type_, id_, reading)
            return Answer(200, parameters(("return", "valueMeta", meta)))
        raise Busy("others change the same resource at this moment; send it again")

    async def _current(self, call: Call, type_: str, id_: str, scope: Scope) -> tuple[Meta, int]:
        read = self._platform.store.read
        stored = await ask(self._platform.readers, lambda c: read(c, type_, id_, scope=scope))
        if stored.patient is not None:
            call.trace.patients.add(stored.patient)
        return parse(stored.body).get("meta", {}), stored.version

    async def _identified(self, call: Call, type_: str, action: Any = "read") -> Scope:
        scope = await self._gate.decide(call.who, action, type_, call.at)
        if not scope.identified:
            raise Forbidden(f"as {call.who.role} you see figures, not single residents")
        return scope

    def _note(self, call: Call, type_: str, id_: str | None, name: str, action: str) -> None:
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id, trace.detail = "operation", action, type_, id_, name
