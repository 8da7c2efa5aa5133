"""Statutory reports (法定报表): made from published figures, explained, submitted by the unit, reviewed above it, printed.

Row APP-PH-38. Nobody types a number: a report is filled, and what does not fit together must hold or be explained before it goes up.
A unit sees and makes its own; who sees a whole district sees and makes all, and the board of who has handed in. Reviewing is for who
stands above the unit and did not submit it. Readers who may not see people get the district's reports, without small counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from healthbrain import audit, measure
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.measure import statutory
from healthbrain.measure.programmes import months_of, report_periods
from healthbrain.measure.statutory import Place, form_named, forms, kept
from healthbrain.measure.statutory.kept import Report
from healthbrain.web import wording
from healthbrain.web.language import CHINA, N_, language
from healthbrain.web.pages import figures, statutory_view
from healthbrain.web.pages.statutory_rights import (
    Viewer,
    area_named,
    area_of,
    can,
    may,
    owner_of,
    place_of,
    places_of,
    readable,
    units_of,
    verdicts_on,
    viewer_of,
)
from healthbrain.web.pages.statutory_view import CheckView, SectionView
from healthbrain.web.paper import forms as paper
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_SAID = {
    "made": N_("The report is filled. Look at the checks before you submit it."),
    "bulk": N_("The reports of all units are filled."),
    "counted": N_("The figures were counted again."),
    "explained": N_("The explanations are saved."),
    "submitted": N_("Submitted and frozen."),
    "passed": N_("Passed on to the district."),
    "approved": N_("Approved."),
    "returned": N_("Returned with your reason; the unit makes the next edition."),
    "dropped": N_("The draft is gone."),
}
_MEDIA = {
    "pdf": (paper.pdf, "application/pdf"),
    "docx": (paper.word, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    "xlsx": (paper.excel, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One edition in the list."""

    id: int
    place: str
    level: str
    period: str
    edition: int
    state: tuple[str, str, str]
    last: str
    wrong: int


