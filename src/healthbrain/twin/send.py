"""Delivering the district's messages to the platform's real doors: FHIR over HTTP, HL7 v2 over MLLP.

Each source keeps its order: it has one message under way at a time, as an interface engine does; sources go side by side, at most
`lanes` per door. Until it is acknowledged a message is sent again: after a lost connection, a timeout, HTTP 408, 429 or 5xx, and after
an ACK that names an internal error (HL7 table 0357, code 207). Any other refusal is final and counted with its reason. A cursor
file remembers how far each source got, so an interrupted delivery goes on where it stopped; what was sent twice changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from healthbrain.errors import Incorrect, Unauthenticated, Unavailable
from healthbrain.twin.outgoing import Outgoing

_START, _END = b"\x0b", b"\x1c\r"
_WINDOW = 20_000  # messages read ahead, so that a slow source does not hold up the others
_CODECS = ("utf-8", "gb18030")
Verdict = Literal["accepted", "refused", "cut", "retry"]


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the doors are, and with which bearer token each FHIR source speaks."""

    fhir: str  # base URL, as http://127.0.0.1:8080/fhir
    mllp_host: str
    mllp_port: int
    tokens: Mapping[str, str]  # source code -> token


@dataclass(slots=True)
class Count:
    """How one source fared. `resources` are those of accepted messages."""

    accepted: int = 0
    refused: int = 0
    cut: int = 0  # connection broken on purpose in the middle of a frame
    retried: int = 0
    resources: int = 0
    unexpected: int = 0  # refused though nothing was wrong with it by intention
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """The delivery so far."""

    sources: dict[str, Count] = field(default_factory=dict)

    def of(self, source: str) -> Count:
        """The count of a source."""
        return self.sources.setdefault(source, Count())

    @property
    def done(self) -> int:
        """Messages that are through, whatever became of them."""
        return sum(count.accepted + count.refused + count.cut for count in self.sources.values())

    def total(self, name: str) -> int:
        """The sum of one count over all sources."""
        return sum(getattr(count, name) for count in self.sources.values())


