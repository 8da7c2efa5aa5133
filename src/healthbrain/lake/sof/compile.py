"""From a ViewDefinition to a query: `compile_view(view, target)`.

A target says which engine runs the query and what it reads: the lake's typed columns, files of NDJSON, or a column of
JSON text. The plan is the same for all; what differs is where members of the resource come from. Typed columns are read as
they are, and what they do not hold comes from the row's JSON, parsed once and only as far as the view needs it.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by the dialects
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from healthbrain.errors import Incorrect
from healthbrain.lake.columns import fields_of
from healthbrain.lake.engine import file_list
from healthbrain.lake.sof.definition import ViewDefinition
from healthbrain.lake.sof.dialects import Dialect, DuckDB
from healthbrain.lake.sof.ir import Const, Each, Field, Get, Keep, Let, Op, Pack, Parsed, Root, Sql, Var, walk
from healthbrain.lake.sof.needs import Need, exact_keys, members, prune, settle, shape
from healthbrain.lake.sof.rows import Layer, Output, Plan, plan
from healthbrain.lake.sof.spark import Spark

Form = Literal["lake", "ndjson", "text"]
_BODY = "body_"  # the row's JSON as an object
_SHORT = 80  # an expression of so many characters may be written several times


@dataclass(frozen=True, slots=True)
class Target:
    """What a query reads: `form` lake (a relation with typed columns and `_body`), ndjson (files), or text (a relation
    whose column `column` holds one resource per row as JSON). `carry` are columns of the relation that come along.
    """

    form: Form = "lake"
    relation: str = ""  # a table or a query in brackets; the lake's view of the type when empty
    files: tuple[Path, ...] = ()
    column: str = "_body"
    carry: tuple[str, ...] = ()
    mixed: bool = False  # the files hold several resource types whose elements may differ in form
    engine: Literal["duckdb", "spark"] = "duckdb"


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """A column of the result: its FHIR type ('' when unknown), its SQL type, whether it is a list."""

    name: str
    type: str
    sql_type: str
    collection: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A view as SQL. `notices` are remarks for the view's author."""

    sql: str
    columns: tuple[QueryColumn, ...]
    notices: tuple[str, ...] = ()


def compile_view(view: ViewDefinition, target: Target) -> Query:
    """The query of a view. Raises Incorrect for what is wrong, Unsupported for what has no form in SQL."""
    planned = plan(view)
    _prune(planned)
    return _Writer(_dialect(target.engine), planned, target).query()


def _prune(planned: Plan) -> None:
    """Forget what no expression of the plan reads."""
    lists = [layer.unnest[2] for layer in planned.layers if layer.unnest is not None]
    columns = [sql for layer in planned.layers for _, sql in layer.columns]
    parts = [one for sql in (*planned.where, *lists, *columns) for one in walk(sql)]
    used = {id(one.need) for one in parts if isinstance(one, Get)}
    for root in (planned.resource, *(one.need for one in parts if isinstance(one, Parsed))):
        prune(root, used)


def _dialect(engine: str) -> Dialect:
    return Spark() if engine == "spark" else DuckDB()


