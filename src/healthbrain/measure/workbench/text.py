"""The definition that a form says, as YAML; and a definition read back, compiled once to prove that it can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import yaml

from healthbrain.errors import Incorrect, Invalid
from healthbrain.measure.compute import constants_at
from healthbrain.measure.definition import Definition
from healthbrain.measure.load import definition_of, library
from healthbrain.measure.tally import counting
from healthbrain.measure.workbench.conditions import Condition, Fact, all_of, of_fact
from healthbrain.measure.workbench.faults import faults
from healthbrain.measure.workbench.form import ID, Form
from healthbrain.measure.workbench.tables import PERSON, kinds_of, tables


def text_of_form(form: Form, version: str) -> str:
    """The definition as YAML. Raises Invalid with what is wrong at which field."""
    issues = list(faults(form))
    if issues:
        raise Invalid("the measure cannot be made yet", issues=issues)
    own = tables()[form.base]
    population = {
        **_population("counted", form.base, once=form.once),
        **({"exclude": all_of(form.excluded, own, form.facts)} if form.excluded else {}),
        **({"numerator": all_of(form.numerator, own, form.facts)} if form.numerator else {}),
        **({"observe": form.observe} if form.observe else {}),
    }
    counted = _table(form.base, form.day, form.conditions, form.facts, once=form.once)
    made, low = {"counted": counted}, form.below
    below: dict[str, Any] = {}
    if form.kind == "ratio":
        made["below"] = _table(low.base, low.day, low.conditions, (), once=low.once)
        below = _population("below", low.base, once=low.once) | ({"observe": low.observe} if low.observe else {})
    said = {
        "id": form.id, "version": version, "order": 200, "title": {"zh": form.title, "en": form.title_en or form.title},
        "source": {"document": form.document, "clause": form.clause or "—"},
        "formula": {"zh": form.formula, "en": form.formula}, "reading": {"zh": form.reading or "—", "en": form.reading or "—"},
        "kind": form.kind, "unit": form.unit, "direction": form.direction, "period": form.period,
        "window_months": form.window, "periods": 18,
        **({"per": form.per} if form.kind == "ratio" else {}),
        **({"targets": dict(form.targets)} if form.targets else {}),
        "tables": made, "population": population,
        **({"denominator": below} if below else {}),
        **({"stratifiers": list(form.strata)} if form.strata else {}),
    }  # fmt: skip
    return yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=100)


def _table(
    base: str, day: str, conditions: Sequence[Condition], facts: Sequence[Fact], *, once: bool
) -> dict[str, Any]:
    """The rows of a table that meet the conditions, with the person's place, birth and sex, each person once if wanted."""
    kinds = kinds_of(base)
    placed = "town" in kinds
    source: dict[str, Any] = {"from": base}
    if day:
        source["where"] = f"{day} >= %from and {day} <= %to"
    if not placed:
        source["with"] = [
            {"table": "person", "match": {"person": "person"}, "take": [one for one in PERSON if one not in kinds]}
        ]
    if facts:
        source["count"] = {
            one.name: {
                "table": one.table, "match": {"person": "person"}, "where": of_fact(one, tables()[one.table]),
            }
            for one in facts
        }  # fmt: skip
    source["add"] = {"age": "age(birth, %to)"} | ({} if placed else {"institution": "_owner"})
    source["keep"] = all_of(conditions, tables()[base], facts)
    if once:
        source["one_per"] = {"key": "person", "last": day or "_id"}
    return source


def _population(table: str, base: str, *, once: bool) -> dict[str, Any]:
    return {"from": table, "subject": "person" if once else "_id", "town": "town", "institution": "institution"}


def definition_from(text: str, where: str = "definition") -> Definition:
    """The definition of a text, compiled once to prove that it can be counted. Raises Incorrect."""
    one = definition_of(text, where)
    if not ID.fullmatch(one.id):
        raise Incorrect("an own measure's number begins with OWN-, in capitals, digits and hyphens")
    counting((one,), library(), constants_at(date(2000, 1, 1)))
    return one
