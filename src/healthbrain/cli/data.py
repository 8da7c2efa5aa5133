"""Verb for data: import."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from healthbrain import exchange
from healthbrain.cli.output import PARTLY, WRONG, json_option, show
from healthbrain.cli.people import root_organisation
from healthbrain.database import apply_migrations
from healthbrain.exchange import Imported
from healthbrain.runtime import Platform, database_for
from healthbrain.settings import load


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--source", default="import", show_default=True, help="Name of the source in the delivery ledger.")
@click.option("--organisation", "code", help="Code of the organisation the data belong to [default: the root].")
@json_option
@click.pass_context
def import_(context: click.Context, paths: Sequence[Path], source: str, code: str | None, as_json: bool) -> None:
    """Import FHIR bundles, NDJSON, HL7 v2 files, .gz of each, and folders of them.

    Every file goes through the delivery ledger: it is kept raw, each refused line or message is listed with its
    reason on the arrivals page, and importing a file again changes nothing. Exit code 5 when some were refused, 2 when
    nothing could be taken in.
    """
    settings = load()
    settings.data.mkdir(parents=True, exist_ok=True)
    exchange.foresee_help(paths)
    with database_for(settings) as dsn:
        apply_migrations(dsn, post=False)
        done = asyncio.run(_import(Platform(settings, dsn=dsn), paths, source, code, quiet=as_json))
    show({"files": [_as_dict(one) for one in done]}, as_json=as_json, text="\n".join(_line(one) for one in done))
    if not any(one.written or one.state in {"accepted", "duplicate"} for one in done):
        context.exit(WRONG)
    if any(one.refused or one.state in {"refused", "failed"} for one in done):
        context.exit(PARTLY)


async def _import(
    platform: Platform, paths: Sequence[Path], name: str, code: str | None, *, quiet: bool
) -> list[Imported]:
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[entries]:,} read · {task.fields[refused]:,} refused"),
        TimeElapsedColumn(), console=Console(stderr=True), disable=quiet,
    )  # fmt: skip
    async with platform:
        async with platform.pool.connection() as connection:
            organisation = await root_organisation(connection, code)
            source = await exchange.put_source(
                connection, code=f"import:{code or 'root'}:{name}", name=name, organisation=organisation,
                door="ndjson", at=datetime.now(UTC),
            )  # fmt: skip
        tasks = {}
        with bar:

            def told(report: Imported) -> None:
                if report.path not in tasks:
                    tasks[report.path] = bar.add_task(report.path.name, total=None, entries=0, refused=0)
                bar.update(tasks[report.path], entries=report.entries, refused=report.refused)
                if report.finished:
                    bar.update(tasks[report.path], total=1, completed=1)

            return await exchange.import_paths(platform.ledger, paths, source, author="hb import", progress=told)


def _as_dict(one: Imported) -> dict[str, object]:
    return {
        "path": str(one.path), "kind": one.kind, "state": one.state, "delivery": one.delivery, "entries": one.entries,
        "written": one.written, "refused": one.refused, "problems": one.problems,
    }  # fmt: skip


def _line(one: Imported) -> str:
    head = f"{one.path}: {one.state}, {one.entries:,} read, {one.written:,} written, {one.refused:,} refused"
    head += f" (delivery {one.delivery})" if one.delivery else ""
    return "\n".join([head, *(f"  {problem}" for problem in one.problems[:10])])
