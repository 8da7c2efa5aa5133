"""Verb for sending systems: source."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

import click

from healthbrain import access, exchange
from healthbrain.cli.output import json_option, show
from healthbrain.cli.people import with_connection
from healthbrain.database import Connection, apply_migrations
from healthbrain.errors import NotFound
from healthbrain.exchange import Source
from healthbrain.exchange.values import DOORS
from healthbrain.runtime import Platform, database_for
from healthbrain.settings import load


@click.command()
@click.argument("code", required=False)
@click.option(
    "--organisation",
    "organisation_code",
    help="Code of the organisation whose system it is; registers or changes CODE.",
)
@click.option("--name", help="Name shown on the screens [default: the organisation's name].")
@click.option("--door", type=click.Choice(DOORS), default="hl7v2", show_default=True, help="The way in that it uses.")
@click.option("--facility", help="HL7 v2: what it sends in MSH-4 [default: CODE].")
@click.option(
    "--application", default="", help="HL7 v2: what it sends in MSH-3, when one facility has several systems."
)
@click.option("--charset", default="", help="Its charset when the message does not say: UTF-8 or GB18030.")
@click.option("--code-set", default="", help="Table of its own laboratory codes under exchange/maps/local.")
@click.option(
    "--invariants/--no-invariants",
    default=None,
    help="Whether what it sends must keep the invariants of FHIR R4 [default: as before, at first yes].",
)
@click.option("--release", "handing_over", is_flag=True, help="Hand over what it sent while nobody knew whose it is.")
@json_option
def source(
    code: str | None, organisation_code: str | None, name: str | None, door: str, facility: str | None,
    application: str, charset: str, code_set: str, invariants: bool | None, handing_over: bool, as_json: bool,
) -> None:  # fmt: skip
    """List the sending systems, or register one: hb source QPH09 --organisation QPH09 --charset GB18030.

    Registering a code again changes that source. What an unknown sender sent before it was registered is handed over
    to the institution with --release.
    """
    if code is None:
        rows = with_connection(exchange.sources)
        text = "\n".join(_line(one) for one in rows) or "no sources; the first message of each sender makes one"
        show({"sources": [asdict(one) for one in rows]}, as_json=as_json, text=text)
        return
    if organisation_code is None and not handing_over:
        raise click.UsageError("say whose system it is: --organisation CODE")
    if organisation_code is None:
        _hand_over(code, as_json=as_json)
        return

    async def work(connection: Connection) -> Source:
        owner = (await access.organisations(connection)).by_code(organisation_code)
        if owner is None:
            raise NotFound(f"no organisation has the code '{organisation_code}'; `hb organisation` registers one")
        made = await exchange.put_source(
            connection, code=code, name=name or owner.name, organisation=owner.key, organisation_code=owner.code,
            door=door, facility=(facility or code) if door == "hl7v2" else "", application=application,
            charset=charset, code_set=code_set, at=datetime.now(UTC),
        )  # fmt: skip
        return made if invariants is None else await exchange.ask_invariants(connection, made.key, invariants)

    made = with_connection(work)
    if handing_over:
        _hand_over(code, as_json=as_json)
        return
    show(asdict(made), as_json=as_json, text=_line(made))


def _hand_over(code: str, *, as_json: bool) -> None:
    async def work(platform: Platform) -> Counter[str]:
        async with platform:
            async with platform.pool.connection() as connection:
                one = await exchange.source_by_code(connection, code)
            if one is None:
                raise NotFound(f"no source has the code '{code}'; see `hb source`")
            return Counter(
                [step.receipt.state async for step in exchange.release(platform.ledger, one.key, by="hb source")]
            )

    settings = load()
    with database_for(settings) as dsn:
        apply_migrations(dsn, post=False)
        states = asyncio.run(work(Platform(settings, dsn=dsn)))
    text = ", ".join(f"{count:,} {state}" for state, count in states.items()) or "nothing waited to be handed over"
    show({"source": code, "deliveries": dict(states)}, as_json=as_json, text=text)


@click.command()
@click.argument("code", required=False)
@click.option("--name", help="Its name; registers or changes CODE.")
@click.option("--parent", help="Code of the organisation it belongs to [default: the root].")
@click.option(
    "--kind",
    type=click.Choice(["municipality", "district", "institution", "team"]),
    default="institution",
    show_default=True,
    help="What it is in the tree.",
)
@click.option("--class", "facility_class", default="", help="Facility class (WS 218), as A100 or B100.")
@click.option("--division", default="", help="Division code (GB/T 2260), nine digits for a town.")
@json_option
def organisation(
    code: str | None, name: str | None, parent: str | None, kind: str, facility_class: str, division: str, as_json: bool
) -> None:
    """List the organisation tree, or register one: hb organisation QPH09 --name 某某医院 --class A100."""
    if code is None:
        tree = with_connection(access.organisations)
        text = "\n".join(f"{'  ' * len(tree.ancestors(one.key))}{one.code}  {one.name}" for one in tree)
        show(
            {"organisations": [asdict(one) for one in tree]},
            as_json=as_json,
            text=text or "no organisations; `hb init` makes the root",
        )
        return
    if name is None:
        raise click.UsageError("say its name: --name NAME")

    async def work(connection: Connection) -> int:
        tree = await access.organisations(connection)
        above = tree.by_code(parent) if parent else tree.root
        if parent and above is None:
            raise NotFound(f"no organisation has the code '{parent}'; see `hb organisation`")
        known = tree.by_code(code)
        over = above.key if above and not (known and known.key == above.key) else None
        return await access.put_organisation(
            connection, code=code, name=name, kind=kind, parent=over, fhir_id=f"org-{code}",
            facility_class=facility_class, division=division, at=datetime.now(UTC),
        )  # fmt: skip

    key = with_connection(work)
    show({"code": code, "name": name, "key": key}, as_json=as_json, text=f"{code}  {name}")


def _line(one: Source) -> str:
    where = f"MSH-4 {one.facility}" if one.door == "hl7v2" else one.door
    marks = [one.charset, one.code_set, "" if one.verified else "unverified", "" if one.invariants else "no invariants"]
    return f"{one.code:<26} {where:<20} {one.name}  {' '.join(mark for mark in marks if mark)}".rstrip()
