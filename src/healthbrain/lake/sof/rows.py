"""A view's selects as a plan: which columns are calculated on which relation, in the typed form.

An iteration outside of a union unnests its items, so that each layer of the query has the columns of one level. The branches
of a union become lists of objects that are put together and unnested, so that the source is read once and rows keep the
order of resources, items and branches. Rule source: SQL on FHIR v2, processing model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.fhir.fhirpath import model
from healthbrain.lake.sof import traversal
from healthbrain.lake.sof.definition import Column, Select, ViewDefinition
from healthbrain.lake.sof.ir import EMPTY, NULL, Const, Each, Field, Keep, Let, Pack, Root, Sql, Value, Var, op, walk
from healthbrain.lake.sof.needs import Leaf, Need
from healthbrain.lake.sof.paths import Resolver, Scope

_LEAVES: dict[str, Leaf] = {
    "integer": "integer",
    "decimal": "decimal",
    "boolean": "boolean",
    "parts": "json",
    "quantity": "json",
}
_DECLARED: dict[str, Leaf] = {
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt", "integer64"), "integer"), "decimal": "decimal", "boolean": "boolean",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result: where the plan has it, and its type."""

    column: Column
    at: Sql
    type: str  # R4 or System type
    leaf: Leaf
    cast: str = ""  # an ANSI type that a tag asks for


@dataclass(slots=True)
class Layer:
    """One level of the query: columns calculated on the level below, items unnested beside them."""

    columns: list[tuple[str, Sql]] = field(default_factory=list)
    unnest: tuple[str, str, Sql, bool] | None = (
        None  # item, index ('' = not asked for), the list, one null row when empty
    )


@dataclass(slots=True)
class Plan:
    """How a view is calculated."""

    resource: Need
    where: list[Sql] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def plan(view: ViewDefinition) -> Plan:
    """The plan of a view. Raises Incorrect for what is wrong and Unsupported for what has no form in SQL."""
    return _Planner(view).plan


