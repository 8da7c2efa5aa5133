"""Quality of basic public health records (基本公卫数据质控): per rule, per institution, over time, down to the records.

Row APP-PH-38. The rules are data: each kind of record is a measure whose reasons are the rules and whose stratifier `fault` holds the
letters of all rules a record breaks, so a record with two faults counts under both and once in the rate. Readers who may not see
people get rates, not the small counts of single rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from healthbrain import measure
from healthbrain.database import Connection
from healthbrain.measure import Definition, Figure, suppression
from healthbrain.web.language import CHINA, N_
from healthbrain.web.pages import cockpit, figures
from healthbrain.web.pages.cockpit import Area
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

ALL = "BPHS-DQ00"
KINDS = ("BPHS-DQ01", "BPHS-DQ02", "BPHS-DQ03", "BPHS-DQ04")
FAULT = "fault"


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule: how many records break it, alone or with others, each group with the way to its list."""

    text: str
    count: str
    share: str
    groups: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class UnitLine:
    """One institution."""

    name: str
    checked: str
    faulty: str
    value: str
    url: str
    poor: bool


@dataclass(frozen=True, slots=True)
class KindPanel:
    """One kind of record."""

    id: str
    title: str
    checked: str
    faulty: str
    faulty_url: str
    value: str
    period: str
    history: Sequence[float | None]
    rules: Sequence[RuleLine]
    units: Sequence[UnitLine]
    hidden: bool


@dataclass(frozen=True, slots=True)
class QualityPage:
    """Context of data_quality.html."""

    area: str
    area_name: str
    value: str
    history: Sequence[float | None]
    as_of: str
    panels: Sequence[KindPanel]


async def quality(visit: Visit) -> Response:
    """The page."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        whole = await cockpit.sees_whole(visit, connection, tree)
        area = cockpit.area_of(visit, tree, whole)
        people = await cockpit.sees_people(visit, connection)
        known = {one.id: one for one in await measure.in_force(connection)}
        panels = [await _panel(visit, connection, known[id_], area, whole=whole, people=people) for id_ in KINDS]
        every = await _series(connection, known[ALL], area)
    shown = every if people else suppression.suppress_alone(every, known[ALL])
    last = shown[-1] if shown else None
    page = QualityPage(
        area=area.code,
        area_name=area.name,
        value=figures.value_text(said, known[ALL], last.value if last else None),
        history=[one.value for one in shown],
        as_of=said.time(last.as_of) if last else "—",
        panels=panels,
    )
    crumbs = [
        Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Basic public health programmes")), "/programmes"),
        Crumb(said.say(N_("Data quality"))),
    ]  # fmt: skip
    return show(visit, "data_quality.html", page, crumbs=crumbs)


async def _series(connection: Connection, one: Definition, area: Area) -> list[Figure]:
    series = await measure.trend(connection, one.id, level=area.level, key=area.key)
    return [figure for figure in series if figure.version == one.version]


async def _panel(
    visit: Visit, connection: Connection, one: Definition, area: Area, *, whole: bool, people: bool
) -> KindPanel:
    said = visit.language
    series = await _series(connection, one, area)
    shown = series if people else suppression.suppress_alone(series, one)
    now = shown[-1] if shown else None
    strata: list[Figure] = []
    if now is not None and people:
        strata = await measure.by_stratum(connection, one.id, FAULT, now.period, level=area.level, key=area.key)
    faulty = None if now is None or now.denominator is None else now.denominator - (now.numerator or 0)
    base = {"measure": one.id, "area": area.code, "period": now.period if now else ""}
    return KindPanel(
        id=one.id,
        title=figures.title(said, one),
        checked=said.number(now.denominator if now else None),
        faulty=said.number(faulty),
        faulty_url=_list(base, group="outside") if faulty else "",
        value=figures.value_text(said, one, now.value) if now and now.value is not None else figures.missing(said, now),
        period=figures.period_text(said, now.period) if now else "—",
        history=[figure.value for figure in shown[-18:]],
        rules=_rules(visit, one, strata, base, now.denominator or 0) if now and people else [],
        units=await _units(visit, connection, one, area, whole=whole, people=people),
        hidden=not people,
    )


def _rules(
    visit: Visit, one: Definition, strata: Sequence[Figure], base: dict[str, str], checked: float
) -> list[RuleLine]:
    """Every rule with its records; what one record breaks together is one group."""
    said = visit.language
    texts = {rule.id: figures.words(said, rule.text) for part in one.populations for rule in part.reasons}
    alone, lines = said.say(N_("only this")), list[RuleLine]()
    for letter, text in texts.items():
        groups = [part for part in strata if letter in part.stratum and part.denominator]
        count = sum(part.denominator or 0 for part in groups)
        lines.append(
            RuleLine(
                text=text,
                count=said.number(count),
                share=f"{100 * count / checked:.2f}%" if checked else "—",
                groups=[
                    (f"{_together(alone, letter, part.stratum, texts)} {said.number(part.denominator)}",
                     _list(base, by=FAULT, stratum=part.stratum))
                    for part in groups
                ],
            )
        )  # fmt: skip
    return lines


def _together(alone: str, letter: str, stratum: str, texts: dict[str, str]) -> str:
    others = [texts[other] for other in stratum if other != letter and other in texts]
    return "+ " + " + ".join(others) if others else alone


async def _units(
    visit: Visit, connection: Connection, one: Definition, area: Area, *, whole: bool, people: bool
) -> list[UnitLine]:
    said = visit.language
    tree = await visit.platform.tree(connection)
    found = await measure.by_institution(connection, one.id)
    found = found if people else suppression.suppress(found, one)
    target = one.target(visit.at.astimezone(CHINA).year)
    lines: list[tuple[float, UnitLine]] = []
    for figure in found:
        key = int(figure.key) if figure.key.isdecimal() else None
        if key is None or key not in tree or (not whole and figure.key != area.key):
            continue
        if figure.denominator == 0:
            continue
        faulty = None if figure.denominator is None else figure.denominator - (figure.numerator or 0)
        base = {"measure": one.id, "area": tree[key].code, "period": figure.period}
        line = UnitLine(
            tree[key].name, said.number(figure.denominator), said.number(faulty),
            figures.value_text(said, one, figure.value) if figure.value is not None else figures.missing(said, figure),
            _list(base, group="outside") if faulty else "", bool(figures.poor(one, figure.value, target)),
        )  # fmt: skip
        lines.append((figure.value if figure.value is not None else 101.0, line))
    return [line for _, line in sorted(lines, key=lambda pair: (pair[0], pair[1].name))]


def _list(base: dict[str, str], **more: str) -> str:
    return "/cockpit/persons?" + urlencode({key: value for key, value in {**base, **more}.items() if value})
