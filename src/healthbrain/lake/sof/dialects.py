"""SQL dialects: how each operation of the typed form is written, and how relations are put together.

A dialect is a table of templates ({0} an argument, {*} all of them) and a few methods for what differs in form. Arguments that a
template has more than once are names, because the typed form binds them first. DuckDB is here, Spark in the module `spark`.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from healthbrain.lake.engine import literal, name

_SIGN = "case when {0} < {1} then -1 when {0} > {1} then 1 when {0} = {1} then 0 end"
_REFERENCE = "^(?:https?://.+/)?{type}/([A-Za-z0-9.-]{{1,64}})(?:/_history/.+)?$"
_PREFIXES = ("left({0}, least(length({0}), length({1}), {2}))", "left({1}, least(length({0}), length({1}), {2}))")


class Dialect(Protocol):
    """What a target must be able to write."""

    def operation(self, operation: str, args: Sequence[str]) -> str:
        """An operation with its arguments."""

    def constant(self, value: bool | int | Decimal | str | None) -> str:
        """A constant."""

    def name(self, text: str) -> str:
        """A name."""

    def each(self, items: str, var: str, index: str, body: str) -> str:
        """A list with `body` for every item; `index` ('' = not asked for) counts from 0."""

    def keep(self, items: str, var: str, index: str, test: str) -> str:
        """The items for which the test is true."""

    def let(self, var: str, value: str, body: str) -> str:
        """`body` with a name for a value."""

    def pack(self, fields: Sequence[tuple[str, str]]) -> str:
        """An object."""

    def parsed(self, text: str, shape: Mapping[str, Any]) -> str:
        """JSON text as an object."""

    def unnested(self, relation: str, items: str, item: str, index: str, *, keep: bool) -> str:
        """A relation with one row per item of a list; `keep` keeps the rows of empty lists, with null."""

    def type_of(self, shape: Any) -> str:
        """The SQL type of a shape."""

    def quoted_numbers(self, text: str, keys: Sequence[str]) -> str:
        """JSON text with the numbers under these names as texts, so that their digits are kept."""


def prefix_order(digits: int) -> str:
    """Dates or times as text, compared as far as both are known."""
    one, other = (part.replace("{2}", str(digits)) for part in _PREFIXES)
    return f"when {one} < {other} then -1 when {one} > {other} then 1"


def order_of_moments(instant: str, zoned: str) -> str:
    """The order of two FHIR date-times; `instant` and `zoned` are templates of the dialect."""
    first, second = instant.replace("{0}", "{0}"), instant.replace("{0}", "{1}")
    early, late = (
        [instant.replace("{0}", f"concat({{{i}}}, '{zone}')") for i in (0, 1)] for zone in ("+14:00", "-12:00")
    )
    zoned_first, zoned_second = zoned, zoned.replace("{0}", "{1}")
    return (
        f"case when length({{0}}) <= 10 or length({{1}}) <= 10 then case {prefix_order(10)} "
        f"when length({{0}}) = length({{1}}) then 0 end "
        f"when {zoned_first} = {zoned_second} then {_SIGN.replace('{1}', second).replace('{0}', first)} "
        f"when {zoned_first} then case when {first} < {early[1]} then -1 when {first} > {late[1]} then 1 end "
        f"else case when {second} < {early[0]} then 1 when {second} > {late[0]} then -1 end end"
    )


def order_of_times(clock: str) -> str:
    """The order of two times of day."""
    return (
        f"case {prefix_order(8)} when length({{0}}) >= 8 and length({{1}}) >= 8 then "
        f"{_SIGN.replace('{1}', clock.replace('{0}', '{1}')).replace('{0}', clock)} "
        f"when length({{0}}) = length({{1}}) then 0 end"
    )


def bounded_moment(*, high: bool, month_end: str) -> str:
    """The earliest or latest date-time, to the millisecond, that a FHIR date-time can mean."""
    day = "T23:59:59.999-12:00" if high else "T00:00:00.000+14:00"
    date = f"when length({{0}}) <= 10 then concat({bounded_date(high=high, month_end=month_end)}, '{day}')"
    filled = "999" if high else "000"
    zone = "regexp_replace({0}, '^.*T[0-9:.]*', '')"
    zone = f"case when {zone} in ('+00:00', '-00:00') then 'Z' when {zone} = '' then '{'-12:00' if high else '+14:00'}' else {zone} end"
    fraction = f"left(concat(regexp_replace(regexp_replace({{0}}, '^[^.]*[.]?', ''), '[^0-9].*$', ''), '{filled}'), 3)"
    return f"case {date} else concat(left({{0}}, 19), '.', {fraction}, {zone}) end"


def bounded_time(*, high: bool) -> str:
    """The earliest or latest time of day, to the millisecond."""
    filled = "999" if high else "000"
    rest = "'59'" if high else "'00'"
    return (
        f"case length({{0}}) when 2 then concat({{0}}, ':', {rest}, ':', {rest}, '.{filled}') "
        f"when 5 then concat({{0}}, ':', {rest}, '.{filled}') "
        f"else concat(left({{0}}, 8), '.', left(concat(substring({{0}}, 10), '{filled}'), 3)) end"
    )


def bounded_date(*, high: bool, month_end: str) -> str:
    """The earliest or latest day of a FHIR date; `month_end` gives the last day of a day's month as text."""
    if not high:
        return "case length({0}) when 4 then concat({0}, '-01-01') when 7 then concat({0}, '-01') else {0} end"
    return f"case length({{0}}) when 4 then concat({{0}}, '-12-31') when 7 then {month_end} else {{0}} end"


