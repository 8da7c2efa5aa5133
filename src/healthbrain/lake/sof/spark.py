"""Spark SQL 3.5 and 4: the same operations over Parquet and over lines of JSON.

Text counts its places from 1 as DuckDB's does, lists by `get` from 0; `size` of no list is null. A time of day has no type, so it is
compared as a moment of one fixed day. Decimals are calculated as DECIMAL, which keeps the digits, and put out as doubles.
"""

# ruff: noqa: S608  # statements are made here; names and texts are quoted below
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from healthbrain.lake.sof.dialects import (
    SHARED,
    bounded_date,
    bounded_moment,
    moved_date,
    order_of_moments,
    order_of_times,
    pattern_of_reference,
)

_MONTH_END = "date_format(last_day(try_cast(concat({0}, '-01') as date)), 'yyyy-MM-dd')"
_DAYS = "date_format(date_add(try_cast({0} as date), cast({1} as int)), 'yyyy-MM-dd')"
_MONTHS = "date_format(add_months(try_cast({0} as date), cast({1} as int)), 'yyyy-MM-dd')"
_MONTHS_OF_MONTH = "date_format(add_months(try_cast(concat({0}, '-01') as date), cast({1} as int)), 'yyyy-MM')"
_INSTANT = "try_cast({0} as timestamp)"
_ZONED = "regexp_like({0}, '(Z|[+-][0-9][0-9]:[0-9][0-9])$')"
_EXACT = "cast(cast({0} as string) as decimal(38, 15))"
_FRACTION = "length(regexp_extract({0}, '[.]([0-9]+)', 1))"
_HALF = f"cast(0.5 / power(10, {_FRACTION}) as decimal(38, 18))"
_SUM = (
    "cast(cast(cast({0} as string) as decimal(38, 15)) {sign} cast(cast({1} as string) as decimal(38, 15)) as double)"
)

_SPARK: dict[str, str] = {
    **SHARED,
    "list": "array({*})",
    "empty_list": "array()",
    "list_concat": "concat({*})",
    "flatten": "flatten(filter({0}, x_ -> x_ is not null))",
    "item": "case when {1} >= 0 then get({0}, cast({1} as int)) end",
    "first": "get({0}, 0)",
    "last": "try_element_at({0}, -1)",
    "if_one": "case when size({0}) = 1 then {1} when size({0}) > 1 then false end",
    "only": "case when size({0}) > 1 then raise_error({1}) else get({0}, 0) end",
    "must_be_empty": "case when size({0}) > 0 then raise_error({1}) else {0} end",
    "not_empty": "coalesce(size({0}) > 0, false)",
    "length_of_list": "greatest(coalesce(size({0}), 0), 0)",
    "list_contains": "coalesce(array_contains({0}, {1}), false)",
    "list_of_present": "filter(array({0}), x_ -> x_ is not null)",
    "or_null_item": "case when size({0}) > 0 then {0} else array(null) end",
    "list_skip": "case when size({0}) > greatest({1}, 0) then slice({0}, cast(greatest({1}, 0) + 1 as int), size({0})) end",
    "list_take": "slice({0}, 1, cast(greatest({1}, 0) as int))",
    "list_distinct": "array_distinct({0})",
    "list_sum": "aggregate({0}, cast(null as double), (a_, x_) -> coalesce(a_ + x_, a_, x_))",
    "list_min": "array_min({0})",
    "list_max": "array_max({0})",
    "list_avg": "(aggregate({0}, cast(0 as double), (a_, x_) -> a_ + x_) / nullif(size({0}), 0))",
    "join": "coalesce(array_join({0}, {1}), '')",
    "split": "split({0}, {quoted})",
    "starts_with": "startswith({0}, {1})",
    "ends_with": "endswith({0}, {1})",
    "trim": "trim(both ' \\t\\n\\r' from {0})",
    "index_of": "(locate({1}, {0}) - 1)",
    "matches": "regexp_like({0}, concat('(?s)', {1}))",
    "matches_full": "regexp_like({0}, concat('(?s)^(?:', {1}, ')$'))",
    "order_time": order_of_times("try_cast(concat('2000-01-01 ', {0}) as timestamp)"),
    "order_moment": order_of_moments(_INSTANT, _ZONED),
    "high_date": bounded_date(high=True, month_end=_MONTH_END),
    "high_datetime": bounded_moment(high=True, month_end=_MONTH_END),
    "date_plus_days": moved_date(_DAYS, _MONTHS_OF_MONTH, 30, 365).replace("{text}", "string"),
    "date_plus_months": moved_date(_MONTHS, _MONTHS_OF_MONTH, 1, 12).replace("{text}", "string"),
    "decimal_add": _SUM.replace("{sign}", "+"),
    "decimal_subtract": _SUM.replace("{sign}", "-"),
    "significant": "cast(format_string('%.14e', {0}) as double)",
    "round_half_up": f"cast(round({_EXACT}, {{1}}) as double)",
    "low_decimal": f"cast(cast({{0}} as decimal(38, 18)) - {_HALF} as double)",
    "high_decimal": f"cast(cast({{0}} as decimal(38, 18)) + {_HALF} as double)",
    "divide": "({0} / {1})",
    "whole_divide": "({0} div {1})",
    "remainder": "({0} % {1})",
    "truncate": "(sign({0}) * floor(abs({0})))",
    "to_text": "cast({0} as string)",
    "text_to_integer": (
        "case when regexp_like({0}, '^[+-]?[0-9]+$') and try_cast({0} as bigint) "
        "between -2147483648 and 2147483647 then try_cast({0} as bigint) end"
    ),
    "text_to_decimal": "case when regexp_like({0}, '^[+-]?[0-9]+([.][0-9]+)?$') then try_cast({0} as double) end",
    "text_to_boolean": (
        "case when lower({0}) in ('true', 't', 'yes', 'y', '1', '1.0') then true "
        "when lower({0}) in ('false', 'f', 'no', 'n', '0', '0.0') then false end"
    ),
    **{
        f"as_{leaf}{many}": f"cast({{0}} as {f'array<{kind}>' if many else kind})"
        for leaf, kind in (
            ("text", "string"), ("integer", "bigint"), ("decimal", "double"), ("boolean", "boolean"), ("json", "string"),
        )
        for many in ("", "s")
    },
}  # fmt: skip

