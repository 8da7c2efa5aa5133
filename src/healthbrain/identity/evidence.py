"""What one patient record offers for comparing: normalised name, birth, sex, and its identifiers as hashed keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from healthbrain.identity.names import NameKind, name_kind, normal_name
from healthbrain.identity.numbers import IdCard, Verdict, id_card, insurance_number, judge, tidy
from healthbrain.terms import systems


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier of a record. Only a `usable` one links."""

    key: UUID
    kind: str
    usable: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One patient record as it is compared."""

    patient: int
    patient_id: str
    owner: int
    name: str
    name_kind: NameKind
    birth: str
    sex: str
    identifiers: tuple[Identifier, ...]
    replaced_by: int | None = None

    @property
    def usable(self) -> frozenset[UUID]:
        """The keys it may be linked by."""
        return frozenset(one.key for one in self.identifiers if one.usable)


def key_of(kind: str, *parts: str) -> UUID:
    """The hash under which an identifier is kept; numbers themselves are not stored twice."""
    return UUID(bytes=hashlib.sha256("\x1f".join((kind, *parts)).encode()).digest()[:16])


def evidence(
    resource: Mapping[str, Any], *, patient: int, owner: int, today: date, replaced_by: int | None = None
) -> Evidence:
    """What the Patient `resource` offers."""
    birth = str(resource.get("birthDate", ""))
    sex = resource.get("gender", "")
    sex = sex if sex in {"male", "female"} else ""
    written = _written_name(resource.get("name", ()))
    kind = name_kind(written)
    name = normal_name(written) if kind == "name" else ""
    identifiers = _identifiers(resource.get("identifier", ()), name=name, kind=kind, birth=birth, sex=sex, today=today)
    return Evidence(
        patient,
        str(resource["id"]),
        owner,
        name,
        kind,
        birth,
        sex,
        tuple(sorted(identifiers, key=lambda i: i.key)),
        replaced_by,
    )


def _written_name(names: Sequence[Mapping[str, Any]]) -> str:
    """The name to compare by: the official or usual one, not an old one."""
    current = [one for one in names if one.get("use") not in {"old", "maiden", "nickname", "anonymous"}]
    for one in sorted(current or names, key=lambda n: n.get("use", "official") != "official"):
        if text := one.get("text") or one.get("family", "") + "".join(one.get("given", ())):
            return str(text)
    return ""


def _identifiers(
    written: Sequence[Mapping[str, Any]], *, name: str, kind: NameKind, birth: str, sex: str, today: date
) -> list[Identifier]:
    found: dict[UUID, Identifier] = {}
    cards: set[str] = set()
    for one in written:
        system, value = one.get("system"), str(one.get("value", ""))
        if not value or one.get("use") == "old":
            continue
        made = None
        if system == systems.ID_CARD:
            made, number = _card(value, kind, birth, sex, today)
            if number and made.usable:
                cards.add(number)
        elif system == systems.INSURANCE:
            for made in _insurance(value, name, birth, sex):
                found[made.key] = made
            continue
        elif system == systems.HEALTH_CARD:
            made = Identifier(key_of("health-card", tidy(value)), "health-card", False, "not-used")
        elif system == systems.HEALTH_RECORD:
            made = Identifier(key_of("health-record", tidy(value)), "health-record", False, "not-used")
        if made is not None:
            found[made.key] = made
    if len(cards) > 1:  # one record can't be two people: none of its cards is believed
        return [
            Identifier(i.key, i.kind, False, "contradictory") if i.kind == "id-card" and i.usable else i
            for i in found.values()
        ]
    return list(found.values())


def _card(value: str, kind: NameKind, birth: str, sex: str, today: date) -> tuple[Identifier, str]:
    card = id_card(value, today)
    if not isinstance(card, IdCard):
        return Identifier(key_of("id-card", tidy(value)), "id-card", False, card), ""
    verdict = judge(card, birth, sex)
    usable = verdict == "verified" and kind not in {"test", "unknown"}
    return Identifier(key_of("id-card", card.number), "id-card", usable, verdict), card.number


def _insurance(value: str, name: str, birth: str, sex: str) -> list[Identifier]:
    """The number for finding; and, for linking, a key that holds name, full birth date and sex as well."""
    number, verdict = insurance_number(value)
    whole = verdict == "verified" and bool(name and sex) and len(birth) == 10
    alone = Identifier(
        key_of("insurance-number", number), "insurance-number", False, verdict if whole else _less(verdict)
    )
    if not whole:
        return [alone]
    return [alone, Identifier(key_of("insurance", number, name, birth, sex), "insurance", True, verdict)]


def _less(verdict: Verdict) -> Verdict:
    return "unconfirmed" if verdict == "verified" else verdict