def moved_date(full: str, part: str, per_month: int, per_year: int) -> str:
    """A date of any precision moved by {1} units; of these, `per_month` and `per_year` make a month and a year."""
    months = f"cast(trunc({{1}} / {per_month}) as int)" if per_month > 1 else "{1}"
    return (
        f"case length({{0}}) when 10 then {full} when 7 then {part.replace('{1}', months)} "
        f"when 4 then lpad(cast(try_cast(left({{0}}, 4) as int) + cast(trunc({{1}} / {per_year}) as int) as {{text}}), 4, '0') end"
    )


def pattern_of_reference(type_: str) -> str:
    """The regular expression of a literal reference to a type ('' = any)."""
    return _REFERENCE.format(type=type_ or "[A-Z][A-Za-z]+")


# What DuckDB and Spark write alike.
SHARED: dict[str, str] = {
    "and": "({0} and {1})",
    "or": "({0} or {1})",
    "xor": "({0} <> {1})",
    "implies": "(not {0} or {1})",
    "not": "(not {0})",
    "when": "case when {0} then {1} end",
    "choose": "case when {0} then {1} else {2} end",
    "is_not_null": "({0} is not null)",
    "coalesce": "coalesce({*})",
    "one_of": "({0} in ({rest}))",
    "equal": "({0} = {1})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "between": "({0} between {1} and {2})",
    "order_day": f"case {prefix_order(10)} when length({{0}}) = length({{1}}) then 0 end",
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "negative": "(-{0})",
    "null_if": "nullif({0}, {1})",
    "greatest": "greatest({0}, {1})",
    "to_decimal": "cast({0} as double)",
    "to_integer": "cast({0} as bigint)",
    "absolute": "abs({0})",
    "ceiling": "ceil({0})",
    "floor": "floor({0})",
    "square_root": "sqrt({0})",
    "concat": "({0} || {1})",
    "upper": "upper({0})",
    "lower": "lower({0})",
    "length": "length({0})",
    "contains": "contains({0}, {1})",
    "substring": "substring({0}, cast({1} + 1 as int), cast({2} as int))",
    "replace": "replace({0}, {1}, {2})",
    "left": "left({0}, {1})",
    "low_date": bounded_date(high=False, month_end=""),
    "low_time": bounded_time(high=False),
    "high_time": bounded_time(high=True),
    "low_datetime": bounded_moment(high=False, month_end=""),
    "digits_of": "{0}",
}

_MONTH_END = "strftime(last_day(try_cast({0} || '-01' as date)), '%Y-%m-%d')"
_DAYS = "strftime(try_cast({0} as date) + to_days(cast({1} as int)), '%Y-%m-%d')"
_MONTHS = "strftime(try_cast({0} as date) + to_months(cast({1} as int)), '%Y-%m-%d')"
_MONTHS_OF_MONTH = "strftime(try_cast({0} || '-01' as date) + to_months(cast({1} as int)), '%Y-%m')"
_FRACTION = "length(regexp_extract({0}, '[.]([0-9]+)', 1))"
_SIGNIFICANT = "cast(14 - floor(log10(greatest({of}, 1e-300::double))) as int)"
_OF_SUM = _SIGNIFICANT.format(of="abs({0}), abs({1})")
_INSTANT = "try_cast({0} as timestamptz)"
_ZONED = "regexp_matches({0}, '(Z|[+-][0-9][0-9]:[0-9][0-9])$')"

