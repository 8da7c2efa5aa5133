"""Verbs of the operator: init, serve, status, doctor, migrate."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, LiteralString

import click
import psycopg
from psycopg import sql

from healthbrain import __version__, access
from healthbrain.access.sealing import vault_in
from healthbrain.access.second_factor import seal_existing
from healthbrain.cli.output import CLASH, DOWN, json_option, show
from healthbrain.database import apply_migrations, open_pool, pending_migrations
from healthbrain.errors import Conflict, HealthBrainError
from healthbrain.fhir import definitions
from healthbrain.runtime import Platform
from healthbrain.runtime.database import answers, database_for, dsn_of, is_initialised
from healthbrain.runtime.lakes import standing
from healthbrain.serve.supervisor import Supervisor
from healthbrain.settings import Settings, load

ADMINISTRATOR = "admin"


def start_logging(settings: Settings) -> None:
    """Log lines of our own process to stderr."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")


@click.command()
@click.option("--organisation", default="区卫生健康委员会", show_default=True, help="Name of the root organisation.")
@click.option("--code", default="QP00", show_default=True, help="Code of the root organisation (机构代码).")
@click.option("--division", default="310118", show_default=True, help="Its division code (GB/T 2260).")
@click.option(
    "--password",
    envvar="HB_ADMIN_PASSWORD",
    help="Password of the first administrator; made up and shown once if not given.",
)
@json_option
def init(organisation: str, code: str, division: str, password: str | None, as_json: bool) -> None:
    """Make the data folder, the database, the root organisation and the first administrator.

    Safe to repeat: what is there stays.
    """
    settings = load()
    settings.data.mkdir(parents=True, exist_ok=True)
    with database_for(settings) as dsn:
        # on a database that is in use older processes may still need what a post migration removes
        applied = apply_migrations(dsn, post=pending_migrations(dsn).applied == 0)
        made = asyncio.run(_first_administrator(dsn, organisation, code, division, password or access.make_password()))
    result = {
        "data": str(settings.data),
        "migrations": applied,
        "administrator": ADMINISTRATOR if made else None,
        "password": made,
    }
    lines = [f"ready in {settings.data} ({len(applied)} migrations applied)"]
    if made:
        lines += [
            f"administrator: {ADMINISTRATOR}",
            f"password:      {made}   (shown once; it must be changed at first sign-in)",
        ]
    else:
        lines.append("an administrator is already there; `hb user` lists accounts")
    show(result, as_json=as_json, text="\n".join([*lines, "next: hb serve"]))


async def _first_administrator(dsn: str, organisation: str, code: str, division: str, password: str) -> str | None:
    pool = await open_pool(dsn, size=1)
    try:
        async with pool.connection() as connection:
            if await access.accounts(connection):
                return None
            key = await access.put_organisation(
                connection, code=code, name=organisation, kind="district", parent=None,
                fhir_id=f"org-{code}", facility_class="", division=division,
            )  # fmt: skip
            await access.create_account(
                connection, name=ADMINISTRATOR, password=password, role="administrator",
                organisation=key, display="管理员", must_change=True,
            )  # fmt: skip
            return password
    finally:
        await pool.close()


@click.command()
@json_option
def serve(as_json: bool) -> None:
    """Run the platform: database, web, FHIR, HL7 v2 door and background work, until Ctrl-C.

    Prints where it answers as soon as it does.
    """
    settings = load()
    start_logging(settings)
    settings.data.mkdir(parents=True, exist_ok=True)

    def ready(supervisor: Supervisor) -> None:
        where = {"url": supervisor.url, "fhir": f"{supervisor.url}/fhir", "mllp_port": settings.mllp_port}
        lines = [f"web    {supervisor.url}", f"FHIR   {supervisor.url}/fhir"]
        if settings.mllp_port:
            lines.append(f"HL7 v2 {settings.host}:{settings.mllp_port} (MLLP)")
        show(where, as_json=as_json, text="\n".join([*lines, "Ctrl-C stops it"]))

    Supervisor(settings).run(on_ready=ready)


@click.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """What runs, where, and how much it holds. Exit code 3 when it does not run."""
    settings = load()
    state = _running_state(settings)
    result: dict[str, Any] = {
        "version": __version__,
        "data": str(settings.data),
        "running": bool(state),
        **(state or {}),
    }
    if answers(dsn_of(settings)):
        result["counts"] = asyncio.run(_counts(dsn_of(settings)))
        result["lake"] = asyncio.run(_lake(settings))
    lines = [f"data       {settings.data}", f"running    {'yes, ' + state['url'] if state else 'no'}"]
    lines += [f"{name:<11}{count:,}" for name, count in result.get("counts", {}).items()]
    if behind := result.get("lake"):
        lines.append(f"lake       as of {behind['as_of'] or '—'}, {behind['waiting']:,} changes behind")
    show(result, as_json=as_json, text="\n".join(lines))
    if not state:
        context.exit(DOWN)


async def _lake(settings: Settings) -> dict[str, Any]:
    """How far the lake is; nothing to say before the schema is there."""
    try:
        async with Platform(settings) as platform:
            found = await standing(platform)
    except (HealthBrainError, psycopg.Error):
        return {}
    return {
        "as_of": found.as_of,
        "waiting": found.waiting,
        "seconds": found.seconds,
        "rows": found.rows,
        "late": found.late,
    }


def _running_state(settings: Settings) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((settings.data / "serve.json").read_text())
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return state


_COUNTED = {"resources": "resource", "deliveries": "delivery", "persons": "person", "accounts": "account"}
_ABOUT = 200_000  # rows from which on PostgreSQL's estimate is good enough


