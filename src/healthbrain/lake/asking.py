"""Running a view over the lake for somebody: only rows that their scope opens, narrowed by what they asked.

A view that is materialised and as fresh as the lake is read from its files; the answer is the same.
"""

# ruff: noqa: S608  # statements are made here; numbers and quoted names only
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from healthbrain.errors import NotFound, Unavailable
from healthbrain.lake import materialised
from healthbrain.lake.derived import CARRIED
from healthbrain.lake.engine import literal, name
from healthbrain.lake.library import View, query_columns
from healthbrain.lake.reader import Lake
from healthbrain.lake.seen import needs_bodies, seen
from healthbrain.lake.sof import Target, ViewDefinition, compile_view, read_view
from healthbrain.lake.sof.files import Layout
from healthbrain.lake.sof.running import Outcome, run_noting_patients, write_noting_patients
from healthbrain.scope import Scope
from healthbrain.store import patient_key

MEMORY = "1GB"


@dataclass(frozen=True, slots=True)
class Question:
    """A view, and of which rows: those that `scope` opens, of these patients (None: of whomever), written at or after `since`."""

    view: ViewDefinition | View  # a View is one of the libraries that is made of others
    scope: Scope
    patients: tuple[int, ...] | None = None
    since: datetime | None = None
    id: str = ""  # of a stored view or one of the libraries, under which it may be materialised
    others: Mapping[str, Scope] = field(default_factory=dict)  # what opens the further types that it reads


def answer(
    lake: Lake,
    question: Question,
    out: Path,
    layout: Layout,
    began: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
) -> Outcome:
    """Write the rows into `out`. `began` is given the connection, by which the run can be interrupted.

    Raises Incorrect for the view, Unavailable when the run was interrupted or needs more memory than it may take.
    """
    type_ = question.view.resource
    types = question.view.types if isinstance(question.view, View) else {type_}
    connection = lake.connect(types=types, memory=MEMORY)
    began(connection)
    try:
        if isinstance(question.view, View):
            relation = f"({_narrowed(question, _made(connection, question, question.view))})"
            return write_noting_patients(connection, query_columns(question.view), relation, out, layout)
        if (kept := _kept(lake, question)) is not None:
            relation = f"({_narrowed(question, seen(connection, question.scope, type_, kept))})"
            return write_noting_patients(connection, compile_view(question.view, Target()), relation, out, layout)
        relation = seen(connection, question.scope, type_, name(type_))
        relation = f"({_narrowed(question, relation)})"
        return run_noting_patients(connection, question.view, Target(relation=relation), out, layout)
    except duckdb.InterruptException:
        raise Unavailable(
            "the view ran too long and was stopped; ask for less, or export it with $viewdefinition-export"
        ) from None
    except duckdb.OutOfMemoryException:
        raise Unavailable("the view needs more memory than a run may take; ask for less at once") from None
    finally:
        connection.close()


def _made(connection: duckdb.DuckDBPyConnection, question: Question, view: View) -> str:
    """A view over views: every type it reads is narrowed to what the scope of that type opens."""
    scopes = {view.resource: question.scope, **question.others}
    opened = {type_: seen(connection, scopes[type_], type_, name(type_)) for type_ in sorted(view.types)}
    return f"({view.sql(CARRIED, opened)})"


def _kept(lake: Lake, question: Question) -> str | None:
    """The rows of the view as they are materialised, if they are what the lake would give."""
    if isinstance(question.view, View) or not question.id or needs_bodies(question.scope, question.view.resource):
        return None
    try:
        state = materialised.load(lake.folder, question.id)
    except NotFound:
        return None
    manifest = lake.state()
    if not materialised.is_fresh(state, manifest) or read_view(state.definition) != question.view:
        return None
    return materialised.relation(lake.folder, state, manifest)


def members_of(group: Mapping[str, Any]) -> set[int]:
    """The patients of a Group resource, by key."""
    found = set()
    for member in group.get("member", ()):
        type_, _, id_ = str(member.get("entity", {}).get("reference", "")).rpartition("/")
        if type_.rpartition("/")[2] == "Patient" and id_ and not member.get("inactive"):
            found.add(patient_key(id_))
    return found


def _narrowed(question: Question, relation: str) -> str:
    tests = []
    if question.patients is not None:
        keys = ", ".join(str(int(key)) for key in question.patients)
        tests.append(f"p._patient in ({keys})" if keys else "false")
    if question.since is not None:
        tests.append(f"p._updated >= timestamptz {literal(question.since.isoformat())}")
    return f"select p.* from {relation} p" + (f" where {' and '.join(tests)}" if tests else "")
