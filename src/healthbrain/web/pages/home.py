"""The start page of a role, help, and the page for when the network is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.measure import assessment, supervision
from healthbrain.measure.analysis import monitors, saved
from healthbrain.runtime import assessments
from healthbrain.web.language import CHINA, N_
from healthbrain.web.pages import supervision_view
from healthbrain.web.pages.analysis_saved import SavedLine, reading, saved_lines
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_HOURS = (
    (5, N_("Good night")),
    (11, N_("Good morning")),
    (13, N_("Good day")),
    (18, N_("Good afternoon")),
    (24, N_("Good evening")),
)

_FIGURES = (
    (N_("Period"), N_("The time the figure is about; a month that is not over yet is marked.")),
    (N_("Data as of"), N_("Everything that arrived before this moment is counted, nothing after.")),
    (N_("Definition"), N_("How the figure is made, with its version; choose it to read formula and source clause.")),
    (N_("Coverage"), N_("How many of the institutions that should send data have sent some in the period.")),
    (
        N_("Against last year / last month"),
        N_("Difference to the same period of last year and to the period before, with arrow and sign."),
    ),
    (
        N_("No data"),
        N_("No data is not zero: where nobody could be counted or nothing arrives, the figure is left out."),
    ),
    (N_("Small numbers"), N_("Shares of few people vary by chance; the range in which the true share lies is given.")),
)
_STATES = (
    ("accepted", N_("Everything in it was stored.")),
    ("partly", N_("Some entries were stored, others refused; each refusal is listed.")),
    ("refused", N_("Nothing was stored; the sender was told why. To be mended by the sender.")),
    ("duplicate", N_("The same message had come before; it was confirmed again and not stored twice.")),
    ("failed", N_("A mistake or outage on our side. The message is kept; replay it when the cause is gone.")),
    ("held", N_("Kept and not worked on yet, for instance from an unknown sender.")),
)
_ROLES = (
    (
        "leader",
        N_(
            "Figures of the whole district without anybody’s identity; single residents only for a stated public-health purpose."
        ),
    ),
    ("cdc", N_("The whole district for public health.")),
    ("manager", N_("The own institution: its figures, residents, arrivals and who looked at its data.")),
    (
        "doctor",
        N_(
            "The own institution’s patients and the residents under contract, wherever their data lie; others only in an emergency, which is reviewed."
        ),
    ),
    ("resident", N_("Everything about oneself, and who has looked at it.")),
    ("administrator", N_("Accounts, sources and the running of the platform; no records without a stated purpose.")),
)


@dataclass(frozen=True, slots=True)
class HomePage:
    """Context of home.html."""

    greeting: str
    line: str
    inbox: Sequence[tuple[str, int, str]]  # what waits: words, number, address
    pinned: Sequence[SavedLine] = ()


@dataclass(frozen=True, slots=True)
class HelpPage:
    """Context of help.html."""

    figures: Sequence[tuple[str, str]]
    states: Sequence[tuple[str, str]]
    roles: Sequence[tuple[str, str]]


async def home(visit: Visit) -> Response:
    """What this role may do."""
    said = visit.language
    hour = visit.at.astimezone(CHINA).hour
    greeting = next(text for until, text in _HOURS if hour < until)
    tree = await visit.platform.tree()
    where = tree.name(visit.who.organisation)
    comma, dot = ("，", " · ") if said.chinese else (", ", " · ")
    page = HomePage(
        f"{said.say(greeting)}{comma}{visit.who.display}",
        dot.join(part for part in (where, said.day(visit.at), said.weekday(visit.at)) if part),
        [*await _inbox(visit), *await _crossings(visit), *await _assessed(visit)],
        await _pinned(visit),
    )
    return show(visit, "home.html", page, crumbs=[Crumb(said.say(N_("Home")))])


async def _pinned(visit: Visit) -> list[SavedLine]:
    """The saved questions that this visitor put here."""
    if not visit.may("read", "indicator"):
        return []
    async with visit.platform.pool.connection() as connection:
        found = await saved.pinned(connection, await reading(visit, connection))
    return saved_lines(visit.language, found, visit.who.account)


async def _inbox(visit: Visit) -> list[tuple[str, int, str]]:
    """What waits for this visitor in supervision."""
    if not visit.may("search", "supervision"):
        return []
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", "supervision")
        found = await supervision.inbox(connection, visit.at, scope.organisations)
    lines = [(said.say(N_("Supervision tasks overdue")), found.overdue, "/supervision?only=overdue")]
    if supervision_view.side(visit) == "unit":
        lines.insert(0, (said.say(N_("Notices to answer")), found.to_answer, "/supervision"))
    else:
        lines.insert(0, (said.say(N_("Answers to review")), found.to_review, "/supervision?state=answered"))
        lines.append((said.say(N_("Escalated to the leader")), found.escalated, "/supervision?only=overdue"))
    return [line for line in lines if line[1]]


async def _crossings(visit: Visit) -> list[tuple[str, int, str]]:
    """Crossings of the visitor's monitors that have not been seen."""
    if not visit.may("read", "indicator"):
        return []
    async with visit.platform.pool.connection() as connection:
        number = await monitors.unseen(connection, visit.who.account, visit.at)
    return [(visit.language.say(N_("New crossings of my monitors")), number, "/analysis/monitors")] if number else []


async def _assessed(visit: Visit) -> list[tuple[str, int, str]]:
    """Appeals that a commission has not answered."""
    if not visit.may("administer", "assessment"):
        return []
    async with visit.platform.pool.connection() as connection:
        reader = await assessments.viewer(visit.platform, connection, visit.who)
        number = await assessment.unanswered(connection, reader.areas) if reader.administers else 0
    return [(visit.language.say(N_("Appeals to answer")), number, "/assessments")] if number else []


async def help_page(visit: Visit) -> Response:
    """How to read and use the screens."""
    crumbs = [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Help")))]
    return show(visit, "help.html", HelpPage(_FIGURES, _STATES, _ROLES), crumbs=crumbs)


async def offline(visit: Visit) -> Response:
    """What the offline worker keeps."""
    return show(visit, "offline.html", None)