@dataclass(frozen=True, slots=True)
class ListPage:
    """Context of statutory.html."""

    form: str
    title: str
    document: str
    forms: Sequence[tuple[str, str]]
    period: str
    periods: Sequence[tuple[str, str]]
    places: Sequence[tuple[str, str]]
    lines: Sequence[ReportLine]
    missing: Sequence[str]
    handed: int
    expected: int
    may_write: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Context of statutory_report.html."""

    id: int
    title: str
    document: str
    place: str
    level: str
    period: str
    edition: int
    state: tuple[str, str, str]
    as_of: str
    digest: str
    sections: Sequence[SectionView]
    checks: Sequence[CheckView]
    must: int
    open_questions: int
    history: Sequence[tuple[str, str, str, str, str]]
    draft: bool
    may_write: bool
    verdicts: Sequence[tuple[str, str, str]]
    compare: str
    compared: bool
    changed: int
    hidden: bool
    error: str


async def overview(visit: Visit) -> Response:
    """The reports of a period, who has handed in, and the form for a new one."""
    said = visit.language
    form = form_named(visit.query.get("form", "") or forms()[0].id)
    choices = report_periods(visit.at.astimezone(CHINA).date())
    period = visit.query.get("period", "") or choices[1]
    months_of(period)
    async with visit.platform.pool.connection() as connection:
        view = await viewer_of(visit, connection)
        listed = await kept.listed(connection, view.organisations, form=form.id, period=period)
        listed = [one for one in listed if view.people or one.report.level == "district"]
        found = [one.report for one in listed]
        lines = [_line(view, one) for one in listed]
        units = await units_of(view) if view.whole else []
        places = await places_of(view, units)
    handed = {one.key for one in found if one.level == "institution" and one.state in kept.COUNTING}
    page = ListPage(
        form=form.id,
        title=figures.words(said, form.title),
        document=form.document,
        forms=[(one.id, figures.words(said, one.title)) for one in forms()],
        period=period,
        periods=[(one, figures.period_text(said, one)) for one in sorted({*choices, period}, reverse=True)],
        places=places,
        lines=lines,
        missing=[one.name for one in units if one.key not in handed],
        handed=len([one for one in units if one.key in handed]),
        expected=len(units),
        may_write=visit.may("write", "statutory"),
        whole=view.whole,
    )
    return show(visit, "statutory.html", page, crumbs=_crumbs(visit), toast=_toast(visit))


async def make(visit: Visit) -> Response:
    """Fill the form for one place, or for every unit that has none yet."""
    form_data = await visit.form()
    form = form_named(str(form_data.get("form", "")))
    period, wanted = str(form_data.get("period", "")), str(form_data.get("place", ""))
    months_of(period)
    if period not in report_periods(visit.at.astimezone(CHINA).date()):
        raise Incorrect("a statutory report is made for a quarter or year that has begun, this year or last")
    async with visit.platform.pool.connection() as connection:
        view = await viewer_of(visit, connection)
        await visit.decide(connection, "write", "statutory")
        if wanted == "*" and view.whole:
            have = {
                one.key for one in await kept.reports(connection, None, form=form.id, period=period)
                if one.level == "institution" and one.state != "returned"
            }  # fmt: skip
            for unit in await units_of(view):
                if unit.key not in have:
                    await _made(view, form.id, unit, period)
            return RedirectResponse(f"/programmes/reports?form={form.id}&period={period}&said=bulk", 303)
        place = place_of(area_named(view, wanted))
        id_ = await _made(view, form.id, place, period)
    return RedirectResponse(f"/programmes/reports/{id_}?said=made", 303)


async def one_report(visit: Visit) -> Response:
    """One edition, to read, explain, hand up or review, and to print."""
    return await _shown(visit)


async def act(visit: Visit) -> Response:
    """Count again, explain, submit, review or drop."""
    id_ = visit.request.path_params["report"]
    sent = {name: str(value) for name, value in (await visit.form()).items()}
    action = sent.get("action", "")
    try:
        async with visit.platform.pool.connection() as connection:
            view = await viewer_of(visit, connection)
            report, _, _ = await readable(view, id_)
            goal = await _act(view, report, action, sent)
            detail = f"{report.form} {report.period} {report.level} {report.key} {action}"
            await audit.record(
                connection, [visit.event("U", "statutory", str(id_), detail=detail, interaction="statutory")]
            )
    except Incorrect as error:
        return await _shown(visit, wording.tell(visit.language, error.message))
    return RedirectResponse(goal, 303)


async def file(visit: Visit) -> Response:
    """The report as PDF, Word or Excel."""
    made = _MEDIA.get(visit.request.path_params["format"])
    if made is None:
        raise NotFound("reports are offered as pdf, docx and xlsx")
    async with visit.platform.pool.connection() as connection:
        view = await viewer_of(visit, connection)
        report, content, remarks = await readable(view, visit.request.path_params["report"])
        page = await _page(view, report, content, remarks, None, "")
    body = await asyncio.to_thread(made[0], language(visit.language.tag), page)
    visit.note("R", "statutory", str(report.id), detail=visit.request.path_params["format"], interaction="statutory")
    name = f"{page.title} {page.place} {report.period}.{visit.request.path_params['format']}".replace("/", "-")
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(body, media_type=made[1], headers=headers)


async def _act(view: Viewer, report: Report, action: str, sent: Mapping[str, str]) -> str:
    """Do it; where to go then."""
    connection, at, by = view.connection, view.visit.at, view.actor
    here = f"/programmes/reports/{report.id}"
    if action in ("count", "explain", "submit", "drop"):
        await may(view, report, "write")
    match action:
        case "count":
            content = await _filled(view, report.form, place_of(area_of(view, report)), report.period)
            await kept.recount(connection, report.id, content, by, at)
            return f"{here}?said=counted"
        case "explain":
            remarks = {name.removeprefix("remark-"): text for name, text in sent.items() if name.startswith("remark-")}
            await kept.explain(connection, report.id, remarks, by, at)
            return f"{here}?said=explained"
        case "submit":
            await kept.submit(connection, report.id, by, at)
            return f"{here}?said=submitted"
        case "drop":
            await kept.drop(connection, report.id, by, at)
            return f"/programmes/reports?form={report.form}&period={report.period}&said=dropped"
        case "passed" | "approved" | "returned":
            if action not in await verdicts_on(view, report):
                raise Forbidden("a report is reviewed by who stands above the unit, in the order unit, town, district")
            await kept.review(connection, report.id, action, sent.get("note", ""), by, at)
            return f"{here}?said={action}"
    raise Incorrect("choose what to do with the report")


async def _shown(visit: Visit, error: str = "") -> Response:
    id_ = visit.request.path_params["report"]
    async with visit.platform.pool.connection() as connection:
        view = await viewer_of(visit, connection)
        report, content, remarks = await readable(view, id_)
        now = None
        if visit.query.get("compare") and view.people:
            now = await _filled(view, report.form, place_of(area_of(view, report)), report.period)
        page = await _page(view, report, content, remarks, now, error)
    crumbs = [*_crumbs(visit), Crumb(f"{page.place} {page.period}")]
    return show(visit, "statutory_report.html", page, crumbs=crumbs, toast=_toast(visit), status=400 if error else 200)


async def _page(
    view: Viewer,
    report: Report,
    content: dict[str, Any],
    remarks: Mapping[str, str],
    now: dict[str, Any] | None,
    error: str,
) -> ReportPage:
    said, connection = view.said, view.connection
    form = form_named(report.form)
    if not view.people:
        content = statutory_view.hidden(form, content)
    known = {one.id: one for one in await measure.in_force(connection)}
    today = view.visit.at.astimezone(CHINA).date()
    sections = statutory_view.sections(said, content, known, today, now=now)
    checks = statutory_view.checks(said, form, content, remarks)
    label, look, sign = statutory_view.STATES[report.state]
    verdicts = await verdicts_on(view, report)
    may_write = report.state == "draft" and await can(view, report, "write")
    return ReportPage(
        id=report.id,
        title=figures.words(said, form.title),
        document=form.document,
        place=report.place,
        level=statutory_view.level_word(said, report.level),
        period=figures.period_text(said, report.period),
        edition=report.edition,
        state=(said.say(label), look, sign),
        as_of=statutory_view.as_of(said, content),
        digest=report.digest,
        sections=sections,
        checks=checks,
        must=sum(not one.ok and not one.ask for one in checks),
        open_questions=sum(not one.ok and one.ask and not one.remark for one in checks),
        history=[
            (said.time(one.at), one.name or one.by, view.tree.name(one.organisation), said.say(statutory_view.ACTIONS[one.action]), one.note)
            for one in await kept.history(connection, report.id)
        ],
        draft=report.state == "draft",
        may_write=may_write,
        verdicts=[
            (key, said.say(words), look)
            for key, words, look in (
                ("passed", N_("Pass on to the district"), "main"), ("approved", N_("Approve"), "main"), ("returned", N_("Return"), "danger"),
            )
            if key in verdicts
        ],
        compare=f"/programmes/reports/{report.id}?compare=1" if view.people else "",
        compared=now is not None,
        changed=sum(bool(cell.now) for section in sections for row in section.rows for cell in row.cells),
        hidden=not view.people,
        error=error,
    )  # fmt: skip


async def _made(view: Viewer, form: str, place: Place, period: str) -> int:
    organisation = owner_of(view, place)
    scope = await view.visit.decide(view.connection, "write", "statutory")
    if scope.organisations is not None and organisation not in scope.organisations:
        raise Forbidden("this report belongs to a unit that you do not see")
    content = await _filled(view, form, place, period)
    id_ = await kept.begin(view.connection, form_named(form), place, organisation, content, view.actor, view.visit.at)
    detail = f"{form} {period} {place.level} {place.key}"
    event = view.visit.event("C", "statutory", str(id_), detail=detail, interaction="statutory")
    await audit.record(view.connection, [event])
    return id_


async def _filled(view: Viewer, form: str, place: Place, period: str) -> dict[str, Any]:
    before = await kept.previous(view.connection, form, place, period)
    return await statutory.fill(view.connection, form_named(form), place, period, at=view.visit.at, before=before)


def _line(view: Viewer, listed: kept.Listed) -> ReportLine:
    said, one, last = view.said, listed.report, listed.last
    label, look, sign = statutory_view.STATES[one.state]
    return ReportLine(
        id=one.id,
        place=one.place,
        level=statutory_view.level_word(said, one.level),
        period=figures.period_text(said, one.period),
        edition=one.edition,
        state=(said.say(label), look, sign),
        last=f"{last.name or last.by} · {said.say(statutory_view.ACTIONS[last.action])} · {said.time(last.at)}",
        wrong=listed.wrong if one.state == "draft" else 0,
    )


def _toast(visit: Visit) -> Toast | None:
    text = _SAID.get(visit.query.get("said", ""))
    return Toast(visit.language.say(text)) if text else None


def _crumbs(visit: Visit) -> list[Crumb]:
    said = visit.language
    return [
        Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Basic public health programmes")), "/programmes"),
        Crumb(said.say(N_("Statutory reports")), "/programmes/reports"),
    ]  # fmt: skip
