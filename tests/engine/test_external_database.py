"""HB_DATABASE_URL: the whole platform on a PostgreSQL that is not ours to start. Nothing else changes."""

from __future__ import annotations

from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.mllp_client import Sender, acknowledgment, admission
from tests.running import Running


@pytest.fixture
def external(tmp_path: Path, postgres: str) -> Running:
    name = f"hb_external_{tmp_path.name[-8:].replace('-', '_')}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    return Running(tmp_path / "data", HB_DATABASE_URL=make_conninfo(postgres, dbname=name))


def test_the_platform_runs_on_an_external_database(external: Running) -> None:
    external.hb("init", "--password", "Harbour-Light-42")
    external.start()
    try:
        with Sender(external.mllp_port) as sender:
            assert acknowledgment(sender.send(admission("X-1", 7))) == "AA"
        headers = {"Authorization": f"Bearer {external.token()}"}
        answer = httpx.get(f"{external.url}/fhir/Encounter", headers=headers, timeout=20)
        assert len(answer.json()["entry"]) == 1
        assert not (external.data / "postgres").exists()
    finally:
        assert external.stop() == 0
