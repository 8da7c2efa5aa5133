"""Measures over FHIR: built-in definitions as Measure, figures as MeasureReport, and $evaluate-measure (R4
operation-measure-evaluate-measure).

    GET /fhir/Measure/IND-Q-08        GET /fhir/Measure?title:contains=高血压
    GET /fhir/Measure/IND-Q-08/$evaluate-measure?periodStart=2026-10-01&periodEnd=2026-10-31[&reportType=subject-list]
    GET /fhir/MeasureReport?measure=urn:healthbrain:measure:IND-Q-08&period=2026&subject=Organization/1

Figures are the materialised ones: the period must be one of the measure's own. Small counts are hidden from who may not see
the people, and so are further tables by which they could be worked out (`measure.suppression`); the list of members is for
who may, and is written to the audit log.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from healthbrain import identity, measure
from healthbrain.access import Gate, Tree, organisations
from healthbrain.api import bundles
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.parameters import Asked, asked
from healthbrain.api.platform import Platform
from healthbrain.api.reading import Reading, add_form, count_of
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.fhir import date_interval, dump, summary
from healthbrain.lake import Lake
from healthbrain.measure import Definition, Figure, Level, ShownMember, fhir, suppression
from healthbrain.measure.workbench.form import ID

_ASKED = ("periodStart", "periodEnd", "reportType", "measure", "practitioner", "subject", "lastReceivedOn")
_MOST = 1000  # members in one list
_USUAL = 50
_SHAPES = frozenset({"_count", "_format", "_pretty", "_summary", "_elements", bundles.CURSOR})
_CRITERIA = frozenset(
    {"_id", "url", "version", "status", "name", "title", "name:exact", "title:exact", "name:contains", "title:contains"}
)
_REPORTS = frozenset(
    {"measure", "period", "subject", "reporter", "status", "_count", "_format", "_pretty", bundles.CURSOR}
)
_LABEL = re.compile(r"\d{4}-(?:Q[1-4]|W\d\d|\d\d-R12)")  # periods that FHIR cannot write as a date
_STORED = "stored"  # the cursor behind the last built-in one


@dataclass(frozen=True, slots=True)
class Place:
    """Whose figures are asked for."""

    level: Level
    key: str
    reference: str  # the Organization; '' for the whole district


class Measures:
    """Reading and evaluating built-in measures."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate
        self._reading = Reading(platform, gate)

    @staticmethod
    def known(id_: str) -> bool:
        """Whether there is a measure with this id, built in or of our own."""
        return any(one.id == id_ for one in measure.defined())

    @staticmethod
    def own(id_: str) -> bool:
        """Whether it is a number that only own measures have: one may have been published since this process looked."""
        return bool(ID.fullmatch(id_))

    async def read(self, call: Call, id_: str) -> Answer:
        """The definition as a Measure."""
        await self._decide(call, id_, "read")
        try:
            async with self._platform.pool.connection() as connection:
                one = await measure.current(connection, id_)
        except NotFound:
            return await self._reading.read(call, "Measure", id_)
        return Answer(200, dump(fhir.as_measure(one)))

    async def evaluate(self, call: Call, id_: str) -> Answer:
        """A figure as a MeasureReport."""
        given = await asked(call)
        given.only(_ASKED)
        await self._decide(call, id_, "search")
        members = _report_type(given) == "subject-list"
        people = await self._sees_people(call)
        if members and not people:
            raise Forbidden(f"as {call.who.role} you see figures, not single residents")
        async with self._platform.pool.connection() as connection:
            one = await measure.current(connection, id_)
            tree = await organisations(connection)
            place = await self._place(call, tree, given.text("subject"))
            figures = await self._figures(connection, one, place, people=people)
            figure = _chosen(figures, given.text("periodStart"), given.text("periodEnd"))
            strata: list[Figure] = []
            for stratifier in one.stratifiers if people or suppression.parts_offered(one, figure) else ():
                parts = await measure.by_stratum(
                    connection, id_, stratifier.id, figure.period, level=figure.level, key=figure.key
                )
                strata += parts if people else suppression.suppress(parts, one)
            listed = await self._members(connection, call, one, figure) if members else None
        return Answer(
            200, dump(fhir.as_report(one, figure, strata, at=call.at, members=listed, reporter=place.reference))
        )

    async def search(self, call: Call) -> Answer:
        """Built-in definitions first, then the stored Measures that the same question finds; by GET, or POSTed to _search."""
        await _with_form(call)
        cursor = call.param(bundles.CURSOR)
        asked_for = [(key, value) for key, value in call.params if key not in _SHAPES]
        if {key for key, _ in asked_for} - _CRITERIA or (cursor and not cursor.isdecimal() and cursor != _STORED):
            return await self._reading.search(call, "Measure")
        found = []
        if cursor != _STORED and await self._sees_figures(call):
            async with self._platform.pool.connection() as connection:
                found = [fhir.as_measure(one) for one in await measure.in_force(connection)]
            found = [one for one in found if all(_fits(one, key, value) for key, value in asked_for)]
        rest = [(key, value) for key, value in call.params if key != bundles.CURSOR]
        call.replace_params(rest)
        stored = orjson.loads((await self._reading.search(call, "Measure")).body or b"{}")
        if cursor == _STORED:
            return Answer(200, dump(stored))
        return Answer(200, dump(self._joined(call, found, stored, int(cursor or "0"), rest)))

    def _joined(
        self,
        call: Call,
        found: list[dict[str, Any]],
        stored: dict[str, Any],
        start: int,
        rest: list[tuple[str, str]],
    ) -> dict[str, Any]:
        """One page of both."""
        total = stored.get("total")
        if call.param("_summary") == "count":
            return {**stored, "total": len(found) + (total if isinstance(total, int) else 0)}
        count = count_of(call, _USUAL)
        cut = summary.wanted(call.param("_summary"), call.param("_elements"))
        page = [
            {
                "fullUrl": f"{call.base}/Measure/{one['id']}",
                "resource": orjson.loads(summary.cut(dump(one), cut)) if cut else one,
                "search": {"mode": "match"},
            }
            for one in found[start : start + count]
        ]
        others = stored.get("entry", [])
        links = list(stored.get("link", ()))
        following = str(start + count) if start + count < len(found) else ""
        if not following and others:
            if len(page) + len(others) <= count:
                page += others
            else:
                following = _STORED
        if following:
            links = [link for link in links if link.get("relation") != "next"]
            links.append(
                {"relation": "next", "url": bundles.url(call.base, "Measure", [*rest, (bundles.CURSOR, following)])}
            )
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
        if isinstance(total, int):
            bundle["total"] = total + len(found)
        return {**bundle, "link": links, **({"entry": page} if page else {})}

    async def reports(self, call: Call) -> Answer:
        """The figures of a built-in measure at one place, newest first; of other measures the stored reports."""
        await _with_form(call)
        named = _measure_named(call.param("measure"))
        if not named or not self.known(named):
            return await self._reading.search(call, "MeasureReport")
        if strange := {key for key, _ in call.params} - _REPORTS:
            raise Incorrect(
                f"reports of a measure of this platform are found by {', '.join(sorted(_REPORTS - {bundles.CURSOR}))}, not by {min(strange)}"
            )
        call.trace.interaction, call.trace.action, call.trace.type = "search-type", "E", "MeasureReport"
        call.trace.detail = f"measure={named}"
        await self._gate.decide(call.who, "search", "indicator", call.at)
        people = await self._sees_people(call)
        async with self._platform.pool.connection() as connection:
            one = await measure.current(connection, named)
            tree = await organisations(connection)
            place = await self._place(call, tree, call.param("subject") or call.param("reporter"))
            figures = (await self._figures(connection, one, place, people=people))[::-1]
        for key, text in call.params:
            figures = [figure for figure in figures if key != "period" or _within(figure, text)]
        reports = [fhir.as_report(one, figure, at=figure.computed_at, reporter=place.reference) for figure in figures]
        reports = [one for one in reports if call.param("status") in ("", one["status"])]
        cursor, count = call.param(bundles.CURSOR), count_of(call, _USUAL)
        start = int(cursor) if cursor.isdecimal() else 0
        rest = [(key, value) for key, value in call.params if key != bundles.CURSOR]
        links = [{"relation": "self", "url": bundles.url(call.base, "MeasureReport", call.params)}]
        if start + count < len(reports):
            following = [*rest, (bundles.CURSOR, str(start + count))]
            links.append({"relation": "next", "url": bundles.url(call.base, "MeasureReport", following)})
        entries = [
            {"fullUrl": _urn(report, place), "resource": report, "search": {"mode": "match"}}
            for report in reports[start : start + count]
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(reports), "link": links}
        return Answer(200, dump(bundle | ({"entry": entries} if entries else {})))

    async def _place(self, call: Call, tree: Tree, subject: str) -> Place:
        """The organisation asked for, within the asker's scope; without one the asker's institution, or the district."""
        scope = await self._gate.decide(call.who, "search", "indicator", call.at)
        if subject:
            type_, _, id_ = subject.rpartition("/")
            node = tree.by_fhir(id_) if type_.rpartition("/")[2] in ("", "Organization") else None
            if node is None or (scope.organisations is not None and node.key not in scope.organisations):
                raise NotFound("there is no such organisation among those whose figures you may see")
            if node.kind in ("district", "municipality"):
                return Place("district", "", f"Organization/{node.fhir_id}")
            own = tree.nearest(node.key, "institution")
        else:
            own = None if scope.organisations is None else tree.nearest(call.who.organisation, "institution")
        if own is None:
            return Place("district", "", "")
        return Place("institution", str(own), f"Organization/{tree[own].fhir_id}" if tree[own].fhir_id else "")

    async def _figures(self, connection: Connection, one: Definition, place: Place, *, people: bool) -> list[Figure]:
        """The figures of a place in the version in force, own periods last; without `people` what must not be shown taken out."""
        figures: list[Figure] = []
        for grain in (*one.also, one.period):
            figures += await measure.trend(connection, one.id, level=place.level, key=place.key, grain=grain)
        figures = [figure for figure in figures if figure.version == one.version]
        if people:
            return figures
        if place.level == "district":
            return suppression.suppress_periods(figures, one)
        shown: list[Figure] = []
        for figure in figures:
            if suppression.grain_offered(one, figure):
                parts = await measure.by_institution(connection, one.id, figure.period)
                shown += [part for part in suppression.suppress(parts, one) if part.key == place.key]
        return shown

    async def _members(self, connection: Connection, call: Call, one: Definition, figure: Figure) -> list[ShownMember]:
        lake = Lake(self._platform.settings.lake)
        page = await measure.members(
            connection, lake, one.id, level=figure.level, key=figure.key, period=figure.period, count=_MOST
        )
        if page.next:
            raise Incorrect(f"more than {_MOST} members; ask for them page by page on the screens, or by institution")
        subjects = [member.subject for member in page.members]
        call.trace.patients.update(await identity.patients_of(connection, subjects))
        call.trace.patients.update(  # records that no person is known for
            int(subject.removeprefix("patient:")) for subject in subjects if subject.startswith("patient:")
        )
        return list(page.members)

    async def _decide(self, call: Call, id_: str, action: str) -> None:
        call.trace.interaction, call.trace.action, call.trace.type, call.trace.id = "operation", "E", "Measure", id_
        await self._gate.decide(call.who, "search" if action == "search" else "read", "indicator", call.at)

    async def _sees_figures(self, call: Call) -> bool:
        try:
            await self._gate.decide(call.who, "search", "indicator", call.at)
        except Forbidden:
            return False
        return True

    async def _sees_people(self, call: Call) -> bool:
        try:
            return (await self._gate.decide(call.who, "read", "Patient", call.at)).identified
        except Forbidden:
            return False


