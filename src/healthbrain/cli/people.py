"""Verbs for accounts and tokens: token, user."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, get_args

import click

from healthbrain import access, audit, exchange
from healthbrain.access import second_factor
from healthbrain.cli.output import json_option, show
from healthbrain.database import Connection, apply_migrations, open_pool
from healthbrain.errors import NotFound
from healthbrain.runtime.database import database_for
from healthbrain.scope import Role
from healthbrain.settings import load

T = TypeVar("T")
ROLES = list(get_args(Role))


def with_connection(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on the database of this data folder, in one transaction."""

    async def run(dsn: str) -> T:
        pool = await open_pool(dsn, size=1)
        try:
            async with pool.connection() as connection:
                return await work(connection)
        finally:
            await pool.close()

    settings = load()
    settings.data.mkdir(parents=True, exist_ok=True)
    with database_for(settings) as dsn:
        apply_migrations(dsn, post=False)
        return asyncio.run(run(dsn))


async def root_organisation(connection: Connection, code: str | None) -> int:
    """Key of the organisation with `code`, or of the root; a platform without any gets a district root."""
    tree = await access.organisations(connection)
    if code:
        found = tree.by_code(code)
        if found is None:
            raise NotFound(f"no organisation has the code '{code}'; see the organisations page for codes")
        return found.key
    if root := tree.root:
        return root.key
    return await access.put_organisation(
        connection, code="QP00", name="区卫生健康委员会", kind="district", parent=None,
        fhir_id="org-QP00", facility_class="", division="310118",
    )  # fmt: skip


@click.command()
@click.option("--name", default="script", show_default=True, help="What the token is for; shown in the audit log.")
@click.option("--organisation", "code", help="Code of the organisation it speaks for [default: the root].")
@click.option("--days", default=90, show_default=True, help="Days until it expires.")
@json_option
def token(name: str, code: str | None, days: int, as_json: bool) -> None:
    """Print a new bearer token for scripts and systems; nothing else is printed.

    Use it as `Authorization: Bearer …`. It is stored only as a hash and cannot be shown again.
    """

    async def work(connection: Connection) -> str:
        organisation = await root_organisation(connection, code)
        source = await exchange.put_source(
            connection, code=f"token:{code or 'root'}:{name}", name=name, organisation=organisation, door="fhir",
            at=datetime.now(UTC),
        )  # fmt: skip
        return await access.issue_token(connection, name=name, organisation=organisation, source=source.key, days=days)

    made = with_connection(work)
    show({"token": made, "name": name, "days": days}, as_json=as_json, text=made)


@click.command()
@click.argument("name", required=False)
@click.option("--role", type=click.Choice(ROLES), help="Make an account with this role.")
@click.option("--display", help="Name shown on the screens [default: the account name].")
@click.option("--organisation", "code", help="Code of its organisation [default: the root].")
@click.option("--password", envvar="HB_PASSWORD", help="Its password; made up and shown once if not given.")
@click.option(
    "--reset-second-factor", "reset", is_flag=True, help="Take the second factor off account NAME, whose phone is lost."
)
@json_option
def user(
    name: str | None, role: str | None, display: str | None, code: str | None, password: str | None, reset: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """List the accounts, or make one: hb user wang --role cdc --display 王敏."""
    if name is None:
        rows = with_connection(access.accounts)
        text = (
            "\n".join(f"{a.name:<20} {a.role:<14} {a.display}" for a in rows)
            or "no accounts; `hb init` makes the first"
        )
        show(
            {"accounts": [{"name": a.name, "role": a.role, "display": a.display} for a in rows]},
            as_json=as_json,
            text=text,
        )
        return
    if reset:
        with_connection(partial(_reset_second_factor, name))
        show({"name": name, "second_factor": False}, as_json=as_json, text=f"account {name} has no second factor now")
        return
    if role is None:
        raise click.UsageError("say which role: --role " + "|".join(ROLES))
    chosen = password or access.make_password()

    async def work(connection: Connection) -> Any:
        organisation = await root_organisation(connection, code)
        return await access.create_account(
            connection, name=name, password=chosen, role=role, organisation=organisation,
            display=display or name, must_change=password is None,
        )  # fmt: skip

    with_connection(work)
    text = f"account {name} made" + (
        "" if password else f"; password {chosen} (shown once, to be changed at first sign-in)"
    )
    show({"name": name, "role": role, "password": None if password else chosen}, as_json=as_json, text=text)


async def _reset_second_factor(name: str, connection: Connection) -> None:
    at = datetime.now(UTC)
    await second_factor.remove(connection, name, at)
    event = audit.Event(
        at, "D", "operator", "", 0, "", type="account", id=name[:64], interaction="second-factor", detail="hb user"
    )
    await audit.record(connection, [event])
