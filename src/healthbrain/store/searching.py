"""Search: a question becomes one statement; then the page, its includes, its total if asked for.

One statement shape per kind of question, every value bound, the scope in each (also in chains and includes). The body
is read only for the rows shown. Pages are keyset pages (paging.py).
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

import json
from collections.abc import Sequence

from healthbrain.database import Connection
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays, cursors, keys
from healthbrain.store.asking import Asking
from healthbrain.store.includes import check_includes, included
from healthbrain.store.paging import page_of
from healthbrain.store.question import read_question
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.rows import COMPARTMENT
from healthbrain.store.selection import Selection, selected
from healthbrain.store.terminology import StoredTerminology, Terminology
from healthbrain.store.types import type_number
from healthbrain.store.values import Page
from healthbrain.store.visibility import visible_sql

_SMALL = 1000  # an estimate below this is counted instead: it costs nothing and is right


async def search(
    connection: Connection,
    type_: str,
    parameters: Sequence[tuple[str, str]],
    *,
    scope: Scope = EVERYTHING,
    strict: bool = True,
    terminology: Terminology | None = None,
) -> Page:
    """Resources of a type that fulfil every parameter. See store.Store.search."""
    arrays.teach(connection)
    question = read_question(parameters)
    asking = Asking(scope, strict, terminology or StoredTerminology())
    selections = [await selected(connection, type_, question.criteria, asking)]
    check_includes([one.index.name for one in selections], question.includes, asking)
    total = await _total(connection, selections, "accurate" if question.only_count else question.total)
    if question.only_count:
        return Page([], [], None, total)
    matches, following = await page_of(connection, selections, question, asking)
    added = await included(connection, matches, question.includes, asking) if question.includes and matches else []
    return Page(matches, added, following, total)


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
    connection: Connection, patient_id: str, *, scope: Scope = EVERYTHING, count: int = 50, cursor: str | None = None
) -> Page:
    """The Patient and every resource in its compartment, the Patient first."""
    arrays.teach(connection)
    count = max(1, min(count, 1000))
    asked = ["everything", patient_id]
    after = cursors.read(cursor, asked) if cursor else [-1, -1]
    patient = keys.patient_key(patient_id)
    token = keys.number(keys.referred(COMPARTMENT, "Patient", patient_id))
    rule, extra = visible_sql(scope, None)
    own = type_number("Patient")
    statement = (
        f"select {COLUMNS} from resource r where (r.patient = %s or r.tokens @> %s) and not r.deleted"
        f"{' and ' + rule if rule else ''} and (case when r.rtype = {own} then 0 else 1 end, r.rid) > (%s, %s)"
        f" order by case when r.rtype = {own} then 0 else 1 end, r.rid limit %s"
    )
    values = [patient, arrays.int8([token]), *extra, *after, count + 1]
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    found = [stored(row) for row in rows[:count]]
    following = None
    if len(rows) > count:
        following = cursors.write(asked, [0 if found[-1].type == "Patient" else 1, found[-1].rid])
    return Page(found, [], following)
