"""An assessment scheme (考核方案) as data: groups of items, each naming a measure, a weight and a rule; grades; what becomes of
figures that are missing or rest on few people. Whatever is wrong with it is said at once, place by place.

The weights of all items add to 100. A scheme is kept and exchanged in one form, text scalars as in its YAML
(docs/reference/assessments.md); `scheme_of` reads that form from a file, a form on the screen or a stored run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from healthbrain.errors import Incorrect, Issue
from healthbrain.measure.assessment.rules import HUNDRED, KINDS, Rule, Side
from healthbrain.measure.definition import Definition, Level, Words
from healthbrain.measure.strict import known, words

Missing = Literal[
    "zero", "leave_out", "open"
]  # no points; not counted, the others' weights stretched; no total until it is there
Small = Literal["score", "zero", "leave_out", "open"]
Take = Literal["last", "sum", "mean"]  # of several periods of the measure in the assessed one
Span = Literal["year", "quarter", "month"]
Grade = Literal["excellent", "good", "pass", "fail"]

MISSING: tuple[Missing, ...] = get_args(Missing)
SMALL: tuple[Small, ...] = get_args(Small)
TAKES: tuple[Take, ...] = get_args(Take)
SPANS: tuple[Span, ...] = get_args(Span)
GRADES: tuple[Grade, ...] = get_args(Grade)
LEVELS: tuple[Level, ...] = ("institution", "town", "district")
LONGEST_ID, LONGEST_TEXT, MOST_ITEMS = 40, 1000, 120

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_SCHEME = {
    "id",
    "title",
    "about",
    "source",
    "weights",
    "level",
    "peers",
    "period",
    "grades",
    "missing",
    "small",
    "least",
    "groups",
}
_GROUP = {"id", "title", "items"}
_ITEM = {"measure", "weight", "rule", "floor", "target", "steps", "per", "off", "direction", "take", "missing", "note"}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a scheme: its measure's figure earns up to `weight` points."""

    measure: str
    weight: Decimal
    rule: Rule
    direction: Literal["", "up", "down"] = ""  # '' = the measure's
    take: Take = "last"
    missing: Literal["", "zero", "leave_out", "open"] = ""  # '' = the scheme's
    note: str = ""

    def side(self, one: Definition) -> Side:
        """Which way is better."""
        if self.direction:
            return self.direction
        return "down" if one.direction == "down" else "up"

    def target(self, one: Definition, year: int) -> Decimal | None:
        """The target that holds in a year: its own, else the definition's."""
        if self.rule.target is not None:
            return self.rule.target
        printed = one.target(year)
        return None if printed is None else Decimal(repr(float(printed)))


@dataclass(frozen=True, slots=True)
class Group:
    """A dimension of a scheme (公共卫生, 医疗服务 …)."""

    id: str
    title: Words
    items: tuple[Item, ...]

    @property
    def weight(self) -> Decimal:
        """What its items add to."""
        return sum((one.weight for one in self.items), Decimal(0))


@dataclass(frozen=True, slots=True)
class Scheme:
    """The whole scheme. `version` is said by where it is kept."""

    id: str
    title: Words
    level: Level
    period: Span
    groups: tuple[Group, ...]
    grades: Mapping[str, Decimal]  # grade -> least total
    about: Words = field(default_factory=dict)
    source: str = ""  # the document it follows
    weights: Words = field(default_factory=dict)  # where the weights come from
    peers: tuple[str, ...] = ()  # beginnings of facility classes; none = every institution with a figure
    missing: Missing = "leave_out"
    small: Small = "score"
    least: Decimal = Decimal(50)  # weight that must count for a total; below it too much is left out
    version: int = 1

    @property
    def items(self) -> Iterator[Item]:
        """Every item, in order."""
        return (item for group in self.groups for item in group.items)

    def grade(self, total: Decimal) -> Grade:
        """The grade of a total."""
        return next((one for one in GRADES[:-1] if total >= self.grades[one]), "fail")

    def as_raw(self) -> dict[str, Any]:
        """The form in which it is kept: text scalars, what is not said left out."""
        raw: dict[str, Any] = {
            "id": self.id, "title": dict(self.title), "about": dict(self.about), "source": self.source,
            "weights": dict(self.weights), "level": self.level, "peers": list(self.peers), "period": self.period,
            "grades": {grade: _text(self.grades[grade]) for grade in GRADES[:-1]},
            "missing": self.missing, "small": self.small, "least": _text(self.least),
            "groups": [
                {"id": group.id, "title": dict(group.title), "items": [_raw_item(item) for item in group.items]}
                for group in self.groups
            ],
        }  # fmt: skip
        return {key: value for key, value in raw.items() if value not in ("", {}, [])}


