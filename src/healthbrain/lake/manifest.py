"""The manifest: which files are the lake now, and how far the change feed has been read.

One JSON file. A writer adds parts under new names, writes a new manifest beside the old one, syncs it to the disk and
renames it over: readers see the state before or after, never between, and a crash at any moment leaves files that no
manifest names (swept later), never a row lost or doubled. Files that a manifest no longer names stay for a while for
readers that opened the lake before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from healthbrain.errors import Conflict, Fault

FORMAT = 1
NAME = "manifest.json"
_LOCK = "writer.lock"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is no longer current stays: files of older states for readers that opened them (`snapshots`), and
    versions that newer ones replace or deletions end, counted from when they were written (`versions`)."""

    snapshots: timedelta = timedelta(hours=1)
    versions: timedelta = timedelta(0)


USUAL = Retention()


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of a resource type: `rows` resource versions, or (`kind` dead) ids that were superseded."""

    file: str  # relative to the lake's folder
    rows: int
    bytes: int
    level: int = 0  # how often its rows have been merged


@dataclass(frozen=True, slots=True)
class Retired:
    """A file that is no longer part of the lake, and since when."""

    file: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Erased:
    """Rows that nobody sees any more: of a patient or of one resource, up to a place in the change feed. What is written
    after that place is new and stays. No position: all of them."""

    position: str = ""
    patient: int | None = None  # key of the patient in whose compartment they lie
    type: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A consistent state of the lake."""

    position: str = ""  # how far the change feed has been read
    at: datetime | None = None  # when this state was current: everything committed before is in it
    generation: int = 0
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)  # type -> parts with resource versions
    dead: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)  # type -> (id, version): older ones are dead
    tables: Mapping[str, Part] = field(default_factory=dict)  # person_link, organisation
    digests: Mapping[str, str] = field(default_factory=dict)  # of the tables' content
    erased: tuple[Erased, ...] = ()  # hidden now, off the disk after the next compaction
    retired: tuple[Retired, ...] = ()

    def rows(self) -> int:
        """How many resource versions it holds."""
        return sum(part.rows for parts in self.parts.values() for part in parts)

    def files(self) -> set[str]:
        """Every file it names."""
        groups = (*self.parts.values(), *self.dead.values(), tuple(self.tables.values()))
        return {part.file for parts in groups for part in parts}


def load(folder: Path) -> Manifest:
    """The current manifest of `folder`; an empty one when there is none yet."""
    path = folder / NAME
    try:
        raw = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return Manifest()
    except orjson.JSONDecodeError:
        raise Fault(f"{path} is damaged; remove the lake's folder, it is rebuilt from the store") from None
    if raw.get("format") != FORMAT:
        raise Fault(f"{path} has another format; remove the lake's folder, it is rebuilt from the store")
    return Manifest(
        position=raw["position"],
        at=_time(raw["at"]),
        generation=raw["generation"],
        parts=_groups(raw["parts"]),
        dead=_groups(raw["dead"]),
        tables={name: Part(**part) for name, part in raw["tables"].items()},
        digests=raw["digests"],
        erased=tuple(Erased(**one) if isinstance(one, dict) else Erased(patient=one) for one in raw["erased"]),
        retired=tuple(Retired(one["file"], datetime.fromisoformat(one["at"])) for one in raw["retired"]),
    )


def swap(folder: Path, old: Manifest, new: Manifest, at: datetime) -> Manifest:
    """Make `new` the lake's state. The caller holds the writer's lock and has synced the files that `new` names."""
    gone = old.files() - new.files()
    retired = (*new.retired, *(Retired(file, at) for file in sorted(gone)))
    state = replace(new, generation=old.generation + 1, retired=retired)
    temporary = folder / f"{NAME}.new"
    with temporary.open("wb") as file:
        file.write(orjson.dumps({"format": FORMAT, **asdict(state)}, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)
    sync_folder(folder)
    return state


def sweep(folder: Path, state: Manifest, at: datetime, grace: timedelta = USUAL.snapshots) -> Manifest:
    """Delete what is retired long enough, and what a crashed writer left behind. Returns the shorter manifest."""
    keep = tuple(one for one in state.retired if one.at > at - grace)
    known = state.files() | {one.file for one in keep}
    for path in [
        *folder.glob("parts/*/*"),
        *folder.glob("tables/*"),
        *folder.glob("spool/*"),
        *folder.glob("shapes/*.new"),
    ]:
        if str(path.relative_to(folder)) not in known:
            path.unlink(missing_ok=True)
    return replace(state, retired=keep)


@contextmanager
def writer(folder: Path) -> Iterator[None]:
    """Be the only writer of `folder`; raises Conflict when another process is. The kernel frees it on a crash."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"{folder}: another process is writing the lake; let it finish") from None
        yield


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _groups(raw: Mapping[str, Any]) -> dict[str, tuple[Part, ...]]:
    return {type_: tuple(Part(**part) for part in parts) for type_, parts in raw.items()}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
