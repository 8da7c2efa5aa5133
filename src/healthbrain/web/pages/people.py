"""Residents in a list: found by number or name, shown masked, marked when their record is not open to the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain import identity
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.portrait import mask_name, mask_number
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Stored
from healthbrain.terms import systems
from healthbrain.web import labels
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA
from healthbrain.web.visit import Visit


@dataclass(frozen=True, slots=True)
class ResidentLine:
    """One person in a list."""

    person: str
    name: str
    sex: str
    age: str
    birth: str
    id_card: str
    town: str
    institutions: str
    open: bool
    patients: tuple[int, ...] = ()


async def lines(
    visit: Visit, connection: Connection, tree: Tree, persons: Sequence[str], scope: Scope, *, outside: bool
) -> list[ResidentLine]:
    """These persons, masked; those not open to `scope` only if `outside`."""
    found = []
    for person in persons:
        ids = await identity.patient_ids(connection, person)
        wanted = [("Patient", id_) for id_, _ in ids]
        if not wanted:
            continue
        records = await visit.platform.store.read_many(connection, wanted, scope=EVERYTHING)
        visible = scope.everything or bool(await visit.platform.store.read_many(connection, wanted, scope=scope))
        if records and (visible or outside):
            found.append(_line(visit, tree, person, records, visible))
    return found


def name_of(patient: Mapping[str, Any]) -> str:
    """The name in a Patient."""
    for name in patient.get("name", ()):
        text = name.get("text") or name.get("family", "") + "".join(name.get("given", ()))
        if text:
            return str(text)
    return ""


def _line(visit: Visit, tree: Tree, person: str, records: Sequence[Stored], visible: bool) -> ResidentLine:
    said = visit.language
    newest = [one.resource for one in sorted(records, key=lambda r: r.updated, reverse=True)]
    birth = next((str(p["birthDate"]) for p in newest if p.get("birthDate")), "")
    sex = next((str(p["gender"]) for p in newest if p.get("gender")), "unknown")
    card = next((number for p in newest if (number := _number(p, systems.ID_CARD))), "")
    code = next((town for p in newest if (town := _town(p))), "")
    places = dict.fromkeys(tree.name(one.owner) for one in records)
    return ResidentLine(
        person=person,
        name=mask_name(next((name for p in newest if (name := name_of(p))), "")) or person,
        sex=said.say(labels.SEX.get(sex, labels.SEX["unknown"])),
        age=said.age(birth, visit.at.astimezone(CHINA).date()) if birth else "—",
        birth=birth,
        id_card=mask_number(card, 6, 4) if card else "—",
        town=towns()[code].said(said) if code in towns() else "—",
        institutions="、".join(name for name in places if name),
        open=visible,
        patients=tuple(one.patient for one in records if one.patient is not None),
    )


def _number(patient: Mapping[str, Any], system: str) -> str:
    for identifier in patient.get("identifier", ()):
        if identifier.get("system") == system:
            return str(identifier.get("value", ""))
    return ""


def _town(patient: Mapping[str, Any]) -> str:
    for address in patient.get("address", ()):
        for extension in address.get("extension", ()):
            if extension.get("url") == systems.EXT_DIVISION:
                return str(extension.get("valueString", ""))[:9]
    return ""
