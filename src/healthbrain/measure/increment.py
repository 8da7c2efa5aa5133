"""The base brought up to a newer state of the lake, and what that changes in the cells.

Which people are touched follows from the changed resources: who they belong to now and who they belonged to before, and
whose patient records were linked otherwise. What follows from single persons alone is counted again for these people, as
it was before and as it is now (`difference`), and what differs is added to the cells (`kept_cells`). That is exact, because
cells are whole numbers; the nightly count of everything must give the same, and tests hold the two against each other.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from healthbrain.lake import Lake
from healthbrain.lake.engine import name
from healthbrain.lake.expression_sql import Constant
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.reader import HISTORY
from healthbrain.measure import base as store
from healthbrain.measure.base import Base, Rows, lake_files, parquet, rows_of, write
from healthbrain.measure.compile import base_query, person_key
from healthbrain.measure.definition import Library
from healthbrain.measure.tally import Counting
from healthbrain.store import Position

MOST_FRESH = 0.2  # when so much of a view is new, its files are made anew
# Before and now are two counts of the people touched, in memory at once; beyond this everybody is counted, in slices.
MOST_PEOPLE, MOST_TOUCHED = 50_000, 0.3


@dataclass(frozen=True, slots=True)
class Step:
    """The new base, how many resources had changed, and how many persons were counted again."""

    base: Base
    changed: int
    persons: int


def possible(old: Base, state: Manifest, library: Library, views: Sequence[str]) -> bool:
    """Whether the lake has only gone on since; otherwise (rebuilt, erased, another organisation tree) all is made anew."""
    if not old.position or not state.position:
        return False
    before, now = Position.parse(old.position), Position.parse(state.position)
    if before.epoch != now.epoch or before > now or old.erased != store.erased_digest(state):
        return False
    if old.lake_digests.get("organisation") != state.digests.get("organisation"):
        return False
    types = {library.views[view].resource for view in views}
    kept = set(lake_files(state, types)) & set(old.lake_files)
    full = any(rows.fresh_rows > MOST_FRESH * max(rows.rows, 1_000) for rows in old.views.values())
    return bool(kept or not old.lake_files) and not full


def exact(counted: Counting) -> bool:
    """Whether the cells of what is counted anew as a whole can be told from those to which differences are added.

    They cannot when one measure has both: its cells do not say which of its populations they came from. And what was
    delivered is known as it is now only.
    """
    if any(
        group.personal and "delivery_day" in {made.name for made in counted.tables([group])} for group in counted.groups
    ):
        return False
    populations = Counter(share.measure for group in counted.groups for share in group.shares)
    whole = {share.measure for group in counted.groups if not group.personal for share in group.shares}
    return all(populations[measure] == 1 for measure in whole)


def worth(old: Base, step: Step) -> bool:
    """Whether counting who was touched costs less than counting everybody."""
    people = old.views["patient"].rows if "patient" in old.views else 0
    return step.persons <= max(MOST_PEOPLE, MOST_TOUCHED * people)


def advance(
    folder: Path, lake: Lake, old: Base, state: Manifest, library: Library, constants: Mapping[str, Constant]
) -> tuple[duckdb.DuckDBPyConnection, Step]:
    """The base at a newer state of the lake; files are written, nothing is current until it is saved.

    The connection returned has the tables `touched` (persons, each with a number `k`; null = rows of nobody), and of each view
    `come_<view>` (rows that are new) and `gone_<view>` (ids of rows of before that hold no longer).
    """
    types = {library.views[view].resource for view in old.views}
    recent = {
        type_: tuple(part for part in state.parts.get(type_, ()) if part.file not in set(old.lake_files))
        for type_ in types
    }
    connection = lake.connect(types=types, state=replace(state, parts=recent, dead={}))
    changed = _changed(connection, types, recent, old.position)
    links = _links(connection, folder, old, state)
    connection.execute(f"create temp view old_links as from {parquet(folder, old.links)}")
    connection.execute(
        "create temp table moved as select patient, n.person from old_links o full join new_links n using (patient) "
        "where o.person is distinct from n.person"
        if links != old.links
        else "create temp table moved (patient bigint, person bigint)"
    )
    for view in old.views:
        if recent[library.views[view].resource] or links != old.links:
            _fresh_rows(connection, folder, old, view, library, constants)
        else:
            connection.execute(f"create table come_{view} as {rows_of(folder, old.views[view])} limit 0")
            connection.execute(f"create table gone_{view} (_id varchar, person bigint)")
    _touched(connection, old)
    views = {view: _view(connection, folder, view, rows) for view, rows in old.views.items()}
    persons = connection.execute("select count(person) from touched").fetchone()
    base = replace(
        old, position=state.position, at=state.at, views=views, links=links, lake_files=lake_files(state, types),
        lake_digests=dict(state.digests),
    )  # fmt: skip
    return connection, Step(base, changed, persons[0] if persons else 0)


def _changed(
    connection: duckdb.DuckDBPyConnection, types: set[str], recent: Mapping[str, Sequence[object]], position: str
) -> int:
    """Tables of the ids that changed, and each type's view limited to their newest versions."""
    after = "[" + position.replace(".", ", ") + "]"
    total = 0
    for type_ in sorted(types):
        if not recent[type_]:
            connection.execute(f"create temp table changed_{type_} (_id varchar, _version bigint, known boolean)")
            connection.execute(f"create temp view known_{type_} as select _id from changed_{type_} where known")
            continue
        later = f"list_transform(string_split(p._position, '.'), lambda x: cast(x as bigint)) > {after}"
        source = f"select p.* from {name(type_ + HISTORY)} p where {later}"
        newest = "qualify row_number() over (partition by _id order by _version desc) = 1"
        connection.execute(
            f"create temp table changed_{type_} as select _id, max(_version) as _version, min(_version) > 1 as known "
            f"from ({source}) group by _id"
        )
        connection.execute(
            f"create or replace view {name(type_)} as select p.* from {name(type_ + HISTORY)} p semi join changed_{type_} c "
            f"on c._id = p._id and c._version = p._version where not p._deleted {newest}"
        )
        # a resource whose first version is among them has no rows to look for
        connection.execute(f"create temp view known_{type_} as select _id from changed_{type_} where known")
        row = connection.execute(f"select count(*) from changed_{type_}").fetchone()
        total += row[0] if row else 0
    return total


