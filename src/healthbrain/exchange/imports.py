"""Files: FHIR bundles and single resources, NDJSON, HL7 v2 messages, any of them gzipped, and folders of these.

What a file is, is seen from its content, not its name. Every file is a delivery (an HL7 v2 file: one per message), so that an import
can be broken off and repeated: what is in is a duplicate and changes nothing (HUB-EX-25).
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, cast

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from healthbrain.errors import Busy, HealthBrainError, Incorrect, Malformed, NotFound, TooLarge, http_status
from healthbrain.exchange.bulk import Standing, expect_help, helping_processes, receive_ndjson
from healthbrain.exchange.hl7v2.files import messages_in
from healthbrain.exchange.receiving import Ledger
from healthbrain.exchange.values import Arrival, Interaction, Source, State
from healthbrain.fhir import dump, parse

FileKind = Literal["bundle", "resource", "ndjson", "hl7v2"]
_SUFFIXES = (".json", ".ndjson", ".jsonl", ".hl7", ".txt", ".gz")
_DAMAGED = "the gzip file is cut off or damaged; fetch it again"
_WORTH_HELP = 8 * 1024 * 1024  # bytes of a file from which on other processes are worth their start
_LARGEST = 256 * 1024 * 1024  # of a file that must be read whole


@dataclass(slots=True)
class Imported:
    """What became of one file. `delivery` is its number, of the last message in an HL7 v2 file."""

    path: Path
    kind: FileKind | None = None
    state: State = "accepted"
    delivery: int | None = None
    entries: int = 0
    written: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    finished: bool = False


Progress = Callable[[Imported], Awaitable[None] | None]


def _now() -> datetime:
    return datetime.now(UTC)


async def import_paths(
    ledger: Ledger,
    paths: Iterable[Path],
    source: Source,
    *,
    author: str = "",
    progress: Progress | None = None,
    clock: Callable[[], datetime] = _now,
) -> list[Imported]:
    """Import every file; one that is wrong doesn't hold up the others. `progress` is told often."""
    done = []
    with ExitStack() as until_done:
        help_wanted = _Help(until_done)
        for path in files_of(paths):
            report = Imported(path)
            await _import_reported(ledger, path, source, report, help_wanted, author, progress, clock)
            report.finished = True
            await _tell(progress, report)
            done.append(report)
    return done


def foresee_help(paths: Iterable[Path]) -> None:
    """Begin to make helping processes ready if one of these files is worth their help, to be called before anything else is done."""
    if any(_worth_help(path) for path in files_of(paths)):
        expect_help()


