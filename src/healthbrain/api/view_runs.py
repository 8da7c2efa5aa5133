"""$viewdefinition-run: a view over the lake, or over resources that are sent, answered at once (SQL on FHIR v2).

    POST /fhir/$viewdefinition-run       POST /fhir/ViewDefinition/$viewdefinition-run    GET|POST /fhir/ViewDefinition/[id]/$viewdefinition-run

A run shows what a search for the view's resources would show the same requester, from the lake, which is seconds behind.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from healthbrain import audit
from healthbrain.access import Gate
from healthbrain.api import media
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.lending import ask
from healthbrain.api.parameters import Asked, asked
from healthbrain.api.platform import Platform
from healthbrain.api.streamed import Streamed
from healthbrain.api.view_wishes import RUN, TYPE, Wanted, reference_text, resources_of, wanted
from healthbrain.api.witness import event_of
from healthbrain.errors import Busy, Forbidden, Incorrect
from healthbrain.fhir import dump
from healthbrain.lake import Lake, stored
from healthbrain.lake.asking import Question, answer, members_of
from healthbrain.lake.library import View
from healthbrain.lake.sof import ViewDefinition, read_view
from healthbrain.lake.sof.files import CONTENT
from healthbrain.lake.sof.parameters import as_parameters
from healthbrain.lake.sof.running import Outcome, run_on_files
from healthbrain.runtime import datasets
from healthbrain.store import patient_key

_ASKED = ("_format", "header", "viewReference", "viewResource", "patient", "group", "_since", "_limit", "resource")
_MOST_AT_ONCE = 2  # runs of one process: each may take both processors
_MOST_WAITING = 16
_NAMED = 2000  # patients in one audit event
_PIECE = 256 * 1024


class ViewRuns:
    """Running views for requests."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._waiting = 0

    async def run(self, call: Call, id_: str) -> Answer:
        """GET or POST …/$viewdefinition-run"""
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id, trace.detail = (
            "operation",
            "E",
            TYPE,
            id_ or None,
            RUN[0],
        )
        given = await asked(call)
        given.only(_ASKED)
        want = wanted(call, given)
        if not given.all("viewResource"):
            await self._gate.decide(call.who, "read", TYPE, call.at)
        name, view = await self.view_of(id_, given)
        await self.admit(call, "" if given.all("viewResource") else name)
        call.trace.detail = f"{RUN[0]} {name} over {view.resource}"
        inline = resources_of(given)
        if inline is not None:
            if isinstance(view, View):
                raise Incorrect(
                    "this view is made of other views of the libraries; run those over resources that you send"
                )
            return await self._in_turn(want, lambda out: self._on_inline(view, inline, out, want))
        question = replace(await self.question(call, view, want), id="" if given.all("viewResource") else name)
        lake = Lake(self._platform.settings.lake)

        def over_lake(out: Path, began: Callable[[duckdb.DuckDBPyConnection], None]) -> Outcome:
            return answer(lake, question, out, want.layout, began)

        return await self._in_turn(want, lambda out: self._interruptible(over_lake, out), call)

    async def view_of(self, id_: str, given: Asked) -> tuple[str, ViewDefinition | View]:
        """The view that is asked for, with what it is called in the log. Raises NotFound, Incorrect with every fault."""
        references, bodies = given.all("viewReference"), given.all("viewResource")
        if (bool(id_) + len(references) + len(bodies)) != 1:
            raise Incorrect("name one view: by its address, or by viewReference, or send it as viewResource")
        if bodies:
            return "sent", read_view(bodies[0])
        reference = id_ or reference_text(references[0], "viewReference")
        found, definition = await ask(self._platform.readers, lambda c: stored.resolve(c, reference))
        return found, stored.runnable(found, definition)

    async def admit(self, call: Call, name: str) -> None:
        """Whether the requester may read the data set of this name ('' = a view that it sent). Raises Forbidden."""
        if call.partner is not None:
            call.partner.check_view(name or "*")
        if name:
            await ask(self._platform.readers, lambda c: datasets.admit(c, name, call.who, call.at))

    async def question(self, call: Call, view: ViewDefinition | View, want: Wanted) -> Question:
        """What may be shown of it. Raises Forbidden."""
        scope = await self._gate.decide(call.who, "search", view.resource, call.at)
        if not scope.identified:
            raise Forbidden("you see figures, not single residents; declare a purpose of use that allows it first")
        if view.resource == "AuditEvent":
            raise Incorrect("the audit log is not in the lake; search AuditEvent")
        keys: set[int] | None = {patient_key(one) for one in want.patients} if want.patients else None
        for group in want.groups:
            members = await self._members(call, group)
            keys = members if keys is None else keys | members
        others = {
            type_: await self._gate.decide(call.who, "search", type_, call.at)
            for type_ in sorted(view.types if isinstance(view, View) else ())
        }
        return Question(view, scope, None if keys is None else tuple(sorted(keys)), want.since, others=others)

    async def _members(self, call: Call, group: str) -> set[int]:
        scope = await self._gate.decide(call.who, "read", "Group", call.at)
        read = self._platform.store.read
        found = await ask(self._platform.readers, lambda c: read(c, "Group", group, scope=scope))
        return members_of(found.resource)

    async def _in_turn(
        self, want: Wanted, work: Callable[[Path], Awaitable[Outcome]], call: Call | None = None
    ) -> Answer:
        """Run it when it is its turn; the file is sent and removed."""
        if self._waiting >= _MOST_WAITING:
            raise Busy("too many views are being run; try again in a moment")
        self._waiting += 1
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self._root()))
        try:
            async with self._turn:
                out = folder / f"rows.{want.format}"
                done = await work(out)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._waiting -= 1
        if call is not None:
            call.trace.detail += f": {done.rows} rows"
            self._note(call, done.patients)
        headers = [(b"content-disposition", f'attachment; filename="rows.{want.format}"'.encode())]
        if want.fhir:
            pieces = as_parameters(out, done.columns)
            return Streamed(200, None, [], media.JSON_TYPE, _then_remove(pieces, folder))
        return Streamed(200, None, headers, CONTENT[want.format].encode(), _then_remove(_pieces(out), folder))

    def _note(self, call: Call, patients: tuple[int, ...]) -> None:
        """Whose records are in the rows: in the event of the request, and in more of them when they are many."""
        call.trace.patients.update(patients[:_NAMED])
        for start in range(_NAMED, len(patients), _NAMED):
            event = replace(event_of(call, audit.FINE), patients=patients[start : start + _NAMED])
            self._platform.audit.note(event)

    def _root(self) -> Path:
        root = self._platform.settings.data / "runs"
        root.mkdir(parents=True, exist_ok=True)
        return root

    async def _interruptible(
        self, work: Callable[[Path, Callable[[duckdb.DuckDBPyConnection], None]], Outcome], out: Path
    ) -> Outcome:
        """Work in a thread; when the request is given up, the query is stopped too."""
        running: list[duckdb.DuckDBPyConnection] = []
        task = asyncio.create_task(asyncio.to_thread(work, out, running.append))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            for connection in running:
                connection.interrupt()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def _on_inline(
        self, view: ViewDefinition, resources: list[Mapping[str, Any]], out: Path, want: Wanted
    ) -> Outcome:
        given = out.with_name("given.ndjson")
        given.write_bytes(b"".join(dump(dict(one)) + b"\n" for one in resources))
        return await asyncio.to_thread(run_on_files, view, [given], out, want.layout)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _then_remove(pieces: Iterator[bytes], folder: Path) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:
        shutil.rmtree(folder, ignore_errors=True)