def scheme_of(raw: Any, where: str, version: int = 1) -> Scheme:
    """A scheme from its kept form; every fault is an issue of the Incorrect that is raised."""
    if not isinstance(raw, Mapping):
        raise Incorrect(f"{where}: an assessment scheme is a mapping")
    known(raw, _SCHEME, where)
    reading = _Reading()
    groups = tuple(_group(reading, number, one) for number, one in enumerate(raw.get("groups") or (), start=1))
    grades = raw.get("grades") or {}
    found = Scheme(
        id=str(raw.get("id", "")),
        title=words(raw.get("title") or {}),
        level=reading.one_of("level", raw.get("level", "institution"), LEVELS),
        period=reading.one_of("period", raw.get("period", "year"), SPANS),
        groups=groups,
        grades={one: reading.number(f"grades.{one}", grades.get(one)) for one in GRADES[:-1]},
        about=words(raw.get("about") or {}),
        source=str(raw.get("source", "")),
        weights=words(raw.get("weights") or {}),
        peers=tuple(str(one).strip() for one in raw.get("peers") or () if str(one).strip()),
        missing=reading.one_of("missing", raw.get("missing", "leave_out"), MISSING),
        small=reading.one_of("small", raw.get("small", "score"), SMALL),
        least=reading.number("least", raw.get("least", "50")),
        version=version,
    )
    reading.whole(found)
    if reading.issues:
        raise Incorrect(f"{where}: the scheme has mistakes", issues=reading.issues)
    return found


def against(scheme: Scheme, definitions: Sequence[Definition]) -> list[Issue]:
    """What does not fit the measures that are known here."""
    by_id = {one.id: one for one in definitions}
    found: list[Issue] = []
    for item in scheme.items:
        one = by_id.get(item.measure)
        if one is None:
            found.append(wrong(item.measure, "there is no such measure"))
            continue
        if one.direction == "none" and not item.direction:
            found.append(wrong(item.measure, "the measure has no better direction; say up or down"))
        if one.period == "week":
            found.append(wrong(item.measure, "weekly measures cannot be assessed; use a monthly one"))
        if item.rule.needs_target and item.rule.target is None and not one.targets:
            found.append(wrong(item.measure, "the measure has no target of its own; give one"))
        if one.entry is not None and scheme.level not in one.entry.levels:
            found.append(wrong(item.measure, "the measure has no figures at the level of this scheme"))
        elif _turned(item, one):
            found.append(wrong(item.measure, "floor and target lie the wrong way round for the direction"))
    return found


def _turned(item: Item, one: Definition) -> bool:
    rule = item.rule
    if rule.kind != "linear" or rule.target is None:
        return False
    return (rule.target < (rule.floor or 0)) != (item.side(one) == "down")


def wrong(place: str, text: str) -> Issue:
    """One fault of a scheme."""
    return Issue("error", "invariant", place, text)