def _worth_help(path: Path) -> bool:
    return path.stat().st_size >= (_WORTH_HELP // 10 if _packed(path) else _WORTH_HELP)


class _Help:
    """Processes that help with large files, started when the first one comes."""

    def __init__(self, until_done: ExitStack) -> None:
        self._until_done = until_done
        self._helpers: Executor | None = None

    def __call__(self, path: Path) -> Executor | None:
        """Who helps with this file; None when it is done before they have started."""
        if self._helpers is None and _worth_help(path):
            self._helpers = self._until_done.enter_context(helping_processes())
        return self._helpers


async def _import_reported(
    ledger: Ledger,
    path: Path,
    source: Source,
    report: Imported,
    help_wanted: _Help,
    author: str,
    progress: Progress | None,
    clock: Callable[[], datetime],
) -> None:
    try:
        await _import_file(ledger, path, source, report, help_wanted, author=author, progress=progress, clock=clock)
    except HealthBrainError as error:
        report.state = "failed" if isinstance(error, Busy) or http_status(error) >= 500 else "refused"
        report.problems.append(error.message)
    except (psycopg.Error, PoolTimeout, PoolClosed):
        report.state = "failed"
        report.problems.append("the database can't be reached or can't write; start the import again, it goes on here")
    except OSError as error:
        report.state = "failed"
        report.problems.append(f"the file can't be read: {error.strerror or type(error).__name__}")


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among `paths` and in folders among them, in order of name. NotFound for a path that isn't there."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file() and one.suffix.lower() in _SUFFIXES)
        elif path.exists():
            yield path
        else:
            raise NotFound(f"{path}: no such file or folder")


def kind_of(first: bytes, second: bytes = b"") -> FileKind:
    """What a file with these first two lines (that hold something) is; Malformed when it is none of ours."""
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b \t\r\n")
    if text.startswith((b"MSH", b"FHS", b"BHS")):
        return "hl7v2"
    if not text.startswith(b"{"):
        raise Malformed("this is neither FHIR JSON, NDJSON nor HL7 v2")
    if second.lstrip().startswith(b"{") and text.rstrip().endswith(b"}"):
        return "ndjson"
    compact = (text[:4096] + second[:4096]).replace(b" ", b"")
    return "bundle" if b'"resourceType":"Bundle"' in compact else "resource"


async def _import_file(
    ledger: Ledger,
    path: Path,
    source: Source,
    report: Imported,
    help_wanted: _Help,
    *,
    author: str,
    progress: Progress | None,
    clock: Callable[[], datetime],
) -> None:
    report.kind = await asyncio.to_thread(_kind, path)
    await _tell(progress, report)
    if report.kind == "ndjson":
        await _import_lines(ledger, path, source, report, help_wanted(path), author, progress, clock)
        return
    with _open(path) as stream:
        raw = await asyncio.to_thread(_read, stream, _LARGEST + 1)
    if len(raw) > _LARGEST:
        raise TooLarge(f"larger than {_LARGEST // 1024 // 1024} MB unpacked; send it as NDJSON or in parts")
    if report.kind == "hl7v2":
        await _import_messages(ledger, raw, source, report, author, progress, clock)
        return
    arrival = await asyncio.to_thread(_fhir_arrival, raw, source, path.name, author, clock())
    receipt = await ledger.receive(arrival, at=clock())
    report.state, report.delivery = receipt.state, receipt.delivery
    if receipt.state == "duplicate":
        return
    entries = (receipt.response or {}).get("entry", []) if isinstance(receipt.response, dict) else []
    report.refused = sum(str(one.get("response", {}).get("status", ""))[:1] in {"4", "5"} for one in entries)
    report.entries = len(entries) or 1
    report.written = len(receipt.written) or report.entries - report.refused
    if receipt.error is not None:
        report.refused, report.written = report.entries, 0
    report.problems += [
        f"{one.expression}: {one.text}" for one in receipt.issues[:20] if one.severity in {"error", "fatal"}
    ]


async def _import_lines(
    ledger: Ledger,
    path: Path,
    source: Source,
    report: Imported,
    helpers: Executor | None,
    author: str,
    progress: Progress | None,
    clock: Callable[[], datetime],
) -> None:
    key = await asyncio.to_thread(_digest, path)

    async def told(standing: Standing) -> None:
        report.delivery, report.entries = standing.delivery, standing.lines
        report.written, report.refused = standing.written, standing.refused
        await _tell(progress, report)

    with _open(path) as stream:
        standing = await receive_ndjson(
            ledger,
            cast("Iterable[bytes]", stream),
            source,
            name=path.name,
            key=key,
            at=clock(),
            author=author,
            progress=told,
            helpers=helpers,
        )
    await told(standing)
    report.state = standing.state
    if standing.refused:
        report.problems.append(
            f"{standing.refused} of {standing.lines} lines were refused; see delivery {standing.delivery}"
        )


async def _import_messages(
    ledger: Ledger,
    raw: bytes,
    source: Source,
    report: Imported,
    author: str,
    progress: Progress | None,
    clock: Callable[[], datetime],
) -> None:
    """HL7 v2 messages name their own sender."""
    for message in messages_in(raw):
        at = clock()
        receipt = await ledger.receive(Arrival("hl7v2", None, message, at, author=author), at=at)
        report.entries += 1
        report.delivery = receipt.delivery
        if receipt.state in {"refused", "failed"}:
            report.refused += 1
            report.problems += [f"{one.expression}: {one.text}" for one in receipt.issues if one.severity == "error"][
                :3
            ]
        else:
            report.written += len(receipt.written)
        await _tell(progress, report)
    report.state = "accepted" if not report.refused else "partly" if report.refused < report.entries else "refused"


def _fhir_arrival(raw: bytes, source: Source, name: str, author: str, at: datetime) -> Arrival:
    resource = parse(raw)
    number = hashlib.sha256(raw).hexdigest()
    if resource.get("resourceType") != "Bundle":
        kind_name, own = str(resource.get("resourceType", "")), resource.get("id")
        wanted = Interaction("PUT", kind_name, str(own)) if own else Interaction("POST", kind_name)
        return Arrival("fhir", source.key, raw, at, "application/fhir+json", number, kind_name, wanted, author, name)
    if resource.get("type") not in {"transaction", "batch"}:
        raw = dump(_as_batch(resource))
    return Arrival("fhir", source.key, raw, at, "application/fhir+json", number, "Bundle", None, author, name)


def _as_batch(bundle: dict[str, Any]) -> dict[str, Any]:
    """A collection, searchset or document as a transaction that puts every resource at its id."""
    entries = []
    for n, entry in enumerate(bundle.get("entry", [])):
        resource = entry.get("resource")
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise Incorrect(f"Bundle.entry[{n}]: there is no resource in it")
        kind, own = resource["resourceType"], resource.get("id")
        request = {"method": "PUT", "url": f"{kind}/{own}"} if own else {"method": "POST", "url": kind}
        made = {"resource": resource, "request": request}
        if isinstance(entry.get("fullUrl"), str):
            made["fullUrl"] = entry["fullUrl"]
        entries.append(made)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _open(path: Path) -> IO[bytes]:
    stream = path.open("rb")
    if stream.read(2) == b"\x1f\x8b":
        stream.close()
        return cast("IO[bytes]", gzip.open(path, "rb"))
    stream.seek(0)
    return stream


def _read(stream: IO[bytes], limit: int) -> bytes:
    try:
        return stream.read(limit)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise Malformed(_DAMAGED) from None


def _kind(path: Path) -> FileKind:
    with _open(path) as stream:
        filled: list[bytes] = []
        while len(filled) < 2 and (line := _line(stream)):
            if line.strip():
                filled.append(line)
    if not filled:
        raise Malformed("the file is empty")
    return kind_of(*filled)


def _line(stream: IO[bytes]) -> bytes:
    try:
        return stream.readline(_LARGEST)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise Malformed(_DAMAGED) from None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


async def _tell(progress: Progress | None, report: Imported) -> None:
    if progress is not None and (waiting := progress(report)) is not None:
        await waiting
