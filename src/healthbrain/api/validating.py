"""Validation for a process that serves many: what is soon done here, what takes long in a process beside it.

Most validations take a millisecond. One over a large resource, or by rules of a stranger's profile, may take seconds of pure computing;
it goes on in a process of its own, one at a time for each process that serves, and is ended with its request.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healthbrain.errors import Issue, Unavailable
from healthbrain.fhir import dump
from healthbrain.fhir.profile import Mode, Unfinished, validate_resource
from healthbrain.fhir.profile.apart import Job, read_issues, work

LONGEST = 30.0  # seconds, waiting for those before it included
_LARGE = 64 * 1024  # bytes; what is larger is not begun here
_PATIENCE = 0.1  # seconds that all passes may take here together
_PASSES = 12  # profiles built on profiles that bind value sets that include value sets ...
_MOST_LOOKUPS = 500
_ENDING = 5.0
log = logging.getLogger("healthbrain.api")

Resource = dict[str, Any]
Find = Callable[
    [str, str], Awaitable[Resource | None]
]  # kind of definition ("": a resource referred to), canonical or reference


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be validated, and how large it came."""

    resource: Resource
    size: int
    profiles: tuple[str, ...]
    mode: Mode | None
    at: datetime


class Validating:
    """Validates for one process."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def issues(self, wanted: Wanted, find: Find) -> list[Issue]:
        """What is wrong with it. Raises Unavailable when that takes too long."""
        shelf = _Shelf(find)
        if wanted.size <= _LARGE and (issues := await _here(wanted, shelf)) is not None:
            return issues
        try:
            async with asyncio.timeout(LONGEST), self._turn:
                return await _apart(wanted, shelf)
        except TimeoutError:
            text = (
                f"the validation took longer than {LONGEST:.0f} s and was ended; send smaller parts, or fewer profiles"
            )
            raise Unavailable(text, issues=[Issue("error", "timeout", "", text)]) from None


@dataclass(slots=True)
class _Shelf:
    """What has been found so far (None: there is no such thing), and what was asked for and has not."""

    find: Find
    held: dict[tuple[str, str], Resource | None] = field(default_factory=dict)
    missed: set[tuple[str, str]] = field(default_factory=set)

    def at_hand(self, kind: str, key: str) -> Resource | None:
        """What is at hand; what is not is noted as missed."""
        if (kind, key) not in self.held and len(self.held) + len(self.missed) < _MOST_LOOKUPS:
            self.missed.add((kind, key))
        return self.held.get((kind, key))

    async def fetch(self, kind: str, key: str) -> Resource | None:
        """Find it now, as long as not too much was."""
        if (kind, key) not in self.held and len(self.held) < _MOST_LOOKUPS:
            self.held[kind, key] = await self.find(kind, key)
        return self.held.get((kind, key))


async def _here(wanted: Wanted, shelf: _Shelf) -> list[Issue] | None:
    """Validate, find what was asked for and not at hand, and again until nothing new is asked for; None when it gets long."""
    took, issues = 0.0, list[Issue]()
    for _ in range(_PASSES):
        begun = time.perf_counter()
        try:
            issues = _pass(wanted, shelf)
        except Unfinished:
            return None
        took += time.perf_counter() - begun
        if not shelf.missed:
            return issues
        if took > _PATIENCE:
            return None
        for kind, key in sorted(shelf.missed):
            await shelf.fetch(kind, key)
        shelf.missed.clear()
    return issues


def _pass(wanted: Wanted, shelf: _Shelf) -> list[Issue]:
    return validate_resource(
        wanted.resource,
        profiles=wanted.profiles,
        lookup=lambda url: shelf.at_hand("StructureDefinition", url),
        value_sets=lambda url: shelf.at_hand("ValueSet", url),
        code_systems=lambda url: shelf.at_hand("CodeSystem", url),
        questionnaires=lambda url: shelf.at_hand("Questionnaire", url),
        resolve=lambda text: shelf.at_hand("", text),
        mode=wanted.mode,
        at=wanted.at,
        quick=True,
    )


async def _apart(wanted: Wanted, shelf: _Shelf) -> list[Issue]:
    """In a process of its own, which ends with this request."""
    job = await asyncio.to_thread(_job, wanted, shelf)
    ours, theirs = multiprocessing.Pipe()
    process = _context().Process(target=work, args=(theirs,), daemon=True, name="validation")
    await asyncio.to_thread(process.start)
    theirs.close()
    try:
        await asyncio.to_thread(ours.send, job)
        while True:
            kind, content = await asyncio.to_thread(ours.recv)
            if kind == "issues":
                return read_issues(content)
            found = await shelf.fetch(*content)
            await asyncio.to_thread(ours.send, None if found is None else dump(found))
    except (EOFError, OSError):
        log.warning("a validation ended before its time (exit code %s)", process.exitcode)
        raise Unavailable("the validation took too much time or memory and was ended; send smaller parts") from None
    finally:
        process.kill()
        await asyncio.to_thread(process.join, _ENDING)
        ours.close()


def _job(wanted: Wanted, shelf: _Shelf) -> Job:
    known = {name: None if one is None else dump(one) for name, one in shelf.held.items()}
    return Job(dump(wanted.resource), wanted.profiles, wanted.mode, wanted.at, known)


def _context() -> multiprocessing.context.ForkServerContext:
    """Copies of a process that has read the definitions and nothing else: no threads, no connections."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["healthbrain.fhir.profile.apart"])
    return context
