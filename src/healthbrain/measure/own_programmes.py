"""A district's own public health programmes by form (APP-PH-39): target group, service and window become an own measure.

The target group is the residents of an age and sex, or those on a register (EpisodeOfCare of a service); served is who had one of the
chosen services (Encounter), or vaccines (Immunization), often enough in the window. The definition made of it goes to review in the
workbench and is counted when a second person has published it there, so a programme's figures come from service records alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import yaml

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Invalid, Issue
from healthbrain.measure.programmes import Programme, district_programmes, programmes
from healthbrain.measure.workbench import drafts
from healthbrain.terms import tables

_ID = re.compile(r"[a-z][a-z0-9-]{1,24}")
_SEXES = ("", "male", "female")
_OLDEST = 130


@dataclass(frozen=True, slots=True)
class Wish:
    """Everything that is typed. `register` empty: residents; else the service of the register."""

    id: str
    title: str
    title_en: str
    group: str
    group_en: str
    document: str
    register: str = ""
    from_age: int = 0
    to_age: int = _OLDEST
    sex: str = ""
    vaccines: bool = False
    codes: tuple[str, ...] = ()
    window: int = 12  # months; 0 = ever
    times: int = 1

    @property
    def measure(self) -> str:
        """The number of its measure."""
        return f"OWN-PRG-{self.id.upper()}"


@dataclass(frozen=True, slots=True)
class Own:
    """A programme as it is kept."""

    programme: Programme
    organisation: int
    made_by: str
    made_at: datetime
    closed: bool


def services() -> list[tuple[str, str]]:
    """The services that can be counted or be a register, with their names."""
    return [(row["code"], row["name"]) for row in tables.table("service").values()]


def vaccines() -> list[tuple[str, str]]:
    """The vaccines that can be counted."""
    return [(row["code"], row["name"]) for row in tables.table("vaccine").values()]


def text_of(wish: Wish) -> str:
    """The definition of the programme's measure as YAML. Raises Invalid with what is wrong at which field."""
    if issues := list(_faults(wish)):
        raise Invalid("the programme cannot be made yet", issues=issues)
    view, day, code = ("vaccination", "given", "vaccine") if wish.vaccines else ("contact", "start", "service")
    since = f"{day} >= %from and " if wish.window else ""
    given = {"from": view, "where": f"{code} in ({_listed(wish.codes)}) and {since}{day} <= %to"}
    due = "age(birth, %to) >= %from_age and age(birth, %to) <= %to_age" + (
        f" and sex = '{wish.sex}'" if wish.sex else ""
    )
    if wish.register:
        source: dict[str, Any] = {
            "from": "managed",
            "where": f"service = '{wish.register}' and start <= %to and (end.empty() or end > %to) and (gone.empty() or gone > %to)",
            "one_per": {"key": "person", "last": "start"},
        }
    else:
        source = {"from": "home", "where": "birth <= %to and (gone.empty() or gone > %to)"}
    within = f"截至统计日的 {wish.window} 个月" if wish.window else "截至统计日"
    months = (
        f"the {wish.window} months up to the day of counting" if wish.window else "the time up to the day of counting"
    )
    said = {
        "id": wish.measure, "version": "1", "order": 68,
        "title": {"zh": wish.title, "en": wish.title_en or wish.title},
        "source": {"document": wish.document, "clause": "—"},
        "formula": {
            "zh": f"{wish.group}中接受服务的人数 ÷ {wish.group}人数 × 100%",
            "en": f"Of {wish.group_en or wish.group}, those served ÷ all × 100%",
        },
        "reading": {
            "zh": f"{within}内有所列服务记录 {wish.times} 次及以上计为已服务。",
            "en": f"Served is who has {wish.times} or more of the services named in {months}.",
        },
        "kind": "proportion", "unit": "%", "direction": "up", "period": "month", "window_months": wish.window, "periods": 18,
        "constants": {"from_age": wish.from_age, "to_age": wish.to_age, "needed": wish.times},
        "tables": {
            "in_group": source, "given_service": given,
            "due": {
                "from": "in_group", "where": due,
                "count": {"times": {"table": "given_service", "match": {"person": "person"}}},
            },
        },
        "population": {
            "from": "due", "subject": "person", "town": "town", "institution": "institution", "numerator": "times >= %needed",
            "shown": ["times"],
            "reasons": {"few": {"when": "times < %needed", "text": {"zh": "已服务 {times} 次，未达要求", "en": "{times} services, fewer than needed"}}},
            "evidence": [{"table": "given_service", "type": "Immunization" if wish.vaccines else "Encounter", "match": {"person": "person"}}],
        },
        "stratifiers": ["sex", "age_group"],
    }  # fmt: skip
    return yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=100)


