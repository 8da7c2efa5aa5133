"""Saved questions: who may open them, versions, deletion with undo, the start page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from healthbrain.access import put_organisation
from healthbrain.database import Connection, open_pool
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.measure.analysis import question_of, saved
from healthbrain.measure.analysis.saved import Reading, given

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
FIRST = question_of({"source": "emr.visit", "rows": ["start:month"]})
SECOND = question_of({"source": "emr.visit", "rows": ["start:year"]})


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


async def seeing(connection: Connection, who: dict[str, Reading]) -> set[str]:
    return {name for name, reading in who.items() if await saved.listed(connection, reading)}


@pytest.mark.parametrize(
    ("shared", "names"),
    [("private", {"anna"}), ("role", {"anna", "bert"}), ("organisation", {"anna", "bert", "lead", "manager"})],
    ids=["private", "role", "organisation"],
)
def test_a_question_is_seen_by_those_it_is_shared_with_and_changed_by_its_owner_alone(
    dsn: str, shared: str, names: set[str]
) -> None:
    async def story(connection: Connection) -> None:
        who = await readers(connection)
        id_ = await saved.save(connection, who["anna"], given("门诊", "", "月报", shared), FIRST, AT)
        assert await seeing(connection, who) == names
        for name, reading in who.items():
            if name not in names:
                with pytest.raises(NotFound):
                    await saved.one(connection, reading, id_)
            if name != "anna":
                with pytest.raises(NotFound):
                    await saved.delete(connection, reading, id_, AT)
                with pytest.raises(NotFound):
                    await saved.change(connection, reading, id_, given("x", "", "", "private"), SECOND, 1, AT)

    run(dsn, story)


def test_every_saving_is_a_version_and_a_deletion_can_be_taken_back(dsn: str) -> None:
    async def story(connection: Connection) -> None:
        anna = (await readers(connection))["anna"]
        id_ = await saved.save(connection, anna, given("门诊", "", "", "private"), FIRST, AT)
        assert await saved.change(connection, anna, id_, given("门诊年", "", "", "private"), SECOND, 1, AT) == 2
        with pytest.raises(Conflict):
            await saved.change(connection, anna, id_, given("门诊", "", "", "private"), FIRST, 1, AT)
        assert [one.question for one in await saved.versions(connection, id_)] == [SECOND, FIRST]
        await saved.pin(connection, anna, id_, AT, on=True)
        assert [one.name for one in await saved.pinned(connection, anna)] == ["门诊年"]
        await saved.delete(connection, anna, id_, AT)
        assert await saved.pinned(connection, anna) == []
        await saved.restore(connection, anna, id_)
        assert (await saved.one(connection, anna, id_)).question == SECOND
        assert [one.id for one in await saved.listed(connection, anna, "年")] == [id_]
        assert await saved.listed(connection, anna, "没有") == []

    run(dsn, story)


@pytest.mark.parametrize(
    "said", [("", "", "", "private"), ("x" * 81, "", "", "private"), ("x", "", "", "everybody"), ("x", "", "," .join("abcdefghi"), "private")],
    ids=["no-name", "long", "everybody", "many-tags"],
)  # fmt: skip
def test_what_is_typed_when_saving_is_checked(said: tuple[str, str, str, str]) -> None:
    with pytest.raises(Incorrect):
        given(*said)
