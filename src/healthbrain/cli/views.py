"""Verbs of views (SQL on FHIR): list, show, check, run. They are the group `hb lake view`."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from healthbrain.cli.engines import cluster_of, engine_option
from healthbrain.cli.opened import with_platform
from healthbrain.cli.output import json_option, show
from healthbrain.errors import Incorrect, Malformed, NotFound
from healthbrain.fhir import parse
from healthbrain.lake import Lake, library, materialised, stored
from healthbrain.lake.asking import Question, answer
from healthbrain.lake.clustered import run_library_view
from healthbrain.lake.sof import Query, Target, ViewDefinition, compile_view, read_view
from healthbrain.lake.sof.clustered import run_on_cluster
from healthbrain.lake.sof.files import FORMATS, Layout
from healthbrain.lake.sof.running import Outcome, run_on, run_on_files
from healthbrain.lake.spark import Cluster
from healthbrain.runtime import Platform
from healthbrain.scope import EVERYTHING
from healthbrain.settings import load

_console = Console(stderr=True, highlight=False)


@click.group("view")
def view_group() -> None:
    """Flat tables over resources: the views of SQL on FHIR."""


@view_group.command("list")
@click.argument("words", nargs=-1)
@json_option
def list_views(words: tuple[str, ...], as_json: bool) -> None:
    """The views of the libraries; WORDS leave those that hold each of them."""
    rows = [
        {"id": one.id, "resource": one.resource, "columns": len(one.columns), "title": one.title["zh"], "title_en": one.title["en"]}
        for one in library.views()
    ]  # fmt: skip
    rows = [row for row in rows if all(word.lower() in json.dumps(row, ensure_ascii=False).lower() for word in words)]
    lines = [f"{row['id']:<42}{row['resource']:<24}{row['title']} ({row['title_en']})" for row in rows]
    show({"views": rows}, as_json=as_json, text="\n".join(lines) or "no view has these words")


@view_group.command("show")
@click.argument("view")
def show_view(view: str) -> None:
    """The ViewDefinition of VIEW, complete, for this and other tools."""
    click.echo(json.dumps(definition_of(view), ensure_ascii=False, indent=2))


@view_group.command("check")
@click.argument("view")
@click.option("--sql", is_flag=True, help="Print the query too, as it runs over the lake.")
@json_option
def check(view: str, sql: bool, as_json: bool) -> None:
    """Whether VIEW can be run, with its columns; every fault with its place, exit code 2."""
    over, query = _checked(view)
    columns = [
        {"name": one.name, "type": one.type, "sql": one.sql_type, "list": one.collection} for one in query.columns
    ]
    lines = [f"{view}: {len(columns)} columns over {over}"]
    lines += [f"  {one['name']:<32}{one['type'] or '-':<18}{one['sql']}" for one in columns]
    lines += [f"note: {notice}" for notice in query.notices]
    result: dict[str, Any] = {"resource": over, "columns": columns, "notices": query.notices}
    if sql:
        lines.append(query.sql)
        result["sql"] = query.sql
    show(result, as_json=as_json, text="\n".join(lines))


@view_group.command("run")
@click.argument("view")
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Of the result; by the name of --out, or csv.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; without it, standard output.")
@click.option("--limit", type=click.IntRange(min=1), help="No more rows than these.")
@click.option("--no-header", is_flag=True, help="CSV without the line of names.")
@click.option("--bom", is_flag=True, help="CSV with a byte order mark: Excel then shows Chinese as it is.")
@engine_option
@json_option
def run(
    view: str,
    inputs: tuple[Path, ...],
    format_: str | None,
    out: Path | None,
    limit: int | None,
    no_header: bool,
    bom: bool,
    engine: str | None,
    as_json: bool,
) -> None:
    """Run VIEW (a file, or the id of a view in the libraries) over INPUTS.

    INPUTS are files of resources (.ndjson, .ndjson.gz, .json with a resource or a Bundle; lines of NDJSON may be Bundles) or
    folders of them. Without INPUTS the platform's lake is read.
    """
    layout = Layout(_format(format_, out), not no_header, bom, limit)  # type: ignore[arg-type]  # one of the choices
    if out is None and as_json:
        raise Incorrect("--json tells about the run on standard output: name the file for the rows with --out")
    if out is not None and not out.absolute().parent.is_dir():
        raise NotFound(f"{out.absolute().parent}: there is no such folder for the result")
    if out is None and layout.format == "parquet" and sys.stdout.isatty():
        raise Incorrect("Parquet is no text for a terminal: name a file with --out")
    parsed = _made_of_others(view) or compiled(view)[0]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hb-view-") as folder:
        target = out or Path(folder) / f"rows.{layout.format}"
        with _console.status("reading …"):
            done = _run(parsed, inputs, target, layout, engine)
        if out is None:
            with target.open("rb") as rows:
                shutil.copyfileobj(rows, sys.stdout.buffer)
            sys.stdout.flush()
    seconds = time.perf_counter() - started
    for notice in done.notices:
        _console.print(f"note: {notice}")
    if as_json:
        columns = [one.name for one in done.columns]
        show(
            {"rows": done.rows, "columns": columns, "seconds": round(seconds, 3), "file": str(out)},
            as_json=True,
            text="",
        )
    else:
        _console.print(
            f"{done.rows:,} rows of {len(done.columns)} columns in {seconds:.1f} s" + (f" → {out}" if out else "")
        )


@view_group.command("lineage")
@click.argument("view")
@json_option
def lineage(view: str, as_json: bool) -> None:
    """What each column of VIEW comes from: columns of base views, and elements of resources."""
    found = next((one for one in library.views() if one.id == view), None)
    if found is None:
        raise NotFound(f"{view}: no view of the libraries; `hb lake view list` shows those")
    rows = [
        {"column": one.name, "view": base, "origin": name, "resource": known.resource, "path": path}
        for one in found.columns
        for base, name, known, path in _origins(found, one)
    ]
    lines = [f"{view} is made of {', '.join(one.id for one in found.bases) or found.resource}"]
    lines += [f"  {row['column']:<20}{row['view']}.{row['origin']:<24}{row['resource']}: {row['path']}" for row in rows]
    result = {"view": view, "bases": [one.id for one in found.bases], "columns": rows}
    show(result, as_json=as_json, text="\n".join(lines))


def _origins(view: library.View, column: library.Column) -> list[tuple[str, str, library.View, str]]:
    """(view, column, that view, path) of what a column comes from."""
    if view.derived is None:
        return [(view.id, column.name, view, column.path)]
    known = {one.id: one for one in view.bases}
    return [
        (base, name, known[base], next(one.path for one in known[base].columns if one.name == name))
        for base, name in column.origins
    ]


@view_group.command("materialise")
@click.argument("view")
@json_option
def materialise(view: str, as_json: bool) -> None:
    """Keep the rows of VIEW (of the libraries, or a stored ViewDefinition by id or url) beside the lake, always fresh."""

    async def work(platform: Platform) -> materialised.State:
        async with platform.pool.connection() as connection:
            id_, definition = await stored.resolve(connection, _reference(view))
        if isinstance(stored.runnable(id_, definition), library.View):
            raise Incorrect("a view of a theme library is kept already; `hb lake rebuild-themes` makes it anew")
        return await asyncio.to_thread(
            materialised.materialise, platform.settings.lake, id_, definition, platform.clock()
        )

    _tell(asyncio.run(with_platform(work)), as_json)


@view_group.command("refresh")
@click.argument("view")
@click.option("--whole", is_flag=True, help="Compute every row anew.")
@json_option
def refresh(view: str, whole: bool, as_json: bool) -> None:
    """Bring the materialised VIEW up to the lake now; the platform does it by itself."""

    async def work(platform: Platform) -> dict[str, Any]:
        async with platform.pool.connection() as connection:
            id_, definition = await stored.resolve(connection, _reference(view))
        done = await asyncio.to_thread(
            materialised.refresh, platform.settings.lake, id_, platform.clock(), definition=definition, whole=whole
        )
        return asdict(done)

    done = asyncio.run(with_platform(work))
    show(done, as_json=as_json, text=f"{done['computed']:,} resources computed, {done['dropped']:,} versions dropped")


@view_group.command("drop")
@click.argument("view")
@json_option
def drop(view: str, as_json: bool) -> None:
    """Keep the rows of VIEW no longer. The view itself stays."""
    materialised.drop(load().lake, _reference(view).replace("_", "-"))
    show({"dropped": view}, as_json=as_json, text=f"{view} is computed when it is asked for")


@view_group.command("kept")
@json_option
def kept(as_json: bool) -> None:
    """The materialised views: rows, size, as of when."""
    folder = load().lake
    lake = Lake(folder).state()
    found = [
        _standing(folder, state, lake.at if materialised.is_fresh(state, lake) else state.as_of)
        for state in materialised.listed(folder)
    ]
    lines = [
        f"{one['id']:<42}{one['rows']:>14,} rows  as of {one['as_of']}  {one['problem']}".rstrip() for one in found
    ]
    show({"views": found}, as_json=as_json, text="\n".join(lines) or "no view is materialised")


def _standing(folder: Path, state: materialised.State, as_of: datetime | None) -> dict[str, Any]:
    size = sum((folder / file).stat().st_size for file in state.files())
    moment = as_of.isoformat(timespec="seconds") if as_of else ""
    return {"id": state.id, "rows": state.rows, "bytes": size, "as_of": moment, "problem": state.problem}


def _tell(state: materialised.State, as_json: bool) -> None:
    show(
        {"id": state.id, "rows": state.rows},
        as_json=as_json,
        text=f"{state.id}: {state.rows:,} rows are kept, and stay fresh",
    )


def _reference(view: str) -> str:
    """How the store knows a view: those of the libraries have another id as resources."""
    known = next((one for one in library.views() if view in (one.id, one.definition["url"])), None)
    return stored.library_id(known) if known else view


def _run(
    view: ViewDefinition | library.View, inputs: Sequence[Path], out: Path, layout: Layout, engine: str | None
) -> Outcome:
    if engine == "spark" and inputs:
        raise Incorrect("files are read by DuckDB alone; --engine spark is for the platform's lake")
    if inputs:
        if isinstance(view, library.View):
            raise Incorrect("this view is made of other views of the libraries; run those over files")
        return run_on_files(view, inputs, out, layout)
    settings, lake = load(), _filled()
    if master := cluster_of(settings, engine):
        with Cluster(master, lake.folder / "scratch") as cluster:
            if isinstance(view, library.View):
                return run_library_view(cluster, lake, view, out, layout)
            return run_on_cluster(cluster, lake, view, out, layout)
    if isinstance(view, library.View):
        return answer(lake, Question(view, EVERYTHING, others=dict.fromkeys(view.types, EVERYTHING)), out, layout)
    connection = lake.connect(types=(view.resource,))
    try:
        return run_on(connection, view, Target(), out, layout)
    finally:
        connection.close()


def _filled() -> Lake:
    """The platform's lake. Raises NotFound while it is empty."""
    lake = Lake(load().lake)
    if not lake.state().position:
        raise NotFound(
            f"{lake.folder}: the lake is empty; name files of resources, or start the platform so that it fills"
        )
    return lake


