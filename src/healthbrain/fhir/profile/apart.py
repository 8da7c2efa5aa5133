"""A long validation in a process of its own, asking whoever started it for what it needs.

Validation computes and never waits, so in a process that serves many it would hold up all the others. Over the pipe go the
resource as JSON, then questions (a kind of definition and its canonical url) with their answers, in the end the issues. The kernel
ends a process that has computed for `SECONDS`, whatever keeps it busy.
"""

from __future__ import annotations

import os
import resource as limits
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

from healthbrain.errors import Issue
from healthbrain.fhir.codec import parse
from healthbrain.fhir.profile.engine import Mode, validate_resource

SECONDS = 60  # of computing
_NICENESS = 5  # behind those that answer many


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be validated, the resource as JSON."""

    resource: bytes
    profiles: tuple[str, ...]
    mode: Mode | None
    at: datetime
    known: dict[tuple[str, str], bytes | None]  # answers that are at hand


def work(pipe: Connection) -> None:
    """The process: one job, then it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it
    limits.setrlimit(limits.RLIMIT_CPU, (SECONDS, SECONDS))
    os.nice(_NICENESS)
    try:
        job: Job = pipe.recv()
        issues = _Asking(pipe, job).issues()
        pipe.send(("issues", [(i.severity, i.code, i.expression, i.text) for i in issues]))
    except (EOFError, BrokenPipeError):
        pass  # nobody waits any more
    finally:
        pipe.close()


def read_issues(told: Sequence[tuple[Any, str, str, str]]) -> list[Issue]:
    """The issues as they were before they went through the pipe."""
    return [Issue(*one) for one in told]


class _Asking:
    def __init__(self, pipe: Connection, job: Job) -> None:
        self._pipe = pipe
        self._job = job
        self._held: dict[tuple[str, str], dict[str, Any] | None] = {}

    def issues(self) -> list[Issue]:
        job = self._job
        return validate_resource(
            parse(job.resource),
            profiles=job.profiles,
            lookup=lambda url: self._find("StructureDefinition", url),
            value_sets=lambda url: self._find("ValueSet", url),
            code_systems=lambda url: self._find("CodeSystem", url),
            questionnaires=lambda url: self._find("Questionnaire", url),
            resolve=lambda text: self._find("", text),
            mode=job.mode,
            at=job.at,
        )

    def _find(self, kind: str, key: str) -> dict[str, Any] | None:
        name = (kind, key)
        if name not in self._held:
            if name in self._job.known:
                found = self._job.known[name]
            else:
                self._pipe.send(("find", name))
                found = self._pipe.recv()
            self._held[name] = None if found is None else parse(found)
        return self._held[name]
