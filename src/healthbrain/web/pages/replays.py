"""Replaying everything a filter finds, or all that a source sent, in the background, with its progress readable by every web process.

Progress is a small file in the data folder; it holds counts only. A replay cut off by a restart shows as stopped and
can simply be begun again: what was stored is not stored twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.responses import RedirectResponse, Response

from healthbrain import exchange
from healthbrain.errors import HealthBrainError, NotFound
from healthbrain.exchange import Receipt
from healthbrain.web.language import N_
from healthbrain.web.pages.arrivals import REPLAYABLE, filters_of, wanted_of
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_log = logging.getLogger("healthbrain.web")
_FOLDER = "replays"
_STOPPED_AFTER = 60.0  # seconds without progress
_JOB = re.compile(r"[0-9a-f]{16}")
_running: set[asyncio.Task[None]] = set()  # a task nobody holds may be collected


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """Context of replaying.html."""

    total: int
    done: int
    counts: Sequence[tuple[str, int]]
    finished: bool
    stopped: bool
    back: str


async def replay_all(visit: Visit) -> Response:
    """Begin to replay what the submitted filters find."""
    filters = filters_of(dict((await visit.form()).items()))
    states = (filters.state,) if filters.state in REPLAYABLE else REPLAYABLE
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "replay", "arrival")
        wanted = wanted_of(visit.language, filters, scope, states=states)
        total = sum(
            day.refused + day.failed + day.partly + day.held for day in await exchange.summary(connection, wanted)
        )
    visit.note("E", "arrival", detail=f"replay of {total}", interaction="replay")
    steps = exchange.replay_all(visit.platform.ledger, wanted, by=visit.who.account)
    return begin(visit, (receipt async for _, receipt in steps), total, "/arrivals?" + urlencode(filters.pairs()))


def begin(visit: Visit, steps: AsyncIterator[Receipt], total: int, back: str) -> Response:
    """Do the steps in the background; the answer leads to their progress."""
    job = secrets.token_hex(8)
    file = _file(visit.platform.settings.data, job)
    state: dict[str, Any] = {
        "total": total, "done": 0, "counts": {}, "finished": False, "back": back, "by": visit.who.account,
    }  # fmt: skip
    _write(file, state)
    task = asyncio.create_task(_work(steps, file, state), name=f"replay {job}")
    _running.add(task)
    task.add_done_callback(_running.discard)
    return RedirectResponse(f"/arrivals/replays/{job}", 303)


async def progress(visit: Visit) -> Response:
    """How far a replay is."""
    job = visit.request.path_params["job"]
    file = _file(visit.platform.settings.data, job)
    if not _JOB.fullmatch(job) or not file.exists():
        raise NotFound("there is no such replay")
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "replay", "arrival")
    state = orjson.loads(file.read_bytes())
    stopped = not state["finished"] and time.time() - file.stat().st_mtime > _STOPPED_AFTER
    page = ReplayPage(
        state["total"], state["done"], sorted(state["counts"].items()), state["finished"], stopped, state["back"]
    )
    said = visit.language
    crumbs = [
        Crumb(said.say(N_("Home")), "/"),
        Crumb(said.say(N_("Arrivals")), page.back),
        Crumb(said.say(N_("Replay"))),
    ]
    return show(visit, "replaying.html", page, crumbs=crumbs)


async def _work(steps: AsyncIterator[Receipt], file: Path, state: dict[str, Any]) -> None:
    written = 0.0
    try:
        async for receipt in steps:
            state["done"] += 1
            state["counts"][receipt.state] = state["counts"].get(receipt.state, 0) + 1
            if time.monotonic() - written > 0.5:
                _write(file, state)
                written = time.monotonic()
    except HealthBrainError as error:
        _log.warning("replay stopped: %s", type(error).__name__)
    finally:
        state["finished"] = True
        state["total"] = max(state["total"], state["done"])
        with contextlib.suppress(OSError):
            _write(file, state)


def _file(data: Path, job: str) -> Path:
    return data / _FOLDER / f"{job}.json"


def _write(file: Path, state: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(orjson.dumps(state))
    part.replace(file)
