"""What FHIR allows but can't be: facts dated in the future (HUB-EX-20, 准确性 and 逻辑性 at the door).

Which elements say that something has happened is a table, maps/past.csv; `unless` lists statuses with which it may still lie
ahead (a planned encounter). An hour is allowed for clocks that differ, and a date counts as soon as it has begun
anywhere in China.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Any

from healthbrain.errors import Fault, Issue
from healthbrain.fhir import definitions

_SKEW = timedelta(hours=1)
_CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class _Fact:
    path: str
    unless: frozenset[str]
    ahead: timedelta

    @property
    def steps(self) -> list[str]:
        return self.path.split(".")


@cache
def _table() -> dict[str, list[_Fact]]:
    text = (resources.files("healthbrain.exchange") / "maps" / "past.csv").read_text("utf-8")
    found: dict[str, list[_Fact]] = {}
    for row in csv.DictReader(io.StringIO(text), strict=True):
        if row["resource"] not in definitions().types:
            raise Fault(f"past.csv: there is no resource type {row['resource']}")
        fact = _Fact(row["element"], frozenset(row["unless"].split()), timedelta(days=int(row["days_ahead"] or 0)))
        found.setdefault(row["resource"], []).append(fact)
    return found


def future_facts(resource: Mapping[str, Any], at: datetime, place: str = "") -> list[Issue]:
    """An error for every fact of `resource` that lies after `at`. `place` stands before the path: Bundle.entry[3].resource."""
    kind = resource.get("resourceType")
    found = []
    for fact in _table().get(str(kind), ()):
        value: Any = resource
        for step in fact.steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        if (
            isinstance(value, str)
            and str(resource.get("status")) not in fact.unless
            and _lies_ahead(value, at + fact.ahead)
        ):
            text = "lies in the future; correct it at the source and send again"
            found.append(Issue("error", "business-rule", f"{place or kind}.{fact.path}", text))
    return found


def _lies_ahead(value: str, at: datetime) -> bool:
    try:
        if "T" not in value:
            parts = [int(part) for part in value.split("-")]
            return date(*[*parts, 1, 1][:3]) > (at + _SKEW).astimezone(_CHINA).date()
        moment = datetime.fromisoformat(value)
        return moment.tzinfo is not None and moment.astimezone(UTC) > at + _SKEW
    except (ValueError, OverflowError):
        return False  # not a date at all: validation says so
