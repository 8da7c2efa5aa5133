"""Assessments (考核评价): schemes and runs, a run's ranking, one unit's sheet with every sum, appeals and answers (HUB-DS-06).

A commission sees its area's runs, drafts included; an institution the published ones, and of these its own sheet. Figures of
few people are hidden with their points from who may not see people. Recomputing is offered to whoever sees a run.
"""

from __future__ import annotations

from datetime import date

from starlette.responses import RedirectResponse, Response

from healthbrain import audit, measure
from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.measure import Definition, assessment
from healthbrain.runtime import assessments as seeing
from healthbrain.runtime.assessments import Seen, Viewer
from healthbrain.web.export import csv_response, excel_response
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import assessment_view as view
from healthbrain.web.pages import assessment_words as words
from healthbrain.web.pages import figures
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

SAID = {
    "made": N_("The assessment is made; it is a draft until it is published."),
    "published": N_("The assessment is published: every institution sees its own result."),
    "closed": N_("The assessment is closed; no appeals are taken any more."),
    "dropped": N_("The draft is thrown away."),
    "said": N_("It is written down and can be read by both sides."),
    "retired": N_("The scheme is no longer offered."),
    "resumed": N_("The scheme is offered again."),
}


async def overview(visit: Visit) -> Response:
    """Schemes, runs and the form for a new run; for an institution its published results."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        kept = await assessment.schemes(connection, reader.schemes_of) if reader.unit is None else []
        found = await seeing.seen_runs(connection, reader)
        names = await display_names(connection, [one.made_by for one in found])
        waiting = await assessment.unanswered(connection, reader.areas) if reader.administers else 0
    today = visit.at.astimezone(CHINA).date()
    page = view.OverviewPage(
        schemes=[
            view.SchemeLine(
                one.scheme.id, figures.words(said, one.scheme.title), figures.words(said, one.scheme.about) if one.scheme.about else "",
                said.say(words.LEVELS[one.scheme.level]), said.say(words.SPANS[one.scheme.period]),
                len(list(one.scheme.items)), one.scheme.version, one.own,
            )
            for one in kept
        ],
        runs=[view.line(said, one, reader, names) for one in found],
        administers=reader.administers,
        waiting=waiting,
        year=today.year,
        examples=f"{today.year - 1} · {_last_quarter(today)} · {today:%Y-%m}",
    )  # fmt: skip
    return show(visit, "assessments.html", page, crumbs=_crumbs(said), toast=_toast(visit))


async def make(visit: Visit) -> Response:
    """Run a scheme over a period."""
    form = await visit.form()
    scheme, period = str(form.get("scheme", "")), str(form.get("period", "")).strip()
    async with visit.platform.pool.connection() as connection:
        reader = await _commission(visit, connection)
        kept = await assessment.find(connection, scheme)
        if kept.own and reader.schemes_of is not None and kept.organisation not in reader.schemes_of:
            raise Forbidden("this scheme belongs to another area")
        id_ = await seeing.assess(visit.platform, connection, scheme, period, area=reader.area, by=visit.who.account)
        await audit.record(
            connection,
            [visit.event("C", "assessment", str(id_), detail=f"{scheme} {period}"[:60], interaction="assessment")],
        )
    return RedirectResponse(f"/assessments/{id_}?said=made", 303)


async def one_run(visit: Visit) -> Response:
    """A run's ranking; as CSV or Excel when asked; with the proof or the comparison when asked."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        seen = await seeing.seen_run(connection, reader, int(visit.request.path_params["run"]))
        if reader.unit is not None:
            return RedirectResponse(view.unit_url(seen.run.id, reader.unit), 303)
        known = {one.id: one for one in await measure.in_force(connection)}
        said_of = await assessment.remarks(connection, seen.run.id)
        names = await display_names(connection, [seen.run.made_by])
        changes = None
        if visit.query.get("today") == "1":
            now = await seeing.today(visit.platform, connection, seen)
            changes = assessment.compared(seen.scheme, seen.inputs, now)
    if form := visit.query.get("format"):
        return _file(visit, seen, reader, known, form)
    proof = None
    if visit.query.get("verify") == "1":
        found = assessment.verify(seen.content, seen.run.digest)
        proof = (found.same, found.kept, found.recomputed)
    count = {unit.key: sum(one.unit == unit.key for one in said_of) for unit in seen.inputs.units}
    totals = [one.grade for one in seen.scores]
    page = view.RunPage(
        line=view.line(said, seen.run, reader, names),
        scheme_url=f"/assessments/schemes/{seen.scheme.id}",
        about=figures.words(said, seen.scheme.about) if seen.scheme.about else "",
        weights=words.weights_source(said, seen.scheme),
        groups=[(figures.words(said, one.title), f"{one.weight.normalize():f}") for one in seen.scheme.groups],
        ranks=[view.rank(said, seen, one, reader, count.get(one.unit, 0)) for one in seen.scores],
        grades=[(words.grade(said, one), totals.count(one)) for one in (*assessment.GRADES, "") if totals.count(one)],
        open=seen.run.state == "draft",
        published=seen.run.state == "published",
        administers=reader.administers,
        protected=not reader.people and any(assessment.hidden_items(one, seen.columns) for one in seen.scores),
        proof=proof,
        compared=changes is not None,
        changes=view.changes(said, seen, reader, known, changes or []),
        csv=visit.at_url(format="csv", verify="", today=""),
        excel=visit.at_url(format="xlsx", verify="", today=""),
        today=said.time(visit.at),
    )
    visit.note("R", "assessment", str(seen.run.id))
    crumbs = [*_crumbs(said), Crumb(f"{page.line.title} · {page.line.period}")]
    return show(visit, "assessment.html", page, crumbs=crumbs, toast=_toast(visit))


