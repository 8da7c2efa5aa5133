"""The binary arrays mean to PostgreSQL what they mean to us; the shipped dictionaries are in the database."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from healthbrain.store import arrays, bodies
from tests.engine.store_samples import opened

pytestmark = pytest.mark.anyio

AT = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
ID = UUID("7f3c2a10-9d54-4a61-8e0b-5c1f2d3e4a5b")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (arrays.int8([1, -(2**63), 2**63 - 1, None]), [1, -(2**63), 2**63 - 1, None]),
        (arrays.int8_raw([b"\xff" * 8, b"\0" * 7 + b"\x05"]), [-1, 5]),
        (arrays.int4([1, -2]), [1, -2]),
        (arrays.int2([3]), [3]),
        (arrays.boolean([True, False]), [True, False]),
        (arrays.float8([1.5, float("-inf")]), [1.5, float("-inf")]),
        (arrays.text(["张", "", "a'b"]), ["张", "", "a'b"]),
        (arrays.bytea([b"\0\1", b""]), [b"\0\1", b""]),
        (arrays.uuid([ID.bytes]), [ID]),
        (arrays.instant([arrays.microseconds(AT), None]), [AT, None]),
        (arrays.int8([]), []),
        (arrays.text([]), []),
    ],
)
async def test_an_array_arrives_as_it_was(dsn, array, expected):
    async with opened(dsn) as pool, pool.connection() as connection:
        arrays.teach(connection)
        row = await (await connection.execute("select %s", [array])).fetchone()
        assert row == (expected,)


async def test_open_ends_of_ranges_are_infinities(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        arrays.teach(connection)
        array = arrays.instant([arrays.lower_bound(None), arrays.upper_bound(None)])
        row = await (await connection.execute("select %s::text", [array])).fetchone()
        assert row == ("{-infinity,infinity}",)


async def test_the_database_holds_every_dictionary_its_bodies_need(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        rows = await (await connection.execute("select id, content from body_dictionary")).fetchall()
        assert dict(rows) == bodies.shipped_dictionaries()
