"""From figures of measures to what a card, a ranking or a chart shows: numbers in words, moves, ranges, series."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from healthbrain.measure import Definition, Figure, Headline
from healthbrain.web.charts import Chart, Series
from healthbrain.web.language import N_, Language
from healthbrain.web.pages.cockpit_view import Kpi, Move

_UNITS = {
    "visits": N_("visits"), "people": N_("people"), "years": N_("years"), "1/1000": N_("per 1,000"),
    "1/100000": N_("per 100,000"), "index": N_("index"), "level": N_("level"), "done": N_("1 = done"),
    "applications": N_("applications"), "components": N_("components"), "services": N_("services"),
    "checks": N_("times"), "times": N_("times"), "systems": N_("systems"), "datasets": N_("datasets"),
    "elements": N_("elements"), "hospitals": N_("hospitals"), "kinds": N_("kinds"),
}  # fmt: skip
_CHART_PERIODS = {"month": 18, "week": 52, "quarter": 12, "year": 10, "rolling": 18}


def title(said: Language, definition: Definition) -> str:
    """The measure's name in the reader's language."""
    return words(said, definition.title)


def words(said: Language, texts: object) -> str:
    """One of a definition's texts in the reader's language."""
    known = texts if isinstance(texts, dict) else dict(texts)  # type: ignore[call-overload]  # any mapping of str to str
    return str(known.get("zh" if said.chinese else "en") or next(iter(known.values()), ""))


def unit(said: Language, definition: Definition) -> str:
    """The unit in the reader's language."""
    known = _UNITS.get(definition.unit, definition.unit)
    return said.say(known)


def digits(definition: Definition) -> int:
    """Decimals to show: none for what is counted, one for shares and years, two for other rates and indices."""
    if definition.kind in {"count", "sum"} or (definition.entry is not None and definition.entry.whole):
        return 0
    return 1 if definition.unit in {"%", "years"} else 2


def value_text(said: Language, definition: Definition, value: float | None) -> str:
    """A value with its unit, as short as on a map."""
    if value is None:
        return "—"
    text = said.number(value, digits(definition))
    return f"{text}%" if definition.unit == "%" else text


def missing(said: Language, figure: Figure | None) -> str:
    """Why there is no value: nobody was counted, or too few to be shown to this reader."""
    return said.say(N_("Too few people")) if figure is not None and figure.suppressed else said.say(N_("No data"))


def period_text(said: Language, period: str) -> str:
    """A period in words: 2026年11月, 2026年第47周, 2026年第3季度, 2026年."""
    if "W" in period:
        year, week = period.split("-W")
        return f"{year}年第{int(week)}周" if said.chinese else f"week {int(week)}, {year}"
    if "Q" in period:
        year, quarter = period.split("-Q")
        return f"{year}年第{int(quarter)}季度" if said.chinese else f"quarter {int(quarter)}, {year}"
    if len(period) == 4:
        return f"{period}年" if said.chinese else period
    return said.month(period)


def poor(definition: Definition, value: float | None, target: float | None) -> bool | None:
    """Whether a target is missed; None when there is nothing to compare."""
    if value is None or target is None:
        return None
    return value > target if definition.direction == "down" else value < target


def move(said: Language, label: str, definition: Definition, now: Figure, other: Figure | None) -> Move | None:
    """The difference to another period: percentage points for shares, per cent for counts."""
    if other is None or now.value is None or other.value is None or other.version != now.version:
        return None
    if not other.numerator and not other.value:
        return None  # nothing at all was recorded then: that is a gap in the data, not a figure to compare with
    if definition.kind == "proportion":
        change = round(now.value - other.value, 1)
        text = said.signed(change) + said.say(N_(" pp"))
    else:
        if not other.value:
            return None
        change = round((now.value - other.value) / other.value * 100, 1)
        text = said.signed(change) + "%"
    good = None if not change or definition.direction == "none" else (change > 0) == (definition.direction == "up")
    return Move(said.say(label), text, "up" if change > 0 else "down" if change < 0 else "flat", good)


def card(said: Language, one: Headline, *, url: str, chosen: bool, history: Sequence[float | None] = ()) -> Kpi:
    """A headline as a card."""
    definition, now = one.definition, one.now
    share = definition.kind == "proportion" and now.value is not None
    comparable = now.complete or share  # an unfinished month of a count cannot be compared with a whole one
    moves = (
        move(said, N_("vs last year"), definition, now, one.year_before) if comparable else None,
        move(said, N_("vs last period"), definition, now, one.before) if comparable else None,
    )
    return Kpi(
        id=definition.id,
        title=title(said, definition),
        value=said.number(now.value, digits(definition)),
        unit=unit(said, definition),
        url=url,
        definition_url=f"/measures/{definition.id}",
        version=now.version,
        chosen=chosen,
        missing=missing(said, now) if now.value is None else "",
        target=value_text(said, definition, one.target) if one.target is not None else "",
        share=now.value if share else None,
        goal=one.target if share else None,
        poor=poor(definition, now.value, one.target),
        moves=[m for m in moves if m],
        counts=f"{said.number(now.numerator)} / {said.number(now.denominator)}" if now.denominator is not None else "",
        interval=interval(said, now),
        coverage=period_text(said, now.period) + ("" if now.complete else said.say(N_(" (to date)"))),
        history=history,
    )


def interval(said: Language, figure: Figure) -> str:
    """The range of the true share when few people were counted."""
    if not figure.small or figure.low is None or figure.high is None:
        return ""
    return f"95% CI {said.number(figure.low, 1)}–{said.number(figure.high, 1)}%"


def trend_chart(
    said: Language,
    key: str,
    heading: str,
    definition: Definition,
    lines: Sequence[tuple[str, Sequence[Figure]]],
    *,
    csv: str = "",
    low: bool = False,
) -> Chart:
    """The series of one or more places over time, with target, breaks of definition and the unfinished end."""
    periods = sorted({figure.period for _, figures in lines for figure in figures})[
        -_CHART_PERIODS[definition.period] :
    ]
    series = []
    for name, figures in lines:
        by_period = {figure.period: figure.value for figure in figures}  # a later version of the same period wins
        values = [None if (v := by_period.get(period)) is None else round(v, 2) for period in periods]
        series.append(Series(name, values, "bar" if definition.kind == "count" else "line"))
    first = list(lines[0][1]) if lines else []
    target = definition.target(int(periods[-1][:4])) if periods else None
    unfinished = bool(first) and not first[-1].complete and len(periods) > 1
    return Chart(
        key=key,
        title=heading,
        categories=periods,
        series=series,
        unit=unit(said, definition),
        digits=digits(definition),
        target=target,
        target_label=said.say(N_("Target")),
        breaks=_breaks(said, definition, first, periods),
        open_from=periods[-2] if unfinished else "",
        open_label=said.say(N_("to date")),
        csv=csv,
        low=low,
        from_zero=definition.kind == "count" or definition.period == "week",
    )


def _breaks(
    said: Language, definition: Definition, figures: Sequence[Figure], periods: Sequence[str]
) -> list[tuple[str, str]]:
    """Where a new version of the definition begins, with what it changed when that is known."""
    found = []
    for before, now in itertools.pairwise(figures):
        if before.version != now.version and now.period in periods:
            note = f"v{before.version} → v{now.version}"
            if definition.change and now.version == definition.version:
                note += f" {words(said, definition.change)}"
            found.append((now.period, note))
    return found
