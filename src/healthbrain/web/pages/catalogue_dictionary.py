"""The data dictionary of the catalogue as a file: every column of every view, as JSON, CSV or a workbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from healthbrain.errors import Incorrect
from healthbrain.lake import library
from healthbrain.lake.library import DIMENSIONS, View
from healthbrain.runtime import catalogue
from healthbrain.runtime.catalogue import Counted
from healthbrain.web import guard
from healthbrain.web.export import csv_response, excel_response
from healthbrain.web.language import N_, Language


def dictionary(said: Language, form: str, name: str, views: Sequence[View], counted: Mapping[str, Counted]) -> Response:
    """The data dictionary of some views."""
    if form == "json":
        return as_file({"views": [_as_json(view, counted.get(view.id)) for view in views]}, f"{name}.json")
    head = [said.say(text) for text in (
        N_("Library"), N_("View"), N_("Title"), N_("Resource type"), N_("Column"), N_("Meaning"), N_("Type"), N_("Path"), N_("Rows"),
    )]  # fmt: skip
    titles = {one.id: said.pick(one.title) for one in library.libraries()}
    rows = [
        [
            titles[view.library], view.id, said.pick(view.title), view.resource, column.name,
            said.pick(column.title), column.type, path_of(column),
            counted[view.id].rows if view.id in counted else None,
        ]
        for view in views
        for column in view.columns
    ]  # fmt: skip
    if form == "csv":
        return csv_response(f"{name}.csv", head, rows)
    if form == "xlsx":
        return excel_response(f"{name}.xlsx", said.say(N_("Data dictionary")), head, rows)
    raise Incorrect("the data dictionary comes as json, csv or xlsx")


def _as_json(view: View, mine: Counted | None) -> dict[str, Any]:
    own = next(one for one in library.libraries() if one.id == view.library)
    return {
        "id": view.id, "library": {"id": own.id, "kind": own.kind, "title": own.title, "owner": own.owner, "row": own.row},
        "title": view.title, "description": view.description,
        "rows": mine.rows if mine else None, "newest": mine.newest if mine else None, "asOf": mine.as_of if mine else None,
        "sources": len(mine.owners) if mine else None,
        "quality": {kind: mine.score(view, kind).share for kind in DIMENSIONS} if mine else None,
        "rules": [{"kind": r.kind, "column": r.column, "title": r.title} for r in view.rules],
        "measures": [one.id for one in catalogue.measures_of(view)],
        "madeOf": [one.id for one in view.bases],
        "lineage": {column.name: [f"{base}.{name}" for base, name in column.origins] for column in view.columns if column.origins},
        "definition": view.definition,
    }  # fmt: skip


def as_file(content: Mapping[str, Any], name: str) -> Response:
    """JSON to be kept."""
    response = Response(orjson.dumps(content, option=orjson.OPT_INDENT_2), media_type="application/json")
    response.headers["content-disposition"] = f'attachment; filename="{name}"'
    return guard.protect(response)


def path_of(column: library.Column) -> str:
    """Where a column's value comes from, in words of FHIRPath or SQL."""
    return f"{column.inside} → {column.path}" if column.inside else column.path
