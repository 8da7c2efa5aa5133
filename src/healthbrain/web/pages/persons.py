"""The persons behind a figure: from a number down to people, with reasons and the records the result rests on.

Names show only to who acts for a purpose that identifies people and within reach; everybody else sees surnames and
reasons. Each page of names is logged with the persons on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from healthbrain import access, identity, measure
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, NotFound
from healthbrain.lake import Lake
from healthbrain.measure import Definition, ShownMember
from healthbrain.portrait import mask_name
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import patient_key
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import cockpit, figures
from healthbrain.web.pages.people import name_of
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_PAGE = 40
_EVIDENCE = 6  # records of one type shown with a person
_GROUPS = (
    ("", N_("Everybody counted")),
    ("outside", N_("Not meeting the measure")),
    ("inside", N_("Meeting the measure")),
)


@dataclass(frozen=True, slots=True)
class Group:
    """One tab of the list."""

    label: str
    url: str
    count: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One member of the population."""

    name: str
    url: str
    town: str
    institution: str
    inside: bool
    reasons: str
    evidence: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class PersonsPage:
    """Context of persons.html."""

    title: str
    lede: str
    subject_label: str
    groups: Sequence[Group]
    masked: bool
    purposes: Sequence[str]
    rows: Sequence[PersonLine]
    older: str
    newer: str


async def persons(visit: Visit) -> Response:
    """The list."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        definition = await measure.current(connection, visit.query.get("measure", ""))
    if not definition.members:
        raise NotFound("this measure counts events, not persons; it keeps no list")
    group = visit.query.get("group", "")
    inside = {"inside": True, "outside": False}.get(group)
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        area = cockpit.area_of(visit, tree, await cockpit.sees_whole(visit, connection, tree))
        page = await measure.members(
            connection, Lake(visit.platform.settings.lake), definition.id, level=area.level, key=area.key,
            in_numerator=inside, period=visit.query.get("period") or None, stratifier=visit.query.get("by", ""),
            stratum=visit.query.get("stratum", ""), cursor=visit.query.get("cursor") or None, count=_PAGE,
        )  # fmt: skip
        about_people = definition.population is not None and definition.population.subject == "person"
        scope = await _scope(visit, connection) if about_people else EVERYTHING
        identified = scope is not None and scope.identified
        names, keys = await _names(visit, connection, page.members) if about_people else ({}, [])
        now = await _counted(
            connection, definition, area, visit.query.get("period", ""),
            visit.query.get("by", ""), visit.query.get("stratum", ""),
        )  # fmt: skip
    if about_people and identified:
        visit.note(
            "R", "Patient", patients=keys, detail=f"{definition.id} {area.code or 'district'}", interaction="persons"
        )
    title = f"{figures.title(said, definition)} · {area.name}"
    rows = [_line(said, tree, one, names, people=about_people, identified=identified) for one in page.members]
    context = PersonsPage(
        title=title,
        lede=_lede(said, now if visit.query.get("period") else None),
        subject_label=said.say(N_("Resident")) if about_people else said.say(N_("Institution")),
        groups=_groups(visit, group, now),
        masked=about_people and not identified,
        purposes=sorted(access.allowed_purposes(visit.who.role) - {visit.who.purpose, "ETREAT"}),
        rows=rows,
        older=visit.at_url(cursor=page.next) if page.next else "",
        newer=visit.at_url(cursor=None) if visit.query.get("cursor") else "",
    )
    crumbs = cockpit.crumbs(visit, area, definition.id, Crumb(said.say(N_("Persons behind the figure"))))
    return show(visit, "persons.html", context, crumbs=crumbs)


async def _counted(
    connection: Connection, definition: Definition, area: cockpit.Area, period: str, by: str, stratum: str
) -> measure.Figure | None:
    """The figure whose members are listed: that of `period`, or the latest; of one stratum when one is named."""
    if by:
        parts = await measure.by_stratum(connection, definition.id, by, period or None, level=area.level, key=area.key)
        return next((one for one in parts if one.stratum == stratum), None)
    if not period:
        heads = await measure.headline(connection, level=area.level, key=area.key, measures=[definition.id])
        return heads[0].now if heads else None
    series = await measure.trend(connection, definition.id, level=area.level, key=area.key)
    return next((one for one in series if (one.version, one.period) == (definition.version, period)), None)


def _lede(said: Language, asked: measure.Figure | None) -> str:
    if asked is None:
        return said.say(N_("The latest period; everybody in the denominator with the reason for the result."))
    text = said.say(N_("%(period)s; everybody in the denominator with the reason for the result."))
    return text % {"period": figures.period_text(said, asked.period)}


async def _scope(visit: Visit, connection: Connection) -> Scope | None:
    try:
        return await visit.decide(connection, "read", "Patient")
    except Forbidden:
        return None


async def _names(
    visit: Visit, connection: Connection, members: Sequence[ShownMember]
) -> tuple[dict[str, str], list[int]]:
    """Name of each person, and the patient keys read for it."""
    names: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for member in members:
        for id_, _ in await identity.patient_ids(connection, member.subject):
            wanted[id_] = member.subject
    records = await visit.platform.store.read_many(connection, [("Patient", id_) for id_ in wanted])
    for one in records:
        names.setdefault(wanted[one.id], name_of(one.resource))
    return names, [patient_key(id_) for id_ in wanted]


def _line(
    said: Language, tree: Tree, one: ShownMember, names: Mapping[str, str], *, people: bool, identified: bool
) -> PersonLine:
    place = tree.name(int(one.institution)) if one.institution.isdecimal() else ""
    if people:
        name = names.get(one.subject, "")
        shown = (name or one.subject) if identified else (mask_name(name) or "＊＊")
        url = f"/residents/{one.subject}" if identified else ""
    else:
        node = tree.by_code(one.subject)
        shown = node.name if node else one.subject
        url = "/cockpit?" + urlencode({"area": one.subject}) if node else ""  # else a record: its evidence leads to it
    return PersonLine(
        name=shown,
        url=url,
        town=towns()[one.town].said(said) if one.town in towns() else "—",
        institution=place or "—",
        inside=one.numerator,
        reasons="；".join(figures.words(said, reason) for reason in one.reasons)
        if said.chinese
        else "; ".join(figures.words(said, reason) for reason in one.reasons),
        evidence=_by_type(one.evidence),
    )


def _by_type(evidence: Sequence[str]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for reference in evidence:
        found.setdefault(reference.partition("/")[0], []).append(reference)
    return [(type_, references[:_EVIDENCE]) for type_, references in found.items()]


def _groups(visit: Visit, chosen: str, now: measure.Figure | None) -> list[Group]:
    total, met = (now.denominator, now.numerator) if now and now.denominator is not None else (None, None)
    counts = {"": total, "inside": met, "outside": total - met if total is not None and met is not None else None}
    return [
        Group(
            visit.language.say(label),
            visit.at_url(group=value, cursor=None),
            "" if counts[value] is None else visit.language.number(counts[value]),
            value == chosen,
        )
        for value, label in _GROUPS
    ]
