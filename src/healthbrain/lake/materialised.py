"""Materialised views: a view's rows as Parquet files beside the lake, made anew only for resources that have changed.

Each row carries the resource version it comes from (`_id`, `_version`, `_position`) and the lake's own columns, and every version that
was looked at is listed even when it gave no row. What changed is found by comparing that list with what is current in the lake:
new versions are computed, those that are gone (replaced, deleted, erased) are listed as dead. So the result equals a full
computation whatever happened to the lake in between: writes, deletions, compaction, erasure, a rebuild.

The rules are the lake's: files are never changed, a state file names those that count and is renamed into place, files of older states stay
for a while for readers; those that held an erased person are deleted at once. Rows of erased persons are hidden from readers from
the moment the lake hides them.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson

from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake import engine, manifest
from healthbrain.lake.engine import file_list, literal, name
from healthbrain.lake.manifest import USUAL, Erased, Manifest, Retired, sync_file, sync_folder
from healthbrain.lake.reader import Lake, erased
from healthbrain.lake.sof import Target, compile_view, execute, read_view

FOLDER = "views"
CARRIED = ("_id", "_version", "_position", "_updated", "_owner", "_patient")
_KEY = ("_id", "_version", "_position")
_FORM = 1  # raised when files of older code cannot be gone on with
_STATE = "state.json"
_TOGETHER = 8  # parts from which on they are written as one
_DEAD = 0.25  # share of dead versions from which on everything is written anew
_NOTICED = 1.0  # seconds: below that nobody cares which way is faster
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows that one refresh computed, and the versions it looked at."""

    number: int
    rows: str
    keys: str
    count: int  # of rows
    versions: int


