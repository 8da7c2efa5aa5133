"""A question as DuckDB SQL over a lake connection: the view, what stands behind its rows, filters, then grouping sets.

Every name comes from `Source.columns` and is quoted; every value is a literal. Who may not see people gets words that
somebody typed only when enough persons share them; all others fall into one group.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from healthbrain.errors import Incorrect
from healthbrain.lake.engine import literal, name
from healthbrain.lake.sof import Target, compile_view, read_view
from healthbrain.measure.analysis import blur
from healthbrain.measure.analysis.question import Dimension, Filter, Question
from healthbrain.measure.analysis.sources import AGE, INSTITUTION, SEX, TOWN, Column, Source, source_of
from healthbrain.measure.suppression import THRESHOLD
from healthbrain.terms import systems

OTHERS = "…"  # the group of words that too few share
MOST_CELLS = 20_000
AGES = (1, 7, 15, 25, 35, 45, 55, 65, 75, 85)
_CARRIED = ("_id", "_owner", "_patient", "_updated")
_BEHIND = {INSTITUTION: "_owner", TOWN: "town", SEX: "sex", AGE: "age"}
_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose rows may be counted, and whether the people behind them may be seen."""

    organisations: tuple[int, ...] | None  # None = all
    people: bool


def types_of(asked: Question) -> set[str]:
    """The resource types that a question reads."""
    return {*source_of(asked.source).view.types, "Patient"}


def protected(asked: Question, reader: Reader) -> bool:
    """Whether numbers of this question must not tell this reader about single persons."""
    return not reader.people and source_of(asked.source).personal


def cells_query(asked: Question, reader: Reader, today: date) -> str:
    """One row per cell and total: the dimensions' values, which of rows and columns are summed up, n, persons, measures
    and how many persons have each measured number; for who may not see people also the spread of each and the cell's key."""
    source = source_of(asked.source)
    dims = [f"d{number}" for number in range(len(asked.dimensions))]
    rows, columns = dims[: len(asked.rows)], dims[len(asked.rows) :]
    sets = {(*rows, *columns), tuple(rows), tuple(columns), ()}
    numbers = [(f"m{n}", one) for n, one in enumerate(asked.measures) if one.column]
    with_numbers = {alias: name(one.column) for alias, one in numbers}
    inner = [
        *(f"{_value(source, one, today)} as {alias}" for alias, one in zip(dims, asked.dimensions, strict=True)),
        *(f"cast({column} as double) as {alias}" for alias, column in with_numbers.items()),
        "_person",
    ]
    facts = f"select {', '.join(inner)} from ({rows_query(asked, reader, today)})"
    shown = _folded(source, asked, dims) if protected(asked, reader) else "select * from f"
    totals = [
        f"cast(grouping({dims_[0]}) as boolean)" if dims_ else "true" for dims_ in (rows, columns)
    ]  # the dims of one side are summed up together
    measured = [
        f"{'sum' if one.what == 'sum' else 'avg' if one.what == 'mean' else 'median'}({alias})"
        for alias, one in numbers
    ]
    known = [f"count(distinct _person) filter ({alias} is not null)" for alias, _ in numbers]
    outputs = [*dims, *totals, "count(*)", "count(distinct _person)", *measured, *known]
    if protected(asked, reader):
        outputs += [f"coalesce(stddev_pop({alias}), 0)" for alias, _ in numbers]
        outputs.append(f"coalesce(sum(distinct hash(_person::varchar) % {blur.KEYS}), 0)")
    grouped = ", ".join(f"({', '.join(one)})" for one in sorted(sets))
    by = f" group by grouping sets ({grouped})" if dims else ""
    return f"with f as ({facts}), g as ({shown}) select {', '.join(outputs)} from g{by} limit {MOST_CELLS + 1}"


def rows_query(asked: Question, reader: Reader, today: date, extra: str = "true") -> str:
    """The rows of the view that the filters leave, of the reader's organisations, with what stands behind them."""
    source = source_of(asked.source)
    view = source.view.sql(_CARRIED)
    where = [_scope(reader), extra, *(_condition(source, one, today) for one in asked.filters)]
    behind = ""
    person = "coalesce(l.person, 'patient:' || v._patient)"
    columns = f"v.*, {person} as _person"
    if source.personal:
        columns += ", p.town, p.sex as _sex, p.birth as _birth"
        behind = f" left join ({_patients()}) p on p._patient = v._patient"
    joined = f"select {columns} from ({view}) v left join person_link l on l.patient = v._patient{behind}"
    return f"select * from ({joined}) where {' and '.join(where)}"


