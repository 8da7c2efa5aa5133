"""Lines of an NDJSON file made ready for the database: read, checked, indexed, encoded. Pure, so that any process can do it.

They are made ready as if their resources were new. Whether they are turns out when they are written; those that are not
go the ordinary way afterwards.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.process import BaseProcess
from typing import Any

from healthbrain.errors import HealthBrainError, Incorrect, Issue, Malformed
from healthbrain.exchange import ledger
from healthbrain.exchange.plausible import future_facts
from healthbrain.fhir import definitions, parse
from healthbrain.fhir.profile import objections
from healthbrain.store import (
    Array,
    Catalog,
    Ready,
    Write,
    WriteContext,
    Written,
    ready_bundle,
    ready_columns,
    ready_write,
)

_LINE_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a resource to write, a Bundle to process, or what is wrong with it."""

    number: int
    write: Write | None = None
    issues: tuple[Issue, ...] = ()
    bundle: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk of lines on its way into the database.

    `columns` are the rows of resources, each belonging to the line in `owners` at its place. `later` are lines that need the
    database to be understood, or are about a resource that an earlier line is about; `seen` is what observers of
    `watched` types will want to see, with its place.
    """

    columns: list[Array]
    owners: list[int]
    types: frozenset[str]
    seen: list[tuple[int, Written]]
    refused: list[Line]
    later: list[Line]
    packed: bytes


def prepare(
    chunk: Sequence[bytes], first: int, context: WriteContext, watched: frozenset[str] | None, known: Catalog
) -> Prepared:
    """Make lines ready that begin at line `first`. `watched` None: somebody wants to see everything. `known`: search parameters
    that were added."""
    ready: list[Ready] = []
    owners: list[int] = []
    refused: list[Line] = []
    later: list[Line] = []
    taken: set[bytes] = set()
    for line in read_lines(chunk, first, context.at, invariants=context.invariants):
        if line.issues:
            refused.append(line)
            continue
        try:
            found = _ready(line, context, known)
        except HealthBrainError:
            found = None  # the ordinary way says what is wrong, with its place
        if found is None or not taken.isdisjoint(one.key for one in found):
            later.append(line)
            continue
        taken.update(one.key for one in found)
        owners += [line.number] * len(found)
        ready += found
    seen = [(n, one.written) for n, one in enumerate(ready) if watched is None or one.type in watched]
    types = frozenset(one.type for one in ready)
    return Prepared(ready_columns(ready), owners, types, seen, refused, later, ledger.pack(joined(chunk)))


def _ready(line: Line, context: WriteContext, known: Catalog) -> list[Ready] | None:
    if line.write is not None:
        single = ready_write(line.write, context, known)
        return [single] if single else None
    bundle: Mapping[str, Any] = line.bundle or {}
    entries = bundle.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and future_facts(resource, context.at):
            return None
    return ready_bundle(bundle, context, known)


def joined(chunk: Sequence[bytes]) -> bytes:
    """The chunk as the file had it."""
    return b"\n".join(chunk) + b"\n"


def read_lines(chunk: Sequence[bytes], first: int, at: datetime, *, invariants: bool = True) -> list[Line]:
    """Read and check them; empty ones are left out."""
    return [
        read_line(line, number, at, invariants=invariants) for number, line in enumerate(chunk, first) if line.strip()
    ]


def read_line(line: bytes, number: int, at: datetime, *, invariants: bool = True) -> Line:
    """Read and check one line."""
    try:
        if len(line) > _LINE_LIMIT:
            raise Malformed(f"the line is longer than {_LINE_LIMIT // 1024 // 1024} MB")
        resource = parse(line)
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            raise Incorrect("the line has no resourceType")
        if kind == "Bundle" and resource.get("type") in {"transaction", "batch"}:
            return Line(number, bundle=resource)  # the store checks every entry
        found = objections(resource, invariants=invariants)
        if found := found or future_facts(resource, at):
            return Line(number, issues=tuple(found))
        return Line(number, _as_write(kind, resource))
    except HealthBrainError as error:
        return Line(number, issues=error.issues or (Issue("error", "structure", "", error.message),))


def _as_write(kind: str, resource: dict[str, Any]) -> Write:
    number = resource.get("id")
    return Write("update", kind, str(number), resource) if number else Write("create", kind, None, resource)


def begin_process() -> None:
    """What a process that prepares lines does first. It ends with the one that asked for it."""
    if (asking := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_after, args=(asking,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it
    definitions()
    gc.collect()
    gc.freeze()  # the definitions stay: looking for garbage among them takes a fifth of the time
    gc.set_threshold(100_000, 20, 20)


def _end_after(asking: BaseProcess) -> None:
    """The kernel would tell only of the process that copied this one, and that one lives while its copies do."""
    asking.join()
    os._exit(1)
