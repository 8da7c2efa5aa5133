"""The platform's own DuckDB SQL as Spark SQL.

Views and measures are written once, as SQL for DuckDB. Their syntax is translated by sqlglot; here is what has another meaning in
Spark: lists begin at 0 and answer a place they do not have with an error, `arg_max` passes over nulls in DuckDB alone, JSON has
no type, and `hb_date`, `hb_instant`, `hb_age` are written out (`lake.local_time.MACROS` says the same for DuckDB).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import sqlglot
from sqlglot import exp

from healthbrain.errors import Unsupported

# Moments are in UTC, so the hours to Shanghai are added before the day is taken.
_INSTANT = (
    "cast(case length({0}) when 4 then concat({0}, '-01-01 00:00:00+08:00') when 7 then concat({0}, '-01 00:00:00+08:00') "
    "when 10 then concat({0}, ' 00:00:00+08:00') else {0} end as timestamp)"
)
_DATE = (
    "case length({0}) when 4 then cast(concat({0}, '-01-01') as date) when 7 then cast(concat({0}, '-01') as date) "
    "when 10 then cast({0} as date) else cast(from_utc_timestamp(cast({0} as timestamp), 'Asia/Shanghai') as date) end"
)
_AGE = "(year({1}) - year({0}) - cast(month({1}) * 100 + day({1}) < month({0}) * 100 + day({0}) as int))"
_OWN = {"HB_INSTANT": _INSTANT, "HB_DATE": _DATE, "HB_AGE": _AGE}
_WHOLE = "$"


@lru_cache(maxsize=2048)
def to_spark(query: str) -> str:
    """A query of ours for Spark. Raises Unsupported for what cannot be said there."""
    return spark_text(parsed(query))


def parsed(statement: str) -> exp.Expression:
    """A statement of ours as a tree. Raises Unsupported."""
    try:
        return sqlglot.parse_one(statement, read="duckdb")
    except sqlglot.errors.SqlglotError:
        raise Unsupported("a statement cannot be translated to Spark SQL; run it with HB_LAKE_ENGINE=duckdb") from None


def spark_text(tree: exp.Expression) -> str:
    """A tree as Spark SQL. Raises Unsupported."""
    try:
        return str(_rewritten(tree.copy()).sql(dialect="spark", unsupported_level=sqlglot.ErrorLevel.RAISE))
    except sqlglot.errors.SqlglotError:
        raise Unsupported("a statement cannot be translated to Spark SQL; run it with HB_LAKE_ENGINE=duckdb") from None


def _rewritten(tree: exp.Expression) -> exp.Expression:
    """The tree from its leaves upwards, so that what is put in is not rewritten again."""
    for node in reversed(list(tree.walk(bfs=True))):
        if (change := _CHANGES.get(type(node))) is not None and (new := change(node)) is not node:
            if node is tree:
                tree = new
            else:
                node.replace(new)
    return tree


def _call(function: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=function, expressions=[one.copy() for one in arguments])


def _filled(template: str, *arguments: exp.Expression) -> exp.Expression:
    text = template
    for number in range(len(arguments)):
        text = text.replace(f"{{{number}}}", f"__{number}")
    tree = sqlglot.parse_one(text, read="spark")
    places = {f"__{number}": argument for number, argument in enumerate(arguments)}
    for column in list(tree.find_all(exp.Column)):
        if column.name in places:
            column.replace(exp.Paren(this=places[column.name].copy()))
    return tree


def _item(node: exp.Expression) -> exp.Expression:
    (at,) = node.expressions
    negative = isinstance(at, exp.Neg)
    return _call("try_element_at", node.this, at) if negative else _call("get", node.this, at)


def _greatest_by(node: exp.Expression) -> exp.Expression:
    """The value of the greatest row among those that have a value."""
    value = node.this
    if isinstance(value, exp.Struct):
        return node
    present = exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))
    return exp.Filter(this=node.copy(), expression=exp.Where(this=present))


def _json_member(node: exp.Expression) -> exp.Expression:
    """JSON objects and lists are text, and other values the text that they hold."""
    path = node.expression
    text = path.sql(dialect="duckdb").strip("'")
    if text == _WHOLE:
        return exp.Paren(this=node.this.copy())
    return _call("get_json_object", node.this, exp.Literal.string(text))


def _json_kind(node: exp.Expression) -> exp.Expression:
    of, path = node.this, node.expression
    return _filled("if(json_array_length(get_json_object({0}, {1})) is null, 'OTHER', 'ARRAY')", of, path)


def _cast(node: exp.Expression) -> exp.Expression:
    kind = node.args["to"]
    if kind.is_type(exp.DataType.Type.ARRAY) and kind.expressions[0].is_type(exp.DataType.Type.JSON):
        return _call("from_json", node.this, exp.Literal.string("array<string>"))
    if kind.is_type(exp.DataType.Type.JSON):
        return node.this.copy()
    if isinstance(node.this, (exp.Explode, exp.Unnest)):  # a generator stands alone; a sequence of days gives days
        return node.this.copy()
    return node


def _days_between(node: exp.Expression) -> exp.Expression:
    return _filled("datediff(cast({0} as date), cast({1} as date))", node.this, node.expression)


def _own(node: exp.Expression) -> exp.Expression:
    function = node.name.upper()
    if function == "ROW":
        return _call("struct", *node.expressions)
    if function in _OWN:
        return _filled(_OWN[function], *node.expressions)
    if function == "JSON_TYPE":
        of, path = node.expressions
        return _filled("if(json_array_length(get_json_object({0}, {1})) is null, 'OTHER', 'ARRAY')", of, path)
    return node


_CHANGES: dict[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.Bracket: _item,
    exp.Length: lambda node: _call("size", node.this),  # `len` of a list; texts are never measured
    exp.ArgMax: _greatest_by,
    exp.DateDiff: _days_between,
    exp.JSONExtract: _json_member,
    exp.JSONExtractScalar: _json_member,
    exp.JSONType: _json_kind,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Anonymous: _own,
}
