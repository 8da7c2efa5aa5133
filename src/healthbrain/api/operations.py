"""$validate: what would be wrong with a resource, without storing it.

POST /Type/$validate and /Type/id/$validate, the resource as the body or in Parameters with `mode` and `profile`, which
may stand in the query too. Without a resource the stored one is validated. The validation itself is pure
(healthbrain.fhir.profile); what it asks for (profiles, value sets, resources referred to) is read from the store. Where it runs, and
for how long: validating.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from healthbrain.access import Gate
from healthbrain.api import media
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.code_tables import code_table
from healthbrain.api.lending import ask
from healthbrain.api.platform import Platform
from healthbrain.api.validating import Validating, Wanted
from healthbrain.errors import Forbidden, Incorrect, Invalid, Issue, NotFound
from healthbrain.exchange import read_fhir
from healthbrain.fhir import dump, reference
from healthbrain.fhir.profile import Mode, as_operation_outcome
from healthbrain.scope import EVERYTHING
from healthbrain.store import Stored

Resource = dict[str, Any]


class Operations:
    """Operations that change nothing."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate
        self._validating = Validating()

    async def validate(self, call: Call, type_: str, id_: str | None) -> Answer:
        """POST /Type/$validate, /Type/id/$validate: always 200 with an OperationOutcome when the body can be read"""
        call.trace.interaction, call.trace.action, call.trace.type = "operation", "E", type_
        call.trace.detail, call.trace.id = "$validate", id_
        raw = await call.body()
        media.check_resource_type(call)
        asked = _asked(call, await read_fhir(raw) if raw.strip() else None)
        if asked.mode == "delete":
            return await self._deletion(call, type_, id_)
        resource, size = asked.resource, len(raw)
        if resource is None:
            if id_ is None:
                raise Incorrect("send the resource to validate, as the body or in a parameter named 'resource'")
            stored = await self._stored(call, type_, id_)
            resource, size = stored.resource, len(stored.body)
        if resource.get("resourceType") != type_:
            raise Invalid(f"the resource is not of type {type_}")
        if id_ is not None and resource.get("id", id_) != id_:
            raise Invalid("the id in the resource is not the one in the address")
        issues = await self._issues(call, resource, size, asked)
        return Answer(200, dump(as_operation_outcome(issues)))

    async def _deletion(self, call: Call, type_: str, id_: str | None) -> Answer:
        """Whether a delete would be allowed."""
        if id_ is None:
            raise Incorrect("mode=delete is about one resource: POST to Type/id/$validate")
        scope = await self._gate.decide(call.who, "delete", type_, call.at)
        read = self._platform.store.read
        await ask(self._platform.readers, lambda connection: read(connection, type_, id_, scope=scope))
        return Answer(200, dump(as_operation_outcome([])))

    async def _stored(self, call: Call, type_: str, id_: str) -> Stored:
        scope = await self._gate.decide(call.who, "read", type_, call.at)
        if not scope.identified:
            raise Forbidden(f"as {call.who.role} you see figures, not single residents")
        read = self._platform.store.read
        stored = await ask(self._platform.readers, lambda connection: read(connection, type_, id_, scope=scope))
        if stored.patient is not None:
            call.trace.patients.add(stored.patient)
        return stored

    async def _issues(self, call: Call, resource: Resource, size: int, asked: _Asked) -> list[Issue]:
        async def find(kind: str, key: str) -> Resource | None:
            if not kind:
                return await self._target(call, key)
            found = await self._conformance(kind, key)
            return code_table(key) if found is None and kind == "CodeSystem" else found

        wanted = Wanted(resource, size, tuple(asked.profiles), asked.mode, call.at)
        return await self._validating.issues(wanted, find)

    async def _conformance(self, type_: str, canonical: str) -> Resource | None:
        """A profile, value set, code system or questionnaire by url and version; these are about no patient and open to all (scope.OPEN_TYPES)."""
        url, _, version = canonical.partition("|")
        wanted = [("url", _escaped(url)), ("_sort", "-_lastUpdated"), ("_count", "1")]
        if version:
            wanted.insert(1, ("version", _escaped(version)))
        search = self._platform.store.search
        page = await ask(self._platform.readers, lambda c: search(c, type_, wanted, scope=EVERYTHING))
        return page.matches[0].resource if page.matches else None

    async def _target(self, call: Call, text: str) -> Resource | None:
        """The resource a reference points to, if the caller may read it."""
        target = reference.read(text.removeprefix(f"{call.base}/"))
        if target.form != "relative":
            return None
        try:
            return (await self._stored(call, target.type, target.id)).resource
        except (NotFound, Forbidden):
            return None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks to validate."""

    resource: Resource | None
    profiles: Sequence[str]
    mode: Mode | None


def _asked(call: Call, body: Resource | None) -> _Asked:
    """The resource, mode and profiles from the body and the query."""
    profiles = [value for key, value in call.params if key == "profile"]
    mode: Any = call.param("mode") or None
    resource = body
    if body is not None and body.get("resourceType") == "Parameters":
        resource = None
        for one in body.get("parameter") or ():
            name = one.get("name") if isinstance(one, dict) else None
            if name == "resource" and isinstance(one.get("resource"), dict):
                resource = one["resource"]
            elif name == "profile":
                profiles += [value for key, value in one.items() if key.startswith("value") and isinstance(value, str)]
            elif name == "mode":
                mode = next((value for key, value in one.items() if key.startswith("value")), None)
    if mode is not None and mode not in get_args(Mode):
        raise Incorrect("mode is one of create, update, delete, profile")
    return _Asked(resource, profiles, cast("Mode | None", mode))


def _escaped(text: str) -> str:
    """A value of a search parameter in which nothing has a meaning."""
    return "".join(f"\\{char}" if char in "\\,$|" else char for char in text)
