"""/healthz is 200 exactly when requests can be served, and says why not otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from starlette.applications import Starlette
from starlette.routing import Route

from healthbrain.api.health import Health
from healthbrain.database import open_pool

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty(postgres: str) -> Any:
    """DSN of a database without any schema."""
    name = "hb_api_health"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}"')
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')


async def asked(dsn: str, *, closed: bool = False) -> AsyncIterator[httpx.Response]:
    pool = await open_pool(dsn, size=1)
    app = Starlette(routes=[Route("/healthz", Health(SimpleNamespace(pool=pool, dsn=dsn)).__call__)])  # type: ignore[arg-type]
    if closed:
        await pool.close()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") as client:
        yield await client.get("/healthz")
        yield await client.get("/healthz")
    await pool.close()


async def test_ready_with_the_whole_schema(dsn: str) -> None:
    answers = [answer async for answer in asked(dsn)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == {"status": "ready"}


async def test_not_ready_without_migrations_and_says_so(empty: str) -> None:
    answers = [answer async for answer in asked(empty)]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "migrations" in answers[0].json()["reasons"][0]
    assert answers[0].headers["retry-after"] == "2"


async def test_not_ready_without_a_database(dsn: str) -> None:
    answers = [answer async for answer in asked(dsn, closed=True)]
    assert answers[0].status_code == 503
    assert answers[0].json()["reasons"] == ["the database does not answer"]
