"""Verb for proof: audit."""

from __future__ import annotations

from pathlib import Path

import click

from healthbrain import audit as log
from healthbrain.audit import Verification
from healthbrain.cli.output import CLASH, json_option, show
from healthbrain.cli.people import with_connection
from healthbrain.database import Connection
from healthbrain.settings import load


@click.command()
@click.option(
    "--anchor",
    type=click.Path(exists=True, path_type=Path),
    help="A kept copy of audit/anchor.json [default: the one in the data folder].",
)
@json_option
@click.pass_context
def audit(context: click.Context, anchor: Path | None, as_json: bool) -> None:
    """Prove that the audit log is whole: walk its chains and name the first batch that was changed, removed or added.

    Exit code 4 when it is not whole. With --anchor a copy kept on another machine also shows an end that was cut off.
    """
    kept = log.load_anchor(anchor or load().data / "audit" / "anchor.json")

    async def work(connection: Connection) -> Verification:
        return await log.verify(connection, anchor=kept)

    found = with_connection(work)
    text = f"{found.events:,} events in {found.batches:,} batches"
    text += ": whole" if found.whole else f" are whole up to the first fault: {found.broken}"
    show({"whole": found.whole, "events": found.events, "batches": found.batches, "broken": str(found.broken or "")},
         as_json=as_json, text=text)  # fmt: skip
    if not found.whole:
        context.exit(CLASH)