async def change(visit: Visit) -> Response:
    """Publish, close or drop a run."""
    form = await visit.form()
    id_, action = int(visit.request.path_params["run"]), str(form.get("action", ""))
    async with visit.platform.pool.connection() as connection:
        reader = await _commission(visit, connection)
        seen = await seeing.seen_run(connection, reader, id_)
        match action:
            case "publish":
                await assessment.publish(connection, id_, by=visit.who.account, at=visit.at)
            case "close":
                await assessment.close(connection, id_, by=visit.who.account, at=visit.at)
            case "drop":
                await assessment.drop(connection, id_)
            case _:
                raise Incorrect("there is no such action")
        event = visit.event(
            "D" if action == "drop" else "U",
            "assessment",
            str(id_),
            detail=f"{action} {seen.run.digest}",
            interaction="assessment",
        )
        await audit.record(connection, [event])
    if action == "drop":
        return RedirectResponse("/assessments?said=dropped", 303)
    return RedirectResponse(f"/assessments/{id_}?said={'published' if action == 'publish' else 'closed'}", 303)


async def one_unit(visit: Visit) -> Response:
    """One unit's sheet: every item with its figure, rule, sum and points; what was said of it."""
    said = visit.language
    key = _key(visit)
    async with visit.platform.pool.connection() as connection:
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        assessment.own_only(key, reader.unit)
        seen = await seeing.seen_run(connection, reader, int(visit.request.path_params["run"]))
        known = {one.id: one for one in await measure.in_force(connection)}
        said_of = await assessment.remarks(connection, seen.run.id, key)
        names = await display_names(connection, [seen.run.made_by, *(one.by for one in said_of)])
    unit, one = seen.unit(key), seen.score(key)
    hidden, no_total = view.hidden_of(one, seen, reader)
    today = visit.at.astimezone(CHINA).date()
    titles = [(item.measure, view.title(said, known.get(item.measure), item.measure)) for item in seen.scheme.items]
    published = seen.run.state == "published"
    page = view.UnitPage(
        line=view.line(said, seen.run, reader, names),
        name=words.unit_name(said, unit),
        key=key or view.WHOLE,
        total="*" if no_total else view.total(one),
        grade=words.grade(said, one.grade),
        rank=said.say(N_("%(rank)s of %(units)s")) % {"rank": one.rank, "units": seen.units} if one.rank else "—",
        earned="*" if no_total else f"{one.earned} / {one.available.normalize():f}",
        groups=view.group_lines(said, seen, one, known, hidden, today),
        protected=bool(hidden),
        remarks=view.remark_lines(said, said_of, dict(titles), names),
        items=titles,
        may_appeal=reader.speaks and reader.unit is not None and published,
        may_remark=reader.speaks and seen.run.state != "draft",
        may_answer=reader.administers and seen.run.state != "draft",
        outcomes=[(code, said.say(text)) for code, text in words.OUTCOMES.items() if code],
    )
    visit.note("R", "assessment", f"{seen.run.id}/{key}")
    crumbs = _crumbs(said)
    if reader.unit is None:
        crumbs.append(Crumb(f"{page.line.title} · {page.line.period}", f"/assessments/{seen.run.id}"))
    return show(visit, "assessment_unit.html", page, crumbs=[*crumbs, Crumb(page.name)], toast=_toast(visit))


