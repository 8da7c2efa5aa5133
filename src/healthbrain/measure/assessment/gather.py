"""The figures of one period, frozen for a run: for every item and unit what is published now, with its definition's version.

A monthly measure gives its last month in the assessed period (`take` may ask for the sum or mean of all its months), a
quarterly one its quarters, a yearly one its year. Only figures of the definition in force are taken: figures of two
definitions are not comparable. What small counts would hide from a reader who may not see people is marked here, over
the same table of places that other pages show, so that both hide the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.measure import suppression
from healthbrain.measure.adjusting import in_force
from healthbrain.measure.assessment.scheme import Item, Scheme, Span, against
from healthbrain.measure.assessment.score import Column, Figure, Inputs, Unit
from healthbrain.measure.definition import Definition, Level
from healthbrain.measure.periods import grain_of
from healthbrain.measure.queries import Figure as Published
from healthbrain.measure.queries import by_division, by_institution, trend

_SHAPES: dict[Span, str] = {
    "year": r"[0-9]{4}",
    "quarter": r"[0-9]{4}-Q[1-4]",
    "month": r"[0-9]{4}-(0[1-9]|1[0-2])",
}


def check_period(scheme: Scheme, period: str) -> None:
    """Raises Incorrect when the period is none of the scheme's kind."""
    if re.fullmatch(_SHAPES[scheme.period], period):
        return
    if scheme.period == "year":
        raise Incorrect("this scheme assesses a year, such as 2026")
    if scheme.period == "quarter":
        raise Incorrect("this scheme assesses a quarter, such as 2026-Q3")
    raise Incorrect("this scheme assesses a month, such as 2026-09")


async def gather(connection: Connection, scheme: Scheme, period: str, candidates: Sequence[Unit]) -> Inputs:
    """The frozen inputs of a run; `candidates` are the institutions that the run may cover, in their order. Raises Incorrect."""
    check_period(scheme, period)
    known = {one.id: one for one in await in_force(connection)}
    if faults := against(scheme, list(known.values())):
        raise Incorrect("the scheme does not fit the measures in force here", issues=faults)
    columns = [await _column(connection, scheme, item, known[item.measure], period) for item in scheme.items]
    return Inputs(period, _units(scheme, candidates, columns), tuple(_narrowed(columns, scheme, candidates)))


def chosen(one: Definition, labels: Sequence[str], period: str) -> list[str]:
    """Which periods of a measure lie in the assessed one, oldest first."""
    first, last = _months(period)
    own = sorted(label for label in labels if grain_of(label) == one.period)
    if one.period in {"month", "rolling"}:
        return [label for label in own if first <= label[:7] <= last]
    if one.period == "quarter":
        return [label for label in own if first <= _quarter_end(label) <= last]
    return [label for label in own if first <= f"{label[:4]}-12" <= last]


async def _column(connection: Connection, scheme: Scheme, item: Item, one: Definition, period: str) -> Column:
    target = item.target(one, int(period[:4]))
    if item.rule.needs_target and target is None:
        raise Incorrect(f"{item.measure} has no target for {period[:4]}; give it one in the scheme")
    rows = await (
        await connection.execute(
            "select period from measure_period where measure = %s and version = %s", [one.id, one.version]
        )
    ).fetchall()
    labels = chosen(one, [label for (label,) in rows], period)
    labels = labels[-1:] if item.take == "last" else labels
    found: dict[str, list[tuple[Published, bool]]] = {}
    for label in labels:
        for figure, hidden in await _places(connection, one, scheme.level, label):
            if figure.value is not None:
                found.setdefault(figure.key, []).append((figure, hidden))
    figures = {key: _taken(item, parts) for key, parts in found.items()}
    return Column(one.id, one.version, item.side(one), "" if target is None else str(target), figures)


async def _places(connection: Connection, one: Definition, level: Level, label: str) -> list[tuple[Published, bool]]:
    """The figures of all places in one period, and whether a reader who may not see people would have each hidden."""
    if level == "district":
        series = await trend(connection, one.id, grain=one.period)
        found = [figure for figure in series if figure.period == label and figure.version == one.version]
        shown = suppression.suppress_alone(found, one)
    else:
        read = by_division if level == "town" else by_institution
        found = await read(connection, one.id, label)
        shown = suppression.suppress(found, one)
    return [(figure, seen.suppressed) for figure, seen in zip(found, shown, strict=True)]


def _taken(item: Item, parts: Sequence[tuple[Published, bool]]) -> Figure:
    """One figure of the periods found: the last, their sum or their mean."""
    figures = [figure for figure, _ in parts]
    last = figures[-1]
    values = [figure.value for figure in figures if figure.value is not None]
    if item.take == "last":
        value, above, below = last.value, last.numerator, last.denominator
    else:
        value, above, below = sum(values) / (len(values) if item.take == "mean" else 1), None, None
    return Figure(
        value=value,
        numerator=above,
        denominator=below,
        periods=tuple(figure.period for figure in figures),
        complete=all(figure.complete for figure in figures),
        as_of=_utc(max(figure.as_of for figure in figures)),
        small=any(figure.small for figure in figures),
        protected=any(hidden for _, hidden in parts),
    )


def _units(scheme: Scheme, candidates: Sequence[Unit], columns: Sequence[Column]) -> tuple[Unit, ...]:
    with_figure = {key for column in columns for key in column.figures}
    if scheme.level == "district":
        return (Unit("", ""),)
    if scheme.level == "town":
        return tuple(Unit(key, "", key) for key in sorted(with_figure) if key)
    if scheme.peers:
        return tuple(one for one in candidates if one.kind.startswith(scheme.peers))
    return tuple(one for one in candidates if one.key in with_figure)


def _narrowed(columns: Sequence[Column], scheme: Scheme, candidates: Sequence[Unit]) -> list[Column]:
    """Columns with the figures of the assessed units only: nothing else is frozen or digested."""
    keys = {unit.key for unit in _units(scheme, candidates, columns)}
    return [
        Column(one.measure, one.version, one.side, one.target, _only(one.figures, keys)) for one in columns
    ]  # fmt: skip


def _only(figures: Mapping[str, Figure], keys: set[str]) -> dict[str, Figure]:
    return {key: figures[key] for key in sorted(figures) if key in keys}


def _months(period: str) -> tuple[str, str]:
    if "Q" in period:
        quarter = int(period[-1])
        return f"{period[:4]}-{3 * quarter - 2:02d}", f"{period[:4]}-{3 * quarter:02d}"
    return (f"{period}-01", f"{period}-12") if len(period) == 4 else (period, period)


def _quarter_end(label: str) -> str:
    return f"{label[:4]}-{3 * int(label[-1]):02d}"


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
