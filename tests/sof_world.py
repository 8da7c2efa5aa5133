"""Resources in every form that a view can be run on: the lake's columns, a file of NDJSON, a table of JSON text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import orjson

from healthbrain.fhir.definitions import definitions
from healthbrain.lake.columns import fields_of, structure
from healthbrain.lake.engine import literal, name
from healthbrain.lake.sof import Target, ViewDefinition, execute


class World:
    """The resources of `lines` (JSON as it was written) on one DuckDB connection."""

    def __init__(self, folder: Path, lines: list[str]) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("set TimeZone = 'UTC'")
        self.file = folder / "resources.ndjson"
        self.types: set[str] = set()
        self.fill(lines)

    def fill(self, lines: list[str]) -> None:
        """Replace the resources."""
        self.file.write_text("".join(line + "\n" for line in lines))
        self.connection.execute("create or replace table texts (line varchar)")
        if lines:
            self.connection.executemany("insert into texts values (?)", [[line] for line in lines])
        for type_ in {orjson.loads(line)["resourceType"] for line in lines} - self.types:
            self.lay(type_)

    def lay(self, type_: str) -> None:
        """A view with the columns that the lake has for a type."""
        if type_ in self.types or not definitions().is_resource(type_):
            return
        self.types.add(type_)
        shape = literal(orjson.dumps(structure(fields_of(type_))).decode())
        of_type = f"select line as _body from texts where line ->> '$.resourceType' = {literal(type_)}"
        self.connection.execute(
            f"create view {name(type_)} as select _body, unnest(from_json(_body, {shape})) from ({of_type})"
        )

    def target(self, form: str) -> Target:
        """What a view reads for a form of these resources."""
        return {
            "lake": Target("lake"),
            "ndjson": Target("ndjson", files=(self.file,)),
            "text": Target("text", relation="texts", column="line"),
        }[form]

    def rows(self, view: ViewDefinition, form: str) -> list[dict[str, Any]]:
        """The rows of a view."""
        self.lay(view.resource)
        query = execute(self.connection, view, self.target(form))
        names = [column.name for column in query.columns]
        return [dict(zip(names, row, strict=True)) for row in self.connection.fetchall()]

    def close(self) -> None:
        self.connection.close()
