"""Vaccinations against the national schedule (国家免疫规划疫苗儿童免疫程序, terms/data/vaccine_schedule.csv).

Every dose given is listed. For people under 18, doses of the schedule that are not given are due from their month of age,
overdue 30 days later, and upcoming in the 60 days before. A dose without a number counts as the next one.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from healthbrain.portrait.facts import Record, age, coding, day, shown
from healthbrain.portrait.results import Person
from healthbrain.portrait.values import Dose, DoseState
from healthbrain.terms import systems, tables

_GRACE = timedelta(days=30)
_AHEAD = timedelta(days=60)
_ADULT = 18


def vaccinations(records: Sequence[Record], person: Person, today: date) -> tuple[Dose, ...]:
    """Doses given, newest first, after those that are due or overdue."""
    given = _given(records)
    missing = _missing(given, person, today) if person.birth and age(person.birth, today) < _ADULT else []
    missing.sort(key=lambda one: (one.due or today, one.vaccine))
    return (*missing, *sorted(given, key=lambda one: (one.given or date.min, one.vaccine), reverse=True))


def _given(records: Sequence[Record]) -> list[Dose]:
    found: dict[tuple[str, date | None, int | None], Dose] = {}
    for one in sorted(records, key=lambda one: one.source.recorded):
        if not one.valid or one.body.get("status") != "completed":
            continue
        concept = one.body.get("vaccineCode")
        system, code = coding(concept, systems.VACCINE)
        on = day(one.body.get("occurrenceDateTime"))
        protocol: Mapping[str, Any] = next(iter(one.body.get("protocolApplied", ())), {})
        number = protocol.get("doseNumberPositiveInt")
        display = shown(concept, system, code)
        found[code, on, number] = Dose(
            code, display, number, "given", None, on, one.body.get("lotNumber", ""), one.source
        )
    return list(found.values())


def _missing(given: Sequence[Dose], person: Person, today: date) -> list[Dose]:
    if person.birth is None:
        return []
    sex = {"male": "M", "female": "F"}.get(person.sex, "")
    counts: dict[str, int] = {}
    for one in given:
        counts[one.vaccine] = counts.get(one.vaccine, 0) + 1
    found: list[Dose] = []
    for dose in tables.schedule():
        if not dose.applies(person.birth, sex) or counts.get(dose.vaccine, 0) >= dose.number:
            continue
        due = _months_after(person.birth, dose.month)
        if due <= today + _AHEAD:
            state: DoseState = "upcoming" if due > today else "due" if today <= due + _GRACE else "overdue"
            name = tables.display(systems.VACCINE, dose.vaccine) or dose.vaccine
            found.append(Dose(dose.vaccine, name, dose.number, state, due, None, "", None))
    return found


def _months_after(birth: date, months: int) -> date:
    year, month = divmod(birth.year * 12 + birth.month - 1 + months, 12)
    return date(year, month + 1, min(birth.day, monthrange(year, month + 1)[1]))
