"""Assessments (考核评价): schemes and runs, a run's ranking, one unit's sheet with every sum, appeals and answers (HUB-DS-06).

A commission sees its area's runs, drafts included; an institution the published ones, and of these its own sheet. Figures of
few people are hidden with their points from who may not see people. Recomputing is offered to whoever sees a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from healthbrain import audit, measure
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.measure import Definition, assessment
from healthbrain.measure.assessment import Points, Remark, Run, Score
from healthbrain.measure.periods import spans
from healthbrain.runtime import assessments as seeing
from healthbrain.runtime.assessments import Seen, Viewer
from healthbrain.web.export import csv_response, excel_response
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import assessment_words as words
from healthbrain.web.pages import figures
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

WHOLE = "area"  # in addresses: the unit of a run over the whole area, whose key is empty
SAID = {
    "made": N_("The assessment is made; it is a draft until it is published."),
    "published": N_("The assessment is published: every institution sees its own result."),
    "closed": N_("The assessment is closed; no appeals are taken any more."),
    "dropped": N_("The draft is thrown away."),
    "said": N_("It is written down and can be read by both sides."),
    "retired": N_("The scheme is no longer offered."),
    "resumed": N_("The scheme is offered again."),
}


@dataclass(frozen=True, slots=True)
class SchemeLine:
    """A scheme in the list."""

    id: str
    title: str
    about: str
    level: str
    span: str
    items: int
    version: int
    own: bool


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in the list."""

    id: int
    title: str
    period: str
    version: int
    state: tuple[str, str, str]
    units: int
    complete: bool
    made: str
    by: str
    url: str
    digest: str


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Context of assessments.html."""

    schemes: Sequence[SchemeLine]
    runs: Sequence[RunLine]
    administers: bool
    waiting: int
    year: int
    examples: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A group's sum in the ranking."""

    text: str
    share: float | None


@dataclass(frozen=True, slots=True)
class Rank:
    """One line of the ranking."""

    rank: str
    name: str
    url: str
    total: str
    share: float | None
    grade: tuple[str, str, str]
    groups: Sequence[Cell]
    counted: str
    remarks: int


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A unit whose result is another on the figures of today."""

    name: str
    then: str
    now: str
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunPage:
    """Context of assessment.html."""

    line: RunLine
    scheme_url: str
    about: str
    weights: str
    groups: Sequence[tuple[str, str]]
    ranks: Sequence[Rank]
    grades: Sequence[tuple[tuple[str, str, str], int]]
    open: bool
    published: bool
    administers: bool
    protected: bool
    proof: tuple[bool, str, str] | None
    compared: bool
    changes: Sequence[ChangeLine]
    csv: str
    excel: str
    today: str


@dataclass(frozen=True, slots=True)
class ItemLine:
    """One item of a unit's sheet."""

    measure: str
    title: str
    url: str
    version: str
    value: str
    counts: Sequence[tuple[str, str]]  # numerator and denominator with where they lead
    small: bool
    periods: str
    as_of: str
    rule: str
    sum: str
    points: str
    most: str
    share: float | None
    looks: str
    note: str


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group of a unit's sheet."""

    title: str
    points: str
    items: Sequence[ItemLine]


@dataclass(frozen=True, slots=True)
class RemarkLine:
    """What was said."""

    id: int
    kind: tuple[str, str]
    about: str
    text: str
    outcome: str
    by: str
    at: str
    answerable: bool
    answer: bool


@dataclass(frozen=True, slots=True)
class UnitPage:
    """Context of assessment_unit.html."""

    line: RunLine
    name: str
    key: str
    total: str
    grade: tuple[str, str, str]
    rank: str
    earned: str
    groups: Sequence[GroupLine]
    protected: bool
    remarks: Sequence[RemarkLine]
    items: Sequence[tuple[str, str]]
    may_appeal: bool
    may_remark: bool
    may_answer: bool
    outcomes: Sequence[tuple[str, str]]