class _Planner:
    def __init__(self, view: ViewDefinition) -> None:
        self.resolver = Resolver()
        need = Need("", view.resource, many=False)
        self.plan = Plan(need, layers=[Layer()], notices=self.resolver.notices)
        resource = Value(Root(), view.resource, need=need)
        scope = Scope(resource, resource, dict(view.constants))
        for path in view.where:
            found = self.resolver.value(path, scope)
            if not found.nothing and found.kind != "boolean":
                raise Incorrect(f"ViewDefinition.where: `{path}` is not a condition; compare it, or ask exists()")
            self.plan.where.append(self.resolver.condition(found, "a condition"))
        outputs: dict[str, Output] = {}
        for select in view.selects:
            self.level(select, scope, outputs)
        self.plan.outputs = [outputs[column.name] for column in view.columns()]

    # -- layers

    def level(self, select: Select, scope: Scope, outputs: dict[str, Output]) -> None:
        """Add what a select yields to the query."""
        if select.iterates:
            scope = self.iteration(select, scope)
        for column in select.columns:
            sql, output = self.column(column, scope)
            name = self.resolver.fresh().name
            self.plan.layers[-1].columns.append((name, sql))
            outputs[column.name] = replace(output, at=Var(name))
        # what does not multiply rows is calculated before what does
        for inner in sorted(select.selects, key=_multiplies):
            self.level(inner, scope, outputs)
        if select.union:
            self.union(select, scope, outputs)

    def iteration(self, select: Select, scope: Scope) -> Scope:
        """Unnest the items of a select; returns the scope of its columns."""
        items = self.items(select, scope)
        if items.sql == op("list_of_present", Root()):
            return scope.row(scope.resource, Const(0))
        item = self.resolver.fresh()
        index = self.resolver.fresh() if _counts(select) else None
        self.plan.layers[-1].unnest = (item.name, index.name if index else "", items.sql, bool(select.for_each_or_null))
        self.plan.layers.append(Layer())
        return scope.row(self.resolver.item(items, item), index or Const(0))

    def union(self, select: Select, scope: Scope, outputs: dict[str, Output]) -> None:
        """Unnest the rows of all branches."""
        rows, columns = self.branches(select, scope)
        item = self.resolver.fresh()
        self.plan.layers[-1].unnest = (item.name, "", rows, False)
        self.plan.layers.append(Layer())
        for place, one in enumerate(columns):
            name = self.resolver.fresh().name
            self.plan.layers[-1].columns.append((name, Field(item, f"f{place}")))
            outputs[one.column.name] = replace(one, at=Var(name))

    # -- lists of rows

    def branches(self, select: Select, scope: Scope) -> tuple[Sql, list[Output]]:
        """The rows of a union as one list of objects with the members f0, f1 ..."""
        found = [self.rows(branch, scope) for branch in select.union]
        columns = found[0][1]
        for _, others in found[1:]:
            for one, other in zip(columns, others, strict=True):
                if one.leaf != other.leaf or one.column.collection != other.column.collection:
                    raise Incorrect(
                        f"ViewDefinition.select.unionAll: the column {one.column.name} is {one.leaf} in one branch "
                        f"and {other.leaf} in another; give it one type"
                    )
        lists = [rows for rows, _ in found]
        return (op("list_concat", *lists) if len(lists) > 1 else lists[0]), columns

    def rows(self, select: Select, scope: Scope) -> tuple[Sql, list[Output]]:
        """The rows of a select as a list of objects."""
        if not select.iterates:
            return self.product(select, scope)
        items = self.items(select, scope)
        if items.sql == op("list_of_present", Root()):
            return self.product(select, scope.row(scope.resource, Const(0)))
        item = self.resolver.fresh()
        index = self.resolver.fresh() if _counts(select) else None
        inner = scope.row(self.resolver.item(items, item), index or Const(0))
        body, columns = self.product(select, inner)
        held = op("or_null_item", items.sql) if select.for_each_or_null else items.sql
        return op("flatten", Each(held, item.name, body, index.name if index else "")), columns

    def product(self, select: Select, scope: Scope) -> tuple[Sql, list[Output]]:
        """Every combination of the columns, the rows of inner selects and those of the union."""
        own = [self.column(column, scope) for column in select.columns]
        values = [self.typed(sql, output) for sql, output in own]
        outputs = [output for _, output in own]
        lists: list[tuple[Var, Sql]] = []
        inner = [self.rows(one, scope) for one in select.selects]
        if select.union:
            inner.append(self.branches(select, scope))
        for rows, columns in inner:
            item = self.resolver.fresh()
            lists.append((item, rows))
            values += [Field(item, f"f{place}") for place in range(len(columns))]
            outputs += columns
        body: Sql = op("list", Pack(tuple((f"f{place}", value) for place, value in enumerate(values))))
        for item, rows in reversed(lists):
            body = op("flatten", Each(rows, item.name, body))
        return body, outputs

    # -- parts

    def items(self, select: Select, scope: Scope) -> Value:
        """What a select iterates over, as a list."""
        if select.repeat:
            return traversal.items(self.resolver, select.repeat, scope)
        path = select.for_each or select.for_each_or_null
        found = self.resolver.merged(self.resolver.value(path, scope))
        if found.choices:
            raise Unsupported(
                f"the path `{path}`: an iteration over values of several types has no form in SQL; add ofType()"
            )
        if found.nothing:
            return replace(EMPTY, sql=op("empty_list"), many=True)
        if found.sql != Root() and Root() in walk(found.sql) and not found.many and found.need is scope.resource.need:
            raise Unsupported(
                f"the path `{path}`: an iteration over the resource itself under a condition has no form in SQL"
            )
        return found if found.many else found.also(op("list_of_present", found.sql), many=True)

    def column(self, column: Column, scope: Scope) -> tuple[Sql, Output]:
        """A column's value with its type."""
        found = self.resolver.value(column.path, scope)
        found = self.resolver.merged(found)
        if found.choices:
            reason = "it has values of several types; say which by ofType()"
            raise Unsupported(f"column {column.name}, path `{column.path}`: {reason}")
        leaf = self.leaf(column, found)
        if found.kind == "parts":
            found = self.resolver.whole(found)
        elif found.kind == "quantity":
            raise Unsupported(f"column {column.name}, path `{column.path}`: a quantity has no form in SQL")
        sql = self.collection(found) if column.collection else self.one(column, found)
        if not column.collection:
            sql = _converted(sql, found, leaf)
        tags = dict(column.tags)
        return sql, Output(column, sql, column.type or _named(found), leaf, tags.get("ansi/type", ""))

    def leaf(self, column: Column, found: Value) -> Leaf:
        """The SQL type of a column: as declared, else as its path has it. Raises Incorrect when they do not go together."""
        held = _LEAVES.get(found.kind, "text")
        if not column.type:
            return held
        if column.type not in _DECLARED and not model.knows(column.type):
            raise Incorrect(f"column {column.name}: there is no type {column.type} in FHIR R4")
        wanted = _DECLARED.get(column.type) or ("text" if model.is_primitive(column.type) else "json")
        if (
            found.nothing
            or wanted == held
            or (wanted, held) in (("decimal", "integer"), ("text", "boolean"), ("text", "integer"))
        ):
            return wanted
        raise Incorrect(
            f"column {column.name}: its type is {column.type}, its path `{column.path}` yields {_named(found)}; "
            "correct one of them"
        )

    def collection(self, found: Value) -> Sql:
        if found.nothing:
            return op("empty_list")
        if not found.many:
            return op("list_of_present", found.sql)
        item = self.resolver.fresh()
        return op("coalesce", Keep(found.sql, item.name, op("is_not_null", item)), op("empty_list"))

    def one(self, column: Column, found: Value) -> Sql:
        if not found.many:
            return found.sql
        items = self.resolver.fresh()
        message = Const(f"column {column.name}: a row has several values; use first(), or collection: true")
        return Let(items.name, found.sql, op("only", items, message))

    def typed(self, sql: Sql, output: Output) -> Sql:
        """A value with its SQL type, so that all branches of a union have the same."""
        return op(f"as_{output.leaf}s" if output.column.collection else f"as_{output.leaf}", sql)


def _converted(sql: Sql, found: Value, leaf: Leaf) -> Sql:
    if found.nothing:
        return op(f"as_{leaf}", NULL)
    if leaf == "decimal" and found.kind == "integer":
        return op("to_decimal", sql)
    if leaf == "text" and found.kind in ("boolean", "integer"):
        return op("to_text", sql)
    return sql


def _named(found: Value) -> str:
    return found.type.removeprefix("System.") or "nothing"


def _multiplies(select: Select) -> bool:
    """Whether a select can yield more or fewer rows than one."""
    return select.iterates or bool(select.union) or any(_multiplies(inner) for inner in select.selects)


def _paths(select: Select) -> Iterator[str]:
    yield from (column.path for column in select.columns)
    for inner in (*select.selects, *select.union):
        yield from (inner.for_each, inner.for_each_or_null, *inner.repeat)
        yield from _paths(inner)


def _counts(select: Select) -> bool:
    """Whether the place of the item is asked for."""
    return any("rowIndex" in path for path in _paths(select))
