"""The words of a report, written from its figures: which targets are met, which are behind, what changed most, whom to talk to.

Every sentence states what the table beside it shows; an author may change it in the draft.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from healthbrain.web.language import N_, Language
from healthbrain.web.paper.content import Paper, PaperLine, Section, light_word

_MOST = 5  # changes told
_BEHIND = ("off_track", "at_risk")


def worded(said: Language, paper: Paper) -> Paper:
    """The report with its sections and notes."""
    parts: list[tuple[str, str, Callable[[Language, Paper], str]]] = [
        ("overview", N_("Overview"), _overview),
        ("met", N_("Targets met"), _met),
        ("behind", N_("Behind and at risk"), _behind),
        ("changes", N_("Biggest changes against a year before"), _changes),
        ("units", N_("Units to talk to"), _units),
    ]
    if paper.kind == "interim":
        parts.insert(3, ("outlook", N_("Whether the targets can be reached"), _outlook))
    if paper.kind == "final":
        parts.insert(1, ("result", N_("Result of the plan"), _result))
    parts.append(("data", N_("Data and definitions"), _data))
    sections = [Section(key, said.say(heading), write(said, paper)) for key, heading, write in parts]
    notes = [
        said.say(
            N_(
                "Lights: met – the latest value meets the target; on track, at risk, off track – by the forecast for the target date (80 % interval), without a forecast by the straight way from the baseline to the target."
            )
        ),
        said.say(
            N_(
                "Forecast: random walk with drift from the points of the present definition, five at least and no further ahead than twice the time observed."
            )
        ),
        said.say(N_("No data is not zero: an indicator without a value is named as such and counted nowhere.")),
    ]
    return replace(paper, sections=sections, notes=notes)


def _overview(said: Language, paper: Paper) -> str:
    known: dict[str, int] = {str(light): int(number) for light, number in paper.counts}
    judged = sum(number for light, number in known.items() if light not in ("no_data", "not_measurable"))
    values = {
        "until": paper.until,
        "total": len(paper.lines),
        "judged": judged,
        "met": known["met"],
        "on": known["on_track"],
        "risk": known["at_risk"],
        "off": known["off_track"],
        "none": known["no_data"] + known["not_measurable"],
    }
    text = (
        said.say(
            N_(
                "Up to %(until)s the plan's %(total)s indicators were followed; %(judged)s could be judged: %(met)s met, %(on)s on track, %(risk)s at risk, %(off)s off track. %(none)s had no data or could not be judged."
            )
        )
        % values
    )
    way = sum(line.tasks for line in paper.lines)
    if way:
        text += said.say(N_(" %(way)s supervision tasks are under way, %(late)s of them overdue.")) % {
            "way": way,
            "late": sum(line.overdue for line in paper.lines),
        }
    return text


def _met(said: Language, paper: Paper) -> str:
    lines = [line for line in paper.lines if line.light == "met"]
    if not lines:
        return said.say(N_("No target has been met yet."))
    return _list(_point(said, line) for line in lines)


def _behind(said: Language, paper: Paper) -> str:
    lines = [line for light in _BEHIND for line in paper.lines if line.light == light]
    if not lines:
        return said.say(N_("No indicator is behind."))
    return _list(
        f"[{light_word(said, line.light)}] {_point(said, line)} {line.why} ({line.responsible}{_person(line)})"
        for line in lines
    )


def _changes(said: Language, paper: Paper) -> str:
    moved = [line for line in paper.lines if line.change_number]
    moved.sort(key=lambda line: -abs(_relative(line)))
    if not moved:
        return said.say(N_("No indicator can be compared with a year before."))
    better, worse, points = said.say(N_("better")), said.say(N_("worse")), said.say(N_(" pp"))
    return _list(
        f"{line.title}: {line.change}{points if line.unit == '%' else f' {line.unit}'} ({better if line.better else worse}), {line.value}"
        for line in moved[:_MOST]
    )


def _units(said: Language, paper: Paper) -> str:
    behind: dict[str, list[PaperLine]] = defaultdict(list)
    for line in paper.lines:
        if line.light == "off_track" or line.overdue:
            behind[line.responsible].append(line)
    if not behind:
        return said.say(N_("No unit needs a talk."))
    comma = "、" if said.chinese else ", "
    ordered = sorted(behind.items(), key=lambda item: -len(item[1]))
    return _list(
        said.say(N_("%(unit)s: %(number)s indicators off track or with an overdue task (%(names)s)."))
        % {"unit": unit, "number": len(lines), "names": comma.join(line.title for line in lines)}
        for unit, lines in ordered
    )


def _outlook(said: Language, paper: Paper) -> str:
    lines = [line for line in paper.lines if line.future]
    if not lines:
        return said.say(
            N_(
                "No indicator has enough points for a forecast yet; the lights rest on the straight way from the baseline."
            )
        )
    return _list(
        said.say(
            N_("%(title)s: %(forecast)s expected for the end of %(year)s (80 %% interval), target %(target)s. %(why)s")
        )
        % {
            "title": line.title,
            "forecast": line.forecast,
            "year": line.target_year,
            "target": line.target,
            "why": line.why,
        }
        for line in lines
    )


def _result(said: Language, paper: Paper) -> str:
    judged = [line for line in paper.lines if line.light not in ("no_data", "not_measurable")]
    met = [line for line in judged if line.light == "met"]
    if not judged:
        return said.say(N_("No indicator could be judged."))
    share = f"{len(met) / len(judged):.0%}"
    return said.say(N_("Of %(judged)s indicators that could be judged %(met)s reached their target (%(share)s).")) % {
        "judged": len(judged),
        "met": len(met),
        "share": share,
    }


def _data(said: Language, paper: Paper) -> str:
    rows = [
        said.say(N_("Data as of %(as_of)s; everything that arrived later is not counted.")) % {"as_of": paper.as_of}
    ]
    for line in paper.lines:
        for period, old, new in line.breaks:
            rows.append(
                said.say(
                    N_(
                        "%(title)s: from %(period)s on definition v%(new)s instead of v%(old)s; the values before and after cannot be compared."
                    )
                )
                % {"title": line.title, "period": period, "new": new, "old": old}
            )
    missing = [line.title for line in paper.lines if line.light == "no_data"]
    if missing:
        comma = "、" if said.chinese else ", "
        rows.append(said.say(N_("Without current data: %(names)s.")) % {"names": comma.join(missing)})
    return _list(rows) if len(rows) > 1 else rows[0]


def _point(said: Language, line: PaperLine) -> str:
    values = {
        "title": line.title,
        "value": line.value,
        "unit": line.unit,
        "period": line.period,
        "target": line.target,
        "year": line.target_year,
    }
    return said.say(N_("%(title)s: %(value)s %(unit)s (%(period)s); target %(target)s (%(year)s).")) % values


def _person(line: PaperLine) -> str:
    return f" {line.person}" if line.person else ""


def _relative(line: PaperLine) -> float:
    before = (line.number or 0.0) - (line.change_number or 0.0)
    return (line.change_number or 0.0) / abs(before) if before else (line.change_number or 0.0)


def _list(rows: Iterable[str]) -> str:
    texts: Sequence[str] = list(rows)
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))
