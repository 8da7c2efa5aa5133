"""Problems, medicines and allergies: one line each, however many institutions wrote them down.

What is one: the same code in the same system; without a code, the same text. A problem is active when its last entry
is. Which prescriptions still run is often not said. Then the rule is: a prescription lasts as long as its stated
supply; one without is taken to last 28 days, or 84 days when the medicine was prescribed before within a year
(长期处方管理规范（试行）2021: up to 4 weeks, at most 12 weeks). docs/spec-readings.md#current-medicine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from healthbrain.portrait.banner import no_known_allergy
from healthbrain.portrait.facts import LOCAL, Record, code_of, coding, day, newest, shown
from healthbrain.portrait.values import Allergy, Medicine, Problem
from healthbrain.terms import systems

_ONCE = timedelta(days=28)
_REPEATED = timedelta(days=84)
_YEAR = timedelta(days=365)
_UNITS = {"d": 1, "wk": 7, "mo": 30, "a": 365, "day": 1, "天": 1}
# ICD-10 of diseases that last: hypertension, diabetes, coronary disease, stroke, COPD, asthma, tumours, kidney failure,
# severe mental disorder, Parkinson's, lipids
_CHRONIC = ("I10", "I11", "I12", "I13", "I15", "E10", "E11", "E12", "E13", "E14", "I20", "I25", "I60", "I61", "I63",
            "I69", "J44", "J45", "C", "N18", "F20", "F25", "F31", "G20", "E78", "I48", "I50", "M81")  # fmt: skip


def problems(conditions: Sequence[Record]) -> tuple[Problem, ...]:
    """The problem list: active first, then the latest first."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in conditions:
        if one.valid:
            groups.setdefault(coding(one.body.get("code"), systems.ICD10), []).append(one)
    found = [_problem(key, group) for key, group in groups.items()]
    return tuple(sorted(found, key=lambda one: (one.active, one.chronic, one.last or date.min, one.code), reverse=True))


def _problem(key: tuple[str, str], group: Sequence[Record]) -> Problem:
    system, code = key
    ordered = sorted(group, key=lambda one: (_noted(one.body) or date.min, one.source.recorded))
    days = [known for one in ordered for known in (_began(one.body), _noted(one.body)) if known]
    last = ordered[-1].body
    chronic = system == systems.ICD10 and code.startswith(_CHRONIC)
    status = code_of(last.get("clinicalStatus")) or "active"
    listed = any(code_of(one) == "problem-list-item" for record in group for one in record.body.get("category", ()))
    return Problem(
        system=system,
        code=code,
        display=shown(last.get("code"), system, code),
        active=status in {"active", "recurrence", "relapse"} and (chronic or listed),
        chronic=chronic,
        first=min(days, default=None),
        last=max(days, default=None),
        times=len(group),
        sources=newest(one.source for one in group),
    )


def _began(body: Mapping[str, Any]) -> date | None:
    return day(body.get("onsetDateTime") or body.get("onsetPeriod", {}).get("start"))


def _noted(body: Mapping[str, Any]) -> date | None:
    return day(body.get("recordedDate")) or _began(body)


def medicines(requests: Sequence[Record], at: datetime) -> tuple[Medicine, ...]:
    """What was prescribed: what is taken now first, then the latest first."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in requests:
        if one.valid and one.body.get("status") != "draft":
            groups.setdefault(coding(one.body.get("medicationCodeableConcept"), systems.DRUG), []).append(one)
    today = at.astimezone(LOCAL).date()
    found = [_medicine(key, group, today) for key, group in groups.items()]
    return tuple(sorted(found, key=lambda one: (one.current, one.last or date.min, one.code), reverse=True))


def _medicine(key: tuple[str, str], group: Sequence[Record], today: date) -> Medicine:
    system, code = key
    ordered = sorted(group, key=lambda one: (day(one.body.get("authoredOn")) or date.min, one.source.recorded))
    days = [known for one in ordered if (known := day(one.body.get("authoredOn")))]
    last = ordered[-1].body
    dosage = next((one["text"] for one in last.get("dosageInstruction", ()) if one.get("text")), "")
    return Medicine(
        system=system,
        code=code,
        display=_drug_name(last, system, code),
        dosage=dosage,
        current=_still_taken(last, days, today),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        times=len(group),
        sources=newest(one.source for one in group),
    )


def _drug_name(body: Mapping[str, Any], system: str, code: str) -> str:
    concept = body.get("medicationCodeableConcept")
    return (
        (concept or {}).get("text")
        or shown(concept, system, code)
        or body.get("medicationReference", {}).get("display", "")
    )


def _still_taken(last: Mapping[str, Any], days: Sequence[date], today: date) -> bool:
    if not days or last.get("status") in {"stopped", "on-hold"}:
        return False
    dispense = last.get("dispenseRequest", {})
    end = day(dispense.get("validityPeriod", {}).get("end"))
    if end is not None:
        return end >= today
    supply = dispense.get("expectedSupplyDuration", {})
    unit = _UNITS.get(supply.get("code") or supply.get("unit", ""))
    if unit and supply.get("value"):
        return days[-1] + timedelta(days=float(supply["value"]) * unit) >= today
    repeated = any(days[-1] - _YEAR <= earlier < days[-1] for earlier in days)
    return days[-1] + (_REPEATED if repeated else _ONCE) >= today


def allergies(records: Sequence[Record]) -> tuple[Allergy, ...]:
    """The allergies, severe ones first. A record that says "none known" is not an allergy."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in records:
        if one.valid and not no_known_allergy(one.body):
            groups.setdefault(coding(one.body.get("code")), []).append(one)
    found = [_allergy(key, group) for key, group in groups.items()]
    return tuple(sorted(found, key=lambda one: (not one.active, not one.severe, one.display)))


def _allergy(key: tuple[str, str], group: Sequence[Record]) -> Allergy:
    ordered = sorted(group, key=lambda one: (one.body.get("recordedDate", ""), one.source.recorded))
    last = ordered[-1].body
    severe = any(
        one.body.get("criticality") == "high"
        or any(r.get("severity") == "severe" for r in one.body.get("reaction", ()))
        for one in group
    )
    reactions = [
        shown(sign) for one in group for r in one.body.get("reaction", ()) for sign in r.get("manifestation", ())
    ]
    return Allergy(
        display=shown(last.get("code"), *key),
        category=next(iter(last.get("category", ())), ""),
        severe=severe,
        active=code_of(last.get("clinicalStatus")) in {"", "active"},
        reaction="、".join(dict.fromkeys(one for one in reactions if one)),
        recorded=day(last.get("recordedDate")),
        sources=newest(one.source for one in group),
    )
