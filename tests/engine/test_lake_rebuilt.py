"""A lake that grew through any sequence of changes holds the same rows as one built from zero."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from healthbrain import identity, lake
from healthbrain.access import put_organisation
from healthbrain.errors import Conflict
from healthbrain.lake import Lake, Retention
from healthbrain.runtime import Platform, erasure
from healthbrain.runtime.erasure import Wish
from healthbrain.scope import Principal
from healthbrain.settings import Settings
from healthbrain.store import Write, WriteContext, patient_key

WHO = Principal("clerk", "", "administrator", 1, "SYSADMIN")
COLUMNS = "_id, _version, _deleted, _owner, _patient, _delivery, _body"
STEPS = 30


class Life:
    """Random work on a platform, with the lake following in steps of its own."""

    def __init__(self, platform: Platform, chance: Random) -> None:
        self.platform, self.chance = platform, chance
        self.folder = platform.settings.lake
        self.done: dict[str, int] = {}

    async def step(self) -> None:
        """One change, and perhaps something that the lake does."""
        works = (self.write, self.write, self.write, self.delete, self.separate, self.erase)
        work = self.chance.choice(works)
        await work()
        self.done[work.__name__] = self.done.get(work.__name__, 0) + 1
        if self.chance.random() < 0.6:
            await lake.sync(
                self.platform.pool, self.folder, self.now, persons=identity.links, batch=self.chance.choice([3, 50])
            )
        if self.chance.random() < 0.2:
            keep = Retention(versions=timedelta(days=self.chance.choice([0, 30])))
            await asyncio.to_thread(lake.compact, self.folder, self.now, keep=keep)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def write(self) -> None:
        writes = []
        for _ in range(self.chance.randint(1, 4)):
            n = self.chance.randrange(6)
            if self.chance.random() < 0.5:
                card = {"system": "urn:healthbrain:id:insurance", "value": f"E0000000{n // 2}"}
                writes.append({"resourceType": "Patient", "id": f"p{n}", "identifier": [card], "name": [{"text": "王"}],
                               "birthDate": f"19{50 + n // 2}-01-01", "gender": "female", "active": self.chance.random() < 0.5})  # fmt: skip
            else:
                writes.append({"resourceType": "Observation", "id": f"o{self.chance.randrange(9)}", "status": "final",
                               "code": {"text": str(self.chance.random())}, "subject": {"reference": f"Patient/p{n}"}})  # fmt: skip
        await self._put([Write("update", str(one["resourceType"]), str(one["id"]), one) for one in writes])

    async def delete(self) -> None:
        await self._put([Write("delete", "Observation", f"o{self.chance.randrange(9)}", None)])

    async def separate(self) -> None:
        async with self.platform.pool.connection() as connection:
            known = await identity.links(connection)
            if known:
                try:
                    await identity.unlink(
                        connection, self.chance.choice(known)[0], who="x", reason="wrong", at=self.now
                    )
                except Conflict:
                    await connection.rollback()

    async def erase(self) -> None:
        async with self.platform.pool.connection() as connection:
            known = await identity.links(connection)
            if not known:
                return
            planned = await erasure.plan(self.platform, connection, self.chance.choice(known)[1])
        await erasure.erase(self.platform, planned.person, Wish("law", "judgement", planned.code), WHO)

    async def _put(self, writes: list[Write]) -> None:
        distinct = list({(one.type, one.id): one for one in writes}.values())
        async with self.platform.pool.connection() as connection, connection.transaction():
            context = WriteContext(owner=1, at=self.now, delivery=None)
            await self.platform.store.write(connection, distinct, context, observers=self.platform.observers)


def rows(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    connection = Lake(folder).connect(types=["Patient", "Observation"])
    found = {
        type_: connection.execute(f"select {COLUMNS} from {type_} order by _id").fetchall()
        for type_ in ("Patient", "Observation")
    }
    found["person_link"] = connection.execute("select patient, person from person_link order by 1").fetchall()
    connection.close()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_changes_gives_the_lake_of_a_rebuild(dsn: str, tmp_path: Path, seed: int) -> None:
    async def story() -> None:
        async with Platform(Settings(data=tmp_path), dsn=dsn) as platform:
            async with platform.pool.connection() as connection:
                await put_organisation(connection, code="QP00", name="区", kind="district")
            life = Life(platform, Random(seed))
            for _ in range(STEPS):
                await life.step()
            assert await erasure.finish(platform)
            await lake.sync(platform.pool, life.folder, life.now, persons=identity.links)
            grown = rows(life.folder)
            await lake.rebuild(platform.pool, tmp_path / "anew", life.now, persons=identity.links)
            assert grown == rows(tmp_path / "anew")
            assert {patient for patient, _ in grown["person_link"]} == {patient_key(one[0]) for one in grown["Patient"]}
            verdict = await lake.verify(platform.pool, life.folder, life.now)
            assert (verdict.compared, verdict.findings) == (True, ())
            assert life.done.keys() >= {"write", "delete", "erase"}

    asyncio.run(story())
