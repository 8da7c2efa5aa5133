"""Medical quality control (医疗质控指标): indicators with their course, and institutions side by side (HUB-03).

Everything on this page comes from published data services, asked in the visitor's name; the module has no other way to data, which a
test holds by reading its source. So an application can show the same page from `/api/data-services`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.errors import HealthBrainError, NotFound
from healthbrain.runtime.services import Answered, call, described
from healthbrain.web.charts import Chart, Series
from healthbrain.web.export import csv_response
from healthbrain.web.language import N_, Language
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit
from healthbrain.web.wording import tell

INDICATORS = (
    "qc-length-of-stay", "qc-long-stay", "qc-readmission", "qc-antibiotics", "qc-drug-share", "qc-outpatient-cost", "qc-stay-cost",
    "qc-result-flags", "qc-report-timeliness",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IndicatorLine:
    """An indicator with its last whole month."""

    id: str
    url: str
    title: str
    description: str
    month: str
    value: str
    change: str
    counts: str
    course: Sequence[float | None]
    service: str
    as_of: str
    refused: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class UnitLine:
    """An institution in the month shown."""

    name: str
    value: str
    counts: str


@dataclass(frozen=True, slots=True)
class QualityPage:
    """Context of quality_control.html."""

    lines: Sequence[IndicatorLine]
    title: str
    unit: str
    description: str
    chart: Chart | None
    month: str
    units: Sequence[UnitLine]
    csv: str


async def quality_page(visit: Visit) -> Response:
    """All indicators, and one of them in detail."""
    said, chosen = visit.language, visit.query.get("indicator", INDICATORS[0])
    if chosen not in INDICATORS:
        raise NotFound("there is no such indicator of quality control")
    months, lines = list[str](), list[IndicatorLine]()
    answer: Answered | None = None
    for id_ in INDICATORS:
        try:
            found = await call(visit.platform, visit.who, id_)
        except HealthBrainError as error:
            lines.append(_refused(said, id_, error, chosen=id_ == chosen))
            continue
        lines.append(_line(said, found, chosen=id_ == chosen))
        if id_ == chosen:
            answer, months = found, _whole_months(found)
    if answer is None and all(line.refused for line in lines):
        await call(visit.platform, visit.who, chosen)  # nothing at all may be seen: the refusal itself is the answer
    units = await _units(visit, chosen, months[-1]) if months else None
    if visit.query.get("format") == "csv" and answer is not None:
        return _file(said, answer)
    page = QualityPage(
        lines, said.pick(answer.service.title) if answer else "", said.pick(answer.service.unit) if answer else "",
        said.pick(answer.service.description) if answer else "", _chart(said, answer) if answer else None,
        said.month(f"{months[-1]}-01") if months else "—", _unit_lines(said, units) if units else [], visit.at_url(format="csv"),
    )  # fmt: skip
    visit.note("R", "indicator", chosen, detail="quality control")
    crumbs = [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Medical quality control")))]
    return show(visit, "quality_control.html", page, crumbs=crumbs)


async def _units(visit: Visit, id_: str, month: str) -> Answered | None:
    """Every institution in a month."""
    try:
        return await call(visit.platform, visit.who, id_, {"by": "institution", "from": month, "to": month})
    except HealthBrainError:
        return None


def _whole_months(found: Answered) -> list[str]:
    """The months that are over and have figures."""
    return [row.month for row in found.rows if row.month < found.asked["to"] and (row.value is not None or row.hidden)]


def _line(said: Language, found: Answered, *, chosen: bool) -> IndicatorLine:
    one, whole = found.service, _whole_months(found)
    rows = {row.month: row for row in found.rows}
    last = rows[whole[-1]] if whole else None
    before = rows[whole[-2]].value if len(whole) > 1 else None
    value = last.value if last else None
    return IndicatorLine(
        one.id, f"/quality-control?indicator={one.id}", said.pick(one.title), said.pick(one.description),
        said.month(f"{last.month}-01") if last else "—", _value(said, found, value, hidden=bool(last and last.hidden)),
        said.signed(value - before) if value is not None and before is not None else "—",
        _counts(said, last.above, last.below) if last else "—", [rows[month].value for month in whole], one.name, said.time(found.as_of),
        "", chosen,
    )  # fmt: skip


def _refused(said: Language, id_: str, error: HealthBrainError, *, chosen: bool) -> IndicatorLine:
    one, why = described(id_), tell(said, error.message)
    url = f"/quality-control?indicator={id_}"
    return IndicatorLine(id_, url, said.pick(one.title), "", "—", "—", "—", "—", (), one.name, "—", why, chosen)


def _value(said: Language, found: Answered, value: float | None, *, hidden: bool) -> str:
    if hidden:
        return said.say(N_("too few"))
    return f"{said.number(value, 1)} {said.pick(found.service.unit)}" if value is not None else "—"


def _counts(said: Language, above: float | None, below: float | None) -> str:
    if above is None:
        return "—"
    return said.number(above) if below is None else f"{said.number(above)} / {said.number(below)}"


def _unit_lines(said: Language, found: Answered) -> list[UnitLine]:
    lines = []
    for row in sorted(found.rows, key=lambda one: (one.value is None, -(one.value or 0))):
        known = found.units.get(row.unit) if row.unit is not None else None
        if known is not None:
            lines.append(
                UnitLine(
                    known.name, _value(said, found, row.value, hidden=row.hidden), _counts(said, row.above, row.below)
                )
            )
    return lines


def _chart(said: Language, found: Answered) -> Chart:
    rows = found.rows
    open_from = rows[-1].month if rows and rows[-1].month == found.asked["to"] else ""
    return Chart(
        "quality-control", said.pick(found.service.title), [row.month for row in rows],
        [Series(said.pick(found.service.title), [row.value for row in rows])], unit=said.pick(found.service.unit), digits=1,
        category_label=said.say(N_("Month")), open_from=open_from, open_label=said.say(N_("not over yet")) if open_from else "",
    )  # fmt: skip


def _file(said: Language, found: Answered) -> Response:
    head = [said.say(text) for text in (N_("Month"), N_("Numerator"), N_("Denominator"), N_("Value"))]
    rows = [[row.month, row.above, row.below, row.value] for row in found.rows]
    notes = [f"{found.service.name} {said.pick(found.service.title)}", said.pick(found.service.description)]
    return csv_response(f"{found.service.id}.csv", head, rows, notes)
