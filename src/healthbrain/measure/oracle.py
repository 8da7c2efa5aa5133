"""The same definitions over plain Python rows: what `compile` must agree with, and slow on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from healthbrain.lake.base_view import to_rows
from healthbrain.lake.expression import parse
from healthbrain.lake.expression_rows import Row, evaluate
from healthbrain.lake.expression_sql import Constant
from healthbrain.measure.definition import CONTINUOUS, Definition, LastPer, Library, Population, Table, With

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource and the columns that the lake adds to it."""

    body: Mapping[str, Any]
    own: Mapping[str, Any]  # _id, _patient, _owner, _updated


@dataclass(frozen=True, slots=True)
class OracleMember:
    """One member of a population."""

    subject: str
    town: str
    institution: str
    numerator: bool
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]
    observed: float | None = None
    weight: float | None = None
    strata: tuple[tuple[str, str], ...] = ()
    below: bool = False  # of a denominator of its own


def members(
    definition: Definition,
    library: Library,
    resources: Iterable[Resource],
    persons: Mapping[int, str],
    constants: Mapping[str, Constant],
    given: Mapping[str, list[Record]] | None = None,
) -> list[OracleMember]:
    """The members of a measure, row by row."""
    return members_in(world(library, resources, persons, constants, given), definition, constants)


def world(
    library: Library,
    resources: Iterable[Resource],
    persons: Mapping[int, str],
    constants: Mapping[str, Constant],
    given: Mapping[str, list[Record]] | None = None,
) -> World:
    """The library's views and tables as rows: what every measure starts from."""
    made = World(dict(constants), {name: list(table) for name, table in (given or {}).items()})
    kept = list(resources)
    for view in library.views.values():
        table: list[Record] = []
        for one in kept:
            if one.body["resourceType"] == view.resource:
                for record in to_rows(view, one.body, one.own, constants):
                    patient = record["_patient"]
                    person = None if patient is None else persons.get(patient, f"patient:{patient}")
                    table.append({**record, "person": person})
        made.tables[view.name] = table
    for step in library.tables:
        made.tables[step.name] = made.table(step)
    return made


def members_in(known: World, definition: Definition, constants: Mapping[str, Constant]) -> list[OracleMember]:
    """The members of a measure in a world; `constants` say the period."""
    own = World({**known.constants, **constants}, dict(known.tables))
    for step in (*definition.prepared, *definition.tables):
        own.tables[step.name] = own.table(step)
    found = [one for population in definition.populations for one in own.population(definition, population)]
    return sorted(found, key=lambda one: (one.subject, one.evidence))


@dataclass(slots=True)
class World:
    """Tables as lists of rows, and what `%name` means."""

    constants: Mapping[str, Any]
    tables: dict[str, list[Record]]

    def value(self, text: str, record: Record) -> Any:
        return evaluate(parse(text), Row(record, self.constants))

    def holds(self, text: str) -> Callable[[Record], bool]:
        return lambda record: self.value(text, record) is True

    def table(self, step: Table) -> list[Record]:
        found = [dict(record) for record in filter(self.holds(step.where), self.tables[step.source])]
        for one in step.withs:
            self._with(found, one)
        for count in step.counts:
            others = _Matching(count.match, filter(self.holds(count.where), self.tables[count.table]))
            for record in found:
                record[count.name] = len(others.of(record))
        for added in step.added:
            for record in found:
                record[added.name] = self.value(added.value, record)
        found = list(filter(self.holds(step.keep), found))
        if step.one_per:
            found = [group[-1] for group in _groups(found, step.one_per)]
        if step.fold:
            found = [_folded(group) for group in _groups(found, step.fold)]
        return found

    def population(self, definition: Definition, population: Population) -> Iterable[OracleMember]:
        for record in self.tables[population.source]:
            initial = (
                self.value(population.where, record) is True and self.value(population.exclude, record) is not True
            )
            inside = initial and self.value(population.numerator, record) is True
            inside = inside and self.value(population.numerator_exclude, record) is not True
            counted = initial and (inside or self.value(population.exception, record) is not True)
            if population is definition.denominator:
                inside = False
            elif definition.denominator is not None or definition.kind in CONTINUOUS | {"index", "count"}:
                counted = inside
            observed = self.value(population.observe, record) if population.observe else None
            weight = self.value(population.weight, record) if population.weight else None
            if counted and population is not definition.denominator:
                counted = (observed is not None or not population.observe) and (
                    weight is not None or not population.weight
                )
            if counted or (inside and definition.kind in {"rate", "ratio", "proportion"}):
                yield self._member(definition, population, record, inside, observed, weight)

    def _member(
        self, definition: Definition, population: Population, record: Record, inside: bool, observed: Any, weight: Any
    ) -> OracleMember:
        reasons = [one.id for one in population.reasons if not inside and self.value(one.when, record) is True]
        evidence: list[str] = []
        for one in population.evidence:
            ids = [other["_id"] for other in self.tables[one.table] if _matches(one.match, other, record)]
            evidence += [f"{one.type}/{id_}" for id_ in sorted(ids)]
        institution = self.value(population.institution, record)
        strata = {one.id: self.value(one.value, record) for one in definition.stratifiers}
        return OracleMember(
            subject=str(record[population.subject]),
            town=self.value(population.town, record) or "",
            institution="" if institution is None else str(institution),
            numerator=inside,
            reasons=tuple(reasons),
            evidence=tuple(evidence),
            observed=observed,
            weight=weight,
            strata=tuple((id_, "" if value is None else str(value)) for id_, value in strata.items()),
            below=population is definition.denominator,
        )

    def _with(self, found: list[Record], one: With) -> None:
        others = _Matching(one.match, filter(self.holds(one.where), self.tables[one.table]))
        for record in found:
            last = max(others.of(record), key=lambda other: _order(other, one.last), default=None)
            for here, column in one.take.items():
                record[here] = None if last is None else last[column]


class _Matching:
    """Rows found by the columns that they are matched by."""

    def __init__(self, match: Mapping[str, str], others: Iterable[Record]) -> None:
        self.match = match
        self.found: dict[tuple[Any, ...], list[Record]] = {}
        for other in others:
            self.found.setdefault(tuple(other[there] for there in match), []).append(other)

    def of(self, record: Record) -> list[Record]:
        """The rows that match a row."""
        key = tuple(record[here] for here in self.match.values())
        return [other for other in self.found.get(key, ()) if _matches(self.match, other, record)]


def _matches(match: Mapping[str, str], other: Record, record: Record) -> bool:
    """Equal in every column named, and of the same person, or both of nobody, where both have a person."""
    if "person" in other and "person" in record and "person" not in match and other["person"] != record["person"]:
        return False
    pairs = dict(match)
    return all(other[there] is not None and other[there] == record[here] for there, here in pairs.items())


def _order(record: Record, column: str) -> tuple[Any, ...]:
    value = record[column]
    return (value is not None, value if value is not None else 0, record.get("_id") or "")


def _groups(found: list[Record], per: LastPer) -> list[list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in sorted(found, key=lambda one: _order(one, per.last)):
        if record[per.key] is not None:
            groups.setdefault(record[per.key], []).append(record)
    return list(groups.values())


def _folded(group: list[Record]) -> Record:
    merged = dict(group[0])
    for record in group[1:]:
        merged.update({column: value for column, value in record.items() if value is not None})
    return merged