async def send(
    messages: Iterable[Outgoing],
    doors: Doors,
    *,
    lanes: int = 4,
    patience: float = 60.0,
    attempts: int = 12,
    cursor: Path | None = None,
    label: str = "",
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Deliver `messages` (in order of time) and say how each source fared.

    `patience` is how many seconds an answer may take. `label` names the district in the cursor file, so that a cursor of another one is refused. Raises Unavailable when a
    door stays shut for all attempts (the cursor holds what is done), Unauthenticated when a token is not accepted.
    """
    delivery = _Delivery(doors, patience, attempts, _Cursor(cursor, label), on_progress)
    limits = {"fhir": asyncio.Semaphore(lanes), "hl7v2": asyncio.Semaphore(lanes)}
    async with httpx.AsyncClient(timeout=patience, limits=httpx.Limits(max_connections=lanes)) as client:
        delivery.client = client
        try:
            await _feed(iter(messages), delivery, limits)
        finally:
            delivery.cursor.save()
            await delivery.close()
    return delivery.progress


async def _feed(messages: Iterator[Outgoing], delivery: _Delivery, limits: Mapping[str, asyncio.Semaphore]) -> None:
    """Hand messages to their sources; the directory, which the others refer to, goes first and alone."""
    running: dict[str, asyncio.Task[None]] = {}
    waiting: dict[str, deque[Outgoing]] = {}
    window = asyncio.Semaphore(_WINDOW)

    async def work(source: str) -> None:
        queue = waiting[source]
        while queue:
            message = queue.popleft()
            async with limits[message.door]:
                await delivery.deliver(message)
            window.release()

    try:
        for number, message in enumerate(messages):
            if delivery.cursor.skip(message):
                continue
            if message.kind == "directory":
                await delivery.deliver(message)
                continue
            await _room(window, running)
            waiting.setdefault(message.source, deque()).append(message)
            task = running.get(message.source)
            if task is None or task.done():
                if task is not None:
                    task.result()
                running[message.source] = asyncio.create_task(work(message.source))
            if number % 50 == 0:
                await asyncio.sleep(0)  # making messages is work, too: let the senders breathe
        await asyncio.gather(*running.values())
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _room(window: asyncio.Semaphore, running: Mapping[str, asyncio.Task[None]]) -> None:
    """Wait until fewer messages are under way; a source that failed ends everything."""
    while window.locked():
        await asyncio.wait(running.values(), timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
        for task in running.values():
            if task.done():
                task.result()
    await window.acquire()


class _Delivery:
    client: httpx.AsyncClient

    def __init__(
        self,
        doors: Doors,
        patience: float,
        attempts: int,
        cursor: _Cursor,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.doors, self.patience, self.attempts, self.cursor = doors, patience, attempts, cursor
        self.progress = Progress()
        self._on_progress = on_progress
        self._lines: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def deliver(self, message: Outgoing) -> None:
        """Send one message until it is answered for good."""
        count = self.progress.of(message.source)
        for attempt in range(self.attempts):
            try:
                verdict, reason = await (self._post(message) if message.door == "fhir" else self._speak(message))
            except (OSError, httpx.TransportError, TimeoutError, asyncio.IncompleteReadError) as error:
                verdict, reason = "retry", type(error).__name__
                self._hang_up(message.source)
            if verdict != "retry":
                self._note(message, count, verdict, reason)
                return
            count.retried += 1
            await asyncio.sleep(min(0.1 * 2**attempt, 10.0))
        raise Unavailable(
            f"the {message.door} door did not take a message of {message.source} in {self.attempts} attempts; "
            "see that the platform is running, then send again with the same cursor"
        )

    def _note(self, message: Outgoing, count: Count, verdict: Verdict, reason: str) -> None:
        if verdict == "accepted":
            count.accepted += 1
            count.resources += message.resources
        elif verdict == "cut":
            count.cut += 1
        else:
            count.refused += 1
            count.unexpected += not message.fault
            count.reasons[reason] = count.reasons.get(reason, 0) + 1
        self.cursor.done(message)
        if self._on_progress:
            self._on_progress(self.progress)

    async def _post(self, message: Outgoing) -> tuple[Verdict, str]:
        token = self.doors.tokens.get(message.source)
        if token is None:
            raise Incorrect(f"there is no token for the FHIR source {message.source}; pass one in Doors.tokens")
        answer = await self.client.post(
            self.doors.fhir,
            content=message.payload,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
        )
        if answer.status_code in (401, 403):
            raise Unauthenticated(f"the platform does not accept the token of {message.source}; issue a new one")
        if answer.is_success:
            return "accepted", ""
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            return "retry", str(answer.status_code)
        return "refused", _outcome(answer)

    async def _speak(self, message: Outgoing) -> tuple[Verdict, str]:
        reader, writer = await self._line(message.source)
        if message.cut:
            writer.write(_START + message.payload[: len(message.payload) // 2])
            await writer.drain()
            self._hang_up(message.source)
            return "cut", ""
        writer.write(_START + message.payload + _END)
        await writer.drain()
        async with asyncio.timeout(self.patience):
            answer = await reader.readuntil(_END)
        return _acknowledged(answer)

    async def _line(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        line = self._lines.get(source)
        if line is None:
            async with asyncio.timeout(self.patience):
                line = await asyncio.open_connection(self.doors.mllp_host, self.doors.mllp_port)
            self._lines[source] = line
        return line

    def _hang_up(self, source: str) -> None:
        line = self._lines.pop(source, None)
        if line:
            line[1].close()

    async def close(self) -> None:
        """Close the MLLP connections."""
        for _, writer in self._lines.values():
            writer.close()
        self._lines.clear()


class _Cursor:
    """How many messages of each source are done, in a file that is replaced at once, never half written."""

    def __init__(self, path: Path | None, label: str) -> None:
        self.path, self.label = path, label
        self._done: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._since = 0
        if path is not None and path.exists():
            kept = json.loads(path.read_text("utf-8"))
            if kept["label"] != label:
                raise Incorrect(
                    f"{path} is the cursor of another district ({kept['label']}); remove it or use another file"
                )
            self._done = kept["done"]

    def skip(self, message: Outgoing) -> bool:
        """Whether an earlier delivery has done this message."""
        seen = self._seen.get(message.source, 0)
        if seen >= self._done.get(message.source, 0):
            return False
        self._seen[message.source] = seen + 1
        return True

    def done(self, message: Outgoing) -> None:
        """One more of its source."""
        self._seen[message.source] = self._seen.get(message.source, 0) + 1
        self._since += 1
        if self._since >= 500:
            self.save()

    def save(self) -> None:
        """Write the file."""
        self._since = 0
        if self.path is not None:
            part = self.path.with_suffix(".part")
            # while what is done is still being skipped, the earlier numbers hold
            done = {
                source: max(self._seen.get(source, 0), self._done.get(source, 0))
                for source in {**self._done, **self._seen}
            }
            part.write_text(json.dumps({"label": self.label, "done": done}), "utf-8")
            part.replace(self.path)


def _acknowledged(frame: bytes) -> tuple[Verdict, str]:
    """What an ACK says."""
    text = _decoded(frame.strip(_START + _END))
    fields = {line[:3]: line.split("|") for line in reversed(text.split("\r")) if line}
    code = fields.get("MSA", ["", ""])[1]
    if code in ("AA", "CA"):
        return "accepted", ""
    error = fields.get("ERR", [])
    condition = error[3] if len(error) > 3 else ""
    if code in ("AE", "CE") and condition.startswith("207"):
        return "retry", condition
    return "refused", (error[8] if len(error) > 8 and error[8] else condition or code)


def _decoded(answer: bytes) -> str:
    for codec in _CODECS:
        try:
            return answer.decode(codec)
        except UnicodeDecodeError:
            continue
    return answer.decode("latin-1")


def _outcome(answer: httpx.Response) -> str:
    try:
        issue = answer.json()["issue"][0]
    except (ValueError, KeyError, IndexError):
        return f"HTTP {answer.status_code}"
    return str(issue.get("diagnostics") or issue.get("code") or answer.status_code)
