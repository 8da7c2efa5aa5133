"""Verbs for boards (数据看板): list, export, import. What is shared with nobody is named too: who runs `hb` owns the machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from healthbrain import access
from healthbrain.cli.output import json_option, show
from healthbrain.cli.people import with_connection
from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.measure import dashboards, in_force
from healthbrain.measure.analysis.saved import Reading, reading_of
from healthbrain.measure.dashboards import kept


@click.group(name="dashboard")
def dashboard_group() -> None:
    """Boards that users compose: list them, take one along as a file, bring one in."""


@dashboard_group.command(name="list")
@json_option
def list_boards(as_json: bool) -> None:
    """List every board: number, owner, with whom it is shared, tiles, name; the built-in ones first."""
    found = with_connection(kept.every)
    lines = [
        f"{one.id}  (built in)  {len(one.board.tiles)} tiles  {one.board.name['zh']}" for one in dashboards.built_in()
    ]
    lines += [
        f"{one.kept.id}  {one.kept.owner}  {one.kept.shared}  {one.tiles} tiles  {one.kept.board.name['zh']}"
        for one in found
    ]
    boards = [
        {"id": one.id, "builtIn": True, "name": one.board.name, "tiles": len(one.board.tiles)}
        for one in dashboards.built_in()
    ]
    boards += [
        {"id": one.kept.id, "builtIn": False, "name": one.kept.board.name, "tiles": one.tiles, "owner": one.kept.owner,
         "shared": one.kept.shared, "version": one.kept.version}
        for one in found
    ]  # fmt: skip
    show({"dashboards": boards}, as_json=as_json, text="\n".join(lines))


@dashboard_group.command(name="export")
@click.argument("board")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file to write; .json makes JSON [default: YAML to the screen]."
)
@json_option
def export_board(board: str, out: Path | None, as_json: bool) -> None:
    """Write the board with the number (or name, of a built-in one) BOARD as YAML or JSON, without any figure.

    hb dashboard export 3 --out board.yaml
    """

    async def work(connection: Connection) -> dict[str, object]:
        await in_force(connection)
        if not board.isdigit():
            return dashboards.built_in_one(board).board.as_json()
        found = await kept.any_one(connection, int(board))
        return await dashboards.carried(connection, await _reading(connection, found.owner), found.board)

    made = with_connection(work)
    as_file_json = as_json or (out is not None and out.suffix == ".json")
    text = dashboards.as_json(made).decode() if as_file_json else dashboards.as_yaml(made).rstrip("\n")
    if out is None:
        print(text)
        return
    out.write_text(text + "\n", "utf-8")
    show(
        {"file": str(out)},
        as_json=as_json,
        text=f"{out}: {len(made['tiles']) if isinstance(made['tiles'], list) else 0} tiles",
    )


@dashboard_group.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--owner", required=True, help="The account that owns it.")
@click.option("--shared", type=click.Choice(["private", "role", "organisation"]), default="private", show_default=True)
@json_option
def import_board(file: Path, owner: str, shared: str, as_json: bool) -> None:
    """Take the board of FILE (YAML or JSON) in as a new board of an account."""

    async def work(connection: Connection) -> int:
        await in_force(connection)
        board = dashboards.board_of_text(_text(file))
        reading = await _reading(connection, owner)
        return await kept.keep(connection, reading, board, kept.sharing(shared), "imported", datetime.now(UTC))

    id_ = with_connection(work)
    show({"id": id_, "owner": owner, "shared": shared}, as_json=as_json, text=f"board {id_} of {owner}")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise Incorrect("the file is neither YAML nor JSON") from None


async def _reading(connection: Connection, account: str) -> Reading:
    found = await access.account(connection, account)
    return reading_of(account, found.role, found.organisation, await access.organisations(connection))
