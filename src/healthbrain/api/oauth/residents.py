"""Which residents somebody may let an application work with: only those whose records they may read themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain import identity
from healthbrain.api.lending import ask
from healthbrain.api.oauth.desk import Desk
from healthbrain.api.oauth.page import Choice
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.scope import Principal, Scope
from healthbrain.store import Page, Stored, patient_key

_MOST = 20


@dataclass(frozen=True, slots=True)
class Resident:
    """A patient record with its key and the person it belongs to."""

    choice: Choice
    key: int
    person: str | None


async def chosen(desk: Desk, principal: Principal, id_: str | None) -> Resident | None:
    """The patient of this logical id, if the principal may read it."""
    if not id_:
        return None
    scope = await _scope(desk, principal, "read")
    if scope is None:
        return None
    key = patient_key(id_)
    try:
        stored = await ask(desk.platform.readers, lambda c: desk.platform.store.read(c, "Patient", id_, scope=scope))
    except (NotFound, Incorrect):
        return None
    persons = await ask(desk.platform.readers, lambda c: identity.person_of(c, [key]))
    return Resident((await _choices(desk, [stored]))[0], key, persons.get(key))


async def own_records(desk: Desk, principal: Principal) -> list[Choice]:
    """A resident's own records, one for each institution."""
    scope = await _scope(desk, principal, "read")
    person = principal.person
    if scope is None or person is None:
        return []
    records = await ask(desk.platform.readers, lambda c: identity.patient_ids(c, person))
    names = [("Patient", id_) for id_, _ in records][:_MOST]
    return await _choices(
        desk, await ask(desk.platform.readers, lambda c: desk.platform.store.read_many(c, names, scope=scope))
    )


async def found(desk: Desk, principal: Principal, sought: str) -> list[Choice]:
    """Patients by name or identifier among those the principal may see; none before anything is asked for."""
    text = sought.strip()
    scope = await _scope(desk, principal, "search")
    if scope is None or not text:
        return []
    escaped = text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
    seen: dict[str, Stored] = {}
    for parameter in ("identifier", "name"):
        question = _Question(desk, [(parameter, escaped), ("_count", str(_MOST))], scope)
        seen |= {one.id: one for one in (await ask(desk.platform.readers, question)).matches}
    return await _choices(desk, list(seen.values())[:_MOST])


@dataclass(frozen=True, slots=True)
class _Question:
    desk: Desk
    parameters: Sequence[tuple[str, str]]
    scope: Scope

    async def __call__(self, connection: Connection) -> Page:
        return await self.desk.platform.store.search(connection, "Patient", self.parameters, scope=self.scope)


async def _scope(desk: Desk, principal: Principal, action: str) -> Scope | None:
    try:
        scope = await desk.gate.decide(
            principal, "read" if action == "read" else "search", "Patient", desk.platform.clock()
        )
    except Forbidden:
        return None
    return scope if scope.identified else None


async def _choices(desk: Desk, records: Sequence[Stored]) -> list[Choice]:
    tree = await desk.gate.tree()
    return [_choice(one.id, one.resource, tree.name(one.owner)) for one in records]


def _choice(id_: str, patient: dict[str, Any], place: str) -> Choice:
    names = patient.get("name") or [{}]
    first = names[0]
    name = first.get("text") or "".join([first.get("family", ""), *first.get("given", ())]) or id_
    return Choice(id_, str(name), str(patient.get("birthDate", "")), place)