_DUCKDB: dict[str, str] = {
    **SHARED,
    "list": "[{*}]",
    "empty_list": "[]",
    "list_concat": "list_concat({*})",
    "flatten": "flatten({0})",
    "item": "case when {1} >= 0 then ({0})[{1} + 1] end",
    "first": "({0})[1]",
    "last": "({0})[-1]",
    "if_one": "case when len({0}) = 1 then {1} when len({0}) > 1 then false end",
    "only": "case when len({0}) > 1 then error({1}) else ({0})[1] end",
    "must_be_empty": "case when len({0}) > 0 then error({1}) else {0} end",
    "not_empty": "(coalesce(len({0}), 0) > 0)",
    "length_of_list": "coalesce(len({0}), 0)",
    "list_contains": "coalesce(list_contains({0}, {1}), false)",
    "list_of_present": "list_filter([{0}], lambda x_: x_ is not null)",
    "or_null_item": "case when len({0}) > 0 then {0} else [null] end",
    "list_skip": "list_slice({0}, greatest({1}, 0) + 1, len({0}))",
    "list_take": "list_slice({0}, 1, greatest({1}, 0))",
    "list_distinct": "list_filter({0}, lambda x_, i_: list_position({0}, x_) = i_)",
    "list_sum": "list_sum({0})",
    "list_min": "list_min({0})",
    "list_max": "list_max({0})",
    "list_avg": "list_avg({0})",
    "join": "coalesce(array_to_string({0}, {1}), '')",
    "split": "string_split({0}, {1})",
    "starts_with": "starts_with({0}, {1})",
    "ends_with": "ends_with({0}, {1})",
    "trim": "trim({0}, chr(32) || chr(9) || chr(10) || chr(13))",
    "index_of": "(position({1} in {0}) - 1)",
    "matches": "regexp_matches({0}, {1}, 's')",
    "matches_full": "regexp_full_match({0}, {1}, 's')",
    "order_time": order_of_times("try_cast({0} as time)"),
    "order_moment": order_of_moments(_INSTANT, _ZONED),
    "high_date": bounded_date(high=True, month_end=_MONTH_END),
    "high_datetime": bounded_moment(high=True, month_end=_MONTH_END),
    "date_plus_days": moved_date(_DAYS, _MONTHS_OF_MONTH, 30, 365).replace("{text}", "varchar"),
    "date_plus_months": moved_date(_MONTHS, _MONTHS_OF_MONTH, 1, 12).replace("{text}", "varchar"),
    # results of doubles, cut to the digits that decimals of that size have
    "decimal_add": f"round({{0}} + {{1}}, {_OF_SUM})",
    "decimal_subtract": f"round({{0}} - {{1}}, {_OF_SUM})",
    "significant": f"round({{0}}, {_SIGNIFICANT.format(of='abs({0})')})",
    "round_half_up": "cast(round(cast({0} as decimal(38, 12)), {1}) as double)",
    "low_decimal": f"round(cast({{0}} as double) - 0.5 / power(10, {_FRACTION}), cast({_FRACTION} + 1 as int))",
    "high_decimal": f"round(cast({{0}} as double) + 0.5 / power(10, {_FRACTION}), cast({_FRACTION} + 1 as int))",
    "divide": "({0} / {1})",
    "whole_divide": "({0} // {1})",
    "remainder": "({0} % {1})",
    "truncate": "trunc({0})",
    "to_text": "cast({0} as varchar)",
    "text_to_integer": (
        "case when regexp_full_match({0}, '[+-]?[0-9]+') and try_cast({0} as bigint) "
        "between -2147483648 and 2147483647 then try_cast({0} as bigint) end"
    ),
    "text_to_decimal": "case when regexp_full_match({0}, '[+-]?[0-9]+([.][0-9]+)?') then try_cast({0} as double) end",
    "text_to_boolean": (
        "case when lower({0}) in ('true', 't', 'yes', 'y', '1', '1.0') then true "
        "when lower({0}) in ('false', 'f', 'no', 'n', '0', '0.0') then false end"
    ),
    **{
        f"as_{leaf}{many}": f"cast({{0}} as {kind}{'[]' if many else ''})"
        for leaf, kind in (
            ("text", "varchar"), ("integer", "bigint"), ("decimal", "double"), ("boolean", "boolean"), ("json", "json"),
        )
        for many in ("", "s")
    },
}  # fmt: skip