def _made_of_others(view: str) -> library.View | None:
    """The view over views of this id."""
    found = [one for one in library.views() if view in (one.id, one.definition["url"]) and one.derived is not None]
    return None if Path(view).is_file() else next(iter(found), None)


def _checked(view: str) -> tuple[str, Query]:
    """What a view is over, and its query. Raises Incorrect with every fault."""
    if (made := _made_of_others(view)) is not None:
        columns = library.query_columns(made).columns
        return ", ".join(one.id for one in made.bases), Query(made.sql(()), columns)
    parsed, query = compiled(view)
    return parsed.resource, query


def compiled(view: str) -> tuple[ViewDefinition, Query]:
    """A view by file or id, and its query over the lake. Raises Incorrect with every fault."""
    parsed = read_view(definition_of(view))
    return parsed, compile_view(parsed, Target())


def definition_of(view: str) -> dict[str, Any]:
    """The ViewDefinition in a file, or of the libraries by id, or by its name alone when only one has it."""
    path = Path(view)
    if path.is_file():
        try:
            return parse(path.read_bytes())
        except Malformed as error:
            raise Malformed(f"{path}: {error.message}") from None
    found = [one for one in library.views() if view in (one.id, one.name, one.definition["url"])]
    exact = [one for one in found if one.id == view] or found
    if len(exact) == 1:
        return dict(exact[0].definition)
    if exact:
        raise Incorrect(f"several libraries have a view {view}: {', '.join(one.id for one in exact)}")
    if path.suffix == ".json" or "/" in view:
        raise NotFound(f"{view}: there is no such file")
    raise NotFound(f"{view}: no file and no view of the libraries; `hb lake view list` shows those")


def _format(chosen: str | None, out: Path | None) -> str:
    if chosen:
        return chosen
    known = out.suffix.lstrip(".").lower() if out else ""
    return known if known in FORMATS else "csv"