async def _with_form(call: Call) -> None:
    """A search that was posted, as the same one asked by GET."""
    if call.method == "POST":
        await add_form(call)
        call.method = "GET"


def _report_type(given: Asked) -> str:
    found = given.text("reportType") or "summary"
    if found not in {"summary", "population", "subject-list"}:
        raise Incorrect("reportType is summary, population or subject-list")
    return found


def _chosen(figures: Sequence[Figure], start: str, end: str) -> Figure:
    """The latest figure of the period asked for."""
    found = [figure for figure in figures if _matches(figure, start, end)]
    if not found:
        raise NotFound(
            "there is no figure for this period; ask for a period that the measure has, by its first and last day"
        )
    return found[-1]


def _matches(figure: Figure, start: str, end: str) -> bool:
    """Whether a figure is of the period asked for; without one, every figure is."""
    for text in (start, end):
        if text:
            try:
                date.fromisoformat(text)
            except ValueError:
                raise Incorrect("periodStart and periodEnd are days, as in 2026-10-31") from None
    return (not start or figure.start.isoformat() == start) and (not end or figure.to.isoformat() == end)


def _fits(one: dict[str, object], key: str, value: str) -> bool:
    """Whether a built-in Measure is what a search parameter asks for; commas mean or."""
    name, _, modifier = key.partition(":")
    own = [str(one["id" if name == "_id" else name])]
    if name == "title":
        own.append(str(one.get("subtitle", "")))
    for wanted in value.split(","):
        if name in ("name", "title") and modifier != "exact":
            folded = [text.casefold() for text in own]
            if any(wanted.casefold() in text if modifier else text.startswith(wanted.casefold()) for text in folded):
                return True
        elif wanted.partition("|")[0] in own or (name == "version" and wanted in own):
            return True
    return False


