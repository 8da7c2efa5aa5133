"""Own measures from draft to published: one open version at a time, reviewed by a second person, frozen when published.

A version is published only by somebody else than who made it, when its definition compiles and every test case passes. A new
version starts a new series; what was counted with the old one stays. Who did what and why is only ever added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, HealthBrainError, Incorrect, NotFound
from healthbrain.measure.load import built_in
from healthbrain.measure.workbench.form import ID, Form, form_of
from healthbrain.measure.workbench.preview import Case
from healthbrain.measure.workbench.text import definition_from, text_of_form

State = Literal["draft", "review", "returned", "published"]
_VERSION = "v.measure, v.number, v.state, v.form, v.definition, v.change, v.made_by, v.changed_at, v.reviewed_by, v.published_at"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an own measure."""

    measure: str
    number: int
    state: State
    form: Form | None  # None when it was imported
    text: str
    change: str
    made_by: str
    changed_at: datetime
    reviewed_by: str
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class Own:
    """An own measure with its versions, newest first."""

    id: str
    organisation: int
    retired: bool
    versions: tuple[Version, ...]

    @property
    def open(self) -> Version | None:
        """The version that is being worked on."""
        return next((one for one in self.versions if one.state != "published"), None)

    @property
    def published(self) -> Version | None:
        """The version in force."""
        return next((one for one in self.versions if one.state == "published"), None)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history."""

    number: int
    at: datetime
    by: str
    action: str
    note: str


async def owned(connection: Connection, organisations: Sequence[int] | None) -> list[Own]:
    """The own measures of these organisations (None = all)."""
    cursor = await connection.execute(
        "select id, organisation, retired_at is not null from own_measure where deleted_at is null "
        "and (%(all)s or organisation = any(%(some)s)) order by id",
        {"all": organisations is None, "some": list(organisations or ())},
    )
    found = await cursor.fetchall()
    return [Own(id_, organisation, retired, await _versions(connection, id_)) for id_, organisation, retired in found]


async def one_own(connection: Connection, id_: str, organisations: Sequence[int] | None) -> Own:
    """One of them. Raises NotFound."""
    for one in await owned(connection, organisations):
        if one.id == id_:
            return one
    raise NotFound("there is no own measure with this number here")


async def begin(connection: Connection, form: Form, organisation: int, by: str, at: datetime) -> None:
    """A new own measure with its first draft. Raises Incorrect, Conflict."""
    if not ID.fullmatch(form.id):
        raise Incorrect("an own measure's number begins with OWN-, in capitals, digits and hyphens")
    if any(one.id == form.id for one in built_in()):
        raise Conflict("there is a measure with this number already")
    async with connection.transaction():
        cursor = await connection.execute(
            "insert into own_measure (id, organisation, created_by, created_at) values (%s, %s, %s, %s) "
            "on conflict do nothing returning id",
            [form.id, organisation, by, at],
        )
        if await cursor.fetchone() is None:
            raise Conflict("there is a measure with this number already")
        await _insert(connection, form.id, 1, form, _text(form, 1), "", by, at)
        await _event(connection, form.id, 1, by, at, "begun")


async def take_in(connection: Connection, text: str, organisation: int, by: str, at: datetime) -> str:
    """A definition from elsewhere (YAML) as a draft; returns its number. Raises Incorrect, Conflict."""
    one = definition_from(text)
    async with connection.transaction():
        cursor = await connection.execute("select organisation from own_measure where id = %s", [one.id])
        row = await cursor.fetchone()
        if row is not None and row[0] != organisation:
            raise Conflict("there is a measure with this number already")
        if row is None:
            await connection.execute(
                "insert into own_measure (id, organisation, created_by, created_at) values (%s, %s, %s, %s)",
                [one.id, organisation, by, at],
            )
        number = await _free_number(connection, one.id)
        await _insert(connection, one.id, number, None, _numbered(text, number), "", by, at)
        await _event(connection, one.id, number, by, at, "imported")
    return one.id


async def revise(connection: Connection, own: Own, by: str, at: datetime) -> None:
    """Open a new version with what the published one says. Raises Conflict."""
    last = own.published
    if last is None or own.open is not None:
        raise Conflict("a version is being worked on already")
    async with connection.transaction():
        number = await _free_number(connection, own.id)
        text = _text(last.form, number) if last.form else _numbered(last.text, number)
        await _insert(connection, own.id, number, last.form, text, "", by, at)
        await _event(connection, own.id, number, by, at, "revised")


async def keep(connection: Connection, own: Own, form: Form, change: str, by: str, at: datetime) -> None:
    """Put what was typed into the open version; its faults are kept with it. Raises Conflict."""
    version = _workable(own)
    if form.id != own.id:
        raise Incorrect("the number of a measure stays")
    await connection.execute(
        "update own_measure_version set form = %s, definition = %s, change = %s, made_by = %s, changed_at = %s, state = 'draft' "
        "where measure = %s and number = %s and state in ('draft', 'returned')",
        [orjson.dumps(form.as_json()).decode(), _text(form, version.number), change, by, at, own.id, version.number],
    )
    await _event(connection, own.id, version.number, by, at, "changed")


async def submit(connection: Connection, own: Own, by: str, at: datetime) -> None:
    """Ask a second person. Raises Incorrect while the form has faults."""
    version = _workable(own)
    if not version.text:
        raise Incorrect("the measure has faults; mend them before it goes to review")
    definition_from(version.text)
    if version.number > 1 and not version.change.strip():
        raise Incorrect("say what this version changes; it is shown where the series breaks")
    await _move(connection, own.id, version.number, ("draft", "returned"), "review", at)
    await _event(connection, own.id, version.number, by, at, "submitted")


async def send_back(connection: Connection, own: Own, note: str, by: str, at: datetime) -> None:
    """Not yet: with the reason."""
    version = _in_review(own)
    if not note.strip():
        raise Incorrect("say why it is sent back")
    await _move(connection, own.id, version.number, ("review",), "returned", at)
    await _event(connection, own.id, version.number, by, at, "returned", note.strip())


async def publish(connection: Connection, own: Own, *, passed: bool, note: str, by: str, at: datetime) -> None:
    """The version in review is in force from now on. Raises Forbidden for its maker, Incorrect while a case fails."""
    version = _in_review(own)
    if version.made_by == by:
        raise Forbidden("who made a version cannot publish it; a second person reviews it")
    if not passed:
        raise Incorrect("a test case fails; a version is published when all pass")
    async with connection.transaction():
        cursor = await connection.execute(
            "update own_measure_version set state = 'published', reviewed_by = %s, published_at = %s "
            "where measure = %s and number = %s and state = 'review' returning number",
            [by, at, own.id, version.number],
        )
        if await cursor.fetchone() is None:
            raise Conflict("the version was changed in the meantime; open it again")
        await connection.execute("update own_measure set retired_at = null where id = %s", [own.id])
        await _event(connection, own.id, version.number, by, at, "published", note.strip())


async def retire(connection: Connection, own: Own, by: str, at: datetime, *, back: bool = False) -> None:
    """Count it no longer, or again; its figures stay."""
    if own.published is None:
        raise Conflict("only a published measure is retired")
    await connection.execute("update own_measure set retired_at = %s where id = %s", [None if back else at, own.id])
    await _event(connection, own.id, own.published.number, by, at, "resumed" if back else "retired")


async def discard(
    connection: Connection,
    id_: str,
    organisations: Sequence[int] | None,
    by: str,
    at: datetime,
    *,
    back: bool = False,
) -> None:
    """Throw a measure of these organisations away that was never published, or take that back."""
    cursor = await connection.execute(
        "update own_measure m set deleted_at = %s where id = %s and (%s or organisation = any(%s)) and not exists "
        "(select 1 from own_measure_version v where v.measure = m.id and v.state = 'published') returning id",
        [None if back else at, id_, organisations is None, list(organisations or ())],
    )
    if await cursor.fetchone() is None:
        raise Conflict("a published measure is retired, not thrown away")
    await _event(connection, id_, 0, by, at, "restored" if back else "discarded")


async def add_case(connection: Connection, own: Own, case: Case, by: str, at: datetime) -> None:
    """Keep an example with its expected outcome."""
    if not case.name.strip() or case.expected not in {"numerator", "denominator", "outside"}:
        raise Incorrect("an example has a name and an expected outcome")
    if bool(case.subject) == bool(case.resources):
        raise Incorrect("an example is a known person's number, or resources")
    await connection.execute(
        "insert into own_measure_case (measure, given, by, at) values (%s, %s, %s, %s)",
        [own.id, orjson.dumps(asdict(case), default=float).decode(), by, at],
    )


async def drop_case(connection: Connection, own: Own, id_: int) -> None:
    """Take an example away."""
    await connection.execute("update own_measure_case set deleted = true where id = %s and measure = %s", [id_, own.id])


async def cases(connection: Connection, own: Own) -> list[tuple[int, Case]]:
    """The examples."""
    cursor = await connection.execute(
        "select id, given from own_measure_case where measure = %s and not deleted order by id", [own.id]
    )
    return [(id_, Case(**{**given, "resources": tuple(given["resources"])})) for id_, given in await cursor.fetchall()]


async def history(connection: Connection, own: Own) -> list[Event]:
    """Everything that was done, newest first."""
    cursor = await connection.execute(
        "select number, at, by, action, note from own_measure_event where measure = %s order by id desc", [own.id]
    )
    return [Event(*row) for row in await cursor.fetchall()]


def _workable(own: Own) -> Version:
    version = own.open
    if version is None or version.state == "review":
        raise Conflict("no draft is open: start a new version, or wait for the review")
    return version


def _in_review(own: Own) -> Version:
    version = own.open
    if version is None or version.state != "review":
        raise Conflict("no version is in review")
    return version


def _text(form: Form, number: int) -> str:
    """The definition of a form; '' while it has faults, which the form shows."""
    try:
        text = text_of_form(form, str(number))
        definition_from(text)
    except HealthBrainError:
        return ""
    return text


def _numbered(text: str, number: int) -> str:
    """An imported definition with the version that it has here."""
    lines = [f'version: "{number}"' if line.startswith("version:") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


async def _free_number(connection: Connection, id_: str) -> int:
    cursor = await connection.execute(
        "select coalesce(max(number), 0) + 1, count(*) filter (where state <> 'published') from own_measure_version where measure = %s",
        [id_],
    )
    row = await cursor.fetchone() or (1, 0)
    if row[1]:
        raise Conflict("a version is being worked on already")
    return int(row[0])


async def _insert(
    connection: Connection, id_: str, number: int, form: Form | None, text: str, change: str, by: str, at: datetime
) -> None:
    raw = orjson.dumps(form.as_json()).decode() if form else None
    await connection.execute(
        "insert into own_measure_version (measure, number, state, form, definition, change, made_by, changed_at) "
        "values (%s, %s, 'draft', %s, %s, %s, %s, %s)",
        [id_, number, raw, text, change, by, at],
    )


async def _move(
    connection: Connection, id_: str, number: int, before: tuple[str, ...], after: State, at: datetime
) -> None:
    cursor = await connection.execute(
        "update own_measure_version set state = %s, changed_at = %s where measure = %s and number = %s and state = any(%s) "
        "returning number",
        [after, at, id_, number, list(before)],
    )
    if await cursor.fetchone() is None:
        raise Conflict("the version was changed in the meantime; open it again")


async def _event(
    connection: Connection, id_: str, number: int, by: str, at: datetime, action: str, note: str = ""
) -> None:
    await connection.execute(
        "insert into own_measure_event (measure, number, at, by, action, note) values (%s, %s, %s, %s, %s, %s)",
        [id_, number, at, by, action, note],
    )


async def _versions(connection: Connection, id_: str) -> tuple[Version, ...]:
    cursor = await connection.execute(
        f"select {_VERSION} from own_measure_version v where v.measure = %s order by v.number desc".encode(),  # noqa: S608  # constant
        [id_],
    )
    found: list[tuple[Any, ...]] = await cursor.fetchall()
    return tuple(_version(*row) for row in found)


def _version(measure: str, number: int, state: State, form: Any, *rest: Any) -> Version:
    return Version(measure, number, state, form_of(form) if form else None, *rest)
