"""Verbs of erasure: plan, run, list, purge."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

import click

from healthbrain.cli.output import json_option, show
from healthbrain.database import apply_migrations
from healthbrain.runtime import Platform, database_for, erasure
from healthbrain.runtime.erasure import Plan, Tombstone, Wish
from healthbrain.runtime.retention import GROUNDS
from healthbrain.scope import Principal
from healthbrain.settings import load

T = TypeVar("T")


@click.group()
def erase() -> None:
    """Erase a person (个人信息删除): `plan` first, then `run` with the plan's code.

    PERSON is the platform's own number (P and twelve digits). Grounds and periods of keeping: docs/how-to/erase-a-person.md.
    """


@erase.command("plan")
@click.argument("person")
@json_option
def plan(person: str, as_json: bool) -> None:
    """Say what would be erased and what the law wants kept. Changes nothing."""

    async def work(platform: Platform) -> Plan:
        async with platform.pool.connection() as connection:
            return await erasure.plan(platform, connection, person)

    found = _with_platform(work)
    lines = [
        f"{found.person}: {found.records} patient records, {sum(found.resources.values()):,} resources",
        *(f"  {type_:<26}{count:>8,}" for type_, count in found.resources.items()),
        f"{found.shared} resources of others refer to the person by number; they stay",
        *(f"to be kept until {one.until}: {one.kind}, {one.records} records ({one.rule})" for one in found.holds),
        f"to do it: hb erase run {found.person} --ground … --reason … --confirm {found.code}",
    ]
    show(asdict(found), as_json=as_json, text="\n".join(lines))


@erase.command("run")
@click.argument("person")
@click.option("--ground", required=True, type=click.Choice(list(GROUNDS)), help="Case of the law (PIPL art. 47).")
@click.option("--reason", required=True, help="Number of the request or judgement; no names.")
@click.option("--confirm", required=True, help="The code that `hb erase plan` showed.")
@click.option("--custodian", default="", help="Who keeps the statutory record while its period still runs.")
@json_option
def run(person: str, ground: str, reason: str, confirm: str, custodian: str, as_json: bool) -> None:
    """Erase the person from the store, the index, deliveries, measures and the lake. Cannot be undone."""
    done = _with_platform(
        lambda platform: erasure.erase(platform, person, Wish(ground, reason, confirm, custodian), _operator())
    )
    lines = [
        f"erasure {done.id}: {sum(done.resources.values()):,} resources and {done.versions:,} earlier versions are gone",
        f"{done.deliveries_redacted} deliveries redacted, {done.deliveries_emptied} emptied, {done.members} rows of measures removed",
        "off the lake's disk"
        if done.lake_done
        else f"hidden from the lake with its next turn, off its disk by {done.due_at:%Y-%m-%d %H:%M} UTC",
        "next: `hb erase purge` when the platform is quiet",
    ]
    show(asdict(done), as_json=as_json, text="\n".join(lines))


@erase.command("list")
@json_option
def list_(as_json: bool) -> None:
    """What was erased, when, by whom and on which ground; without any value of the persons."""

    async def work(platform: Platform) -> list[Tombstone]:
        async with platform.pool.connection() as connection:
            return await erasure.tombstones(connection)

    found = _with_platform(work)
    lines = [
        f"{one.id:>5} {one.at:%Y-%m-%d %H:%M} {one.person} {one.ground:<10} {one.who:<12} "
        + (
            f"off the lake {one.lake_done_at:%Y-%m-%d %H:%M}"
            if one.lake_done_at
            else f"lake by {one.due_at:%Y-%m-%d %H:%M}"
        )
        for one in found
    ]
    show({"erasures": [asdict(one) for one in found]}, as_json=as_json, text="\n".join(lines) or "nothing was erased")


@erase.command("purge")
@json_option
def purge(as_json: bool) -> None:
    """Rewrite the database's tables so that their files hold nothing of what was erased. Locks each for a while."""

    async def work(platform: Platform) -> list[str]:
        await erasure.finish(platform)
        return await erasure.purge(platform)

    tables = _with_platform(work)
    show({"rewritten": tables}, as_json=as_json, text=f"{len(tables)} tables rewritten")


def _operator() -> Principal:
    """Who works at the machine itself."""
    return Principal(f"cli:{os.environ.get('USER', 'operator')}", "", "administrator", 1, "SYSADMIN")


def _with_platform(work: Callable[[Platform], Awaitable[T]]) -> T:
    settings = load()

    async def whole(dsn: str) -> T:
        async with Platform(settings, dsn=dsn) as platform:
            return await work(platform)

    with database_for(settings) as dsn:
        apply_migrations(dsn, post=False)
        return asyncio.run(whole(dsn))