async def overview(visit: Visit) -> Response:
    """Schemes, runs and the form for a new run; for an institution its published results."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        kept = await assessment.schemes(connection, reader.areas) if reader.unit is None else []
        found = await seeing.seen_runs(connection, reader)
        waiting = await assessment.unanswered(connection, reader.areas) if reader.administers else 0
    today = visit.at.astimezone(CHINA).date()
    page = OverviewPage(
        schemes=[
            SchemeLine(
                one.scheme.id, figures.words(said, one.scheme.title), figures.words(said, one.scheme.about) if one.scheme.about else "",
                said.say(words.LEVELS[one.scheme.level]), said.say(words.SPANS[one.scheme.period]),
                len(list(one.scheme.items)), one.scheme.version, one.own,
            )
            for one in kept
        ],
        runs=[_line(said, one, reader) for one in found],
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
        if kept.own and reader.areas is not None and kept.organisation not in reader.areas:
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
            return RedirectResponse(_unit_url(seen.run.id, reader.unit), 303)
        known = {one.id: one for one in await measure.in_force(connection)}
        said_of = await assessment.remarks(connection, seen.run.id)
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
    page = RunPage(
        line=_line(said, seen.run, reader),
        scheme_url=f"/assessments/schemes/{seen.scheme.id}",
        about=figures.words(said, seen.scheme.about) if seen.scheme.about else "",
        weights=words.weights_source(said, seen.scheme),
        groups=[(figures.words(said, one.title), f"{one.weight.normalize():f}") for one in seen.scheme.groups],
        ranks=[_rank(said, seen, one, reader, count.get(one.unit, 0)) for one in seen.scores],
        grades=[(words.grade(said, one), totals.count(one)) for one in (*assessment.GRADES, "") if totals.count(one)],
        open=seen.run.state == "draft",
        published=seen.run.state == "published",
        administers=reader.administers,
        protected=not reader.people and any(assessment.hidden_items(one, seen.columns) for one in seen.scores),
        proof=proof,
        compared=changes is not None,
        changes=_changes(said, seen, reader, known, changes or []),
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
    unit, one = seen.unit(key), seen.score(key)
    hidden = frozenset() if reader.people else assessment.hidden_items(one, seen.columns)
    no_total = bool(hidden) and assessment.hides_total(one, hidden)
    today = visit.at.astimezone(CHINA).date()
    groups = [
        GroupLine(
            figures.words(said, group.title),
            "*"
            if hidden & {item.measure for item in group.items}
            else f"{one.groups[group.id].points} / {one.groups[group.id].most.normalize():f}",
            [
                _item(said, seen, one, item.measure, known.get(item.measure), unit.code, hidden, today)
                for item in group.items
            ],
        )
        for group in seen.scheme.groups
    ]
    titles = [(item.measure, _title(said, known.get(item.measure), item.measure)) for item in seen.scheme.items]
    published = seen.run.state == "published"
    page = UnitPage(
        line=_line(said, seen.run, reader),
        name=words.unit_name(said, unit),
        key=key or WHOLE,
        total="*" if no_total else _total(one),
        grade=words.grade(said, one.grade),
        rank=said.say(N_("%(rank)s of %(units)s")) % {"rank": one.rank, "units": seen.units} if one.rank else "—",
        earned="*" if no_total else f"{one.earned} / {one.available.normalize():f}",
        groups=groups,
        protected=bool(hidden),
        remarks=_remarks(said, said_of, dict(titles)),
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
    return RedirectResponse(f"{_unit_url(id_, key)}?said=said", 303)


async def _commission(visit: Visit, connection: Connection) -> Viewer:
    await visit.decide(connection, "administer", "assessment")
    reader = await seeing.viewer(visit.platform, connection, visit.who)
    if not reader.administers:
        raise Forbidden("assessments are made by the commission of a district or a city")
    return reader


def _line(said: Language, one: Run, reader: Viewer) -> RunLine:
    return RunLine(
        id=one.id,
        title=one.title if said.chinese or not one.title_en else one.title_en,
        period=words.period(said, one.period),
        version=one.scheme_version,
        state=words.state(said, one.state),
        units=one.units,
        complete=one.complete,
        made=said.time(one.made_at),
        by=one.made_by,
        url=f"/assessments/{one.id}" if reader.unit is None else _unit_url(one.id, reader.unit),
        digest=one.digest,
    )


def _rank(said: Language, seen: Seen, one: Score, reader: Viewer, remarks: int) -> Rank:
    hidden = frozenset() if reader.people else assessment.hidden_items(one, seen.columns)
    groups = assessment.hidden_groups(seen.scheme, hidden)
    no_total = bool(hidden) and assessment.hides_total(one, hidden)
    return Rank(
        rank=str(one.rank or "—"),
        name=words.unit_name(said, seen.unit(one.unit)),
        url=_unit_url(seen.run.id, one.unit),
        total="*" if no_total else _total(one),
        share=None if no_total or one.total is None else float(one.total),
        grade=words.grade(said, one.grade),
        groups=[_cell(one, group.id, group.id in groups) for group in seen.scheme.groups],
        counted=f"{one.available.normalize():f}",
        remarks=remarks,
    )


def _cell(one: Score, group: str, hidden: bool) -> Cell:
    part = one.groups[group]
    if hidden:
        return Cell("*", None)
    if not part.most:
        return Cell("—", None)
    return Cell(str(part.points), float(part.points / part.most * 100))


def _item(
    said: Language, seen: Seen, one: Score, id_: str, definition: Definition | None, code: str,
    hidden: frozenset[str], today: date,
) -> ItemLine:  # fmt: skip
    item = next(item for item in seen.scheme.items if item.measure == id_)
    column, points = seen.columns[id_], one.items[id_]
    figure, away = column.figures.get(one.unit), id_ in hidden
    target = column.target and words.value(said, None, float(column.target)).rstrip("0").rstrip(".")
    counts: list[tuple[str, str]] = []
    if figure is not None and not away and figure.denominator is not None:
        counts = [
            (said.number(figure.numerator), _members(definition, figure.periods, code, "inside", today)),
            (said.number(figure.denominator), _members(definition, figure.periods, code, "", today)),
        ]
    return ItemLine(
        measure=id_,
        title=_title(said, definition, id_),
        url=f"/measures/{id_}" + (f"?{urlencode({'area': code})}" if code else ""),
        version=column.version,
        value="*" if away else words.value(said, definition, figure.value if figure else None),
        counts=counts,
        small=figure is not None and figure.small,
        periods=words.periods(said, figure.periods if figure else ()),
        as_of=figure.as_of[:16].replace("T", " ") if figure else "",
        rule=words.rule(said, item, target),
        sum=said.say(N_("hidden: too few persons"))
        if away
        else words.sum_of(said, item, points, figure, column.side, target),
        points="*" if away else _points(points),
        most=f"{item.weight.normalize():f}",
        share=None if away or not points.most else float(points.points / points.most * 100),
        looks="" if points.state == "scored" else points.state,
        note=item.note,
    )


def _members(definition: Definition | None, periods: Sequence[str], code: str, group: str, today: date) -> str:
    """The list of people behind a count, when the measure keeps one for that period."""
    if definition is None or definition.population is None or not definition.members or len(periods) != 1:
        return ""
    if periods[0] not in {span.label for span in spans(definition, today)}:
        return ""
    asked = {"measure": definition.id, "period": periods[0], "area": code, "group": group}
    return "/cockpit/persons?" + urlencode({key: value for key, value in asked.items() if value})


def _remarks(said: Language, found: Sequence[Remark], titles: dict[str, str]) -> list[RemarkLine]:
    answered = {one.answers for one in found}
    return [
        RemarkLine(
            id=one.id,
            kind=(said.say(words.KINDS[one.kind][0]), words.KINDS[one.kind][1]),
            about=titles.get(one.item, one.item),
            text=one.text,
            outcome=said.say(words.OUTCOMES[one.outcome]) if one.outcome else "",
            by=one.by,
            at=said.time(one.at),
            answerable=one.kind != "answer" and one.id not in answered,
            answer=one.kind == "answer",
        )
        for one in found
    ]


def _changes(
    said: Language, seen: Seen, reader: Viewer, known: dict[str, Definition], found: Sequence[assessment.Changed]
) -> list[ChangeLine]:
    """Differences to today; without numbers for who may not see people where one is hidden."""
    lines = []
    for one in found:
        old = one.then
        away = not reader.people and old is not None and bool(assessment.hidden_items(old, seen.columns))
        lines.append(
            ChangeLine(
                words.unit_name(said, one.unit),
                "*" if away else _total(one.then) if one.then else "—",
                "*" if away else _total(one.now) if one.now else "—",
                [_title(said, known.get(item), item) for item in one.items],
            )
        )
    return lines


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
        hidden = frozenset() if reader.people else assessment.hidden_items(one, seen.columns)
        no_total = bool(hidden) and assessment.hides_total(one, hidden)
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
                    *start, figures.words(said, group.title), _title(said, known.get(item.measure), item.measure), item.measure,
                    *numbers, words.periods(said, figure.periods if figure else ()), float(column.target) if column.target else "",
                    "*" if item.measure in hidden else (float(points.points) if points.most else ""), float(item.weight), points.state,
                ])  # fmt: skip
    line = _line(said, seen.run, reader)
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


def _title(said: Language, definition: Definition | None, id_: str) -> str:
    return figures.title(said, definition) if definition is not None else id_


def _total(one: Score) -> str:
    return "—" if one.total is None else str(one.total)


def _points(one: Points) -> str:
    return str(one.points) if one.state in {"scored", "zero"} else "—"


def _key(visit: Visit) -> str:
    key = str(visit.request.path_params["unit"])
    return "" if key == WHOLE else key


def _unit_url(run: int, key: str) -> str:
    return f"/assessments/{run}/units/{key or WHOLE}"


def _last_quarter(today: date) -> str:
    quarter = (today.month + 2) // 3 - 1
    return f"{today.year}-Q{quarter}" if quarter else f"{today.year - 1}-Q4"


def _toast(visit: Visit) -> Toast | None:
    text = SAID.get(visit.query.get("said", ""))
    return Toast(visit.language.say(text)) if text else None


def _crumbs(said: Language) -> list[Crumb]:
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Assessments")), "/assessments")]
