"""A request that takes too long is ended; the others go on."""

import asyncio
import time

import pytest

from healthbrain.api.deadlines import Deadlines


async def took(deadlines: Deadlines, allowed: float, needed: float) -> str:
    try:
        with deadlines.within(allowed):
            await asyncio.sleep(needed)
    except TimeoutError:
        return "ended"
    await asyncio.sleep(0)  # nothing of the deadline is left behind
    return "done"


def test_each_has_its_own_time() -> None:
    async def scene() -> None:
        deadlines = Deadlines()
        begun = time.monotonic()
        wanted = [
            took(deadlines, 0.1, 30),
            took(deadlines, 30, 0.2),
            took(deadlines, 0.3, 30),
            took(deadlines, 0.2, 0.01),
        ]
        assert await asyncio.gather(*wanted) == ["ended", "done", "ended", "done"]
        assert time.monotonic() - begun < 20

    asyncio.run(scene())


def test_one_after_the_other_is_looked_after() -> None:
    async def scene() -> None:
        deadlines = Deadlines()
        for _ in range(3):
            assert await took(deadlines, 0.05, 30) == "ended"

    asyncio.run(scene())


def test_being_cancelled_from_elsewhere_is_no_deadline() -> None:
    async def scene() -> None:
        deadlines = Deadlines()
        task = asyncio.create_task(took(deadlines, 30, 30))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())


def test_an_error_inside_stays_what_it_is() -> None:
    async def scene() -> None:
        deadlines = Deadlines()
        with pytest.raises(KeyError), deadlines.within(30):
            raise KeyError("x")

    asyncio.run(scene())


def test_a_cancellation_that_became_another_error_is_told_as_that() -> None:
    async def scene() -> None:
        deadlines = Deadlines()

        async def stubborn() -> None:
            with deadlines.within(0.05):
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    raise ValueError("cut off") from None

        with pytest.raises(ValueError, match="cut off"):
            await stubborn()
        await asyncio.sleep(0)

    asyncio.run(scene())