@dataclass(frozen=True, slots=True)
class State:
    """A materialised view now."""

    id: str
    definition: Mapping[str, Any]
    digest: str = ""
    as_of: datetime | None = None  # everything committed to the store before this moment is in it
    source: str = ""  # what of the lake it was computed from
    seen: tuple[str, ...] = ()  # the files of the lake among that
    hidden: str = ""  # and the erasures
    pieces: tuple[Piece, ...] = ()
    dead: tuple[str, ...] = ()  # files of versions that are gone: (_piece, _id, _version, _position)
    gone: int = 0
    next: int = 0
    refreshed: datetime | None = None
    seconds: float = 0.0
    whole_seconds: float = 0.0  # what computing everything took last,
    whole_versions: int = 0  # for so many versions,
    change_seconds: float = 0.0  # and what finding and computing the changes took last
    problem: str = ""  # why the last refresh was not possible
    retired: tuple[Retired, ...] = field(default=())

    @property
    def rows(self) -> int:
        """How many rows there are, dead ones included."""
        return sum(piece.count for piece in self.pieces)

    def files(self) -> set[str]:
        """Every file it names."""
        return {file for piece in self.pieces for file in (piece.rows, piece.keys)} | set(self.dead)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did."""

    computed: int  # versions that were looked at
    dropped: int  # versions that are gone
    whole: bool  # everything was computed anew


def listed(folder: Path) -> list[State]:
    """The views that are materialised beside the lake in `folder`."""
    return [load(folder, path.parent.name) for path in sorted((folder / FOLDER).glob(f"*/{_STATE}"))]


def load(folder: Path, id_: str) -> State:
    """One of them. Raises NotFound."""
    path = folder / FOLDER / id_ / _STATE
    if not _NAME.fullmatch(id_) or not path.is_file():
        raise NotFound("this view is not materialised; `hb lake view materialise` makes it so")
    raw = orjson.loads(path.read_bytes())
    pieces = tuple(Piece(**one) for one in raw.pop("pieces"))
    retired = tuple(Retired(one["file"], datetime.fromisoformat(one["at"])) for one in raw.pop("retired"))
    moments = {key: datetime.fromisoformat(raw[key]) if raw[key] else None for key in ("as_of", "refreshed")}
    return State(
        **{
            **raw,
            **moments,
            "pieces": pieces,
            "dead": tuple(raw["dead"]),
            "seen": tuple(raw["seen"]),
            "retired": retired,
        }
    )


def materialise(folder: Path, id_: str, definition: Mapping[str, Any], at: datetime) -> State:
    """Keep the rows of a view from now on, and compute them."""
    if not _NAME.fullmatch(id_):
        raise Incorrect("a materialised view is named with up to 64 letters, digits, '-', '_' and '.'")
    compile_view(read_view(definition), Target())
    with manifest.writer(folder / FOLDER):
        if not (folder / FOLDER / id_ / _STATE).is_file():
            _save(folder, State(id_, dict(definition)))
    refresh(folder, id_, at, definition=definition)
    return load(folder, id_)


def drop(folder: Path, id_: str) -> None:
    """Keep them no longer. Raises NotFound."""
    with manifest.writer(folder / FOLDER):
        load(folder, id_)
        shutil.rmtree(folder / FOLDER / id_)


def refresh(
    folder: Path,
    id_: str,
    at: datetime,
    *,
    definition: Mapping[str, Any] | None = None,
    whole: bool = False,
    keep: timedelta = USUAL.snapshots,
) -> Refreshed:
    """Bring a view up to the lake. With `whole`, or another definition, everything is computed anew; also where that takes less."""
    folder = folder.absolute()
    began = time.monotonic()
    with manifest.writer(folder / FOLDER):
        old = load(folder, id_)
        lake = manifest.load(folder)
        new = old if definition is None else replace(old, definition=dict(definition))
        digest = _digest(new.definition)
        source = _source(lake, str(new.definition["resource"]))
        if not whole and (digest, source) == (old.digest, old.source):
            if old.problem:
                _save(folder, replace(old, problem=""))
            return Refreshed(0, 0, whole=False)
        whole = whole or digest != old.digest or cheaper_anew(old)
        new = replace(
            new,
            digest=digest,
            source=source,
            seen=_files(lake, str(new.definition["resource"])),
            hidden=_hidden(lake),
            as_of=lake.at,
        )
        run = _Refresh(folder, old, new, lake, at)
        state, done = run.whole() if whole else run.changes()
        leaving = old.files() - state.files()
        retired = (*old.retired, *(Retired(file, at) for file in sorted(leaving)))
        _sweep(folder, _timed(replace(state, retired=retired, problem=""), done, time.monotonic() - began), at, keep)
        return done


def cheaper_anew(state: State) -> bool:
    """Whether computing everything is expected to take less than finding what changed, by what each took here last.

    The first grows with the view, so a view that outgrows it goes back to changes.
    """
    if state.change_seconds < _NOTICED or not state.whole_versions:
        return False
    return state.whole_seconds * _versions(state) / state.whole_versions < state.change_seconds


def _timed(state: State, done: Refreshed, seconds: float) -> State:
    seconds = round(seconds, 3)
    if done.whole:
        return replace(state, seconds=seconds, whole_seconds=seconds, whole_versions=_versions(state))
    return replace(state, seconds=seconds, change_seconds=seconds)


def _versions(state: State) -> int:
    return sum(piece.versions for piece in state.pieces)


def note_problem(folder: Path, id_: str, problem: str) -> None:
    """Remember why a view could not be refreshed."""
    with manifest.writer(folder / FOLDER):
        _save(folder, replace(load(folder, id_), problem=problem))


def purge(folder: Path, gone: Sequence[Erased], at: datetime) -> None:
    """Take the rows of the erased off the disk: called before the lake forgets that it hides them."""
    if not gone:
        return
    shown = Manifest(erased=tuple(gone))
    for known in listed(folder):
        with manifest.writer(folder / FOLDER):
            state = old = load(folder, known.id)
            if old.pieces and erased(shown, str(old.definition["resource"])):
                connection = engine.connect(folder / "scratch")
                try:
                    state = _rewritten(connection, folder, old, _live(folder, old, shown), shown)
                finally:
                    connection.close()
            leaving = old.files() - state.files()
            retired = (*state.retired, *(Retired(one, at) for one in sorted(leaving)))
            _sweep(folder, replace(state, retired=retired), at, timedelta(seconds=-1))


def made_from(state: State) -> str:
    """What a view's rows are now, as a digest: another one when they may have changed."""
    named = [state.digest, sorted(state.files()), state.hidden]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()


def relation(folder: Path, state: State, lake: Manifest) -> str:
    """The rows of a materialised view, with the columns CARRIED before its own, as a query in brackets."""
    if not state.pieces:
        raise NotFound("the materialised view has not been computed yet")
    return f"({_live(folder, state, lake)})"


def is_fresh(state: State, lake: Manifest) -> bool:
    """Whether it shows exactly what the lake does."""
    return (
        bool(state.pieces)
        and state.source == _source(lake, str(state.definition["resource"]))
        and state.digest == _digest(state.definition)
    )


