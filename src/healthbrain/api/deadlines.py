"""How long a request may take. One look every now and then at all that are under way, instead of a timer for each:
setting and clearing timers was a thirtieth of the work of a single write.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

_LOOK = 0.25  # seconds from one look to the next, at most


class Deadlines:
    """The requests under way in this process, and until when each may take."""

    def __init__(self) -> None:
        self._under_way: dict[asyncio.Task[object], Deadline] = {}
        self._next: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> Deadline:
        """For `with`: the block is cancelled after so many seconds, which raises TimeoutError behind it."""
        return Deadline(self, seconds)

    def begin(self, task: asyncio.Task[object], deadline: Deadline, seconds: float) -> None:
        """Look after this one too."""
        self._under_way[task] = deadline
        loop = asyncio.get_running_loop()
        when = loop.time() + min(_LOOK, seconds)
        if self._next is None or self._next.when() > when:
            if self._next is not None:
                self._next.cancel()
            self._next = loop.call_at(when, self._look)

    def end(self, task: asyncio.Task[object]) -> None:
        """It is done."""
        del self._under_way[task]

    def _look(self) -> None:
        self._next = None
        if not self._under_way:
            return
        loop = asyncio.get_running_loop()
        now, nearest = loop.time(), _LOOK
        for task, deadline in self._under_way.items():
            if deadline.passed:
                continue
            if deadline.until <= now:
                deadline.passed = True
                task.cancel()
            else:
                nearest = min(nearest, deadline.until - now)
        self._next = loop.call_at(now + nearest, self._look)


class Deadline:
    """One request's; see `Deadlines.within`."""

    __slots__ = ("_all", "_cancelling", "_seconds", "_task", "passed", "until")

    def __init__(self, all_: Deadlines, seconds: float) -> None:
        self._all = all_
        self._seconds = seconds
        self.passed = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._task, self._cancelling = task, task.cancelling()
        self.until = asyncio.get_running_loop().time() + self._seconds
        self._all.begin(task, self, self._seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._all.end(self._task)
        if self.passed and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