class _Reading:
    """Collects what is wrong instead of stopping at the first."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def say(self, place: str, text: str) -> None:
        self.issues.append(wrong(place, text))

    def number(self, place: str, raw: Any, *, least: Decimal | None = None) -> Decimal:
        found = self.maybe(place, raw)
        if found is None and not str(raw or "").strip():
            self.say(place, "a number is missing")
        if found is not None and least is not None and found < least:
            self.say(place, "the number must be above zero")
        return found if found is not None else Decimal(0)

    def maybe(self, place: str, raw: Any) -> Decimal | None:
        text = str(raw if raw is not None else "").strip()
        if not text:
            return None
        try:
            found = Decimal(text)
        except InvalidOperation:
            found = Decimal("NaN")
        if not found.is_finite() or abs(found) > 10**12 or -found.as_tuple().exponent > 6:  # type: ignore[operator]  # finite: a number
            self.say(place, "this is no number with at most six decimals")
            return None
        return found

    def one_of(self, place: str, raw: Any, allowed: Sequence[str]) -> Any:
        if str(raw) not in allowed:
            self.say(place, f"one of {', '.join(one or 'none' for one in allowed)} is expected")
            return allowed[0]
        return str(raw)

    def whole(self, scheme: Scheme) -> None:
        """What can only be said of all of it together."""
        if not _ID.fullmatch(scheme.id) or len(scheme.id) > LONGEST_ID:
            self.say("id", "an id has letters, digits and hyphens, at most 40")
        if not any(text.strip() for text in scheme.title.values()):
            self.say("title", "a scheme needs a name")
        texts = (*scheme.title.values(), *scheme.about.values(), *scheme.weights.values(), scheme.source)
        if any(len(text) > LONGEST_TEXT for text in texts):
            self.say("about", "a text is longer than 1000 characters")
        measures = [item.measure for item in scheme.items]
        if not measures or len(measures) > MOST_ITEMS:
            self.say("groups", "a scheme has between one and 120 items")
        for twice in sorted({one for one in measures if measures.count(one) > 1}):
            self.say(twice, "the measure stands in the scheme twice")
        for group in scheme.groups:
            if not group.items:
                self.say(group.id or "groups", "a group needs an item")
        if len({group.id for group in scheme.groups}) != len(scheme.groups):
            self.say("groups", "two groups have the same id")
        total = sum((group.weight for group in scheme.groups), Decimal(0))
        if total != HUNDRED:
            self.say("weights", f"the weights add to {_text(total)}, not to 100")
        bounds = [scheme.grades[one] for one in GRADES[:-1]]
        if sorted(bounds, reverse=True) != bounds or len(set(bounds)) != len(bounds):
            self.say("grades", "excellent needs more points than good, and good more than pass")
        if not 0 <= scheme.least <= HUNDRED:
            self.say("least", "the weight that must count lies between 0 and 100")
        if bounds and not 0 <= min(bounds) <= max(bounds) <= 100:
            self.say("grades", "the bounds of grades lie between 0 and 100")


def _group(reading: _Reading, number: int, raw: Any) -> Group:
    place = f"groups[{number}]"
    if not isinstance(raw, Mapping):
        reading.say(place, "a group is a mapping")
        return Group(str(number), {}, ())
    known(raw, _GROUP, place)
    title = words(raw.get("title") or {})
    if not any(text.strip() for text in title.values()):
        reading.say(place, "a group needs a name")
    items = tuple(_item(reading, one) for one in raw.get("items") or ())
    return Group(str(raw.get("id") or number), title, items)


def _item(reading: _Reading, raw: Any) -> Item:
    if not isinstance(raw, Mapping):
        reading.say("items", "an item is a mapping")
        return Item("", Decimal(0), Rule("ratio"))
    measure = str(raw.get("measure", ""))
    known(raw, _ITEM, measure or "item")
    if not measure:
        reading.say("items", "an item needs a measure")
    rule = _rule(reading, measure, raw)
    return Item(
        measure=measure,
        weight=reading.number(f"{measure}.weight", raw.get("weight"), least=Decimal("0.01")),
        rule=rule,
        direction=reading.one_of(f"{measure}.direction", raw.get("direction", ""), ("", "up", "down")),
        take=reading.one_of(f"{measure}.take", raw.get("take", "last"), TAKES),
        missing=reading.one_of(f"{measure}.missing", raw.get("missing", ""), ("", *MISSING)),
        note=str(raw.get("note", ""))[:LONGEST_TEXT],
    )


def _rule(reading: _Reading, measure: str, raw: Mapping[str, Any]) -> Rule:
    kind = reading.one_of(f"{measure}.rule", raw.get("rule", "linear"), KINDS)
    floor, target = (reading.maybe(f"{measure}.{name}", raw.get(name)) for name in ("floor", "target"))
    per, off = (reading.maybe(f"{measure}.{name}", raw.get(name)) for name in ("per", "off"))
    steps: list[tuple[Decimal, Decimal]] = []
    if kind == "linear":
        if target is not None and target == (floor if floor is not None else Decimal(0)):
            reading.say(f"{measure}.target", "floor and target are the same")
    elif floor is not None:
        reading.say(f"{measure}.floor", "only the linear rule has a floor")
    if kind == "ratio" and target is not None and target <= 0:
        reading.say(f"{measure}.target", "the number must be above zero")
    if kind == "steps":
        steps = _steps(reading, measure, raw.get("steps"))
    elif raw.get("steps"):
        reading.say(f"{measure}.steps", "only the rule of steps has a table")
    if kind == "deduction":
        for name, number in (("per", per), ("off", off)):
            if number is None or number <= 0:
                reading.say(f"{measure}.{name}", "a deduction needs points off per a step, both above zero")
    return Rule(kind, floor, target, tuple(steps), per, off)


def _steps(reading: _Reading, measure: str, raw: Any) -> list[tuple[Decimal, Decimal]]:
    """Steps as a mapping of bounds to per cents."""
    place = f"{measure}.steps"
    if not isinstance(raw, Mapping) or not raw:
        reading.say(place, "the rule of steps needs a table of bounds and per cents")
        return []
    found = [(reading.number(place, bound), reading.number(place, share)) for bound, share in raw.items()]
    if any(not 0 <= share <= 100 for _, share in found):
        reading.say(place, "a step gives between 0 and 100 per cent of the points")
    return sorted(found)


def _raw_item(item: Item) -> dict[str, Any]:
    rule = item.rule
    raw: dict[str, Any] = {"measure": item.measure, "weight": _text(item.weight), "rule": rule.kind}
    for name in ("floor", "target", "per", "off"):
        number = getattr(rule, name)
        if number is not None:
            raw[name] = _text(number)
    if rule.steps:
        raw["steps"] = {_text(bound): _text(share) for bound, share in rule.steps}
    raw |= {"direction": item.direction, "take": item.take, "missing": item.missing, "note": item.note}
    return {key: value for key, value in raw.items() if value and not (key == "take" and value == "last")}


def _text(number: Decimal) -> str:
    """A number in its shortest writing."""
    return format(number.normalize(), "f") if number else "0"