class _Refresh:
    """One refresh: what is current in the lake against what was computed."""

    def __init__(self, folder: Path, old: State, state: State, lake: Manifest, at: datetime) -> None:
        self.folder = folder
        self.old = old
        self.state = state
        self.lake = lake
        self.at = at
        self.type = str(state.definition["resource"])
        self.view = read_view(state.definition)

    def whole(self) -> tuple[State, Refreshed]:
        """Everything anew."""
        connection = Lake(self.folder).connect(types=(self.type,), state=self.lake)
        try:
            piece = self._piece(connection, name(self.type))
        finally:
            connection.close()
        state = replace(self.state, pieces=(piece,), dead=(), gone=0, next=piece.number + 1, refreshed=self.at)
        return state, Refreshed(piece.versions, 0, whole=True)

    def changes(self) -> tuple[State, Refreshed]:
        """What is new and what is gone."""
        state = self.state
        connection = Lake(self.folder).connect(types=(self.type,), state=self.lake)
        try:
            key = ", ".join(_KEY)
            touched = self._touched(connection)
            connection.execute(f"create temp table now_ as select {key} from {name(self.type)}{touched}")
            connection.execute(f"create temp table then_ as select * from ({_keys(self.folder, state)}){touched}")
            same = " and ".join(f"n.{one} = t.{one}" for one in _KEY)
            connection.execute(f"create temp table new_ as select n.* from now_ n anti join then_ t on {same}")
            connection.execute(f"create temp table gone_ as select t.* from then_ t anti join now_ n on {same}")
            new, gone = (_count(connection, table) for table in ("new_", "gone_"))
            if new:
                changed = " and ".join(f"p.{one} = n.{one}" for one in _KEY)
                piece = self._piece(connection, f"(select p.* from {name(self.type)} p semi join new_ n on {changed})")
                state = replace(state, pieces=(*state.pieces, piece), next=piece.number + 1)
            if gone:
                file = self._write(connection, "select _piece, _id, _version, _position from gone_", "dead")
                state = replace(state, dead=(*state.dead, file), gone=state.gone + gone)
            many = len(state.pieces) >= _TOGETHER or len(state.dead) >= _TOGETHER
            if many or state.gone > _versions(state) * _DEAD:
                state = _rewritten(connection, self.folder, state, _live(self.folder, state, self.lake), self.lake)
        finally:
            connection.close()
        return replace(state, refreshed=self.at), Refreshed(new, gone, whole=False)

    def _touched(self, connection: duckdb.DuckDBPyConnection) -> str:
        """A join with the ids that can have changed; '' for all of them.

        While the lake only grew, these are the ids in its new files. When files of it have gone, or erasures came, everything is compared.
        """
        old, files = set(self.old.seen), set(_files(self.lake, self.type))
        fresh = sorted(files - old)
        if old - files or not fresh or self.old.hidden != _hidden(self.lake):
            return ""
        rows = f"read_parquet({file_list([self.folder / file for file in fresh])}, union_by_name = true)"
        connection.execute(f"create temp table touched_ as select distinct _id from {rows}")
        return " semi join touched_ using (_id)"

    def _piece(self, connection: duckdb.DuckDBPyConnection, rows: str) -> Piece:
        target = Target(relation=rows, carry=CARRIED)
        number = self.state.next
        path = self._path("rows")
        execute(connection, self.view, target, f"copy (select {number} as _piece, * from ({{}})) to {_parquet(path)}")
        counted = connection.fetchone()
        sync_file(path)
        keys = self._write(
            connection, f"select {number} as _piece, {', '.join((*_KEY, '_patient'))} from {rows}", "keys"
        )
        versions = connection.execute(
            f"select count(*) from read_parquet({literal(str(self.folder / keys))})"
        ).fetchone()
        count, seen = int(counted[0]) if counted else 0, int(versions[0]) if versions else 0
        return Piece(number, str(path.relative_to(self.folder)), keys, count, seen)

    def _write(self, connection: duckdb.DuckDBPyConnection, query: str, kind: str) -> str:
        path = self._path(kind)
        return _written(connection, self.folder, query, path)

    def _path(self, kind: str) -> Path:
        return _new_file(self.folder, self.state.id, kind)


