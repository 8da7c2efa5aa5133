"""Small readings of FHIR elements that every part of the portrait needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import orjson

from healthbrain.access import Tree
from healthbrain.fhir import parse
from healthbrain.portrait.values import Source
from healthbrain.store import Stored
from healthbrain.terms import tables

LOCAL = timezone(timedelta(hours=8))  # China has one time zone and no summer time
_WRONG = frozenset({"entered-in-error", "cancelled", "not-done", "nullified"})
_INEXACT = re.compile(rb"\.[0-9]*0[,}\]]|[0-9][eE][-+0-9]")
OLD = datetime(1800, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """A resource read for the portrait: its content and where it comes from."""

    body: Mapping[str, Any]
    source: Source

    @property
    def valid(self) -> bool:
        """Whether it has not been withdrawn."""
        wrong = self.body.get("status") in _WRONG
        return not wrong and code_of(self.body.get("verificationStatus")) not in {"entered-in-error", "refuted"}


def record(stored: Stored, tree: Tree) -> Record:
    """A stored resource with its source."""
    source = Source(
        stored.type,
        stored.id,
        stored.version,
        stored.owner,
        tree.name(stored.owner),
        stored.updated,
        stored.delivery,
    )
    # Numbers that a float prints otherwise than they were written (72.50, 1e3) need the exact reader, which takes
    # four times as long; most records have none.
    exact = _INEXACT.search(stored.body) is not None
    return Record(parse(stored.body) if exact else orjson.loads(stored.body), source)


def codings(concept: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """The codings of a CodeableConcept."""
    found: Sequence[Mapping[str, Any]] = (concept or {}).get("coding", ())
    return found


def coding(concept: Mapping[str, Any] | None, *systems: str) -> tuple[str, str]:
    """(system, code) in the first of `systems` that is there; else of the first coding; ('', text) without any."""
    for system in systems:
        for one in codings(concept):
            if one.get("system") == system and one.get("code"):
                return system, one["code"]
    for one in codings(concept):
        if one.get("code"):
            return one.get("system", ""), one["code"]
    return "", (concept or {}).get("text", "")


def code_of(concept: Mapping[str, Any] | None) -> str:
    """The first code of a CodeableConcept; '' without any."""
    return next((one["code"] for one in codings(concept) if one.get("code")), "")


def shown(concept: Mapping[str, Any] | None, system: str = "", code: str = "") -> str:
    """How a concept is shown: our Chinese name of the code, else the sender's text, else its display."""
    known = tables.display(system, code) if system else None
    display = next((one["display"] for one in codings(concept) if one.get("display")), "")
    return known or (concept or {}).get("text", "") or display or code


def moment(text: str | None) -> datetime | None:
    """The earliest moment a FHIR date or dateTime may mean; None when there is none or it is not one."""
    if not text:
        return None
    try:
        if len(text) <= 10:
            year, month, day = (*(int(part) for part in text.split("-")), 1, 1)[:3]
            return datetime(year, month, day, tzinfo=LOCAL)
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def day(text: str | None) -> date | None:
    """The local day of a FHIR date or dateTime."""
    at = moment(text)
    return at.astimezone(LOCAL).date() if at else None


def reference_id(reference: Mapping[str, Any] | None) -> str:
    """The logical id that a reference names; '' for none."""
    return str((reference or {}).get("reference", "")).rpartition("/")[2]


def newest(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Sources, the latest recorded first."""
    return tuple(sorted(sources, key=lambda one: (one.recorded, one.id), reverse=True))


def age(birth: date, at: date) -> int:
    """Completed years."""
    return at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))
