"""Views over views: a theme library's dataset as SQL over views of the base libraries (SQL on FHIR calls it an SQLQuery).

A definition names the base view whose rows it keeps (`over`, called `b` in it), may join others, filter, and say what each column is.
In the statement the view emr.visit is the table emr_visit.
Every row keeps the key, owner and patient of the row of `b` it comes from, so permissions, erasure and the walk down to the
record hold as for the base view. What it reads is found in the parsed statement, never written beside it: `reads` and `origins`
are the lineage. A statement that reads anything else (files, functions that give tables, a view that is not offered) is refused.
HUB-EX-06, HUB-EX-07, HUB-EX-08.
"""

# ruff: noqa: S608  # statements are made here; names are quoted by lake.engine
from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import duckdb

from healthbrain.errors import Incorrect
from healthbrain.lake.engine import name

LEADING = "b"
CARRIED = ("_id", "_version", "_position", "_updated", "_owner", "_patient")
_FILES = ("/", "\\", ".parquet", ".csv", ".json")
Origin = tuple[str, str]  # table or view, column


def table_of(view: str) -> str:
    """What a view (library.name) is called in a statement."""
    return view.replace(".", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result: an expression over `b` and what is joined."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Derived:
    """A dataset made of other datasets."""

    over: str
    columns: tuple[Output, ...]
    join: str = ""
    where: str = ""

    def statement(self, carry: Sequence[str] = ()) -> str:
        """The statement over tables that are called like the views it reads."""
        shown = [
            *(f"{LEADING}.{one}" for one in carry),
            *(f"{one.sql} as {name(one.name)}" for one in self.columns),
        ]
        rest = (f" {self.join}" if self.join else "") + (f" where {self.where}" if self.where else "")
        return f"select {', '.join(shown)} from {table_of(self.over)} {LEADING}{rest}"

    def over_relations(self, relations: Mapping[str, str], carry: Sequence[str] = CARRIED) -> str:
        """The query, given each view that it reads as a relation in brackets that has the columns CARRIED."""
        tables = {table_of(view): relation for view, relation in relations.items()}
        given = ", ".join(f"{table} as {tables[table]}" for table in self.reads())
        return f"with {given} {self.statement(carry)}"

    def reads(self) -> tuple[str, ...]:
        """The tables it reads, in order of their names."""
        return tables_of(self.statement())

    def origins(self, column: str) -> tuple[Origin, ...]:
        """The columns of tables that a column is computed from."""
        node = _parsed(self.statement())
        item = next(one for one in node["select_list"] if one.get("alias") == column or _last(one) == column)
        return tuple(sorted(set(_origins(item, node["from_table"]))))


def checked(one: Derived, offered: Collection[str], where: str) -> Derived:
    """The same, if it can be read and reads nothing but views that are offered. Raises Incorrect with the place."""
    try:
        reads = one.reads()
    except Incorrect as wrong:
        raise Incorrect(f"{where}: {wrong.message}") from None
    known = {table_of(view) for view in offered}
    if strange := [table for table in reads if table not in known]:
        raise Incorrect(f"{where}: it reads {', '.join(strange)}, which is not among the views it may read")
    if table_of(one.over) not in reads:
        raise Incorrect(f"{where}: it does not read {one.over}, whose rows it keeps")
    return one


@lru_cache(maxsize=512)
def tables_of(statement: str) -> tuple[str, ...]:
    """The tables that a statement reads. Raises Incorrect for what is no single question over tables."""
    node = _parsed(statement)
    found: set[str] = set()
    for one in _nodes(node):
        kind = one.get("type")
        if kind == "TABLE_FUNCTION" or (kind == "BASE_TABLE" and (one.get("schema_name") or one.get("catalog_name"))):
            raise Incorrect("it reads something that is no view: a function that gives a table, or a table of a schema")
        if kind == "BASE_TABLE":
            found.add(str(one["table_name"]))
    if any(mark in table for table in found for mark in _FILES):
        raise Incorrect("it reads a file; it may read views only")
    return tuple(sorted(found))


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@lru_cache(maxsize=512)
def _parsed(statement: str) -> Mapping[str, Any]:
    row = _reader().cursor().execute("select json_serialize_sql(?)", [statement]).fetchone()
    read = json.loads(row[0]) if row else {}
    if read.get("error") or len(read.get("statements", ())) != 1:
        raise Incorrect(f"it is no single select statement: {read.get('error_message', 'several statements')}")
    node: Mapping[str, Any] = read["statements"][0]["node"]
    if node.get("type") != "SELECT_NODE":
        raise Incorrect("it is no plain select statement over a base view and what is joined to it")
    return node


def _nodes(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        yield part
        for inner in part.values():
            yield from _nodes(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _nodes(inner)


def _last(item: Mapping[str, Any]) -> str:
    """The name of a column that is taken as it is."""
    return str(item["column_names"][-1]) if item.get("type") == "COLUMN_REF" else ""


def _origins(expression: Mapping[str, Any], tables: Mapping[str, Any]) -> Iterator[Origin]:
    """The columns that an expression names, followed through joined statements to the views."""
    for one in _nodes(expression):
        if one.get("type") == "COLUMN_REF":
            *front, column = one["column_names"]
            yield from _followed(str(front[-1]) if front else "", str(column), tables)


def _followed(alias: str, column: str, tables: Mapping[str, Any]) -> Iterator[Origin]:
    for table in _joined(tables):
        called = table.get("alias") or table.get("table_name", "")
        if alias and alias != called:
            continue
        if table["type"] == "BASE_TABLE":
            yield str(table["table_name"]), column
        elif table["type"] == "SUBQUERY":
            selects = list(_selects(table["subquery"]["node"]))
            place = next(
                (n for n, item in enumerate(selects[0]["select_list"]) if column in (item.get("alias"), _last(item))),
                None,
            )
            for one in selects if place is not None else ():
                yield from _origins(one["select_list"][place], one["from_table"])


def _selects(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The plain selects of a statement: one, or those that a union puts together, the one that names the columns first."""
    if node.get("type") == "SELECT_NODE":
        yield node
    else:
        for side in ("left", "right"):
            if side in node:
                yield from _selects(node[side])
        for child in node.get("children", ()):
            yield from _selects(child)


def _joined(tables: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if tables.get("type") == "JOIN":
        yield from _joined(tables["left"])
        yield from _joined(tables["right"])
    else:
        yield tables