def _rewritten(connection: duckdb.DuckDBPyConnection, folder: Path, state: State, live: str, lake: Manifest) -> State:
    """What is alive as one piece without dead rows."""
    number = state.next
    path = _new_file(folder, state.id, "rows")
    connection.execute(f"copy (select {number} as _piece, * exclude (_piece) from ({live})) to {_parquet(path)}")
    counted = connection.fetchone()
    sync_file(path)
    hidden = erased(lake, str(state.definition["resource"]))
    keys = f"select {number} as _piece, p.* exclude (_piece) from ({_keys(folder, state)}) p"
    if hidden:
        keys += f" where not coalesce({hidden}, false)"
    file = _written(connection, folder, keys, _new_file(folder, state.id, "keys"))
    versions = connection.execute(f"select count(*) from read_parquet({literal(str(folder / file))})").fetchone()
    piece = Piece(
        number,
        str(path.relative_to(folder)),
        file,
        int(counted[0]) if counted else 0,
        int(versions[0]) if versions else 0,
    )
    return replace(state, pieces=(piece,), dead=(), gone=0, next=number + 1)


def _live(folder: Path, state: State, lake: Manifest) -> str:
    """A query for the rows that count: not dead, and not hidden by an erasure of the lake."""
    rows = f"read_parquet({file_list([folder / piece.rows for piece in state.pieces])}, union_by_name = true)"
    tests = []
    if state.dead:
        tests.append(
            f"not exists (select 1 from {_dead(folder, state)} d where d._piece = p._piece and {_same('d', 'p')})"
        )
    if hidden := erased(lake, str(state.definition["resource"])):
        tests.append(f"not coalesce({hidden}, false)")
    return f"select p.* from {rows} p" + (f" where {' and '.join(tests)}" if tests else "")


def _keys(folder: Path, state: State) -> str:
    """A query for the versions that were looked at and are not gone."""
    if not state.pieces:
        return (
            "select 0 as _piece, '' as _id, 0::bigint as _version, '' as _position, 0::bigint as _patient where false"
        )
    keys = f"read_parquet({file_list([folder / piece.keys for piece in state.pieces])})"
    if not state.dead:
        return f"select * from {keys}"
    return f"select k.* from {keys} k anti join {_dead(folder, state)} d on d._piece = k._piece and {_same('d', 'k')}"


def _dead(folder: Path, state: State) -> str:
    return f"read_parquet({file_list([folder / file for file in state.dead])})"


def _same(one: str, other: str) -> str:
    return " and ".join(f"{one}.{key} = {other}.{key}" for key in _KEY)


def _new_file(folder: Path, id_: str, kind: str) -> Path:
    return folder / FOLDER / id_ / f"{uuid.uuid4().hex}.{kind}.parquet"


def _parquet(path: Path) -> str:
    return f"{literal(str(path))} (format parquet, compression zstd)"


def _written(connection: duckdb.DuckDBPyConnection, folder: Path, query: str, path: Path) -> str:
    connection.execute(f"copy ({query}) to {_parquet(path)}")
    sync_file(path)
    return str(path.relative_to(folder))


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    found = connection.execute(f"select count(*) from {table}").fetchone()
    return int(found[0]) if found else 0


def _digest(definition: Mapping[str, Any]) -> str:
    """Of what decides about the rows: the definition, and the query that it is compiled to."""
    query = compile_view(read_view(definition), Target(relation="rows", carry=CARRIED)).sql
    return hashlib.sha256(orjson.dumps([_FORM, definition, query], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _source(lake: Manifest, type_: str) -> str:
    """Which files of the lake, and which erasures, a view of this type is computed from."""
    return hashlib.sha256(orjson.dumps([_files(lake, type_), _hidden(lake)])).hexdigest()


def _files(lake: Manifest, type_: str) -> tuple[str, ...]:
    return tuple(part.file for group in (lake.parts, lake.dead) for part in group.get(type_, ()))


def _hidden(lake: Manifest) -> str:
    return hashlib.sha256(orjson.dumps([asdict(one) for one in lake.erased])).hexdigest()


def _sweep(folder: Path, state: State, at: datetime, keep: timedelta) -> None:
    """Save a state, and delete the files that no reader needs any more."""
    kept = tuple(one for one in state.retired if one.at > at - keep)
    _save(folder, replace(state, retired=kept))
    known = state.files() | {one.file for one in kept}
    for path in (folder / FOLDER / state.id).glob("*.parquet"):
        if str(path.relative_to(folder)) not in known:
            path.unlink(missing_ok=True)


def _save(folder: Path, state: State) -> None:
    place = folder / FOLDER / state.id
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f"{_STATE}.new"
    with temporary.open("wb") as file:
        file.write(orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place / _STATE)
    sync_folder(place)