def _links(connection: duckdb.DuckDBPyConnection, folder: Path, old: Base, state: Manifest) -> str:
    if old.lake_digests.get("person_link") == state.digests.get("person_link"):
        connection.execute(f"create temp view new_links as from {parquet(folder, old.links)}")
        return old.links
    file, _ = write(
        connection,
        folder,
        "links",
        f"select patient, {person_key('person')} as person, person as id from person_link order by 1",
    )
    connection.execute(f"create temp view new_links as from {parquet(folder, file)}")
    return file


def _fresh_rows(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    old: Base,
    view: str,
    library: Library,
    constants: Mapping[str, Constant],
) -> None:
    """What a view has anew, and the ids of rows that no longer hold: changed ones and those of patients linked otherwise."""
    type_ = library.views[view].resource
    rows = rows_of(folder, old.views[view])
    connection.execute(f"create table come_{view} as {base_query(library.views[view], constants)}")
    # the only pass over all ids: who the rows belonged to is kept with them
    tests = [
        f"{column} in (select {key} from {table})"
        for column, key, table in (("_id", "_id", f"known_{type_}"), ("_patient", "patient", "moved"))
        if _any(connection, table)
    ]
    connection.execute(
        f"create table gone_{view} as select distinct _id, person from ({rows}) r where {' or '.join(tests) or 'false'}"
    )
    if _any(connection, "moved"):
        connection.execute(
            f"insert into come_{view} by name select r.* replace (coalesce(m.person, -r._patient) as person) from ({rows}) r "
            f"join moved m on m.patient = r._patient where r._id not in (select _id from changed_{type_})"
        )


def _any(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    row = connection.execute(f"select exists (select 1 from {table})").fetchone()
    return bool(row and row[0])


def _touched(connection: duckdb.DuckDBPyConnection, old: Base) -> None:
    """Everybody whose rows come or go. Rows of nobody are together one person of that kind."""
    parts = [f"select person from {kind}_{view}" for view in old.views for kind in ("come", "gone")]
    connection.execute(
        "create table touched as select person, row_number() over () as k "
        f"from (select distinct person from ({' union all '.join(parts)}))"
    )


def _view(connection: duckdb.DuckDBPyConnection, folder: Path, view: str, rows: Rows) -> Rows:
    """The files of a view after what came and went."""
    counts = connection.execute(
        f"select (select count(*) from gone_{view}), (select count(*) from come_{view})"
    ).fetchone()
    if not counts or not any(counts):
        return rows
    before = (
        f"select * from {parquet(folder, rows.fresh)} where _id not in (select _id from gone_{view}) union all by name "
        if rows.fresh
        else ""
    )
    fresh, number = write(connection, folder, f"{view}.fresh", f"{before}select * from come_{view} order by person")
    dead = f"select _id from gone_{view}" + (
        f" union select _id from {parquet(folder, rows.dead)}" if rows.dead else ""
    )
    file, gone = write(connection, folder, f"{view}.dead", f"select distinct _id from ({dead})")
    return Rows(rows.main, rows.rows, fresh, file, number + gone)
