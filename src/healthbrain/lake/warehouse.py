"""The theme libraries as files: each view over views is made from the kept rows of its base views by a job that can be repeated.

The base views are materialised views like any other (`lake.materialised`), so only what changed is computed for them; a theme is written
anew from their files when one of them has changed, and left alone when none has. A state file names the file that counts; files are
never changed. When a base view cannot be brought up to date, or a theme cannot be made, the last good rows stay, with the reason
beside them. What erasure hides is hidden in themes too, and off the disk with the next compaction. HUB-EX-06.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from healthbrain.errors import Conflict, HealthBrainError, NotFound, Unavailable
from healthbrain.lake import engine, manifest, materialised
from healthbrain.lake.engine import literal
from healthbrain.lake.library import View, views
from healthbrain.lake.local_time import MACROS
from healthbrain.lake.manifest import USUAL, Erased, Manifest, Retired, sync_file, sync_folder
from healthbrain.lake.reader import erased

FOLDER = "themes"
_STATE = "state.json"
_FORM = 1  # raised when files of older code cannot be gone on with


@dataclass(frozen=True, slots=True)
class Theme:
    """A theme view as it was last made, and what the last attempt said."""

    id: str
    digest: str = ""  # of the statement and of what its base views were
    file: str = ""  # relative to the lake's folder; '' = never made
    rows: int = 0
    as_of: datetime | None = None  # everything committed to the store before this moment is in it
    made: datetime | None = None  # when the rows were written
    tried: datetime | None = None  # when it was last looked at
    seconds: float = 0.0  # that writing took
    problem: str = ""  # why the last attempt failed; the rows are older then
    retired: tuple[Retired, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What one run of the job did."""

    bases: int  # base views that had changed
    themes: int  # themes that were written anew
    failed: int
    seconds: float


def themes() -> Iterator[View]:
    """The views that are made of others."""
    return (view for view in views() if view.derived is not None)


def bases() -> list[View]:
    """The base views that themes are made of, each once."""
    return list({base.id: base for view in themes() for base in view.bases}.values())


def kept_id(view: View) -> str:
    """Under which id a base view is materialised: ids of FHIR have no underscore."""
    return view.id.replace("_", "-")


def rebuild(folder: Path, at: datetime, *, whole: bool = False, keep: timedelta = USUAL.snapshots) -> Rebuilt:
    """Bring base views up to the lake and themes up to them. With `whole` every row of both is computed anew.

    Raises Conflict while another process does it. What fails is noted beside the view; the others go on.
    """
    began, folder = time.monotonic(), folder.absolute()
    changed = made = failed = 0
    with manifest.writer(folder / FOLDER):
        for base in bases():
            try:
                changed += _base(folder, base, at, whole=whole, keep=keep)
            except (HealthBrainError, engine.Error) as error:
                failed += 1
                _note(folder, base, error)
        for view in themes():
            state = make(folder, view, at, whole=whole, keep=keep)
            failed += bool(state.problem)
            made += not state.problem and state.made == at
    return Rebuilt(changed, made, failed, round(time.monotonic() - began, 3))


def make(folder: Path, view: View, at: datetime, *, whole: bool = False, keep: timedelta = USUAL.snapshots) -> Theme:
    """Make one theme from the kept rows of its base views, if they are others than the last time."""
    old = load(folder, view)
    try:
        new = _made(folder, view, old, at, whole=whole)
    except (HealthBrainError, engine.Error) as error:
        new = replace(old, problem=_reason(error), tried=at)
    leaving = {old.file} - {new.file, ""}
    retired = (*old.retired, *(Retired(file, at) for file in leaving))
    new = replace(new, retired=tuple(one for one in retired if one.at > at - keep))
    _save(folder, new)
    known = {new.file, *(one.file for one in new.retired)}
    for path in _place(folder, view.id).glob("*.parquet"):
        if str(path.relative_to(folder)) not in known:
            path.unlink(missing_ok=True)
    return new


def load(folder: Path, view: View) -> Theme:
    """A theme as it was last made; one that was never made has no file."""
    path = _place(folder.absolute(), view.id) / _STATE
    if not path.is_file():
        return Theme(view.id)
    raw = orjson.loads(path.read_bytes())
    moments = {key: datetime.fromisoformat(raw[key]) if raw[key] else None for key in ("as_of", "made", "tried")}
    retired = tuple(Retired(one["file"], datetime.fromisoformat(one["at"])) for one in raw["retired"])
    return Theme(**{**raw, **moments, "retired": retired})