def members_query(asked: Question, reader: Reader, today: date, cell: Sequence[str | None], limit: int) -> str:
    """Rows of one cell (None = the total along this dimension), newest first; the patient's key comes last."""
    source = source_of(asked.source)
    tests = [
        f"{_value(source, one, today)} = {literal(value)}"
        for one, value in zip(asked.dimensions, cell, strict=True)
        if value is not None
    ]
    shown = ", ".join(name(column.name) for column in source.view.columns)
    rows = rows_query(asked, reader, today)
    where = " and ".join(tests) or "true"
    return f"select {shown}, _patient from ({rows}) where {where} order by _updated desc, _id limit {limit}"


def _folded(source: Source, asked: Question, dims: Sequence[str]) -> str:
    """Facts with typed words replaced that fewer than the threshold of persons share."""
    replaced = []
    for alias, one in zip(dims, asked.dimensions, strict=True):
        column = source.column(one.column)
        if column.free:
            common = f"select {alias} from f group by {alias} having count(distinct _person) >= {THRESHOLD}"
            replaced.append(f"case when {alias} in ({common}) then {alias} else {literal(OTHERS)} end as {alias}")
    return f"select * replace ({', '.join(replaced)}) from f" if replaced else "select * from f"


def _value(source: Source, one: Dimension, today: date) -> str:
    column = source.column(one.column)
    if column.kind == "date":
        day = f"hb_date({name(column.name)}::varchar)"
        if one.grain == "quarter":
            return f"coalesce(year({day}) || '-Q' || quarter({day}), '')"
        return f"coalesce(strftime({day}, {literal(_FORMATS[one.grain])}), '')"
    if column.kind == "number" and one.width:
        width = repr(float(one.width))
        return f"coalesce(cast(floor({name(column.name)} / {width}) * {width} as varchar), '')"
    return f"coalesce(cast({_plain(source, column, today)} as varchar), '')"


def _plain(source: Source, column: Column, today: date) -> str:
    if column.name == AGE:
        day = (
            f"coalesce(hb_date({name(source.day)}::varchar), date {literal(today.isoformat())})"
            if source.day
            else (f"date {literal(today.isoformat())}")
        )
        bounds = (0, *AGES)
        cases = "".join(
            f" when _age < {high} then '{low:02d}–{high - 1:02d}'" for low, high in zip(bounds, AGES, strict=False)
        )
        return f"(select case when _age is null or _age < 0 then ''{cases} else '{AGES[-1]}+' end from (select hb_age(hb_date(_birth::varchar), {day}) as _age))"
    plain = {INSTITUTION: "_owner", TOWN: "town", SEX: "_sex"}
    return plain.get(column.name) or name(column.name)


def _condition(source: Source, one: Filter, today: date) -> str:
    column = source.column(one.column)
    value = _plain(source, column, today)
    text = f"cast({value} as varchar)"
    day = f"hb_date({name(column.name)}::varchar)" if column.kind == "date" else ""
    given = [each for each in one.values if each]
    among = f"({', '.join(literal(each) for each in given)})"
    match one.operator:
        case "given":
            return f"coalesce({text}, '') <> ''"
        case "empty":
            return f"coalesce({text}, '') = ''"
        case "in" | "not_in":
            if column.kind == "number":
                among = f"({', '.join(repr(float(each)) for each in given)})"
                test = f"coalesce(cast({value} as double) in {among}, false)"
            else:
                test = f"coalesce({text} in {among}, false)"
            return test if one.operator == "in" else f"not {test}"
        case "starts":
            return "(" + " or ".join(f"coalesce(starts_with({text}, {literal(each)}), false)" for each in given) + ")"
        case "contains":
            found = (f"coalesce(contains(lower({text}), {literal(each.lower())}), false)" for each in given)
            return f"({' or '.join(found)})"
        case "between":
            low, high = one.values
            if column.kind == "date":
                ends = [(">=", low), ("<=", high)]
                tests = [f"{day} {sign} date {literal(end)}" for sign, end in ends if end]
            else:
                tests = [f"{value} {sign} {float(end)!r}" for sign, end in ((">=", low), ("<=", high)) if end]
            return f"coalesce({' and '.join(tests)}, false)"
    raise Incorrect("there is no such filter")


def _scope(reader: Reader) -> str:
    if reader.organisations is None:
        return "true"
    return f"_owner in ({', '.join(map(str, sorted(reader.organisations))) or 'null'})"


def _patients() -> str:
    """Where each patient lives, sex and birth; the first nine digits of the address are the town."""
    division = f"address.extension.where(url = '{systems.EXT_DIVISION}').value.ofType(string).first()"
    view = read_view(
        {
            "resourceType": "ViewDefinition", "resource": "Patient", "name": "behind", "status": "active",
            "select": [{"column": [
                {"name": "sex", "path": "gender"}, {"name": "birth", "path": "birthDate"},
                {"name": "division", "path": division},
            ]}],
        }
    )  # fmt: skip
    query = compile_view(view, Target(carry=("_patient",))).sql
    return f"select _patient, sex, birth, left(division, 9) as town from ({query})"