async def say(visit: Visit) -> Response:
    """An appeal or remark of a unit, or the commission's answer."""
    form = await visit.form()
    key, id_ = _key(visit), int(visit.request.path_params["run"])
    kind, answers = str(form.get("kind", "")), str(form.get("answers", ""))
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "write", "assessment")
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        assessment.own_only(key, reader.unit)
        await seeing.seen_run(connection, reader, id_)
        if kind == "answer" and not reader.administers:
            raise Forbidden("a commission answers appeals; your role assesses nobody")
        if kind == "appeal" and reader.unit is None:
            raise Forbidden("an institution appeals against its own result")
        made = await assessment.say(
            connection, id_, key, kind, str(form.get("text", "")), by=visit.who.account, role=visit.who.role, at=visit.at,
            item=str(form.get("item", "")), answers=int(answers) if answers.isdigit() else None,
            outcome=str(form.get("outcome", "")),
        )  # fmt: skip
        await audit.record(
            connection,
            [visit.event("C", "assessment", f"{id_}/{key}", detail=f"{kind} {made}", interaction="assessment")],
        )
    return RedirectResponse(f"{view.unit_url(id_, key)}?said=said", 303)


async def _commission(visit: Visit, connection: Connection) -> Viewer:
    await visit.decide(connection, "administer", "assessment")
    reader = await seeing.viewer(visit.platform, connection, visit.who)
    if not reader.administers:
        raise Forbidden("assessments are made by the commission of a district or a city")
    return reader


def _file(visit: Visit, seen: Seen, reader: Viewer, known: dict[str, Definition], form: str) -> Response:
    """Every item of every unit as CSV or Excel, with the digest below."""
    said = visit.language
    head = [
        said.say(text)
        for text in (
            N_("Rank"), N_("Unit"), N_("Code"), N_("Total score"), N_("Grade"), N_("Group"), N_("Indicator"), N_("Number"), N_("Value"),
            N_("Numerator"), N_("Denominator"), N_("Period"), N_("Target"), N_("Points"), N_("Weight in points"), N_("State"),
        )
    ]  # fmt: skip
    rows: list[list[object]] = []
    for one in seen.scores:
        unit = seen.unit(one.unit)
        hidden, no_total = view.hidden_of(one, seen, reader)
        start: list[object] = [
            one.rank or "", words.unit_name(said, unit), unit.code,
            "*" if no_total else ("" if one.total is None else float(one.total)), words.grade(said, one.grade)[0],
        ]  # fmt: skip
        for group in seen.scheme.groups:
            for item in group.items:
                column, points = seen.columns[item.measure], one.items[item.measure]
                figure = column.figures.get(one.unit)
                numbers: list[object] = ["*", "*", "*"] if item.measure in hidden else (
                    [figure.value, figure.numerator, figure.denominator] if figure else ["", "", ""]
                )  # fmt: skip
                rows.append([
                    *start, figures.words(said, group.title), view.title(said, known.get(item.measure), item.measure), item.measure,
                    *numbers, words.periods(said, figure.periods if figure else ()), float(column.target) if column.target else "",
                    "*" if item.measure in hidden else (float(points.points) if points.most else ""), float(item.weight), points.state,
                ])  # fmt: skip
    line = view.line(said, seen.run, reader, {})
    title = f"{line.title} v{seen.scheme.version} · {line.period}"
    notes = [
        title,
        f"{said.say(N_('Weights'))}: {words.weights_source(said, seen.scheme)}",
        f"SHA-256 {seen.run.digest}",
    ]
    visit.note("E", "assessment", str(seen.run.id), detail=form[:10])
    name = f"{seen.scheme.id}-{seen.run.period}-{seen.run.id}"
    if form == "csv":
        return csv_response(f"{name}.csv", head, rows, notes)
    if form != "xlsx":
        raise Incorrect("an assessment is exported as csv or xlsx")
    return excel_response(f"{name}.xlsx", line.title, head, [*rows, [], *([note] for note in notes)])


def _key(visit: Visit) -> str:
    key = str(visit.request.path_params["unit"])
    return "" if key == view.WHOLE else key


def _last_quarter(today: date) -> str:
    quarter = (today.month + 2) // 3 - 1
    return f"{today.year}-Q{quarter}" if quarter else f"{today.year - 1}-Q4"


def _toast(visit: Visit) -> Toast | None:
    text = SAID.get(visit.query.get("said", ""))
    return Toast(visit.language.say(text)) if text else None


def _crumbs(said: Language) -> list[Crumb]:
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Assessments")), "/assessments")]
