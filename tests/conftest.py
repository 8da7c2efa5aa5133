"""Fixtures every test may use. PostgreSQL is always real: the embedded one, or HB_TEST_DATABASE_URL."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import make_conninfo

from healthbrain.database import Embedded, apply_migrations

# The same examples in every run, on slow machines too; HB_TEST_EXPLORE=1 looks for new ones (docs/how-to/develop.md).
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=not os.environ.get("HB_TEST_EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("suite")

SUITES = Path(__file__).parents[2] / "shared" / "suites"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def suites() -> Path:
    """The public conformance suites beside the checkout; tests that need them skip when they are absent."""
    if not SUITES.is_dir():
        pytest.skip("the public suites are not beside this checkout")
    return SUITES


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of a PostgreSQL server with rights to create databases."""
    if url := os.environ.get("HB_TEST_DATABASE_URL"):
        yield url
        return
    server = Embedded(
        tmp_path_factory.mktemp("pg") / "postgres",
        # tests are many small databases; durability is tested apart, on a server with fsync on
        config={"fsync": "off", "shared_buffers": "128MB", "full_page_writes": "off"},
    )
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """Name of a database with the whole schema, to be copied."""
    name = f"hb_template_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    apply_migrations(make_conninfo(postgres, dbname=name))
    return name


@pytest.fixture
def dsn(postgres: str, template: str) -> Iterator[str]:
    """DSN of an empty database with the whole schema, dropped afterwards."""
    name = f"hb_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')
