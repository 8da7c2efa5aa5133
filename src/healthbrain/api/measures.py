"""Measures over FHIR: the built-in definitions as Measure, and $evaluate-measure (R4 operation-measure-evaluate-measure).

    GET /fhir/Measure/IND-Q-08
    GET /fhir/Measure/IND-Q-08/$evaluate-measure?periodStart=2026-10-01&periodEnd=2026-10-31[&reportType=subject-list]

Figures are the materialised ones: the period must be one of the measure's own. Small counts are hidden from who may not see
the people; the list of members is for who may, and is written to the audit log.
"""

from __future__ import annotations

from datetime import date

from healthbrain import measure
from healthbrain.access import Gate, organisations
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.parameters import Asked, asked
from healthbrain.api.platform import Platform
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.fhir import dump
from healthbrain.lake import Lake
from healthbrain.measure import Definition, Figure, ShownMember, fhir, suppression
from healthbrain.store import patient_key

_ASKED = ("periodStart", "periodEnd", "reportType", "measure", "practitioner", "subject", "lastReceivedOn")
_MOST = 1000  # members in one list


class Measures:
    """Reading and evaluating built-in measures."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    @staticmethod
    def known(id_: str) -> bool:
        """Whether there is a built-in measure with this id."""
        return any(one.id == id_ for one in measure.built_in())

    async def read(self, call: Call, id_: str) -> Answer:
        """The definition as a Measure."""
        await self._decide(call, id_, "read")
        async with self._platform.pool.connection() as connection:
            one = await measure.current(connection, id_)
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
            figure = await self._figure(connection, call, one, given)
            strata: list[Figure] = []
            for stratifier in one.stratifiers:
                parts = await measure.by_stratum(
                    connection, id_, stratifier.id, figure.period, level=figure.level, key=figure.key
                )
                strata += parts if people else suppression.suppress(parts, one)
            listed = await self._members(connection, call, one, figure) if members else None
        shown = figure if people else suppression.suppress_alone([figure], one)[0]
        return Answer(200, dump(fhir.as_report(one, shown, strata, at=call.at, members=listed)))

    async def _figure(self, connection: Connection, call: Call, one: Definition, given: Asked) -> Figure:
        tree = await organisations(connection)
        own = None
        scope = await self._gate.decide(call.who, "search", "indicator", call.at)
        if scope.organisations is not None:
            own = tree.nearest(call.who.organisation, "institution")
        place = {"level": "institution", "key": str(own)} if own is not None else {"level": "district", "key": ""}
        figures: list[Figure] = []
        for grain in (one.period, *one.also):
            figures += await measure.trend(connection, one.id, grain=grain, **place)  # type: ignore[arg-type]  # a level and its key
        start, end = given.text("periodStart"), given.text("periodEnd")
        figures = [figure for figure in figures if figure.version == one.version]
        found = [figure for figure in figures if _matches(figure, start, end)]
        if not found:
            raise NotFound(
                "there is no figure for this period; ask for a period that the measure has, by its first and last day"
            )
        return found[-1]

    async def _members(self, connection: Connection, call: Call, one: Definition, figure: Figure) -> list[ShownMember]:
        lake = Lake(self._platform.settings.lake)
        page = await measure.members(
            connection, lake, one.id, level=figure.level, key=figure.key, period=figure.period, count=_MOST
        )
        if page.next:
            raise Incorrect(f"more than {_MOST} members; ask for them page by page on the screens, or by institution")
        for member in page.members:
            call.trace.patients.update(
                patient_key(reference.removeprefix("Patient/"))
                for reference in member.evidence
                if reference.startswith("Patient/")
            )
        return list(page.members)

    async def _decide(self, call: Call, id_: str, action: str) -> None:
        call.trace.interaction, call.trace.action, call.trace.type, call.trace.id = "operation", "E", "Measure", id_
        await self._gate.decide(call.who, "search" if action == "search" else "read", "indicator", call.at)

    async def _sees_people(self, call: Call) -> bool:
        try:
            return (await self._gate.decide(call.who, "read", "Patient", call.at)).identified
        except Forbidden:
            return False


def _report_type(given: Asked) -> str:
    found = given.text("reportType") or "summary"
    if found not in {"summary", "population", "subject-list"}:
        raise Incorrect("reportType is summary, population or subject-list")
    return found


def _matches(figure: Figure, start: str, end: str) -> bool:
    """Whether a figure is of the period asked for; without one, every figure is."""
    for text in (start, end):
        if text:
            try:
                date.fromisoformat(text)
            except ValueError:
                raise Incorrect("periodStart and periodEnd are days, as in 2026-10-31") from None
    return (not start or figure.start.isoformat() == start) and (not end or figure.to.isoformat() == end)