def _measure_named(text: str) -> str:
    """The number of the built-in measure that a canonical or reference names; '' when it is none of ours."""
    bare = text.partition("|")[0]
    if bare.startswith(fhir.CANONICAL):
        return bare.removeprefix(fhir.CANONICAL)
    type_, _, id_ = bare.rpartition("/")
    return id_ if type_.rpartition("/")[2] == "Measure" else ""


def _within(figure: Figure, text: str) -> bool:
    """Whether a figure's period is what the search parameter `period` says (R4 search, 3.1.1.4.5), or its name with us.

    The name helps with windows: the figure of 2026-10 may look twelve months back. Raises Incorrect.
    """
    if figure.period == text or _LABEL.fullmatch(text):
        return figure.period == text
    prefix, day = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
    try:
        low, high = date_interval(day)
    except (ValueError, OverflowError):
        raise Incorrect("period is a date such as 2026-10, with eq, ge, le, gt or lt before it or not") from None
    first = datetime.combine(figure.start, datetime.min.time(), UTC)
    last = datetime.combine(figure.to + timedelta(days=1), datetime.min.time(), UTC)
    low, high = low or datetime.min.replace(tzinfo=UTC), high or datetime.max.replace(tzinfo=UTC)
    known = {
        "eq": low <= first and last <= high,
        "ge": last > low,
        "le": first < high,
        "gt": last > high,
        "lt": first < low,
    }
    if prefix not in known:
        raise Incorrect("period is a date such as 2026-10, with eq, ge, le, gt or lt before it or not")
    return known[prefix]


def _urn(report: dict[str, object], place: Place) -> str:
    said = f"{report['measure']} {report['period']} {place}"
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, said)}"
