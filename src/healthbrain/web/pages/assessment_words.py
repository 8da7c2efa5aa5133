"""Words of assessments: states, grades, rules, and how an item's points came about, as a sum a reader can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from healthbrain.measure import Definition
from healthbrain.measure.assessment import Figure, Item, Points, Scheme, Unit
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import figures

# grade -> (word, look of the badge, sign)
GRADES: Mapping[str, tuple[str, str, str]] = {
    "excellent": (N_("Excellent"), "ok", "check"),
    "good": (N_("Good"), "ok", "up"),
    "pass": (N_("Pass"), "warn", "flat"),
    "fail": (N_("Fail"), "bad", "alert"),
    "": (N_("Not graded"), "", "info"),
}
STATES: Mapping[str, tuple[str, str, str]] = {
    "draft": (N_("Draft"), "info", "edit"),
    "published": (N_("Published"), "ok", "check"),
    "closed": (N_("Closed"), "", "lock"),
}
LEVELS: Mapping[str, str] = {
    "institution": N_("each institution"),
    "town": N_("each town"),
    "district": N_("The whole area"),
}
SPANS: Mapping[str, str] = {"year": N_("year"), "quarter": N_("quarter"), "month": N_("month")}
RULES: Mapping[str, str] = {
    "linear": N_("in proportion between floor and target"),
    "ratio": N_("share of the target reached"),
    "steps": N_("table of steps"),
    "deduction": N_("points off for falling short"),
}
MISSING: Mapping[str, str] = {
    "leave_out": N_("left out, the other weights count in proportion"),
    "zero": N_("no points"),
    "open": N_("no total until the figure is there"),
}
SMALL: Mapping[str, str] = {"score": N_("scored like any other, marked"), **MISSING}
TAKES: Mapping[str, str] = {
    "last": N_("the last period"),
    "sum": N_("the sum of the periods"),
    "mean": N_("the mean of the periods"),
}
KINDS: Mapping[str, tuple[str, str]] = {
    "appeal": (N_("Appeal"), "warn"),
    "remark": (N_("Statement"), "info"),
    "answer": (N_("Reply"), "ok"),
}
OUTCOMES: Mapping[str, str] = {
    "upheld": N_("upheld: to be assessed anew"),
    "rejected": N_("the result stands"),
    "noted": N_("noted"),
    "": "",
}


def grade(said: Language, code: str) -> tuple[str, str, str]:
    """A grade's badge."""
    word, look, sign = GRADES[code]
    return said.say(word), look, sign


def state(said: Language, code: str) -> tuple[str, str, str]:
    """A run's badge."""
    word, look, sign = STATES[code]
    return said.say(word), look, sign


def unit_name(said: Language, unit: Unit) -> str:
    """What a unit is called; institutions as they were called then."""
    if unit.name:
        return unit.name
    if unit.code in towns():
        return towns()[unit.code].said(said)
    return unit.code or said.say(LEVELS["district"])


def period(said: Language, label: str) -> str:
    """A period in words."""
    return figures.period_text(said, label)


def periods(said: Language, labels: Sequence[str]) -> str:
    """The periods of a measure that were taken."""
    if not labels:
        return "—"
    if len(labels) == 1:
        return period(said, labels[0])
    return f"{period(said, labels[0])} – {period(said, labels[-1])} ({len(labels)})"


def rule(said: Language, item: Item, target: str) -> str:
    """An item's rule with its numbers; `target` is the one that holds."""
    text, one = said.say(RULES[item.rule.kind]), item.rule
    if one.kind == "linear":
        return f"{text}: {_n(one.floor or Decimal(0))} → {target or '?'}"
    if one.kind == "ratio":
        return f"{text}: {target or '?'}"
    if one.kind == "steps":
        return f"{text}: " + ", ".join(f"{_n(bound)} → {_n(share)}%" for bound, share in reversed(one.steps))
    values = {"target": target or "?", "off": _n(one.off or Decimal(0)), "per": _n(one.per or Decimal(1))}
    return said.say(N_("target %(target)s; %(off)s points off for every full %(per)s short of it")) % values


def sum_of(said: Language, item: Item, points: Points, figure: Figure | None, side: str, target: str) -> str:
    """How the points came about."""
    if points.state != "scored" or figure is None or figure.value is None:
        return _absent(said, points)
    value, weight, one = _n(Decimal(repr(figure.value)), 4), _n(item.weight), item.rule
    if one.kind == "linear":
        floor = _n(one.floor or Decimal(0))
        return f"({value} − {floor}) ÷ ({target} − {floor}) × {weight}"
    if one.kind == "ratio":
        return f"{value} ÷ {target} × {weight}" if side == "up" else f"{target} ÷ {value} × {weight}"
    if one.kind == "steps":
        share = points.points / item.weight * 100 if item.weight else Decimal(0)
        return said.say(N_("step reached: %(share)s%% of %(weight)s")) % {"share": _n(share, 0), "weight": weight}
    lost = item.weight - points.points
    return said.say(N_("%(weight)s − %(lost)s for falling short of %(target)s")) % {
        "weight": weight, "lost": _n(lost), "target": target,
    }  # fmt: skip


def value(said: Language, definition: Definition | None, number: float | None) -> str:
    """A figure with its unit."""
    if number is None:
        return "—"
    if definition is None:
        return said.number(number, 2)
    text, unit = figures.value_text(said, definition, number), figures.unit(said, definition)
    return text if unit in {"%", ""} else f"{text} {unit}"


def weights_source(said: Language, scheme: Scheme) -> str:
    """Where a scheme's weights come from."""
    return figures.words(said, scheme.weights) if scheme.weights else said.say(N_("not stated"))


def _absent(said: Language, points: Points) -> str:
    why = said.say(N_("too few people") if points.why == "small" else N_("no figure"))
    how = {"zero": MISSING["zero"], "left_out": MISSING["leave_out"], "open": MISSING["open"]}[points.state]
    return f"{why}: {said.say(how)}"


def _n(number: Decimal, digits: int = 2) -> str:
    """A number without needless zeros."""
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
