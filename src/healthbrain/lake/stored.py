"""Views that people store: ViewDefinition resources (SQL on FHIR v2) in a small table of their own, with all versions.

ViewDefinition is no type of R4, so the resource store does not know it. A stored view can be run: what cannot be read or compiled is
refused when it is written. Who may write which is decided by the caller's scope; everybody signed in may read them, they tell
nothing about anybody. A canonical url with its version names one view.
"""

# ruff: noqa: S608  # a constant column list
from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import errors

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Gone, Incorrect, Invalid, Issue, NotFound, PreconditionFailed
from healthbrain.lake import library
from healthbrain.lake.sof import Target, ViewDefinition, compile_view, read_view
from healthbrain.scope import Scope

STATUSES = ("draft", "active", "retired", "unknown")
SEARCHED = {"_id": "id", "url": "url", "name": "name", "resource": "resource", "status": "status", "version": "edition"}
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_COLUMNS = "id, version, owner, updated, deleted, body"
_ADD = """
insert into view_definition (id, version, deleted, owner, updated, url, edition, name, resource, status, body)
values (%(id)s, %(version)s, %(deleted)s, %(owner)s, %(updated)s, %(url)s, %(edition)s, %(name)s, %(resource)s, %(status)s, %(body)s)"""


@dataclass(frozen=True, slots=True)
class StoredView:
    """One version of a stored view."""

    id: str
    version: int
    owner: int
    updated: datetime
    deleted: bool
    definition: Mapping[str, Any]

    def as_resource(self) -> dict[str, Any]:
        """The resource with its id and version."""
        updated = self.updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        meta = {"versionId": str(self.version), "lastUpdated": updated}
        rest = {key: value for key, value in self.definition.items() if key != "resourceType"}
        return {"resourceType": "ViewDefinition", "id": self.id, "meta": meta, **rest}


def library_id(view: library.View) -> str:
    """The id of a view of the libraries as a resource; ids of FHIR have no underscore."""
    return view.id.replace("_", "-")


def of_library(id_: str) -> library.View | None:
    """The view of the libraries with this id of a resource."""
    return next((one for one in library.views() if library_id(one) == id_), None)


def runnable(id_: str, definition: Mapping[str, Any]) -> ViewDefinition | library.View:
    """What `resolve` found, as it is run: a view over views of the libraries, or a ViewDefinition. Raises Incorrect."""
    known = of_library(id_)
    return known if known is not None and known.derived is not None else read_view(definition)


def checked(definition: Mapping[str, Any]) -> ViewDefinition:
    """The view, if it can be stored. Raises Invalid with every fault."""
    try:
        view = read_view(definition)
    except Incorrect as wrong:
        raise Invalid(wrong.message, issues=wrong.issues) from None
    if definition.get("status") not in STATUSES:
        text = f"it is one of {', '.join(STATUSES)}"
        raise Invalid(
            "the ViewDefinition has no status", issues=[Issue("error", "required", "ViewDefinition.status", text)]
        )
    compile_view(view, Target())
    return view


async def write(
    connection: Connection,
    definition: Mapping[str, Any],
    *,
    scope: Scope,
    owner: int,
    at: datetime,
    id_: str = "",
    expected: int | None = None,
) -> tuple[StoredView, bool]:
    """Store a view, under `id_` or a new id; returns it and whether it is new. `expected` is the version that is replaced.

    Raises Invalid, Forbidden, Conflict, PreconditionFailed.
    """
    view = checked(definition)
    new = id_ or str(uuid.uuid4())
    before = await _before(connection, new, scope, owner, expected)
    if before is not None:
        owner = before.owner
    body = {key: value for key, value in definition.items() if key not in ("id", "meta")}
    await _add(connection, StoredView(new, before.version + 1 if before else 1, owner, at, False, body), view)
    return await read(connection, new), before is None or before.deleted


async def delete(
    connection: Connection, id_: str, *, scope: Scope, owner: int, at: datetime, expected: int | None = None
) -> None:
    """It is no view any more; its versions stay. Nothing happens when it is gone already."""
    before = await _before(connection, id_, scope, owner, expected)
    if before is None or before.deleted:
        return
    await _add(connection, StoredView(id_, before.version + 1, before.owner, at, True, before.definition), None)


async def read(connection: Connection, id_: str, version: int | None = None) -> StoredView:
    """A view, or one of its versions. Raises NotFound, Gone."""
    which = "current" if version is None else "version = %(version)s"
    row = await (
        await connection.execute(
            f"select {_COLUMNS} from view_definition where id = %(id)s and {which}", {"id": id_, "version": version}
        )
    ).fetchone()
    if row is None:
        raise NotFound("there is no such ViewDefinition")
    found = _stored(row)
    if found.deleted:
        raise Gone("the ViewDefinition was deleted")
    return found


