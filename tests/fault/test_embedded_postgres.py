"""The embedded PostgreSQL survives what happens to it on a real machine."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from healthbrain.database import Embedded, apply_migrations, pending_migrations
from healthbrain.errors import Unavailable

pytestmark = pytest.mark.fault


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Embedded]:
    server = Embedded(tmp_path / "postgres", config={"shared_buffers": "64MB"})
    server.start()
    yield server
    server.stop()


def test_every_acknowledged_commit_survives_kill_dash_nine_under_load(server: Embedded) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("create table t (n int primary key)")
    acknowledged: list[int] = []

    def write() -> None:
        try:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                for n in range(1_000_000):
                    connection.execute("insert into t values (%s)", (n,))
                    acknowledged.append(n)
        except psycopg.OperationalError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 200:
        time.sleep(0.01)
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    writer.join()
    server.start()
    with psycopg.connect(server.dsn) as connection:
        stored = {row[0] for row in connection.execute("select n from t")}
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + 1


def test_it_starts_again_five_times_after_kill_dash_nine(server: Embedded) -> None:
    for _ in range(5):
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        server.start()
    assert server.alive()


def test_an_interrupted_first_start_leaves_nothing_half_made(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    server = Embedded(tmp_path / "postgres", config={"shared_buffers": "64MB"})
    server.start()
    server.stop()
    assert not half.exists()
    assert (tmp_path / "postgres" / "PG_VERSION").exists()


def test_a_second_server_on_the_same_folder_is_refused(server: Embedded) -> None:
    with pytest.raises(Unavailable, match="already runs"):
        Embedded(server.folder).start()


def test_chinese_text_has_trigrams(server: Embedded) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("create extension pg_trgm")
        row = connection.execute("select cardinality(show_trgm('高血压'))").fetchone()
    assert row
    assert row[0] > 0


def test_migrations_are_applied_once_and_an_edited_one_is_refused(server: Embedded) -> None:
    applied = apply_migrations(server.dsn)
    assert applied
    assert apply_migrations(server.dsn) == []
    assert pending_migrations(server.dsn).applied == len(applied)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("update schema_migration set digest = 'edited' where number = 1 and room = 'store'")
    with pytest.raises(Exception, match="was applied with another text"):
        apply_migrations(server.dsn)
