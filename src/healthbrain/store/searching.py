"""Search: a question becomes one statement; then the page, its includes, its total if asked for.

One statement shape per kind of question, every value bound, the scope in each (also in chains and includes). The body
is read only for the rows shown. Pages are keyset pages (paging.py).
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.fhir import definitions
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays, cursors, keys
from healthbrain.store.asking import Asking
from healthbrain.store.compartments import compartment_condition, in_compartment
from healthbrain.store.containing import contained_in
from healthbrain.store.includes import check_includes, included
from healthbrain.store.paging import page_of
from healthbrain.store.pieces import Condition
from healthbrain.store.question import Question, read_question
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.rows import COMPARTMENT
from healthbrain.store.selection import Selection, selected
from healthbrain.store.terminology import StoredTerminology, Terminology
from healthbrain.store.types import type_index, type_number
from healthbrain.store.values import WHOLE, Care, Page, Stored
from healthbrain.store.visibility import visible_sql

_SMALL = 1000  # an estimate below this is counted instead: it costs nothing and is right


async def search(
    connection: Connection,
    type_: str | None,
    parameters: Sequence[tuple[str, str]],
    *,
    scope: Scope | Mapping[str, Scope] = EVERYTHING,
    strict: bool = True,
    terminology: Terminology | None = None,
    within: tuple[str, str] | None = None,
) -> Page:
    """Resources that fulfil every parameter, of one type or of several. See store.Store.search."""
    arrays.teach(connection)
    question = read_question(parameters)
    if question.contained != "false":
        return await _with_contained(connection, type_, question, parameters, scope, strict, terminology, within)
    types = _types(type_, question, scope, within)
    if not types:
        return Page([], [], None, 0 if question.only_count or question.total != "none" else None)
    terms = terminology or StoredTerminology()
    askings = {name: Asking(_scope(scope, name), strict, terms) for name in types}
    selections = [await _selection(connection, name, question, asking, within) for name, asking in askings.items()]
    first = askings[types[0]]
    await first.until_known(connection, lambda: check_includes(types, question.includes, first))
    total = await _total(connection, selections, "accurate" if question.only_count else question.total)
    notes = tuple(note for asking in askings.values() for note in asking.notes)
    ignored = frozenset.intersection(*(frozenset(asking.ignored) for asking in askings.values()))
    if question.only_count:
        return Page([], [], None, total, notes, ignored)
    matches, following = await page_of(connection, selections, question, first)
    added: list[Stored] = []
    if question.includes and matches:
        for name in dict.fromkeys(one.type for one in matches):
            own = [one for one in matches if one.type == name]
            added += await included(connection, own, question.includes, askings[name])
        shown = {one.rid for one in matches}
        added = list({one.rid: one for one in added if one.rid not in shown}.values())
    return Page(matches, added, following, total, notes, ignored)


async def _with_contained(
    connection: Connection,
    type_: str | None,
    question: Question,
    parameters: Sequence[tuple[str, str]],
    scope: Scope | Mapping[str, Scope],
    strict: bool,
    terminology: Terminology | None,
    within: tuple[str, str] | None,
) -> Page:
    """Contained resources, or what contains them, behind the others if both are asked for."""
    if type_ is None or within is not None:
        raise Incorrect("'_contained' belongs to a search of one type, without a compartment")
    place: list[Any] = cursors.read(question.cursor, list(question.asked)) if question.cursor else ["", 0, 0]
    plain = Page([], [], None, 0)
    if question.contained == "both" and not place[1]:
        own = [one for one in parameters if one[0] not in {"_contained", "_containedType", "_cursor"}]
        own += [("_cursor", place[0])] if place[0] else []
        plain = await search(connection, type_, own, scope=scope, strict=strict, terminology=terminology)
        if plain.next:
            return replace(plain, next=cursors.write(list(question.asked), [plain.next, 0, 0]))
    asking = Asking(EVERYTHING, strict, terminology or StoredTerminology())
    scopes = scope if isinstance(scope, Mapping) else dict.fromkeys(definitions().types, scope)
    found = await contained_in(connection, type_, question, asking, scopes)
    total = (plain.total or 0) + len(found) if question.total != "none" or question.only_count else None
    if question.only_count:
        return Page([], [], None, total)
    shown = [one for one in found if (one.container.rid, one.place) > (place[1], place[2] if place[1] else -1)]
    shown, rest = shown[: question.count], shown[question.count :]
    following = None
    if rest:
        following = cursors.write(list(question.asked), ["", shown[-1].container.rid, shown[-1].place])
    matches = list({one.container.rid: one.container for one in shown}.values())
    if not question.containers:
        matches = [one.alone for one in shown]
    known = {one.rid for one in plain.matches}
    matches = [one for one in matches if one.inside or one.rid not in known]
    return Page([*plain.matches, *matches], plain.included, following, total, plain.notes, frozenset(asking.ignored))


def _types(
    type_: str | None, question: Question, scope: Scope | Mapping[str, Scope], within: tuple[str, str] | None
) -> tuple[str, ...]:
    """The types to be searched: the one of the address, or those of _type, or all."""
    if type_ is not None:
        if question.types:
            raise Incorrect("'_type' belongs to a search over all types; this one has its type in the address")
        if within is not None and not in_compartment(within[0], type_):
            raise Incorrect(f"{type_} resources are never in the compartment of a {within[0]}")
        type_index(type_)
        return (type_,)
    for name in question.types:
        type_index(name)
    types = question.types or definitions().types
    if isinstance(scope, Mapping):
        types = tuple(name for name in types if name in scope)
    return tuple(name for name in types if within is None or in_compartment(within[0], name))


def _scope(scope: Scope | Mapping[str, Scope], type_: str) -> Scope:
    return scope if isinstance(scope, Scope) else scope[type_]


async def _selection(
    connection: Connection, type_: str, question: Question, asking: Asking, within: tuple[str, str] | None
) -> Selection:
    found = await selected(connection, type_, question.criteria, asking)
    if within is None:
        return found
    return Selection(found.index, (*found.conditions, compartment_condition(found.index, *within, asking)))


async def _total(connection: Connection, selections: Sequence[Selection], how: str) -> int | None:
    """How many rows there are: counted, or as the planner guesses from its statistics."""
    if how == "none":
        return None
    rows = " union all ".join(f"select from resource r where {one.where}" for one in selections)
    values = [value for one in selections for value in one.parameters]
    if how == "estimate":
        cursor = await connection.execute(f"explain (format json) {rows}".encode(), values)
        row = await cursor.fetchone()
        plan = row[0] if row else []
        guess = int((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])
        if guess >= _SMALL:
            return guess
    row = await (await connection.execute(f"select count(*) from ({rows}) q".encode(), values)).fetchone()
    return int(row[0]) if row else 0


# -- everything of one patient


async def everything(
    connection: Connection,
    patient_id: str,
    *,
    scope: Scope = EVERYTHING,
    count: int = 50,
    cursor: str | None = None,
    care: Care = WHOLE,
) -> Page:
    """The Patient and every resource in its compartment, the Patient first."""
    arrays.teach(connection)
    count = max(1, min(count, 1000))
    narrowed = _narrowed(care)
    asked = ["everything", patient_id, *([repr(care)] if care != WHOLE else [])]
    after = cursors.read(cursor, asked) if cursor else [-1, -1]
    patient = keys.patient_key(patient_id)
    token = keys.number(keys.referred(COMPARTMENT, "Patient", patient_id))
    rule, extra = visible_sql(scope, None)
    own = type_number("Patient")
    statement = (
        f"select {COLUMNS} from resource r where (r.patient = %s or r.tokens @> %s) and not r.deleted"
        f"{' and ' + rule if rule else ''}{narrowed.sql} and (case when r.rtype = {own} then 0 else 1 end, r.rid) > (%s, %s)"
        f" order by case when r.rtype = {own} then 0 else 1 end, r.rid limit %s"
    )
    values = [patient, arrays.int8([token]), *extra, *narrowed.parameters, *after, count + 1]
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    found = [stored(row) for row in rows[:count]]
    following = None
    if len(rows) > count:
        following = cursors.write(asked, [0 if found[-1].type == "Patient" else 1, found[-1].rid])
    return Page(found, [], following)


def _narrowed(care: Care) -> Condition:
    """What $everything is narrowed to. Resources without a clinical date, the Patient among them, always belong to it."""
    parts: list[str] = []
    values: list[Any] = []
    patient = type_number("Patient")
    if care.types:
        parts.append("r.rtype = any(%s)")
        values.append(arrays.int2([type_number(name) for name in care.types]))
    if care.since is not None:
        parts.append("r.updated >= %s")
        values.append(care.since)
    for bound, column, sign in ((care.start, "r.at_high", ">="), (care.end, "r.at_low", "<")):
        if bound is not None:
            parts.append(f"({column} is null or r.rtype = {patient} or {column} {sign} %s)")
            values.append(bound)
    return Condition("".join(f" and {part}" for part in parts), tuple(values))
