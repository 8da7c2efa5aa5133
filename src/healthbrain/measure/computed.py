"""Measures computed from the figures of others: an expression over values, or a method over figures by age.

A figure exists where every component has one for the same place and period (with `latest`, the last one up to the period's
end). Methods need the components' figures by age (`by`); where they cannot be computed - an age class without people, an
open class without deaths - there is no value, never a guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake.expression import parse
from healthbrain.lake.expression_rows import Row, evaluate
from healthbrain.measure.definition import Component, Computation, Definition, Level
from healthbrain.measure.life_table import (
    AgeClass,
    Estimate,
    Sex,
    dying_between,
    expectancy_at,
    healthy_expectancy,
    life_table,
)
from healthbrain.measure.periods import Span, grain_of
from healthbrain.measure.result import Result, plain
from healthbrain.measure.standardise import Stratum, age_class, direct, indirect, weight_of
from healthbrain.measure.statistics import SMALL_EVENTS, byar

Place = tuple[Level, str]
_SEXES = frozenset({"male", "female"})


@dataclass(slots=True)
class Values:
    """Figures of many measures, to be looked up."""

    whole: dict[tuple[str, str, Place], Result] = field(default_factory=dict)  # measure, period, place
    parts: dict[tuple[str, str, Place, str], dict[str, Result]] = field(default_factory=lambda: defaultdict(dict))
    places: dict[tuple[str, str], set[Place]] = field(default_factory=lambda: defaultdict(set))
    periods: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, results: Mapping[str, Iterable[Result]]) -> Values:
        """The figures by measure."""
        found = cls()
        for measure, own in results.items():
            for one in own:
                found.add(measure, one)
        return found

    def add(self, measure: str, one: Result) -> None:
        """One more figure."""
        place = (one.level, one.key)
        self.periods[measure].add(one.period)
        if one.stratifier:
            self.parts[measure, one.period, place, one.stratifier][one.stratum] = one
        else:
            self.whole[measure, one.period, place] = one
            self.places[measure, one.period].add(place)

    def period_of(self, component: Component, span: Span) -> str | None:
        """Which period of a component belongs to a period."""
        if not component.latest:
            return span.label
        known = [one for one in self.periods[component.measure] if _end(one) <= _end(span.label)]
        return max(known, key=_end, default=None)


def compute_from(one: Definition, values: Values, periods: Sequence[Span]) -> list[Result]:
    """The figures of a computed measure, from those of its components."""
    computation = one.computation
    if computation is None:
        raise Incorrect(f"{one.id} is not computed from other measures")
    found: list[Result] = []
    for span in periods:
        named = {name: values.period_of(part, span) for name, part in computation.components.items()}
        if None in named.values():
            continue
        chosen = {name: (part.measure, str(named[name])) for name, part in computation.components.items()}
        common = set.intersection(*(values.places[key] for key in chosen.values()))
        for place in sorted(common):
            parts = {name: values.whole[*key, place] for name, key in chosen.items()}
            found.append(_result(one, computation, values, chosen, parts, span, place))
    return found


def order(definitions: Sequence[Definition]) -> list[Definition]:
    """The computed measures, each after those that it is computed from. Raises Incorrect for a circle."""
    waiting = {one.id: one for one in definitions if one.computation is not None}
    done: list[Definition] = []
    while waiting:
        ready = [
            one for one in waiting.values()
            if not any(part.measure in waiting for part in (one.computation or _NONE).components.values())
        ]  # fmt: skip
        if not ready:
            raise Incorrect(f"the measures {', '.join(sorted(waiting))} are computed from each other")
        for one in ready:
            done.append(waiting.pop(one.id))
    return done


_NONE = Computation({})


def _result(
    one: Definition, computation: Computation, values: Values, chosen: Mapping[str, tuple[str, str]],
    parts: Mapping[str, Result], span: Span, place: Place,
) -> Result:  # fmt: skip
    above: float | None = None
    below: float | None = None
    if computation.method == "expression":
        estimate = _expression(one, computation, parts)
    else:
        by_age = {name: values.parts.get((*key, place, computation.by), {}) for name, key in chosen.items()}
        reference = {
            name: values.parts.get((*key, ("district", ""), computation.by), {}) for name, key in chosen.items()
        }
        estimate = _method(one, computation, by_age, reference)
        if "deaths" in parts and "people" in parts:
            above, below = parts["deaths"].value, parts["people"].value
    events = parts.get(computation.events or "deaths")
    few = events is not None and (events.numerator or 0) < SMALL_EVENTS
    return Result(
        span.label, span.start, span.to, span.complete, place[0], place[1], plain(above), plain(below),
        None if estimate is None else estimate[0],
        None if estimate is None else estimate[1],
        None if estimate is None else estimate[2],
        few or any(part.small for part in parts.values()),
    )  # fmt: skip


_Numbers = tuple[float, float | None, float | None]


def _expression(one: Definition, computation: Computation, parts: Mapping[str, Result]) -> _Numbers | None:
    names: dict[str, Any] = {}
    for name, part in parts.items():
        names |= {name: part.value, f"{name}_n": part.numerator, f"{name}_d": part.denominator}
    try:
        value = evaluate(parse(computation.value), Row(names, one.values()))
    except ZeroDivisionError:
        return None
    if value is None:
        return None
    events = parts[computation.events].numerator if computation.events else None
    if not events:
        return float(value), None, None
    low, high = byar(events)
    return float(value), float(value) * low / events, float(value) * high / events


def _method(
    one: Definition, computation: Computation, by_age: Mapping[str, Mapping[str, Result]],
    reference: Mapping[str, Mapping[str, Result]],
) -> _Numbers | None:  # fmt: skip
    try:
        estimate = _estimate(one, computation, by_age, reference)
    except Incorrect:
        return None
    return None if estimate is None else (estimate.value, estimate.low, estimate.high)


def _estimate(
    one: Definition, computation: Computation, by_age: Mapping[str, Mapping[str, Result]],
    reference: Mapping[str, Mapping[str, Result]],
) -> Estimate | None:  # fmt: skip
    deaths, people = _events(by_age["deaths"]), _events(by_age["people"])
    labels = sorted((label for label in people if label), key=age_class)
    age = int(computation.settings.get("age", "0"))
    match computation.method:
        case "life_expectancy" | "healthy_life_expectancy":
            table = life_table(_classes(labels, deaths, people), _sex(computation))
            if computation.method == "life_expectancy":
                return expectancy_at(table, age)
            return healthy_expectancy(table, [_asked(by_age["unwell"].get(label)) for label in labels], age)
        case "premature_mortality":
            estimate = dying_between(_classes(labels, deaths, people))
            return Estimate(one.per * estimate.value, one.per * estimate.low, one.per * estimate.high)
        case "standardised_rate":
            strata = [
                Stratum(deaths.get(label, 0.0), people[label], weight_of(label, computation.standard))
                for label in labels
            ]
            return direct(strata, one.per)
        case "smr":
            whole, at_risk = _events(reference["deaths"]), _events(reference["people"])
            rates = {label: whole.get(label, 0.0) / at_risk[label] for label in labels if at_risk.get(label)}
            return indirect(
                [Stratum(deaths.get(label, 0.0), people[label], rates.get(label, 0.0)) for label in labels], one.per
            )
    raise Incorrect(f"{one.id}: the method {computation.method} is not known")


def _sex(computation: Computation) -> Sex:
    chosen = computation.settings.get("sex", "both")
    return chosen if chosen in _SEXES else "both"  # type: ignore[return-value]  # one of the three


def _classes(labels: Sequence[str], deaths: Mapping[str, float], people: Mapping[str, float]) -> list[AgeClass]:
    found = []
    for label in labels:
        low, high = age_class(label)
        found.append(AgeClass(low, None if high == inf else int(high) - low, deaths.get(label, 0.0), people[label]))
    return found


def _events(by_age: Mapping[str, Result]) -> dict[str, float]:
    return {label: float(one.value) for label, one in by_age.items() if one.value is not None}


def _asked(one: Result | None) -> tuple[float, float]:
    return (0.0, 0.0) if one is None else (float(one.numerator or 0), float(one.denominator or 0))


def _end(label: str) -> str:
    """A period's end as text that sorts: 2026 after 2026-11, 2026-Q3 after 2026-09."""
    match grain_of(label):
        case "year":
            return f"{label}-12-9"
        case "quarter":
            return f"{label[:4]}-{int(label[-1]) * 3:02d}-5"
        case "week":
            return f"{label[:4]}-{min(12, (int(label[-2:]) * 7 - 1) // 30 + 1):02d}-1{label[-2:]}"
    return f"{label[:7]}-2"