async def history(connection: Connection, id_: str) -> list[StoredView]:
    """Every version, newest first. Raises NotFound."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from view_definition where id = %s order by version desc", (id_,)
    )
    found = [_stored(row) for row in await cursor.fetchall()]
    if not found:
        raise NotFound("there is no such ViewDefinition")
    return found


async def search(
    connection: Connection, asked: Sequence[tuple[str, str]], count: int, offset: int
) -> tuple[list[StoredView], int]:
    """Views by the parameters of SEARCHED (a name by its beginning), sorted by id, and how many there are altogether."""
    tests, values = ["current", "not deleted"], []
    for name, value in asked:
        wanted = value.split(",")
        if name == "name":
            tests.append("lower(name) like any(%s)")
            values.append([f"{_plain(one.lower())}%" for one in wanted])
        else:
            tests.append(f"{SEARCHED[name]} = any(%s)")
            values.append(wanted)
    where = " and ".join(tests)
    row = await (await connection.execute(f"select count(*) from view_definition where {where}", values)).fetchone()
    cursor = await connection.execute(
        f"select {_COLUMNS} from view_definition where {where} order by id limit %s offset %s", (*values, count, offset)
    )
    return [_stored(one) for one in await cursor.fetchall()], int(row[0]) if row else 0


async def resolve(connection: Connection, reference: str) -> tuple[str, Mapping[str, Any]]:
    """The id and definition that a reference (`ViewDefinition/id`, an id) or a canonical url (`url|version`) means.

    Views of the libraries are found too. Raises NotFound, Gone.
    """
    id_ = reference.removeprefix("ViewDefinition/")
    if _ID.fullmatch(id_):
        if (known := of_library(id_)) is not None:
            return id_, known.definition
        return id_, (await read(connection, id_)).definition
    url, _, edition = reference.partition("|")
    for one in library.views():
        if one.definition["url"] == url and not edition:
            return library_id(one), one.definition
    tests = [("url", url), *([("version", edition)] if edition else [])]
    cursor = await connection.execute(
        f"select {_COLUMNS} from view_definition where current and not deleted and "
        + " and ".join(f"{SEARCHED[name]} = %s" for name, _ in tests)
        + " order by updated desc limit 1",
        [value for _, value in tests],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no ViewDefinition of this url or id")
    found = _stored(row)
    return found.id, found.definition


async def _before(
    connection: Connection, id_: str, scope: Scope, owner: int, expected: int | None
) -> StoredView | None:
    """What is there now, locked, if it may be changed."""
    if of_library(id_) is not None:
        raise Conflict("this is a view of the libraries, which come with the platform; store yours under another id")
    await connection.execute("select pg_advisory_xact_lock(hashtext('view_definition'), hashtext(%s))", (id_,))
    row = await (
        await connection.execute(f"select {_COLUMNS} from view_definition where id = %s and current", (id_,))
    ).fetchone()
    before = _stored(row) if row else None
    whose = before.owner if before else owner
    if scope.organisations is not None and whose not in scope.organisations:
        raise Forbidden("this ViewDefinition belongs to another organisation")
    if expected is not None and (before is None or before.version != expected):
        raise PreconditionFailed("it was changed since; read it again")
    return before


async def _add(connection: Connection, new: StoredView, view: ViewDefinition | None) -> None:
    """Make a version the current one; of a deleted view (`view` None) nothing is found any more."""
    await connection.execute("update view_definition set current = false where id = %s and current", (new.id,))
    values = {
        "id": new.id, "version": new.version, "deleted": new.deleted, "owner": new.owner, "updated": new.updated,
        "url": view.url if view else "", "edition": view.version if view else "", "name": view.name if view else "",
        "resource": view.resource if view else "", "status": new.definition.get("status", "") if view else "",
        "body": json.dumps(new.definition, ensure_ascii=False),
    }  # fmt: skip
    try:
        await connection.execute(_ADD, values)
    except errors.UniqueViolation:
        raise Conflict("another ViewDefinition has this url and version; give this one its own") from None


def _stored(row: tuple[Any, ...]) -> StoredView:
    id_, version, owner, updated, deleted, body = row
    return StoredView(id_, version, owner, updated, deleted, json.loads(body))


def _plain(text: str) -> str:
    """Text in a pattern in which nothing has a meaning."""
    return re.sub(r"([\\%_])", r"\\\1", text)
