"""A measure composed by form (指标工作台): what is typed becomes a definition in YAML, the same format as the built-in ones.

The form knows what people and events are counted in (`tables`), conditions as rows (`conditions`), facts of another table about
the same person, and for a ratio what stands below the line. What does not fit is refused at the field (`faults`); `text` writes the
definition. The format of the result is docs/reference/measures.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from healthbrain.measure.workbench.conditions import Condition, Fact

KINDS = ("proportion", "ratio", "count", "mean", "median", "sum")
PERS = (1, 100, 1_000, 10_000, 100_000)  # what a ratio is multiplied with
STRATA = ("sex", "age_group")
ID = re.compile(r"OWN-[A-Z0-9-]{2,30}")


@dataclass(frozen=True, slots=True)
class Below:
    """A ratio's own denominator: what is counted or summed up below the line, in a table of its own."""

    base: str = "home"
    day: str = ""
    once: bool = True
    observe: str = ""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """Everything that is typed."""

    id: str = ""
    title: str = ""
    title_en: str = ""
    formula: str = ""
    reading: str = ""
    document: str = ""
    clause: str = ""
    owner: str = ""
    kind: str = "proportion"
    unit: str = "%"
    direction: str = "up"
    period: str = "month"
    window: int = 0  # months; 0 = the period itself
    base: str = "home"
    day: str = ""  # the column that must lie in the window; '' = as of its end
    once: bool = True  # each person once
    observe: str = ""
    conditions: tuple[Condition, ...] = ()
    excluded: tuple[Condition, ...] = ()
    numerator: tuple[Condition, ...] = ()
    facts: tuple[Fact, ...] = ()
    strata: tuple[str, ...] = ()
    targets: Mapping[str, float] = field(default_factory=dict)
    below: Below = Below()
    per: int = 1

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)


def form_of(raw: Mapping[str, Any]) -> Form:
    """A form from its JSON."""

    def rows(found: Any) -> tuple[Condition, ...]:
        return tuple(Condition(str(one["column"]), str(one["operator"]), str(one.get("value", ""))) for one in found)

    made = {"conditions", "excluded", "numerator", "facts", "strata", "below"}
    plain = {key: raw[key] for key in raw if key not in made}
    low = raw.get("below") or {}
    below = Below(**{**low, "conditions": rows(low.get("conditions", ()))})
    facts = (Fact(one["name"], one["table"], one["within"], rows(one["conditions"])) for one in raw.get("facts", ()))
    return Form(
        **plain, conditions=rows(raw.get("conditions", ())), excluded=rows(raw.get("excluded", ())),
        numerator=rows(raw.get("numerator", ())), facts=tuple(facts), strata=tuple(raw.get("strata", ())), below=below,
    )  # fmt: skip
