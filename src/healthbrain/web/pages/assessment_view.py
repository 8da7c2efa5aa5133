"""From assessments to what their pages show: lines of lists, the ranking, a unit's items with their sums, what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

from healthbrain.measure import Definition, assessment
from healthbrain.measure.assessment import Points, Remark, Run, Score
from healthbrain.measure.periods import spans
from healthbrain.runtime.assessments import Seen, Viewer
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import assessment_words as words
from healthbrain.web.pages import figures

WHOLE = "area"  # in addresses: the unit of a run over the whole area, whose key is empty


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


def line(said: Language, one: Run, reader: Viewer, names: Mapping[str, str]) -> RunLine:
    return RunLine(
        id=one.id,
        title=one.title if said.chinese or not one.title_en else one.title_en,
        period=words.period(said, one.period),
        version=one.scheme_version,
        state=words.state(said, one.state),
        units=one.units,
        complete=one.complete,
        made=said.time(one.made_at),
        by=names.get(one.made_by, one.made_by),
        url=f"/assessments/{one.id}" if reader.unit is None else unit_url(one.id, reader.unit),
        digest=one.digest,
    )


def rank(said: Language, seen: Seen, one: Score, reader: Viewer, remarks: int) -> Rank:
    hidden, no_total = hidden_of(one, seen, reader)
    groups = assessment.hidden_groups(seen.scheme, hidden)
    return Rank(
        rank=str(one.rank or "—"),
        name=words.unit_name(said, seen.unit(one.unit)),
        url=unit_url(seen.run.id, one.unit),
        total="*" if no_total else total(one),
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


def item_line(
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
        title=title(said, definition, id_),
        url=f"/measures/{id_}" + (f"?{urlencode({'area': code})}" if code else ""),
        version=column.version,
        value="*" if away else words.value(said, definition, figure.value if figure else None),
        counts=counts,
        small=figure is not None and figure.small,
        periods=words.periods(said, figure.periods if figure else ()),
        as_of=said.time(datetime.fromisoformat(figure.as_of)) if figure and figure.as_of else "",
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


def remark_lines(
    said: Language, found: Sequence[Remark], titles: Mapping[str, str], names: Mapping[str, str]
) -> list[RemarkLine]:
    answered = {one.answers for one in found}
    return [
        RemarkLine(
            id=one.id,
            kind=(said.say(words.KINDS[one.kind][0]), words.KINDS[one.kind][1]),
            about=titles.get(one.item, one.item),
            text=one.text,
            outcome=said.say(words.OUTCOMES[one.outcome]) if one.outcome else "",
            by=names.get(one.by, one.by),
            at=said.time(one.at),
            answerable=one.kind != "answer" and one.id not in answered,
            answer=one.kind == "answer",
        )
        for one in found
    ]


def changes(
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
                "*" if away else total(one.then) if one.then else "—",
                "*" if not reader.people else total(one.now) if one.now else "—",
                [title(said, known.get(item), item) for item in one.items],
            )
        )
    return lines


def title(said: Language, definition: Definition | None, id_: str) -> str:
    return figures.title(said, definition) if definition is not None else id_


def total(one: Score) -> str:
    return "—" if one.total is None else str(one.total)


def _points(one: Points) -> str:
    return str(one.points) if one.state in {"scored", "zero"} else "—"


def unit_url(run: int, key: str) -> str:
    return f"/assessments/{run}/units/{key or WHOLE}"


def group_lines(
    said: Language, seen: Seen, one: Score, known: dict[str, Definition], hidden: frozenset[str], today: date
) -> list[GroupLine]:
    """A unit's sheet, group by group."""
    code = seen.unit(one.unit).code
    found = []
    for group in seen.scheme.groups:
        part, away = one.groups[group.id], bool(hidden & {item.measure for item in group.items})
        points = "*" if away else f"{part.points} / {part.most.normalize():f}" if part.most else "—"
        lines = [
            item_line(said, seen, one, item.measure, known.get(item.measure), code, hidden, today)
            for item in group.items
        ]
        found.append(GroupLine(figures.words(said, group.title), points, lines))
    return found


def hidden_of(one: Score, seen: Seen, reader: Viewer) -> tuple[frozenset[str], bool]:
    """The items hidden from a reader, and whether the total is."""
    hidden: frozenset[str] = frozenset() if reader.people else assessment.hidden_items(one, seen.columns)
    return hidden, bool(hidden) and assessment.hides_total(one, hidden)