async def _counts(dsn: str) -> dict[str, int]:
    counts = {}
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for name, table in _COUNTED.items():
            estimate = await _number(
                connection, "select reltuples::bigint from pg_class where oid = to_regclass(%s)", table
            )
            if estimate is None:
                continue  # no such table yet
            exact = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
            counts[name] = estimate if estimate > _ABOUT else await _number(connection, exact) or 0
    return counts


async def _number(connection: psycopg.AsyncConnection, query: LiteralString | sql.Composed, *values: str) -> int | None:
    row = await (await connection.execute(query, values)).fetchone()
    return int(row[0]) if row else None


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of `hb doctor`."""

    check: str
    ok: bool
    detail: str


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check this machine and data folder; says what is wrong and what to do. Exit code 4 when something is."""
    settings = load()
    findings = list(examine(settings))
    text = "\n".join(f"{'ok  ' if f.ok else 'BAD '} {f.check}: {f.detail}" for f in findings)
    show(
        {
            "ok": all(f.ok for f in findings),
            "findings": [asdict(f) for f in findings],
        },
        as_json=as_json,
        text=text,
    )
    if not all(f.ok for f in findings):
        context.exit(CLASH)


def examine(settings: Settings) -> list[Finding]:
    """All checks."""
    return [
        _check_definitions(),
        _check_assets(),
        _check_disk(settings),
        *_check_ports(settings),
        *_check_database(settings),
    ]


def _check_definitions() -> Finding:
    try:
        number = len(definitions().types)
    except (OSError, HealthBrainError):
        return Finding("FHIR definitions", False, "not compiled; run `make setup`")
    return Finding("FHIR definitions", True, f"R4 4.0.1, {number} resource types")


def _check_assets() -> Finding:
    manifest = Path(__file__).parent.parent / "web" / "static" / "vendor" / "manifest.json"
    return Finding(
        "front-end assets", manifest.exists(), "present" if manifest.exists() else "missing; run `make setup`"
    )


def _check_disk(settings: Settings) -> Finding:
    folder = settings.data if settings.data.exists() else settings.data.parent
    free = shutil.disk_usage(folder if folder.exists() else Path.cwd()).free
    enough = free > 2 * 1024**3
    return Finding("disk", enough, f"{free / 1024**3:.1f} GB free" + ("" if enough else "; at least 2 GB are wanted"))


def _check_ports(settings: Settings) -> list[Finding]:
    if _running_state(settings):
        return [Finding("ports", True, "in use by this platform")]
    found = []
    for name, port in (("HB_PORT", settings.port), ("HB_MLLP_PORT", settings.mllp_port)):
        if port:
            with socket.socket() as probe:
                probe.settimeout(1)
                taken = probe.connect_ex((settings.host, port)) == 0
            found.append(Finding(f"port {port}", not taken, f"taken; set {name} to a free port" if taken else "free"))
    return found


def _check_database(settings: Settings) -> list[Finding]:
    if not is_initialised(settings):
        return [Finding("database", True, "not made yet; `hb init` or `hb serve` makes it")]
    try:
        with database_for(settings) as dsn:
            return [*_check_server(dsn), *_check_schema(dsn)]
    except HealthBrainError as error:
        return [Finding("database", False, error.message)]


def _check_server(dsn: str) -> list[Finding]:
    with psycopg.connect(dsn) as connection:
        version = connection.info.server_version // 10000
        encoding, ctype = connection.execute(
            "select pg_encoding_to_char(encoding), datctype from pg_database where datname = current_database()"
        ).fetchone() or ("", "")
        fsync = (connection.execute("show fsync").fetchone() or ("?",))[0]
    return [
        Finding("PostgreSQL", version >= 15, f"version {version}" + ("" if version >= 15 else "; 15 or newer is needed")),
        Finding("encoding", encoding == "UTF8", f"{encoding}" + ("" if encoding == "UTF8" else "; create the database with encoding UTF8")),
        Finding("locale", ctype != "C", f"{ctype}" + ("" if ctype != "C" else "; Chinese text search needs C.UTF-8 or another UTF-8 locale")),
        Finding("durability", fsync == "on", f"fsync {fsync}" + ("" if fsync == "on" else "; acknowledged messages could be lost: switch it on")),
    ]  # fmt: skip


def _check_schema(dsn: str) -> list[Finding]:
    state = pending_migrations(dsn)
    detail = f"{state.applied} migrations applied"
    if state.pending_pre:
        detail += f", {len(state.pending_pre)} waiting; run `hb migrate`"
    elif state.pending_post:  # no fault: they wait until the operator says that no older process runs
        detail += (
            f", {len(state.pending_post)} to clean up with `hb migrate --post` when no older version runs any more"
        )
    return [Finding("schema", not state.pending_pre, detail)]


@click.command()
@click.option(
    "--post", is_flag=True, help="Also remove what older versions needed; only when no older process runs any more."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def migrate(post: bool, dry_run: bool, as_json: bool) -> None:
    """Bring the schema up to this version. Without --post nothing is removed, so older processes keep working."""
    settings = load()
    if not is_initialised(settings):
        raise Conflict(f"nothing to migrate in {settings.data}; `hb init` makes a new one")
    with database_for(settings) as dsn:
        if dry_run:
            state = pending_migrations(dsn)
            done = [*state.pending_pre, *(state.pending_post if post else ())]
        else:
            done = apply_migrations(dsn, post=post)
            if post:
                seal_existing(dsn, vault_in(settings.data))
    word = "would apply" if dry_run else "applied"
    show({"applied": [] if dry_run else done, "pending": done if dry_run else []}, as_json=as_json,
         text=f"{word} {len(done)} migrations" + "".join(f"\n  {name}" for name in done))  # fmt: skip
