"""Cells turned into figures: value, interval and small-count mark of every measure, period, place and stratum, in one query.

Intervals at 95 %: Wilson for proportions, Byar for counts of events (rates, ratios of counts, indices); `statistics` has
the same formulas for single numbers, and tests hold the two against each other.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from healthbrain.lake.engine import literal
from healthbrain.measure.definition import Definition
from healthbrain.measure.periods import Span
from healthbrain.measure.statistics import SMALL, SMALL_EVENTS, Z
from healthbrain.measure.tally import CELLS

FIGURES = "figures"
_PLACE = "m, p, level, key, stratifier, stratum"
# what stands above and below the line, by kind
_PARTS = {
    "proportion": ("n", "d"),
    "rate": ("n", "d"),
    "ratio": ("n", "d"),
    "index": ("x", "w"),
    "count": ("n", ""),
    "sum": ("x", ""),
    "mean": ("x", "n"),
    "median": ("v", "n"),
}


def parts_of(one: Definition) -> tuple[str, str]:
    """Which aggregate is a measure's numerator and which its denominator ('' = none)."""
    above, below = _PARTS[one.kind]
    if one.kind in {"rate", "ratio"}:
        above = "x" if one.population and one.population.observe else above
        below = "w" if one.denominator and one.denominator.observe else below
    return above, below


def make_figures(
    connection: duckdb.DuckDBPyConnection,
    definitions: Sequence[Definition],
    periods: Mapping[int, Sequence[Span]],
    *,
    only: str = "",
    cells: str = f"select * from {CELLS}",
) -> None:
    """The table of figures from the cells of a query. `only` names a table of places to which they are limited."""
    _about(connection, definitions, periods)
    chosen = f"select c.* from ({cells}) c semi join {only} t using ({_PLACE})" if only else cells
    zero = "select m, p, 0 as level, '' as key, '' as stratifier, '' as stratum, 0 as n, 0 as d, 0 as x, 0 as w from period"
    zero = f"union all by name {f'select z.* from ({zero}) z semi join {only} using ({_PLACE})' if only else zero}"
    connection.execute(f"create or replace temp table chosen_cells as {chosen}")
    connection.execute(
        f"""create or replace temp table {FIGURES} as
        with middle as ({_medians()}),
        sums as (select {_PLACE}, sum(n) as n, sum(d) as d, sum(x) / 1e6 as x, sum(w) / 1e6 as w
            from (select * exclude (v) from chosen_cells {zero}) group by {_PLACE}),
        parts as (select s.*, a.kind, a.per,
            case a.above when 'x' then s.x when 'v' then v.value else s.n end as numerator,
            case a.below when 'd' then s.d when 'w' then s.w when 'n' then s.n end as denominator
            from sums s join about a using (m) left join middle v using ({_PLACE})),
        valued as (select *, case when kind in ('count', 'sum') then numerator when kind = 'median' then numerator
            when denominator > 0 then per * numerator / denominator end as value from parts)
        select {_PLACE}, case when kind = 'median' then null else cast(numerator as double) end as numerator,
            cast(denominator as double) as denominator, cast(value as double) as value,
            {_bound("-")} as low, {_bound("+")} as high,
            coalesce(case when kind in ('proportion', 'mean', 'median') then denominator < {SMALL}
                when kind in ('rate', 'index') then numerator < {SMALL_EVENTS} else false end, false) as small
        from valued"""
    )


def _about(
    connection: duckdb.DuckDBPyConnection, definitions: Sequence[Definition], periods: Mapping[int, Sequence[Span]]
) -> None:
    connection.execute(
        "create or replace temp table about (m integer, kind varchar, above varchar, below varchar, per double)"
    )
    connection.execute("create or replace temp table period (m integer, p integer, label varchar)")
    about, named = [], []
    for m, one in enumerate(definitions):
        above, below = parts_of(one)
        about.append(f"({m}, '{one.kind}', '{above}', '{below}', {one.per})")
        named += [f"({m}, {p}, {literal(span.label)})" for p, span in enumerate(periods[m])]
    for table, rows in (("about", about), ("period", named)):
        if rows:
            connection.execute(f"insert into {table} values {', '.join(rows)}")


def _medians() -> str:
    """The middle of the observed numbers: of the two middle ones where their count is even."""
    return f"""select {_PLACE}, avg(v) / 1e6 as value from (
        select {_PLACE}, v, upto - n + 1 as first, upto as last, whole from (
            select *, sum(n) over (partition by {_PLACE} order by v) as upto, sum(n) over (partition by {_PLACE}) as whole
            from chosen_cells where v is not null and n > 0))
        cross join (values (0), (1)) as half(side)
        where case side when 0 then (whole + 1) // 2 else whole // 2 + 1 end between first and last
        group by {_PLACE}"""


def _bound(sign: str) -> str:
    """One end of the 95 % interval."""
    p, z2 = "(numerator / denominator)", Z * Z
    wilson = (
        f"({p} + {z2} / (2 * denominator) {sign} {Z} * sqrt(greatest(0, {p} * (1 - {p})) / denominator + {z2} / (4 * denominator * denominator)))"
        f" / (1 + {z2} / denominator)"
    )
    events = "numerator" if sign == "-" else "(numerator + 1)"
    byar = f"{events} * pow(1 - 1 / (9 * {events}) {sign} {Z} / (3 * sqrt({events})), 3)"
    if sign == "-":
        byar = f"case when numerator > 0 then greatest(0, {byar}) else 0 end"
    wilson = f"greatest(0, {wilson})" if sign == "-" else f"least(1, {wilson})"
    return (
        f"case when kind = 'proportion' and denominator > 0 then per * ({wilson}) "
        f"when kind in ('rate', 'index') and denominator > 0 then per * ({byar}) / denominator end"
    )