def relation(folder: Path, view: View, lake: Manifest) -> str:
    """The rows of a theme as they were last made, with the columns CARRIED, as a query in brackets. Raises NotFound."""
    folder = folder.absolute()
    state = load(folder, view)
    if not state.file:
        raise NotFound(
            "this view of a theme library has not been made yet; the background work makes it, or `hb lake rebuild-themes`"
        )
    rows = f"select p.* from read_parquet({literal(str(folder / state.file))}) p"
    hidden = erased(lake, view.resource)
    return f"({rows} where not coalesce({hidden}, false))" if hidden else f"({rows})"


def is_fresh(folder: Path, view: View, lake: Manifest) -> bool:
    """Whether a theme shows exactly what the lake does."""
    state = load(folder, view)
    if not state.file or state.problem:
        return False
    try:
        states = [materialised.load(folder, kept_id(base)) for base in view.bases]
    except NotFound:
        return False
    return all(materialised.is_fresh(one, lake) for one in states) and state.digest == _digest(view, states)


def purge(folder: Path, gone: Sequence[Erased], at: datetime) -> None:
    """Take the rows of the erased off the disk: themes are made anew from base views that no longer have them."""
    if not gone:
        return
    folder = folder.absolute()
    with manifest.writer(folder / FOLDER):
        for view in themes():
            if load(folder, view).file:
                state = make(folder, view, at, whole=True, keep=timedelta(seconds=-1))
                if state.problem:  # rather no rows than rows of the erased
                    _save(folder, Theme(view.id, problem=state.problem, tried=at))
                    for path in _place(folder, view.id).glob("*.parquet"):
                        path.unlink(missing_ok=True)


def _base(folder: Path, base: View, at: datetime, *, whole: bool, keep: timedelta) -> bool:
    id_ = kept_id(base)
    try:
        materialised.load(folder, id_)
    except NotFound:
        materialised.materialise(folder, id_, base.definition, at)
        return True
    done = materialised.refresh(folder, id_, at, definition=base.definition, whole=whole, keep=keep)
    return bool(done.computed or done.dropped)


def _note(folder: Path, base: View, error: Exception) -> None:
    try:
        materialised.note_problem(folder, kept_id(base), _reason(error))
    except (NotFound, Conflict):
        return  # it was never made, or somebody else makes it now: the themes over it say so


def _made(folder: Path, view: View, old: Theme, at: datetime, *, whole: bool) -> Theme:
    states = []
    for base in view.bases:
        try:
            state = materialised.load(folder, kept_id(base))
        except NotFound:
            raise Unavailable(f"the base view {base.id} has not been made yet") from None
        if state.problem:
            raise Unavailable(f"the base view {base.id} cannot be refreshed: {state.problem}")
        states.append(state)
    digest = _digest(view, states)
    as_of = min((one.as_of for one in states if one.as_of), default=None)
    if not whole and old.file and digest == old.digest:
        return replace(old, as_of=as_of, tried=at, problem="")
    began, lake = time.monotonic(), manifest.load(folder)
    path = _place(folder, view.id) / f"{uuid.uuid4().hex}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {
        base.id: materialised.relation(folder, state, lake) for base, state in zip(view.bases, states, strict=True)
    }
    connection = engine.connect(folder / "scratch")
    try:
        connection.execute(MACROS)
        connection.execute(
            f"copy ({view.sql(materialised.CARRIED, given)}) to {literal(str(path))} (format parquet, compression zstd)"
        )
        counted = connection.fetchone()
    finally:
        connection.close()
    sync_file(path)
    seconds = round(time.monotonic() - began, 3)
    rows = int(counted[0]) if counted else 0
    return Theme(view.id, digest, str(path.relative_to(folder)), rows, as_of, at, at, seconds, "", old.retired)


def _digest(view: View, states: list[materialised.State]) -> str:
    statement = view.derived.statement() if view.derived else ""
    named = [_FORM, statement, [materialised.made_from(one) for one in states]]
    return hashlib.sha256(orjson.dumps(named)).hexdigest()


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, HealthBrainError) else "the engine could not compute it; see the log"


def _place(folder: Path, id_: str) -> Path:
    return folder / FOLDER / id_


def _save(folder: Path, state: Theme) -> None:
    place = _place(folder, state.id)
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f"{_STATE}.new"
    with temporary.open("wb") as file:
        file.write(orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place / _STATE)
    sync_folder(place)
