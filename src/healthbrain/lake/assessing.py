"""Counting a view: rows, rows by owner, freshness, and how many rows break each rule; cohorts by diagnosis, year, town.

The view is made once as a temporary table and every figure is one statement over it.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake import sof
from healthbrain.lake.engine import Engine, literal, name
from healthbrain.lake.library import Rule, View

CARRIED = ("_owner", "_patient", "_updated")
RECENT = timedelta(days=30)  # timeliness looks at what happened in the last days
_TABLE = '"$view"'
_TOWN = "urn:healthbrain:ext:division"


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule's result: of `total` rows it applies to, `failed` break it."""

    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """How many persons have a diagnosis (three characters of ICD-10) recorded in a year and live in a town."""

    icd10: str
    year: int
    town: str
    persons: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """A view counted."""

    rows: int
    newest: datetime | None  # when its newest row was stored
    owners: tuple[tuple[int, int], ...]  # (organisation key, rows), largest first
    checks: tuple[Checked, ...]  # in the order of the view's rules
    cohorts: tuple[Cohort, ...]


def assess(connection: Engine, view: View, at: datetime, rows_of: str = "") -> Assessment:
    """Count a view on a connection of the lake that has its resource types; `rows_of` is a relation with its rows, if it is kept."""
    if view.derived is None and not rows_of:
        sof.execute(
            connection, view.parsed(), sof.Target(carry=CARRIED), f"create or replace temp table {_TABLE} as {{}}"
        )
    else:
        connection.execute(f"create or replace temp table {_TABLE} as from {rows_of or f'({view.sql(CARRIED)})'}")
    try:
        rows, newest = connection.execute(f"select count(*), max(_updated) from {_TABLE}").fetchone() or (0, None)
        owners = connection.execute(f"select _owner, count(*) from {_TABLE} group by 1 order by 2 desc, 1").fetchall()
        checks = [_check(connection, rule, at) for rule in view.rules]
        cohorts = _cohorts(connection) if _is_cohort(view) else []
    finally:
        connection.execute(f"drop table {_TABLE}")
    return Assessment(
        int(rows), newest.astimezone(UTC) if newest else None, tuple((int(o), int(n)) for o, n in owners),
        tuple(checks), tuple(cohorts),
    )  # fmt: skip


def preview(connection: Engine, view: View, owners: Sequence[int] | None, limit: int) -> list[tuple[Any, ...]]:
    """Some rows of a view, of these organisations only (None = all), in a fixed order."""
    query = view.sql(CARRIED)
    shown = ", ".join(name(column.name) for column in view.columns)
    allowed = "true" if owners is None else f"_owner in ({', '.join(map(str, sorted(owners))) or 'null'})"
    return connection.execute(
        f"select {shown} from ({query}) where {allowed} order by _updated desc, {name(view.columns[0].name)} limit {limit}"
    ).fetchall()


def _check(connection: Engine, rule: Rule, at: datetime) -> Checked:
    applies, holds = _conditions(rule, at)
    found = connection.execute(
        f"select count(*) filter ({applies}), count(*) filter (({applies}) and not coalesce({holds}, false)) from {_TABLE}"
    ).fetchone() or (0, 0)
    return Checked(int(found[0]), int(found[1]))


def _conditions(rule: Rule, at: datetime) -> tuple[str, str]:
    """To which rows a rule applies, and what must hold there."""
    column = name(rule.column)
    given = f"{column} is not null"
    day = f"hb_date({column}::varchar)"
    match rule.test:
        case None:
            return "true", given
        case ("one_of", values):
            among = f"{column}::varchar in ({', '.join(literal(str(value)) for value in values)})"
            return ("true" if rule.kind == "completeness" else given), among
        case ("pattern", pattern):
            return given, f"regexp_matches({column}::varchar, {literal(pattern)})"
        case ("between", [low, high]):
            return given, f"{column} between {low} and {high}"
        case ("not_after", other):
            return f"{given} and {name(other)} is not null", f"{day} <= hb_date({name(other)}::varchar)"
        case ("at_most", other):
            return f"{given} and {name(other)} is not null", f"{column} <= {name(other)}"
        case ("unique", _):
            return given, f"{column} in (select {column} from {_TABLE} group by 1 having count(*) = 1)"
        case ("within_hours", hours):
            happened = f"hb_instant({column}::varchar)"
            since = literal((at - RECENT).isoformat())
            return (
                f"{given} and {happened} >= timestamptz {since}",
                f"_updated <= {happened} + interval {int(hours)} hour",
            )
    raise Incorrect(f"there is no check {rule.test[0]}")


def _is_cohort(view: View) -> bool:
    return view.resource == "Condition" and {"icd10", "recorded"} <= {column.name for column in view.columns}


def _cohorts(connection: Engine) -> list[Cohort]:
    towns = (
        "select _patient, max(left(e.value, 9)) as town from (select _patient, unnest(flatten(list_transform(address, "
        "lambda a: coalesce(a.extension, [])))) as x from Patient) p, "
        "lateral (select x ->> '$.valueString' as value, x ->> '$.url' as url) e "
        f"where e.url = {literal(_TOWN)} group by 1"
    )
    rows = connection.execute(
        f"select left(v.icd10, 3), year(hb_date(v.recorded::varchar)), coalesce(t.town, ''), "
        f"count(distinct coalesce(l.person, v._patient::varchar)) from {_TABLE} v "
        f"left join ({towns}) t on t._patient = v._patient left join person_link l on l.patient = v._patient "
        "where v.icd10 is not null and v.recorded is not null group by 1, 2, 3 order by 1, 2, 3"
    ).fetchall()
    return [Cohort(str(code), int(year), str(town), int(count)) for code, year, town, count in rows if year is not None]
