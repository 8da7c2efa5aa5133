"""`hb lake` and `hb erase` as an operator runs them: text and JSON, progress, exit codes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from healthbrain.access import put_organisation
from healthbrain.cli.command import cli
from healthbrain.errors import Conflict, HealthBrainError
from healthbrain.lake import Lake
from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import follow_feed
from healthbrain.settings import Settings
from healthbrain.store import Write, WriteContext


@pytest.fixture
def data(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with two patients in store and lake."""

    async def fill() -> None:
        async with Platform(Settings(data=tmp_path), dsn=dsn) as platform:
            async with platform.pool.connection() as connection, connection.transaction():
                await put_organisation(connection, code="QP00", name="区", kind="district")
                writes = [Write("update", "Patient", f"p{n}", {"resourceType": "Patient"}) for n in range(2)]
                context = WriteContext(owner=1, at=datetime.now(UTC))
                await platform.store.write(connection, writes, context, observers=platform.observers)
            await follow_feed(platform)

    asyncio.run(fill())
    monkeypatch.setenv("HB_DATA", str(tmp_path))
    monkeypatch.setenv("HB_DATABASE_URL", dsn)
    return tmp_path


def hb(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == code, done.output
    return done


def test_the_lake_is_described_rebuilt_compacted_and_verified(data: Path) -> None:
    status = json.loads(hb("lake", "status", "--json").stdout)
    assert (status["rows"], status["waiting"], status["late"], status["types"]) == (2, 0, False, {"Patient": 2})
    assert "Patient" in hb("lake", "status").stdout
    rebuilt = hb("lake", "rebuild", "--json")
    assert json.loads(rebuilt.stdout)["rows"] == 2
    assert json.loads(rebuilt.stderr.splitlines()[-1]) == {"changes": 2, "rows": 2}
    assert json.loads(hb("lake", "compact", "--json").stdout)["rows"] == 2
    assert json.loads(hb("lake", "verify", "--json").stdout)["compared"] is True
    assert "2 rows" in hb("lake", "verify").stdout
    files = json.loads(hb("lake", "files", "Patient", "--json").stdout)["Patient"]
    assert all(Path(path).exists() for path in files["parts"])
    assert files["query"].startswith("select p.* from parts p")
    assert hb("lake", "files", "Nothing").stdout.strip() == "the lake is empty"


@pytest.mark.parametrize(("damage", "what"), [("remove", "missing"), ("shorten", "size"), ("garble", "unreadable")])
def test_a_damaged_lake_is_told_with_the_file_and_exit_code_4(data: Path, damage: str, what: str) -> None:
    state = Lake(data / "lake").state()
    path = data / "lake" / state.parts["Patient"][0].file
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    elif damage == "shorten":
        path.write_bytes(content[:-1])
    else:
        path.write_bytes(b"X" * len(content))
    found = json.loads(hb("lake", "verify", "--json", code=4).stdout)["findings"]
    assert [(one["what"], one["where"]) for one in found] == [(what, state.parts["Patient"][0].file)]
    hb("lake", "rebuild", "--json")
    assert not json.loads(hb("lake", "verify", "--json").stdout)["findings"]


def test_a_person_is_erased_with_plan_ground_and_code(data: Path) -> None:
    plan = json.loads(hb("erase", "plan", "P000000000001", "--json").stdout)
    assert plan["resources"] == {"Patient": 1}
    refused = CliRunner().invoke(
        cli, ["erase", "run", "P000000000001", "--ground", "law", "--reason", "court 7", "--confirm", "x"]
    )
    assert isinstance(refused.exception, Conflict)
    done = json.loads(
        hb(
            "erase", "run", "P000000000001", "--ground", "law", "--reason", "court 7", "--confirm", plan["code"], "--json"
        ).stdout
    )  # fmt: skip
    assert (done["resources"], done["lake_done"]) == ({"Patient": 1}, True)
    assert json.loads(hb("erase", "list", "--json").stdout)["erasures"][0]["ground"] == "law"
    assert "resource" in json.loads(hb("erase", "purge", "--json").stdout)["rewritten"]
    gone = CliRunner().invoke(cli, ["erase", "plan", "P000000000001"])
    assert isinstance(gone.exception, HealthBrainError)
    assert json.loads(hb("lake", "status", "--json").stdout)["rows"] == 1