_TYPES = {"text": "STRING", "integer": "BIGINT", "decimal": "DOUBLE", "boolean": "BOOLEAN", "json": "STRING"}


class Spark:
    """Spark SQL."""

    def operation(self, operation: str, args: Sequence[str]) -> str:
        if operation == "reference_key":
            pattern = self.constant(pattern_of_reference(args[1].strip("'")))
            return f"nullif(regexp_extract({args[0]}, {pattern}, 1), '')"
        if operation == "split":
            return f"split({args[0]}, concat('\\\\Q', {args[1]}, '\\\\E'))"
        if operation == "list_concat":  # of null it would be null
            args = [f"coalesce({one}, array())" for one in args]
        template = _SPARK[operation]
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
                return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
            case int():
                return f"{value}L"
        return f"cast('{value:f}' as double)"

    def name(self, text: str) -> str:
        return "`" + text.replace("`", "``") + "`"

    def each(self, items: str, var: str, index: str, body: str) -> str:
        return f"transform({items}, {_lambda(var, index, body)})"

    def keep(self, items: str, var: str, index: str, test: str) -> str:
        return f"filter({items}, {_lambda(var, index, test)})"

    def let(self, var: str, value: str, body: str) -> str:
        return f"get(transform(array({value}), {var} -> {body}), 0)"

    def pack(self, fields: Sequence[tuple[str, str]]) -> str:
        return "named_struct(" + ", ".join(f"{self.constant(key)}, {value}" for key, value in fields) + ")"

    def parsed(self, text: str, shape: Mapping[str, Any]) -> str:
        return f"from_json({text}, {self.constant(f'STRUCT<{self._members(shape)}>')})"

    def unnested(self, relation: str, items: str, item: str, index: str, *, keep: bool) -> str:
        outer = "_outer" if keep else ""
        if not index:
            return f"select *, explode{outer}({items}) as {item} from {relation}"
        counted = f"select *, posexplode{outer}({items}) as ({item}n, {item}) from {relation}"
        return f"select *, coalesce({item}n, 0) as {index} from ({counted})"

    def type_of(self, shape: Any) -> str:
        if isinstance(shape, list):
            return f"ARRAY<{self.type_of(shape[0])}>"
        return _TYPES[shape] if isinstance(shape, str) else f"STRUCT<{self._members(shape)}>"

    def quoted_numbers(self, text: str, keys: Sequence[str]) -> str:
        names = "|".join(keys)
        pattern = self.constant(f'("(?:{names})"\\s*:\\s*)(-?[0-9][0-9.eE+-]*)')
        quoted = self.constant('$1"$2"')
        return f"regexp_replace({text}, {pattern}, {quoted})"

    def _members(self, shape: Mapping[str, Any]) -> str:
        return ", ".join(f"{self.name(key)}: {self.type_of(inner)}" for key, inner in shape.items())


def _lambda(var: str, index: str, body: str) -> str:
    return f"({var}, {index}) -> {body}" if index else f"{var} -> {body}"
