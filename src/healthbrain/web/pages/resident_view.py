"""What the resident page shows, as plain values, made from a portrait in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from healthbrain.portrait import Allergy, Banner, Dose, Event, Medicine, Portrait, Problem, Series, Source
from healthbrain.web import charts, labels
from healthbrain.web.charts import Chart
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA, N_, Language

_POINTS = 24
SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"
_IDENTIFIERS = {
    "id_card": N_("ID card"),
    "insurance": N_("Insurance number"),
    "health_record": N_("Health record number"),
    "health_card": N_("Health card"),
    "local": N_("Local number"),
}
_DIFFERING = {"name": N_("name"), "sex": N_("sex"), "birth": N_("date of birth")}
_DOSES = {
    "given": (N_("given"), "ok"),
    "due": (N_("due"), "warn"),
    "overdue": (N_("overdue"), "bad"),
    "upcoming": (N_("upcoming"), "info"),
}
_FLAGS = {
    "H": ("high", N_("high")),
    "HH": ("high", N_("very high")),
    "L": ("low", N_("low")),
    "LL": ("low", N_("very low")),
    "A": ("high", N_("abnormal")),
}
_DOTS = {"outpatient": "", "emergency": "emergency", "inpatient": "inpatient", "vaccination": "vaccination"}


@dataclass(frozen=True, slots=True)
class From:
    """Where a fact comes from."""

    organisation: str
    when: str
    url: str


@dataclass(frozen=True, slots=True)
class BannerView:
    """The persistent banner."""

    name: str
    sex: str
    age: str
    facts: Sequence[tuple[str, str]]
    flags: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """One event."""

    when: str
    kind: str
    kind_text: str
    title: str
    detail: str
    source: From
    year: str = ""


@dataclass(frozen=True, slots=True)
class FactLine:
    """One problem, medicine, allergy, vaccination or document."""

    title: str
    cells: Sequence[str]
    source: From
    code: str = ""
    badge: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class ResultView:
    """One kind of result over time."""

    title: str
    latest: str
    flag: str
    flag_text: str
    range: str
    day: str
    history: Sequence[float | None]
    chart: Chart | None
    source: From


@dataclass(frozen=True, slots=True)
class Tab:
    """One part of the record."""

    label: str
    url: str
    count: str | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class ResidentPage:
    """Context of resident.html."""

    banner: BannerView
    tab: str
    tabs: Sequence[Tab]
    emergency: str = ""
    plain: Sequence[tuple[str, str, str]] = ()
    timeline: Sequence[TimelineLine] = ()
    timeline_next: str = ""
    kinds: Sequence[tuple[str, str]] = ()
    kind: str = ""
    places: Sequence[tuple[str, str]] = ()
    place: str = ""
    problems: Sequence[FactLine] = ()
    medicines: Sequence[FactLine] = ()
    allergies: Sequence[FactLine] = ()
    results: Sequence[ResultView] = ()
    vaccinations: Sequence[FactLine] = ()
    documents: Sequence[FactLine] = ()
    applications: Sequence[tuple[str, str]] = ()  # id and name of those that can be opened with this resident
    patient: str = ""  # with which of the resident's records


def origin(said: Language, source: Source | None) -> From:
    """A source in words, with the way to the record and its message."""
    if source is None:
        return From("", "", "")
    return From(
        source.organisation_name,
        said.short_day(source.recorded),
        f"/records/{source.type}/{source.id}?version={source.version}",
    )


def banner_view(said: Language, banner: Banner, *, own: bool = False) -> BannerView:
    """The banner: who, numbers, what to know at once."""
    facts = [(said.say(N_("Born")), said.short_day(banner.birth))]
    for one in banner.identifiers[:4]:
        if one.kind != "local":
            facts.append((said.say(_IDENTIFIERS[one.kind]), one.masked))
    if banner.division in towns():
        facts.append((said.say(N_("Town")), towns()[banner.division].said(said)))
    if banner.phone:
        facts.append((said.say(N_("Phone")), banner.phone))
    if banner.blood:
        facts.append((said.say(N_("Blood group")), banner.blood))
    if banner.doctor:
        facts.append((said.say(N_("Family doctor")), f"{banner.doctor.name} · {banner.doctor.organisation_name}"))
    facts.append((said.say(N_("Institutions with records")), str(banner.records)))
    flags = []
    if banner.dead:
        flags.append((said.say(N_("deceased")), "", "info"))
    if banner.allergies == "recorded":
        grave = banner.severe_allergy
        flags.append((said.say(N_("severe allergy") if grave else N_("allergy")), "bad" if grave else "warn", "alert"))
    elif banner.allergies == "no_known":
        flags.append((said.say(N_("no known allergy")), "ok", "check"))
    else:
        flags.append((said.say(N_("allergies not recorded")), "", "info"))
    flags += [(one.display, "info", "heart") for one in banner.programmes]
    if banner.differing and not own:
        what = "、".join(said.say(_DIFFERING[one]) for one in banner.differing if one in _DIFFERING)
        text = said.say(N_("institutions differ on %(what)s")) % {"what": what}
        flags.append((text, "warn", "alert"))
    age = "—" if banner.age is None else (f"{banner.age} 岁" if said.chinese else f"{banner.age} y")
    return BannerView(banner.name, said.say(labels.SEX.get(banner.sex, labels.SEX["unknown"])), age, facts, flags)


def timeline_lines(said: Language, events: Sequence[Event]) -> list[TimelineLine]:
    """Events, newest first."""
    return [
        TimelineLine(
            when=said.short_day(event.start),
            kind=_DOTS.get(event.kind, "followup" if "followup" in event.kind else ""),
            kind_text=event.display,
            title="、".join(event.diagnoses) or event.display,
            detail=" · ".join(part for part in (event.department, event.practitioner, _stay(said, event)) if part),
            source=origin(said, event.source),
        )
        for event in events
    ]


def problem_line(said: Language, one: Problem) -> FactLine:
    """A diagnosis."""
    badge = said.say(N_("chronic")) if one.chronic else "" if one.active else said.say(N_("past"))
    return FactLine(
        one.display,
        [said.short_day(one.first), said.number(one.times)],
        origin(said, one.sources[0] if one.sources else None),
        one.code,
        badge,
        "info" if one.chronic else "",
    )


def medicine_line(said: Language, one: Medicine) -> FactLine:
    """A medicine."""
    badge = said.say(N_("in use")) if one.current else said.say(N_("past"))
    return FactLine(
        one.display,
        [one.dosage, said.short_day(one.last)],
        origin(said, one.sources[0] if one.sources else None),
        "",
        badge,
        "ok" if one.current else "",
    )


def allergy_line(said: Language, one: Allergy) -> FactLine:
    """An allergy."""
    text = said.say(N_("severe")) if one.severe else said.say(N_("not severe"))
    return FactLine(
        one.display,
        [" · ".join(part for part in (text, one.reaction) if part)],
        origin(said, one.sources[0] if one.sources else None),
        "",
        said.say(N_("severe")) if one.severe else "",
        "bad",
    )


def dose_line(said: Language, one: Dose) -> FactLine:
    """A vaccination given or due."""
    label, look = _DOSES[one.state]
    number = (f"第 {one.number} 剂" if said.chinese else f"dose {one.number}") if one.number else "—"
    day: date | None = one.given or one.due
    return FactLine(one.display, [number, said.short_day(day)], origin(said, one.source), "", said.say(label), look)


def result_views(said: Language, series: Sequence[Series]) -> list[ResultView]:
    """Results with their course; systolic and diastolic pressure are one picture."""
    by_code = {one.code: one for one in series}
    views = []
    if SYSTOLIC in by_code and DIASTOLIC in by_code:
        views.append(_pressure(said, by_code[SYSTOLIC], by_code[DIASTOLIC]))
        series = [one for one in series if one.code not in (SYSTOLIC, DIASTOLIC)]
    return views + [_result(said, one) for one in series]


def plain_words(said: Language, portrait: Portrait, base: str) -> list[tuple[str, str, str]]:
    """The record in everyday words, for the resident: what is known, what to do next."""
    banner = portrait.banner
    cards = []
    pressure = {one.code: one for one in portrait.vitals if one.code in (SYSTOLIC, DIASTOLIC)}
    if len(pressure) == 2:
        high = any(one.latest.flag in ("H", "HH") for one in pressure.values())
        words = {
            "value": f"{pressure[SYSTOLIC].latest.text}/{pressure[DIASTOLIC].latest.text}",
            "day": said.day(pressure[SYSTOLIC].latest.at),
        }
        text = (
            N_(
                "Your last blood pressure was %(value)s on %(day)s. That is above the usual range; talk to your doctor about it."
            )
            if high
            else N_("Your last blood pressure was %(value)s on %(day)s. That is within the usual range.")
        )
        cards.append((said.say(N_("Blood pressure")), said.say(text) % words, f"{base}?tab=results"))
    if banner.programmes:
        cards.append(
            (
                said.say(N_("Care programmes")),
                said.say(N_("You are looked after in: %(names)s."))
                % {"names": "、".join(p.display for p in banner.programmes)},
                f"{base}?tab=problems",
            )
        )
    current = [one.display for one in portrait.medicines if one.current]
    text = (
        said.say(N_("Medicines on record as in use: %(names)s. Do not change them without your doctor."))
        % {"names": "、".join(current)}
        if current
        else said.say(N_("No medicine is on record as in use."))
    )
    cards.append((said.say(N_("My medicines")), text, f"{base}?tab=medicines"))
    if portrait.allergies:
        cards.append(
            (
                said.say(N_("Allergies")),
                said.say(N_("You are allergic to: %(names)s. Always say so when you see a doctor."))
                % {"names": "、".join(a.display for a in portrait.allergies)},
                "",
            )
        )
    abnormal = [one.display for one in portrait.results if one.latest.flag not in ("", "N")]
    if portrait.results:
        text = (
            said.say(N_("Outside the usual range at the last test: %(names)s.")) % {"names": "、".join(abnormal)}
            if abnormal
            else said.say(N_("Your last test results were all within the usual range."))
        )
        cards.append((said.say(N_("My test results")), text, f"{base}?tab=results"))
    late = [one for one in portrait.vaccinations if one.state in ("due", "overdue")]
    if late:
        cards.append(
            (
                said.say(N_("Vaccinations")),
                said.say(N_("Due now: %(names)s.")) % {"names": "、".join(f"{d.display}" for d in late)},
                f"{base}?tab=vaccinations",
            )
        )
    if banner.doctor:
        cards.append(
            (said.say(N_("My family doctor")), f"{banner.doctor.name}（{banner.doctor.organisation_name}）", "")
        )
    if portrait.timeline.events:
        last = portrait.timeline.events[0]
        cards.append(
            (
                said.say(N_("My last visit")),
                f"{said.day(last.start)} · {last.source.organisation_name} · {last.display}",
                f"{base}?tab=timeline",
            )
        )
    cards.append(
        (
            said.say(N_("Who viewed my record")),
            said.say(N_("Every look at your record is kept. You can see who it was, and what for.")),
            f"{base}/access",
        )
    )
    return cards


def _stay(said: Language, event: Event) -> str:
    if event.kind != "inpatient" or event.start is None or event.end is None:
        return ""
    days = max(1, (event.end.astimezone(CHINA).date() - event.start.astimezone(CHINA).date()).days)
    return f"住院 {days} 天" if said.chinese else f"{days} days in hospital"


def _result(said: Language, one: Series) -> ResultView:
    latest = one.latest
    flag, flag_text = _FLAGS.get(latest.flag, ("", ""))
    points = [point for point in one.points if point.value is not None][-_POINTS:]
    chart = None
    if len(points) > 2:  # two points are a line in any case; the table shows them
        chart = Chart(
            key=f"r-{one.code}",
            title=one.display,
            categories=[said.short_day(point.at) for point in points],
            series=[charts.Series(one.display, [point.value for point in points])],
            unit=one.unit,
            digits=_digits([point.text for point in points]),
            band=(one.low, one.high) if one.low is not None or one.high is not None else None,
            low=True,
            category_label=said.say(N_("Date")),
            from_zero=False,
        )
    limits = latest.range or _limits(one.low, one.high)
    return ResultView(
        one.display,
        f"{latest.text} {one.unit}".strip(),
        flag,
        said.say(flag_text) if flag_text else "",
        f"{limits} {one.unit}".strip() if limits else "",
        said.short_day(latest.at),
        [point.value for point in points],
        chart,
        origin(said, latest.source),
    )


def _pressure(said: Language, upper: Series, lower: Series) -> ResultView:
    by_time = {point.at: point.value for point in lower.points}
    points = [point for point in upper.points if point.value is not None][-_POINTS:]
    flag, flag_text = _FLAGS.get(upper.latest.flag, _FLAGS.get(lower.latest.flag, ("", "")))
    title = said.say(N_("Blood pressure"))
    chart = None
    if len(points) > 1:
        series = [
            charts.Series(said.say(N_("Systolic")), [point.value for point in points]),
            charts.Series(said.say(N_("Diastolic")), [by_time.get(point.at) for point in points]),
        ]
        chart = Chart(
            "r-bp",
            title,
            [said.short_day(p.at) for p in points],
            series,
            upper.unit,
            0,
            target=140,
            target_label=said.say(N_("limit")),
            low=True,
            category_label=said.say(N_("Date")),
            from_zero=False,
        )
    latest = f"{upper.latest.text}/{lower.latest.text} {upper.unit}"
    return ResultView(
        title,
        latest,
        flag,
        said.say(flag_text) if flag_text else "",
        "",
        said.short_day(upper.latest.at),
        [point.value for point in points],
        chart,
        origin(said, upper.latest.source),
    )


def _digits(texts: Sequence[str]) -> int:
    return min(3, max((len(text.partition(".")[2]) for text in texts), default=0))


def _limits(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"≤ {high:g}"
    return f"≥ {low:g}" if high is None else f"{low:g}–{high:g}"
