"""Running a view in DuckDB, with its failures in words.

Files of NDJSON are read with a schema of what the view needs, which is the fastest way. Where another resource type in the same file
has an element of the same name and another form, that read fails; the query is then run line by line with the type checked first.
"""

from __future__ import annotations

from dataclasses import replace

import duckdb

from healthbrain.errors import Incorrect, Malformed
from healthbrain.lake.sof.compile import Query, Target, compile_view
from healthbrain.lake.sof.definition import ViewDefinition

_OURS = ("column ", "the path `", "repeat: ")


def execute(
    connection: duckdb.DuckDBPyConnection, view: ViewDefinition, target: Target, statement: str = "{}"
) -> Query:
    """Run a view on a connection; its rows are then fetched from there. `statement` is what is done with the query, such as
    `create table t as {}` or `copy ({}) to 'out.csv'`.

    Raises Incorrect when a column finds several values and Malformed for lines that are no JSON; never with their content.
    """
    query = compile_view(view, target)
    try:
        connection.execute(statement.replace("{}", query.sql))
    except duckdb.InvalidInputException as error:
        message = str(error).removeprefix("Invalid Input Error: ")
        if message.startswith(_OURS):
            raise Incorrect(message) from None
        if target.form != "ndjson" or target.mixed:
            raise _malformed(message) from None
        return execute(connection, view, replace(target, mixed=True), statement)
    except (duckdb.ConversionException, duckdb.OutOfRangeException):  # their text may hold values of the data
        raise Incorrect(
            "a value does not fit the type that the view gives it; check the types and tags of its columns"
        ) from None
    return query


def _malformed(message: str) -> Malformed:
    place = message.partition(": ")[0] if " in line " in message else ""
    where = place.rpartition(" in line ")[2].strip(" :,.") if place else ""
    line = f" (line {where})" if where.isdigit() else ""
    return Malformed(f"the input holds a line that cannot be read as JSON{line}; send one resource per line")
