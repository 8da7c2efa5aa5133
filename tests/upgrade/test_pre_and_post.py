"""Upgrades without a stop: `pre` migrations only add, so old and new code both run until `post` removes what is unused.

Tried twice: on a small made-up room, where old and new code are both at hand, and on the shipped migrations.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.engine.store_samples import context, observation, opened, patient, put

from healthbrain.database import apply_migrations, migrations, pending_migrations
from healthbrain.database.migrations import Migration, known_migrations
from healthbrain.store import Store, Write, changes


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """DSN of a database without any table."""
    name = f"hb_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


def _ship(monkeypatch: pytest.MonkeyPatch, shipped: list[Migration]) -> None:
    monkeypatch.setattr(migrations, "known_migrations", lambda *_: shipped)


# -- a made-up room: a person's one name becomes two

FIRST = Migration("toy", 1, "pre", "person", "create table person (id int primary key, name text not null)")
SPLIT = Migration(
    "toy",
    2,
    "pre",
    "two_names",
    """
    alter table person add column family text, add column given text, alter column name drop not null;
    update person set family = split_part(name, ' ', 1), given = split_part(name, ' ', 2);
    create function person_names() returns trigger language plpgsql as $$
    begin
        if new.family is null then
            new.family := split_part(new.name, ' ', 1); new.given := split_part(new.name, ' ', 2);
        else
            new.name := new.family || ' ' || new.given;
        end if;
        return new;
    end $$;
    create trigger person_names before insert on person for each row execute function person_names();
    """,
)
CLEANED = Migration(
    "toy",
    2,
    "post",
    "two_names",
    "drop trigger person_names on person; drop function person_names; alter table person drop column name",
)


class OldCode:
    """Knows one name."""

    def add(self, connection: Any, number: int, family: str, given: str) -> None:
        connection.execute("insert into person (id, name) values (%s, %s)", (number, f"{family} {given}"))

    def names(self, connection: Any) -> list[str]:
        return [row[0] for row in connection.execute("select name from person order by id")]


class NewCode:
    """Knows two."""

    def add(self, connection: Any, number: int, family: str, given: str) -> None:
        connection.execute("insert into person (id, family, given) values (%s, %s, %s)", (number, family, given))

    def names(self, connection: Any) -> list[str]:
        return [" ".join(row) for row in connection.execute("select family, given from person order by id")]


def test_old_and_new_code_run_side_by_side_between_pre_and_post(empty, monkeypatch):
    old, new = OldCode(), NewCode()
    _ship(monkeypatch, [FIRST])
    apply_migrations(empty)
    with psycopg.connect(empty, autocommit=True) as connection:
        old.add(connection, 1, "张", "伟")
        _ship(monkeypatch, [FIRST, SPLIT, CLEANED])
        assert apply_migrations(empty, post=False) == ["toy/0002_two_names.pre"]
        assert pending_migrations(empty).pending_post == ("toy/0002_two_names",)
        old.add(connection, 2, "王", "芳")  # an old process is still up
        new.add(connection, 3, "李", "娜")
        assert old.names(connection) == new.names(connection) == ["张 伟", "王 芳", "李 娜"]
        assert apply_migrations(empty) == ["toy/0002_two_names.post"]
        new.add(connection, 4, "刘", "洋")
        assert new.names(connection) == ["张 伟", "王 芳", "李 娜", "刘 洋"]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.names(connection)
        assert apply_migrations(empty) == []


# -- the shipped migrations

_OBJECTS = """
select 'column ' || table_name || '.' || column_name || ' ' || data_type from information_schema.columns
where table_schema = 'public'
union all
select 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' from pg_proc p
join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
union all
select 'index ' || indexname from pg_indexes where schemaname = 'public'
union all
select 'sequence ' || sequencename from pg_sequences where schemaname = 'public'"""


def test_no_pre_migration_takes_anything_away(empty, monkeypatch):
    """What the code before could use is still there after each step: columns with their types, functions, indexes."""
    shipped = [m for m in known_migrations() if m.phase == "pre"]
    before: set[str] = set()
    with psycopg.connect(empty, autocommit=True) as connection:
        for count in range(1, len(shipped) + 1):
            _ship(monkeypatch, shipped[:count])
            apply_migrations(empty)
            after = {row[0] for row in connection.execute(_OBJECTS)}
            step = shipped[count - 1]
            assert before <= after, f"{step.room}/{step.number:04d}_{step.name} removes {sorted(before - after)}"
            before = after


def test_the_store_works_before_and_after_post(empty):
    apply_migrations(empty, post=False)
    assert asyncio.run(_use(empty, "a")) == ["a"]
    apply_migrations(empty)
    assert pending_migrations(empty).pending_post == ()
    assert asyncio.run(_use(empty, "b")) == ["a", "b"]


async def _use(dsn: str, name: str) -> list[str]:
    """Write, change, search, delete, read and follow."""
    store = Store()
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await connection.set_autocommit(True)
        await store.write(connection, [put(patient(name)), put(observation(name) | {"id": name})], context())
        await store.write(
            connection, [put(patient(name, "王")), Write("delete", "Observation", name, None)], context(1)
        )
        assert [one.version for one in (await store.history(connection, "Patient", name)).matches] == [2, 1]
        assert len((await changes(connection))[0]) % 4 == 0
        found = await store.search(connection, "Patient", [("name", "王"), ("_sort", "_id")])
        return [one.id for one in found.matches]
