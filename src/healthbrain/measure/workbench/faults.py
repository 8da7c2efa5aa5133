"""What is wrong with a form, field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from healthbrain.errors import Incorrect, Issue
from healthbrain.lake.expression_sql import Kind
from healthbrain.measure.workbench.conditions import Condition, Fact, expression
from healthbrain.measure.workbench.form import ID, KINDS, PERS, STRATA, Form
from healthbrain.measure.workbench.tables import bases, tables

_MOST = 8  # conditions of one part


def faults(form: Form) -> list[Issue]:
    """Everything that keeps a form from becoming a definition, at its field."""
    found: list[Issue] = []

    def wrong(place: str, text: str) -> None:
        found.append(Issue("error", "value", place, text))

    if not ID.fullmatch(form.id):
        wrong("id", "an own measure's number begins with OWN-, in capitals, digits and hyphens")
    for place, text in (
        ("title", form.title),
        ("formula", form.formula),
        ("document", form.document),
        ("unit", form.unit),
    ):
        if not text.strip():
            wrong(place, "this must be filled in")
    for place, value, allowed in (
        ("kind", form.kind, KINDS), ("direction", form.direction, ("up", "down", "none")),
        ("period", form.period, ("month", "quarter", "year")), ("base", form.base, bases()),
    ):  # fmt: skip
        if value not in allowed:
            wrong(place, "choose one of the list")
    if not 0 <= form.window <= 60:
        wrong("window", "a window has 0 to 60 months")
    if form.base not in bases():
        return found
    own = tables()[form.base]
    if form.day and own.get(form.day) != "date":
        wrong("day", "choose a date of the table")
    if form.kind in {"mean", "median", "sum"} and own.get(form.observe) not in {"integer", "decimal"}:
        wrong("observe", "choose the number that is measured")
    if form.kind == "ratio":
        found += _of_below(form)
    if form.kind == "proportion" and not form.numerator:
        wrong("numerator", "a share needs a numerator")
    if set(form.strata) - set(STRATA):
        wrong("strata", "choose one of the list")
    for number, fact in enumerate(form.facts):
        if (
            fact.table not in bases()
            or not re.fullmatch(r"fact_[1-9]", fact.name)
            or fact.within not in {"period", "ever"}
        ):
            wrong(f"facts-{number}", "choose one of the list")
        else:
            found += _wrong_rows(f"facts-{number}", fact.conditions, tables()[fact.table], ())
    for place, rows in (("conditions", form.conditions), ("excluded", form.excluded), ("numerator", form.numerator)):
        found += _wrong_rows(place, rows, own, form.facts)
    return found


def _wrong_rows(place: str, rows: Sequence[Condition], kinds: Mapping[str, Kind], facts: Sequence[Fact]) -> list[Issue]:
    found = []
    if len(rows) > _MOST:
        found.append(Issue("error", "value", place, f"at most {_MOST} conditions"))
    for one in rows:
        try:
            expression(one, kinds, facts)
        except Incorrect as error:
            found.append(Issue("error", "value", place, error.message))
    return found


def _of_below(form: Form) -> list[Issue]:
    """What is wrong below the line of a ratio."""
    low = form.below
    if low.base not in bases():
        return [Issue("error", "value", "below", "choose one of the list")]
    own, found = tables()[low.base], []
    if low.day and own.get(low.day) != "date":
        found.append(Issue("error", "value", "below", "choose a date of the table"))
    for place, observe, kinds in (("observe", form.observe, tables()[form.base]), ("below", low.observe, own)):
        if observe and kinds.get(observe) not in {"integer", "decimal"}:
            found.append(Issue("error", "value", place, "choose the number that is measured"))
    if form.per not in PERS:
        found.append(Issue("error", "value", "per", "choose one of the list"))
    if form.numerator:
        found.append(
            Issue("error", "value", "numerator", "a ratio counts what is above the line by its own conditions")
        )
    return found + _wrong_rows("below", low.conditions, own, ())