@dataclass(slots=True)
class _Writer:
    """Writes a plan in a dialect."""

    dialect: Dialect
    plan: Plan
    target: Target
    names: dict[str, str] = field(default_factory=dict)

    def query(self) -> Query:
        need = self.plan.resource
        form = self.target.form
        if form == "ndjson" and (self.target.mixed or exact_keys(need)):
            form = "text"
        settle(need, fields_of(need.type) if form == "lake" else ())
        relation = f"({self.source(form)})"
        if self.plan.where:
            tests = " and ".join(f"coalesce({self.sql(test)}, false)" for test in self.plan.where)
            relation = f"(select * from {relation} where {tests})"
        for layer in self.plan.layers:
            relation = self.layer(layer, relation)
        columns = [self.dialect.name(one) for one in self.target.carry]
        columns += [f"{self.output(one)} as {self.dialect.name(one.column.name)}" for one in self.plan.outputs]
        return Query(
            f"select {', '.join(columns)} from {relation}",
            tuple(self.column(one) for one in self.plan.outputs),
            tuple(dict.fromkeys(self.plan.notices)),
        )

    # -- relations

    def source(self, form: Form) -> str:
        """The relation whose columns are the parts of the resource."""
        need, target = self.plan.resource, self.target
        inside = {one.name: shape(one) for one in need.children.values() if one.in_body}
        if form == "lake":
            relation = target.relation or self.dialect.name(need.type)
            if not inside:
                return f"select * from {relation}"
            return f"select *, {self.parsed(need, self.dialect.name('_body'), inside)} as {_BODY} from {relation}"
        of_type = self.dialect.constant(need.type)
        inside["resourceType"] = "text"
        if target.form == "ndjson" and form == "ndjson":
            for one in need.children.values():
                one.in_body = False
            return f"select * from {self.files(inside)} where {self.dialect.name('resourceType')} = {of_type}"
        relation, column = target.relation, self.dialect.name(target.column)
        if target.form == "ndjson":
            relation, column = self.lines(), "json"
        parsed = f"select *, {self.parsed(need, column, inside)} as {_BODY} from {relation}"
        return f"select * from ({parsed}) where {_BODY}.{self.dialect.name('resourceType')} = {of_type}"

    def parsed(self, need: Need, text: str, inside: Mapping[str, object]) -> str:
        if keys := exact_keys(need):
            text = self.dialect.quoted_numbers(text, sorted(keys))
        return self.dialect.parsed(text, inside)

    def files(self, inside: Mapping[str, object]) -> str:
        types = ", ".join(f"{self.dialect.name(key)}: '{self.dialect.type_of(one)}'" for key, one in inside.items())
        return f"read_json({file_list(list(self.target.files))}, format='newline_delimited', columns={{{types}}})"

    def lines(self) -> str:
        return f"read_ndjson_objects({file_list(list(self.target.files))})"

    def layer(self, layer: Layer, relation: str) -> str:
        if layer.columns:
            values = ", ".join(f"{self.sql(value)} as {name}" for name, value in layer.columns)
            relation = f"(select *, {values} from {relation})"
        if layer.unnest is not None:
            item, index, items, keep = layer.unnest
            relation = f"({self.dialect.unnested(relation, self.sql(items), item, index, keep=keep)})"
        return relation

    def output(self, output: Output) -> str:
        found = self.sql(output.at)
        if output.cast:
            return f"cast({found} as {_ansi(output.cast)})"
        return found

    def column(self, output: Output) -> QueryColumn:
        held = _ansi(output.cast) if output.cast else self.dialect.type_of(output.leaf)
        return QueryColumn(output.column.name, output.type, held, output.column.collection)

    # -- expressions

    def sql(self, node: Sql) -> str:
        """An expression in the dialect."""
        match node:
            case Const(value):
                return self.dialect.constant(value)
            case Var(name):
                return self.names.get(name, name)
            case Get():
                return self.get(node)
            case Op(name, args):
                if name == "digits_of" and isinstance(args[0], Get):
                    return self.raw(args[0])
                return self.dialect.operation(name, [self.sql(one) for one in args])
            case Parsed(of, need, many):
                return self.parse(self.sql(of), need, many)
            case Each(items, var, body, index):
                return self.dialect.each(self.sql(items), var, index, self.sql(body))
            case Keep(items, var, test, index):
                return self.dialect.keep(self.sql(items), var, index, self.sql(test))
            case Let(var, value, body):
                return self.let(var, self.sql(value), body)
            case Pack(fields):
                return self.dialect.pack([(name, self.sql(value)) for name, value in fields])
            case Field(of, name):
                return f"{self.sql(of)}.{self.dialect.name(name)}"
            case Root():
                return "true"  # it is there

    def let(self, var: str, value: str, body: Sql) -> str:
        if len(value) <= _SHORT:
            self.names[var] = value
            return self.sql(body)
        return self.dialect.let(var, value, self.sql(body))

    def raw(self, node: Get) -> str:
        name = self.dialect.name(node.need.name)
        if not isinstance(node.of, Root):
            return f"{self.sql(node.of)}.{name}"
        return f"{_BODY}.{name}" if node.need.in_body else name

    def get(self, node: Get) -> str:
        match node.of:  # the resource is no value, so what decides about it decides about its members
            case Op("when", (test, of)):
                return self.sql(Op("when", (test, replace(node, of=of))))
            case Op("choose", (test, of, other)):
                return self.sql(Op("choose", (test, replace(node, of=of), replace(node, of=other))))
            case Const():
                return "null"
        need, found = node.need, self.raw(node)
        if node.whole:
            return found
        if need.text and need.children:
            return self.parse(found, need, need.many)
        return f"cast({found} as double)" if need.digits else found

    def parse(self, text: str, need: Need, many: bool) -> str:
        if not many:
            return self.dialect.parsed(text, members(need))
        var = f"j{len(self.names)}"
        self.names[var] = var
        return self.dialect.each(text, var, "", self.dialect.parsed(var, members(need)))


def _ansi(type_: str) -> str:
    """An ANSI type as the engines know it. Raises Incorrect for others."""
    known = " ".join(type_.upper().split())
    head = known.partition("(")[0].strip()
    plain = {"CHARACTER VARYING": "VARCHAR", "CHARACTER": "VARCHAR", "CHAR": "VARCHAR", "VARCHAR": "VARCHAR", "TEXT": "VARCHAR",
             "BOOLEAN": "BOOLEAN", "SMALLINT": "SMALLINT", "INTEGER": "INTEGER", "INT": "INTEGER", "BIGINT": "BIGINT",
             "REAL": "REAL", "FLOAT": "DOUBLE", "DOUBLE PRECISION": "DOUBLE", "DOUBLE": "DOUBLE", "DATE": "DATE",
             "TIMESTAMP": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}  # fmt: skip
    if head in plain:
        return plain[head]
    if head in ("DECIMAL", "NUMERIC") and (known == head or all(c in "0123456789, ()" for c in known[len(head) :])):
        return known
    raise Incorrect(f"tag ansi/type: {type_} is not known; use CHARACTER VARYING, INTEGER, DECIMAL(p,s), DATE ...")