_TYPES = {"text": "VARCHAR", "integer": "BIGINT", "decimal": "DOUBLE", "boolean": "BOOLEAN", "json": "JSON"}


class DuckDB:
    """DuckDB 1.5."""

    def operation(self, operation: str, args: Sequence[str]) -> str:
        if operation == "reference_key":
            return self._reference_key(*args)
        if operation == "item" and args[1].isdigit():
            return f"({args[0]})[{int(args[1]) + 1}]"
        template = _DUCKDB[operation]
        if "{*}" in template:
            return template.replace("{*}", ", ".join(args))
        return template.format(*args, rest=", ".join(args[1:]))

    def constant(self, value: bool | int | Decimal | str | None) -> str:
        match value:
            case None:
                return "null"
            case bool():
                return "true" if value else "false"
            case str():
                return literal(value)
            case int():
                return str(value)
        return f"cast({value:f} as double)"

    def name(self, text: str) -> str:
        return name(text)

    def each(self, items: str, var: str, index: str, body: str) -> str:
        return f"list_transform({items}, {_lambda(var, index, body)})"

    def keep(self, items: str, var: str, index: str, test: str) -> str:
        return f"list_filter({items}, {_lambda(var, index, test)})"

    def let(self, var: str, value: str, body: str) -> str:
        return f"list_transform([{value}], lambda {var}: {body})[1]"

    def pack(self, fields: Sequence[tuple[str, str]]) -> str:
        return "{" + ", ".join(f"{literal(key)}: {value}" for key, value in fields) + "}"

    def parsed(self, text: str, shape: Mapping[str, Any]) -> str:
        return f"from_json({text}, {literal(json.dumps(_json_shape(shape)))})"

    def unnested(self, relation: str, items: str, item: str, index: str, *, keep: bool) -> str:
        # lists that are unnested beside each other are filled up with nulls: the second one keeps a row without items
        kept = f", unnest([0]) as {item}k" if keep else ""
        if not index:
            return f"select *, unnest({items}) as {item}{kept} from {relation}"
        listed = f"select *, {items} as {item}l from {relation}"
        counted = (
            f"select *, unnest({item}l) as {item}, generate_subscripts({item}l, 1) as {item}n{kept} from ({listed})"
        )
        return f"select *, coalesce({item}n - 1, 0) as {index} from ({counted})"

    def type_of(self, shape: Any) -> str:
        if isinstance(shape, list):
            return f"{self.type_of(shape[0])}[]"
        if isinstance(shape, str):
            return _TYPES[shape]
        return "STRUCT(" + ", ".join(f"{name(key)} {self.type_of(inner)}" for key, inner in shape.items()) + ")"

    def quoted_numbers(self, text: str, keys: Sequence[str]) -> str:
        pattern = literal(f'("(?:{"|".join(keys)})"\\s*:\\s*)(-?[0-9][0-9.eE+-]*)')
        return f"regexp_replace({text}, {pattern}, '\\1\"\\2\"', 'g')"

    def _reference_key(self, reference: str, type_: str) -> str:
        wanted = type_.strip("'")
        return f"nullif(regexp_extract({reference}, {literal(pattern_of_reference(wanted))}, 1), '')"


def _lambda(var: str, index: str, body: str) -> str:
    if not index:
        return f"lambda {var}: {body}"
    counted = body.replace(f"{index}", f"({index} - 1)")  # names are unique, and DuckDB counts from 1
    return f"lambda {var}, {index}: {counted}"


def _json_shape(shape: Any) -> Any:
    if isinstance(shape, list):
        return [_json_shape(shape[0])]
    return _TYPES[shape] if isinstance(shape, str) else {key: _json_shape(one) for key, one in shape.items()}
