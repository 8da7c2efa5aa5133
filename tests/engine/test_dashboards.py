"""Boards as they are kept: who sees them, versions and undo; figures follow the viewer; other systems and `hb` read and bring them in."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from healthbrain.access import put_organisation
from healthbrain.database import Connection, open_pool
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.measure import dashboards
from healthbrain.measure.analysis import question_of, saved
from healthbrain.measure.analysis.saved import Reading, given
from healthbrain.measure.dashboards import Board, board_of, kept
from tests.running import HB, Running

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
FIRST = board_of({"name": "我的看板", "tiles": [{"kind": "note", "text": "一"}]})


def run(dsn: str, story: Any) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=2)
        try:
            async with pool.connection() as connection:
                await story(connection)
        finally:
            await pool.close()

    asyncio.run(whole())


async def readers(connection: Connection) -> dict[str, Reading]:
    """Two districts; one with a hospital."""
    one = await put_organisation(connection, code="D1", name="甲区", kind="district", at=AT)
    two = await put_organisation(connection, code="D2", name="乙区", kind="district", at=AT)
    hospital = await put_organisation(connection, code="H1", name="医院", kind="institution", parent=one, at=AT)
    return {
        "anna": Reading("anna", "cdc", one, (one,), (one, hospital)),
        "bert": Reading("bert", "cdc", one, (one,), (one, hospital)),
        "lead": Reading("lead", "leader", one, (one,), (one, hospital)),
        "manager": Reading("manager", "manager", hospital, (hospital, one), (hospital,)),
        "other": Reading("other", "cdc", two, (two,), (two,)),
    }


def noted(board: Board, text: str) -> Board:
    return dashboards.added(board, dashboards.tile_of({"kind": "note", "text": text}, "new"))


@pytest.mark.parametrize(
    ("shared", "names"),
    [("private", {"anna"}), ("role", {"anna", "bert"}), ("organisation", {"anna", "bert", "lead", "manager"})],
    ids=["private", "role", "organisation"],
)
def test_a_board_is_seen_by_those_it_is_shared_with_and_changed_by_its_owner_alone(
    dsn: str, shared: str, names: set[str]
) -> None:
    async def story(connection: Connection) -> None:
        who = await readers(connection)
        id_ = await kept.keep(connection, who["anna"], FIRST, kept.sharing(shared), "made", AT)
        mine = await kept.one(connection, who["anna"], id_)
        for name, reading in who.items():
            assert bool(await kept.listed(connection, reading)) == (name in names), name
            if name not in names:
                with pytest.raises(NotFound):
                    await kept.one(connection, reading, id_)
            if name != "anna":
                for edit in (
                    kept.change(connection, reading, mine, noted(FIRST, "二"), "added", AT),
                    kept.undo(connection, reading, mine, AT),
                    kept.delete(connection, reading, id_, AT),
                ):
                    with pytest.raises((NotFound, Conflict)):
                        await edit
                await kept.restore(connection, reading, id_)
        assert (await kept.one(connection, who["anna"], id_)).board == FIRST

    run(dsn, story)


def test_every_edit_is_a_version_undo_goes_back_step_by_step_and_old_tabs_are_refused(dsn: str) -> None:
    async def story(connection: Connection) -> None:
        anna = (await readers(connection))["anna"]
        id_ = await kept.keep(connection, anna, FIRST, "private", "made", AT)

        async def now() -> kept.Kept:
            return await kept.one(connection, anna, id_)

        old = await now()
        second, third = noted(FIRST, "二"), noted(noted(FIRST, "二"), "三")
        await kept.change(connection, anna, await now(), second, "added", AT)
        await kept.change(connection, anna, await now(), third, "added", AT)
        with pytest.raises(Conflict):
            await kept.change(connection, anna, old, FIRST, "changed", AT)
        await kept.undo(connection, anna, await now(), AT)
        assert (await now()).board == second
        await kept.undo(connection, anna, await now(), AT)
        assert (await now()).board == FIRST
        with pytest.raises(Conflict):
            await kept.undo(connection, anna, await now(), AT)
        await kept.restore_version(connection, anna, await now(), 3, AT)
        assert (await now()).board == third
        await kept.undo(connection, anna, await now(), AT)
        assert (await now()).board == second
        actions = [one.action for one in await kept.versions(connection, id_)]
        assert actions == ["restored", "restored", "restored", "restored", "added", "added", "made"]
        await kept.delete(connection, anna, id_, AT)
        assert await kept.listed(connection, anna) == []
        await kept.restore(connection, anna, id_)
        assert (await now()).board == second

    run(dsn, story)


def test_a_file_carries_the_saved_question_itself_and_only_if_the_reader_may_open_it(dsn: str) -> None:
    async def story(connection: Connection) -> None:
        who = await readers(connection)
        asked = question_of({"source": "emr.visit", "rows": ["start:month"]})
        number = await saved.save(connection, who["anna"], given("门诊按月", "", "", "private"), asked, AT)
        board = board_of({"name": "x", "tiles": [{"kind": "question", "saved": number}]})
        carried = await dashboards.carried(connection, who["anna"], board)
        assert carried["tiles"][0]["question"]["rows"] == ["start:month"]
        assert (carried["tiles"][0]["title"], "saved" in carried["tiles"][0]) == ("门诊按月", False)
        assert board_of(carried).tiles[0].question == asked
        with pytest.raises(NotFound):
            await dashboards.carried(connection, who["bert"], board)

    run(dsn, story)


def test_an_account_keeps_a_limited_number_of_boards(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BOARDS", 2)

    async def story(connection: Connection) -> None:
        anna = (await readers(connection))["anna"]
        for _ in range(2):
            await kept.keep(connection, anna, FIRST, "private", "made", AT)
        with pytest.raises(Incorrect, match="at most 2 boards"):
            await kept.keep(connection, anna, FIRST, "private", "made", AT)

    run(dsn, story)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("boards") / "data").start()
    yield running
    running.stop()


def test_another_system_lists_reads_and_brings_in_boards(platform: Running) -> None:
    headers = {"Authorization": f"Bearer {platform.token()}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=20) as client:
        assert [one["id"] for one in client.get("/api/dashboards").json()["dashboards"]] == [
            "chronic-care",
            "district-overview",
        ]
        board = client.get("/api/dashboards/chronic-care").json()
        made = client.post("/api/dashboards?shared=organisation", content=json.dumps(board))
        assert made.status_code == 201, made.text
        assert client.get(f"/api/dashboards/{made.json()['id']}").json() == board
        listed = client.get("/api/dashboards").json()["dashboards"]
        assert [one["shared"] for one in listed if not one["builtIn"]] == ["organisation"]
        assert client.post("/api/dashboards", content=b"tiles: [").status_code == 400
        assert client.post("/api/dashboards", content=b"x" * 300_000).status_code == 413
        assert client.get("/api/dashboards/999").status_code == 404
    for method, path in (
        ("GET", "/api/dashboards"),
        ("GET", "/api/dashboards/chronic-care"),
        ("POST", "/api/dashboards"),
    ):
        assert httpx.request(method, f"{platform.url}{path}", timeout=20).status_code == 401


def test_hb_lists_exports_and_imports_boards(platform: Running, tmp_path: Path) -> None:
    def hb(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*HB, *words], env=platform.environment, capture_output=True, text=True, check=False, timeout=120
        )

    assert hb("user", "anna", "--role", "cdc", "--password", "Boards-2026-x!").returncode == 0
    file = tmp_path / "board.yaml"
    assert hb("dashboard", "export", "district-overview", "--out", str(file)).returncode == 0
    wrong = hb("dashboard", "import", str(file), "--owner", "nobody")
    assert (wrong.returncode, "no account" in wrong.stderr) == (2, True)
    made = json.loads(hb("dashboard", "import", str(file), "--owner", "anna", "--shared", "role", "--json").stdout)
    listed = json.loads(hb("dashboard", "list", "--json").stdout)["dashboards"]
    assert [one["shared"] for one in listed if one["id"] == made["id"]] == ["role"]
    again = json.loads(hb("dashboard", "export", str(made["id"]), "--json").stdout)
    assert board_of(again) == dashboards.built_in_one("district-overview").board
    file.write_text("name: x\ntiles: 3\n", "utf-8")
    assert hb("dashboard", "import", str(file), "--owner", "nobody").returncode == 2
