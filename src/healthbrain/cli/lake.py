"""Verbs of the lake: status, compact, rebuild, verify, files. Others join the group from their own modules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.console import Console

from healthbrain import identity, lake
from healthbrain.cli.opened import with_platform
from healthbrain.cli.output import CLASH, json_option, show
from healthbrain.cli.views import view_group
from healthbrain.errors import NotFound
from healthbrain.lake import Lake, warehouse
from healthbrain.runtime import Platform
from healthbrain.runtime.lakes import Standing, retention, standing
from healthbrain.runtime.warehouse import Made
from healthbrain.runtime.warehouse import made as made_of
from healthbrain.runtime.warehouse import rebuild_themes as warehouse_job
from healthbrain.settings import load

_console = Console(stderr=True, highlight=False)


@click.group("lake")
def lake_group() -> None:
    """The lake: the store as Parquet files for analysis. Everything in it can be made anew from the store."""


lake_group.add_command(view_group)


@lake_group.command("status")
@json_option
def status(as_json: bool) -> None:
    """What the lake holds, how far it is behind the store, and what waits to be taken off the disk."""
    found: Standing = asyncio.run(with_platform(standing))
    lines = [
        f"as of      {_moment(found.as_of)}",
        f"behind     {found.waiting:,} changes, {found.seconds:,.0f} s",
        f"rows       {found.rows:,} in {found.files:,} files, {found.bytes / 1024**2:,.1f} MB",
        f"superseded {found.waste:.1%} of the rows",
        f"erasures   {found.erasures} wait for compaction",
        *(f"  {type_:<28}{rows:>14,}" for type_, rows in found.types.items()),
    ]
    show({**asdict(found), "late": found.late}, as_json=as_json, text="\n".join(lines))


@lake_group.command("compact")
@json_option
def compact(as_json: bool) -> None:
    """Merge parts and take superseded, deleted and erased rows off the disk. Readers go on meanwhile."""
    settings = load()
    told = _teller(as_json)

    def progress(type_: str, done: int, of: int) -> None:
        told({"type": type_, "done": done, "of": of}, f"{done}/{of} {type_}")

    async def work(platform: Platform) -> dict[str, Any]:
        before = Lake(settings.lake).state()
        after = await asyncio.to_thread(
            lake.compact, settings.lake, platform.clock(), keep=retention(settings), progress=progress
        )
        return {"rows_before": before.rows(), "rows": after.rows(), "files": len(after.files())}

    done = asyncio.run(with_platform(work))
    show(
        done,
        as_json=as_json,
        text=f"{done['rows_before']:,} rows before, {done['rows']:,} now in {done['files']} files",
    )


@lake_group.command("rebuild")
@json_option
def rebuild(as_json: bool) -> None:
    """Make the lake anew from the store. Readers see the old one until the new one is complete."""
    settings = load()
    told = _teller(as_json)

    def progress(changes: int, rows: int) -> None:
        told({"changes": changes, "rows": rows}, f"{changes:,} changes read, {rows:,} rows written")

    async def work(platform: Platform) -> dict[str, Any]:
        done = await lake.rebuild(
            platform.pool, settings.lake, platform.clock(),
            persons=identity.links, keep=retention(settings), progress=progress,
        )  # fmt: skip
        return asdict(done)

    done = asyncio.run(with_platform(work))
    show(done, as_json=as_json, text=f"{done['rows']:,} rows in {done['seconds']:.1f} s")


@lake_group.command("verify")
@json_option
@click.pass_context
def verify(context: click.Context, as_json: bool) -> None:
    """Check every file of the lake, and its current rows against the store. Exit code 4 when something differs."""
    settings = load()

    async def work(platform: Platform) -> lake.Verdict:
        return await lake.verify(platform.pool, settings.lake, platform.clock())

    found = asyncio.run(with_platform(work))
    lines = [
        f"{found.files:,} files with {found.rows:,} rows are whole" if not found.findings else "the lake is not right:"
    ]
    lines += [f"  {one.where}: {one.text}" for one in found.findings]
    if not found.findings:
        lines.append(
            f"the current rows of {found.types} types are those of the store"
            if found.compared
            else "the store moved on while it was compared; try again when less arrives, or stop the doors"
        )
    show(asdict(found), as_json=as_json, text="\n".join(lines))
    if found.findings:
        context.exit(CLASH)


@lake_group.command("themes")
@json_option
def themes(as_json: bool) -> None:
    """The views of the theme libraries and the base views they are made of: rows, as of when, last run, how long, failures."""
    wanted = [*warehouse.bases(), *warehouse.themes()]
    made = made_of(Lake(load().lake), wanted)
    rows = [{"id": one.id, "made_of": [base.id for base in one.bases], **_standing(made.get(one.id))} for one in wanted]
    lines = [
        f"{row['id']:<34}{row['rows']:>12,} rows  as of {row['as_of'] or 'never':<26}{row['seconds']:>8.2f} s  {row['problem']}".rstrip()
        for row in rows
    ]
    show({"views": rows}, as_json=as_json, text="\n".join(lines))


def _standing(made: Made | None) -> dict[str, Any]:
    if made is None:
        return {"rows": 0, "as_of": "", "made": "", "seconds": 0.0, "problem": "not made yet", "fresh": False}
    moments = {"as_of": made.as_of, "made": made.made}
    told = {key: at.isoformat(timespec="seconds") if at else "" for key, at in moments.items()}
    return {"rows": made.rows, **told, "seconds": made.seconds, "problem": made.problem, "fresh": made.fresh}


@lake_group.command("rebuild-themes")
@click.option("--whole", is_flag=True, help="Compute every row of base views and themes anew, not only what changed.")
@json_option
@click.pass_context
def rebuild_themes(context: click.Context, whole: bool, as_json: bool) -> None:
    """Make the theme libraries anew from the base libraries now; the platform does it by itself. Exit code 4 when a view failed."""

    async def work(platform: Platform) -> warehouse.Rebuilt:
        if not Lake(platform.settings.lake).state().position:
            raise NotFound("the lake is empty; start the platform so that it fills")
        done = await warehouse_job(platform, at_once=True, whole=whole)
        return done or warehouse.Rebuilt(0, 0, 0, 0.0)

    done = asyncio.run(with_platform(work))
    text = f"{done.bases} base views had changed, {done.themes} theme views made anew in {done.seconds:.1f} s"
    show(
        asdict(done), as_json=as_json, text=text + (f"; {done.failed} failed: `hb lake themes`" if done.failed else "")
    )
    if done.failed:
        context.exit(CLASH)


@lake_group.command("files")
@click.argument("types", nargs=-1)
@json_option
def files(types: tuple[str, ...], as_json: bool) -> None:
    """The files of one consistent state and the query for current rows: for Spark or any other engine."""
    known = Lake(load().lake).tables()
    chosen = {type_: one for type_, one in known.items() if not types or type_ in types}
    result = {type_: {**asdict(one), "query": one.select("parts", "dead")} for type_, one in chosen.items()}
    lines = [line for one in chosen.values() for line in (f"{one.type}:", *(f"  {path}" for path in one.parts))]
    show(result, as_json=as_json, text="\n".join(lines) or "the lake is empty")


def _teller(as_json: bool) -> Callable[[dict[str, Any], str], None]:
    """How progress is told: a line of JSON each on stderr, or a line of text."""

    def tell(values: dict[str, Any], text: str) -> None:
        if as_json:
            click.echo(json.dumps(values), err=True)
        else:
            _console.print(text)

    return tell


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "empty"
