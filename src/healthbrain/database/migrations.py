"""Schema migrations, in the pre/post style, so that an upgrade never needs the platform to stop.

Each room keeps its own under `migrations/NNNN_name.pre.sql` and `.post.sql`. A `pre` migration only adds: the old
code runs on the new schema. A `post` migration removes what no running code uses any more: it is applied once every
old process has gone. Each is applied once, in order, in one transaction under a lock, and its digest is remembered:
an applied file must never change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import psycopg

from healthbrain.errors import Conflict

# Rooms that own tables, in the order in which their schemas build on each other.
ROOMS = ("store", "access", "audit", "exchange", "identity", "lake", "measure", "runtime")

Phase = Literal["pre", "post"]
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.(pre|post)\.sql")
_LOCK = 0x48_42_01  # advisory lock: one migrator at a time

_LEDGER = """
create table if not exists schema_migration (
    room text not null, number int not null, phase text not null, name text not null, digest text not null,
    applied_at timestamptz not null default now(), primary key (room, number, phase)
)"""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One step of one room's schema."""

    room: str
    number: int
    phase: Phase
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of the statement text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MigrationState:
    """What an upgrade would do now."""

    applied: int
    pending_pre: tuple[str, ...]
    pending_post: tuple[str, ...]


def known_migrations(rooms: Iterable[str] = ROOMS) -> list[Migration]:
    """All migrations shipped with this version, rooms in order, pre before post within a number."""
    found: list[Migration] = []
    for room in rooms:
        folder = resources.files("healthbrain") / room / "migrations"
        if not folder.is_dir():
            continue
        own = []
        for entry in folder.iterdir():
            if match := _NAME.fullmatch(entry.name):
                number, name, phase = int(match[1]), match[2], match[3]
                own.append(Migration(room, number, "pre" if phase == "pre" else "post", name, entry.read_text("utf-8")))
        found += sorted(own, key=lambda m: (m.number, m.phase == "post"))
    return found


def apply_migrations(dsn: str, *, post: bool = True) -> list[str]:
    """Bring the schema up to this version; returns what was applied. With `post=False` nothing is removed.

    Raises Conflict when an applied migration's text has changed since.
    """
    done: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        try:
            connection.execute(_LEDGER)
            applied = _applied(connection)
            for migration in known_migrations():
                if (migration.room, migration.number, migration.phase) in applied or (
                    migration.phase == "post" and not post
                ):
                    continue
                with connection.transaction():
                    connection.execute(migration.sql.encode())
                    connection.execute(
                        "insert into schema_migration (room, number, phase, name, digest) values (%s, %s, %s, %s, %s)",
                        (migration.room, migration.number, migration.phase, migration.name, migration.digest),
                    )
                done.append(f"{migration.room}/{migration.number:04d}_{migration.name}.{migration.phase}")
        finally:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))
    return done


def pending_migrations(dsn: str) -> MigrationState:
    """What `apply_migrations` would do, without doing it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        exists = connection.execute("select to_regclass('schema_migration')").fetchone()
        applied = _applied(connection) if exists and exists[0] else set()
    waiting = [m for m in known_migrations() if (m.room, m.number, m.phase) not in applied]
    return MigrationState(
        applied=len(applied),
        pending_pre=tuple(f"{m.room}/{m.number:04d}_{m.name}" for m in waiting if m.phase == "pre"),
        pending_post=tuple(f"{m.room}/{m.number:04d}_{m.name}" for m in waiting if m.phase == "post"),
    )


def _applied(connection: psycopg.Connection) -> set[tuple[str, int, Phase]]:
    rows = connection.execute("select room, number, phase, digest, name from schema_migration").fetchall()
    digests = {(m.room, m.number, m.phase): m.digest for m in known_migrations()}
    for room, number, phase, digest, name in rows:
        if digests.get((room, number, phase), digest) != digest:
            raise Conflict(
                f"migration {room}/{number:04d}_{name}.{phase} was applied with another text; "
                "restore the shipped file, or add a new migration instead of editing an applied one"
            )
    return {(room, number, phase) for room, number, phase, _, _ in rows}
