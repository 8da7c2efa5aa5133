"""The same definitions over plain Python rows: what `compile` must agree with, and slow on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from healthbrain.lake import rows, to_rows
from healthbrain.lake.path import parse
from healthbrain.lake.sql import Constant
from healthbrain.measure.definition import Definition, LastPer, Library, Table, With

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


def members(
    definition: Definition,
    library: Library,
    resources: Iterable[Resource],
    persons: Mapping[int, str],
    constants: Mapping[str, Constant],
    given: Mapping[str, list[Record]] | None = None,
) -> list[OracleMember]:
    """The members of a measure, row by row."""
    world = _World(dict(constants), {name: list(table) for name, table in (given or {}).items()})
    kept = list(resources)
    for view in library.views.values():
        table: list[Record] = []
        for one in kept:
            if one.body["resourceType"] == view.resource:
                for record in to_rows(view, one.body, one.own, constants):
                    patient = record["_patient"]
                    person = None if patient is None else persons.get(patient, f"patient:{patient}")
                    table.append({**record, "person": person})
        world.tables[view.name] = table
    for step in (*library.tables, *definition.prepared, *definition.tables):
        if step.source in world.tables:
            world.tables[step.name] = world.table(step)
    return sorted(world.population(definition), key=lambda one: (one.subject, one.evidence))


@dataclass(slots=True)
class _World:
    constants: Mapping[str, Any]
    tables: dict[str, list[Record]]

    def value(self, text: str, record: Record) -> Any:
        return rows.single(parse(text), rows.Row(None, self.constants, record))

    def holds(self, text: str) -> Callable[[Record], bool]:
        return lambda record: self.value(text, record) is True

    def table(self, step: Table) -> list[Record]:
        found = [dict(record) for record in filter(self.holds(step.where), self.tables[step.source])]
        for one in step.withs:
            self._with(found, one)
        for count in step.counts:
            others = list(filter(self.holds(count.where), self.tables[count.table]))
            for record in found:
                record[count.name] = sum(_matches(count.match, other, record) for other in others)
        for added in step.added:
            for record in found:
                record[added.name] = self.value(added.value, record)
        found = list(filter(self.holds(step.keep), found))
        if step.one_per:
            found = [group[-1] for group in _groups(found, step.one_per)]
        if step.fold:
            found = [_folded(group) for group in _groups(found, step.fold)]
        return found

    def population(self, definition: Definition) -> Iterable[OracleMember]:
        population = definition.population
        for record in filter(self.holds(population.where), self.tables[population.source]):
            inside = self.value(population.numerator, record) is True
            reasons = [one.id for one in population.reasons if not inside and self.value(one.when, record) is True]
            evidence: list[str] = []
            for one in population.evidence:
                ids = [other["_id"] for other in self.tables[one.table] if _matches(one.match, other, record)]
                evidence += [f"{one.type}/{id_}" for id_ in sorted(ids)]
            institution = self.value(population.institution, record)
            yield OracleMember(
                subject=str(record[population.subject]),
                town=self.value(population.town, record) or "",
                institution="" if institution is None else str(institution),
                numerator=inside,
                reasons=tuple(reasons),
                evidence=tuple(evidence),
            )

    def _with(self, found: list[Record], one: With) -> None:
        others = list(filter(self.holds(one.where), self.tables[one.table]))
        for record in found:
            matching = [other for other in others if _matches(one.match, other, record)]
            last = max(matching, key=lambda other: _order(other, one.last), default=None)
            for here, column in one.take.items():
                record[here] = None if last is None else last[column]


def _matches(match: Mapping[str, str], other: Record, record: Record) -> bool:
    return all(other[there] is not None and other[there] == record[here] for there, here in match.items())


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