async def begin(connection: Connection, wish: Wish, organisation: int, by: str, at: datetime) -> None:
    """Keep a programme and send its measure to review. Raises Invalid, Conflict."""
    text = text_of(wish)
    if any(one.id == wish.id for one in (*programmes(), *district_programmes())):
        raise Conflict("there is a programme of this name already")
    async with connection.transaction():
        cursor = await connection.execute("select 1 from own_programme where id = %s", [wish.id])
        if await cursor.fetchone() is not None:
            raise Conflict("there is a programme of this name already")
        await drafts.take_in(connection, text, organisation, by, at)
        await drafts.submit(connection, await drafts.one_own(connection, wish.measure, None), by, at)
        await connection.execute(
            "insert into own_programme (id, organisation, measure, title, target_group, made_by, made_at) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [
                wish.id, organisation, wish.measure, _both(wish.title, wish.title_en), _both(wish.group, wish.group_en), by, at,
            ],
        )  # fmt: skip


async def owned(connection: Connection, organisations: Sequence[int] | None) -> list[Own]:
    """The programmes of these organisations (None = all), open ones first."""
    cursor = await connection.execute(
        "select id, title, target_group, measure, organisation, made_by, made_at, closed_at is not null from own_programme "
        "where %s::int[] is null or organisation = any(%s) order by closed_at is not null, made_at, id",
        [None if organisations is None else list(organisations)] * 2,
    )
    return [
        Own(Programme(id_, title, group, (measure,)), organisation, made_by, made_at, closed)
        for id_, title, group, measure, organisation, made_by, made_at, closed in await cursor.fetchall()
    ]


async def close(connection: Connection, id_: str, organisations: Sequence[int] | None, by: str, at: datetime) -> None:
    """Show a programme no longer; its measure is retired in the workbench and its figures stay."""
    cursor = await connection.execute(
        "update own_programme set closed_by = %s, closed_at = %s where id = %s and closed_at is null "
        "and (%s::int[] is null or organisation = any(%s)) returning measure",
        [by, at, id_, *[None if organisations is None else list(organisations)] * 2],
    )
    if await cursor.fetchone() is None:
        raise Conflict("there is no open programme of this name here")


def _faults(wish: Wish) -> list[Issue]:
    found: list[Issue] = []

    def wrong(place: str, text: str) -> None:
        found.append(Issue("error", "value", place, text))

    if not _ID.fullmatch(wish.id):
        wrong("id", "a short name has 2 to 25 lower-case letters, digits and hyphens and begins with a letter")
    for place, text in (("title", wish.title), ("group", wish.group), ("document", wish.document)):
        if not 2 <= len(text.strip()) <= 200:
            wrong(place, "this must be filled in, in 2 to 200 characters")
    if not 0 <= wish.from_age <= wish.to_age <= _OLDEST:
        wrong("from_age", "the ages go from the younger to the older, 0 to 130")
    if wish.sex not in _SEXES:
        wrong("sex", "choose one of the list")
    known = {code for code, _ in services()}
    if wish.register and wish.register not in known:
        wrong("register", "choose one of the list")
    countable = {code for code, _ in vaccines()} if wish.vaccines else known
    if not wish.codes or set(wish.codes) - countable:
        wrong("codes", "choose at least one service, or vaccine, of the list")
    if not 0 <= wish.window <= 60:
        wrong("window", "a window has 0 to 60 months")
    if not 1 <= wish.times <= 50:
        wrong("times", "a service is needed 1 to 50 times")
    return found


def _listed(codes: Sequence[str]) -> str:
    return " | ".join(f"'{code}'" for code in codes)


def _both(zh: str, en: str) -> str:
    return orjson.dumps({"zh": zh.strip(), "en": en.strip() or zh.strip()}).decode()
