"""Entering values of indicators (指标填报): one by form, corrections with a reason, approval by a second person; files: entries_file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import Tree, display_names
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.measure import entries
from healthbrain.measure.definition import Definition
from healthbrain.measure.entries import Entered, Given
from healthbrain.measure.plans import plans as all_plans
from healthbrain.web import wording
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import figures, plans
from healthbrain.web.pages.plans_view import number
from healthbrain.web.pages.supervision import day
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_SAID = {
    "entered": N_("The value is saved and counts at once."),
    "imported": N_("The values of the file are saved and count at once."),
    "waiting": N_("The value is saved; it counts when a second person approves it."),
    "all-waiting": N_("The values of the file are saved; they count when a second person approves them."),
    "approved": N_("Approved; the value counts now."),
    "returned": N_("Returned with your reason."),
}
_STATES = {
    "waiting": (N_("waits for approval"), "warn", "clock"),
    "approved": (N_("approved"), "ok", "check"),
    "returned": (N_("returned"), "bad", "back"),
}


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One value that holds."""

    id: int
    measure: str
    title: str
    unit: str
    period: str
    value: str
    parts: str
    document: str
    dated: str
    by: str
    at: str
    corrected: bool
    synthetic: bool
    url: str
    place: str
    state: tuple[str, str, str]
    verdict: str  # who decided, when and why; '' while it waits or needs nobody
    may_review: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One measure that can be entered."""

    id: str
    title: str
    unit: str
    period: str
    fraction: bool
    hint: str
    plan: str
    places: Sequence[tuple[str, str]]  # level:key, name; empty when it is entered for the district alone


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """Context of entries.html."""

    lines: Sequence[EntryLine]
    waiting: Sequence[EntryLine]
    choices: Sequence[Choice]
    chosen: Choice | None
    may_write: bool
    today: str
    error: str
    typed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Context of entry.html."""

    title: str
    unit: str
    period: str
    choice: Choice
    lines: Sequence[EntryLine]
    holds: int
    reasons: Sequence[str]
    may_write: bool
    today: str
    error: str
    typed: Mapping[str, str]
    id: int


async def overview(visit: Visit) -> Response:
    """The values that hold, and the form."""
    return await _overview(visit)


async def enter(visit: Visit) -> Response:
    """Keep one value."""
    form = {name: str(value) for name, value in (await visit.form()).items()}
    try:
        given = _given(form)
        async with visit.platform.pool.connection() as connection:
            await may_enter(visit, connection)
            replaces = int(form["replaces"]) if form.get("replaces", "").isdigit() else None
            given = placed(await visit.platform.tree(connection), given, form.get("place", ""))
            review = visit.platform.settings.entry_approval
            id = await entries.enter(
                connection, given, by=visit.who.account, at=visit.at, replaces=replaces, review=review
            )
            await audit.record(connection, [entered_event(visit, given, id)])
    except Incorrect as error:
        if form.get("replaces", "").isdigit():
            return await _history(visit, int(form["replaces"]), wording.tell(visit.language, error.message), form)
        return await _overview(visit, wording.tell(visit.language, error.message), form)
    said = "waiting" if review else "entered"
    return RedirectResponse(f"/entries?measure={quote(given.measure)}&said={said}", 303)


async def decide(visit: Visit) -> Response:
    """Approve an entry that waits, or return it."""
    id, form = visit.request.path_params["entry"], {name: str(value) for name, value in (await visit.form()).items()}
    verdict: Literal["approved", "returned"] = "approved" if form.get("verdict") == "approved" else "returned"
    try:
        async with visit.platform.pool.connection() as connection:
            await may_enter(visit, connection)
            one = await entries.review(
                connection, id, verdict, by=visit.who.account, at=visit.at, reason=form.get("reason", "")
            )
            event = visit.event(
                "U", "indicator", one.measure, detail=f"{one.period} #{id} {verdict}", interaction="entry"
            )
            await audit.record(connection, [event])
    except Incorrect as error:
        return await _overview(visit, wording.tell(visit.language, error.message))
    return RedirectResponse(f"/entries?said={verdict}", 303)


async def history(visit: Visit) -> Response:
    """Everything entered for one period, and the form to correct it."""
    return await _history(visit, visit.request.path_params["entry"])


async def _overview(visit: Visit, error: str = "", typed: Mapping[str, str] | None = None) -> Response:
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        await may_see(visit, connection)
        found, open_ = await entries.entered(connection), await entries.waiting(connection)
        tree = await visit.platform.tree(connection)
        show_ = _Shown(visit, tree, await _names(connection, [*found, *open_]), visit.may("write", "indicator"))
    known = {one.id: one for one in entries.enterable()}
    choices = [_choice(said, one, tree) for one in known.values()]
    wanted = (typed or {}).get("measure") or visit.query.get("measure", "")
    page = EntriesPage(
        lines=[_line(show_, known[e.measure], e) for e in found if e.measure in known and wanted in ("", e.measure)],
        waiting=[_line(show_, known[e.measure], e) for e in open_ if e.measure in known],
        choices=choices,
        chosen=next((one for one in choices if one.id == wanted), None),
        may_write=visit.may("write", "indicator"),
        today=visit.at.astimezone(CHINA).date().isoformat(),
        error=error,
        typed=typed or {},
    )
    toast = Toast(said.say(_SAID[visit.query["said"]])) if visit.query.get("said") in _SAID else None
    return show(visit, "entries.html", page, crumbs=crumbs_of(visit), toast=toast, status=400 if error else 200)


async def _history(visit: Visit, id: int, error: str = "", typed: Mapping[str, str] | None = None) -> Response:
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        await may_see(visit, connection)
        found = await entries.history(connection, id)
        tree = await visit.platform.tree(connection)
        show_ = _Shown(visit, tree, await _names(connection, found), visit.may("write", "indicator"))
        held = await entries.holding(connection, found[0].measure, found[0].period, found[0].level, found[0].key)
    definition = next((one for one in entries.enterable() if one.id == found[0].measure), None)
    if definition is None:
        raise Incorrect("the measure is not one whose values are entered; look its number up in the template")
    page = HistoryPage(
        title=figures.title(said, definition),
        unit=figures.unit(said, definition),
        period=found[0].period,
        choice=replace(_choice(said, definition, tree), places=_place_of(show_, found[0])),
        lines=[_line(show_, definition, one) for one in found],
        holds=held.id if held else 0,
        reasons=[one.reason for one in found],
        may_write=visit.may("write", "indicator"),
        today=visit.at.astimezone(CHINA).date().isoformat(),
        error=error,
        typed=typed or {},
        id=found[0].id,
    )
    crumbs = [*crumbs_of(visit), Crumb(f"{page.title} {page.period}")]
    return show(visit, "entry.html", page, crumbs=crumbs, status=400 if error else 200)


async def may_see(visit: Visit, connection: Connection) -> None:
    """Entered values are seen by who sees the whole area's. Raises Forbidden."""
    await visit.decide(connection, "search", "indicator")
    await plans.whole(visit, connection, await visit.platform.tree(connection))


async def may_enter(visit: Visit, connection: Connection) -> None:
    """Values of the whole area are entered by who sees and may write the whole area's."""
    await visit.decide(connection, "write", "indicator")
    if visit.who.role == "system":
        raise Forbidden("values are entered by people")
    await plans.whole(visit, connection, await visit.platform.tree(connection))


def _given(form: Mapping[str, str]) -> Given:
    dated = day(form.get("dated", ""))
    if dated is None:
        raise Incorrect("write the date as year-month-day, for instance 2026-06-30")
    return Given(
        measure=form.get("measure", ""),
        period=form.get("period", "").strip(),
        document=form.get("document", ""),
        dated=dated,
        value=_number(form.get("value", "")),
        numerator=_number(form.get("numerator", "")),
        denominator=_number(form.get("denominator", "")),
        reason=form.get("reason", ""),
    )


def _number(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise Incorrect("the value is no number") from None


@dataclass(frozen=True, slots=True)
class _Shown:
    """Who looks at entries, and what they need for it."""

    visit: Visit
    tree: Tree
    names: Mapping[str, str]
    may_write: bool


async def _names(connection: Connection, found: Sequence[Entered]) -> Mapping[str, str]:
    return await display_names(connection, [name for one in found for name in (one.entered_by, one.verdict_by) if name])


def _choice(said: Language, one: Definition, tree: Tree) -> Choice:
    supplier = figures.words(said, one.entry.supplier) if one.entry and one.entry.supplier else ""
    fraction = one.entry is not None and one.entry.parts == "fraction"
    in_plan = next((p.id for p in all_plans() if any(i.measure == one.id for i in p.indicators)), "")
    hint = f"{figures.words(said, one.formula)} {supplier}".strip()
    places = _places(said, one, tree)
    return Choice(
        one.id, figures.title(said, one), figures.unit(said, one), one.period, fraction, hint, in_plan, places
    )


def _places(said: Language, one: Definition, tree: Tree) -> list[tuple[str, str]]:
    """The places a value may be entered for; none to choose when it is the district's alone."""
    levels = one.entry.levels if one.entry else ("district",)
    if set(levels) == {"district"}:
        return []
    found = [("district:", said.say(N_("Whole district")))] if "district" in levels else []
    if "town" in levels:
        found += [(f"town:{code}", town.said(said)) for code, town in towns().items()]
    if "institution" in levels:
        found += [(f"institution:{node.key}", node.name) for node in tree if node.kind == "institution"]
    return found


def _place_of(show_: _Shown, one: Entered) -> list[tuple[str, str]]:
    return [] if one.level == "district" else [(f"{one.level}:{one.key}", _place_name(show_, one))]


def _place_name(show_: _Shown, one: Entered) -> str:
    if one.level == "institution":
        return show_.tree.name(int(one.key)) if one.key.isdecimal() else one.key
    return towns()[one.key].said(show_.visit.language) if one.key in towns() else ""


def placed(tree: Tree, given: Given, place: str) -> Given:
    """The value with the place that was chosen. Raises Incorrect for a place that is none."""
    level, _, key = place.partition(":")
    if level in ("", "district"):
        return given
    if level == "town" and key in towns():
        return replace(given, level="town", key=key)
    if level == "institution" and key.isdecimal() and int(key) in tree and tree[int(key)].kind == "institution":
        return replace(given, level="institution", key=key)
    raise Incorrect("choose a place of the list")


def _line(show_: _Shown, definition: Definition, one: Entered) -> EntryLine:
    said = show_.visit.language
    parts = f"{number(one.numerator)} / {number(one.denominator)}" if one.denominator is not None else ""
    label, look, sign = _STATES[one.state]
    verdict = ""
    if one.verdict_at is not None:
        verdict = " · ".join(
            text
            for text in (show_.names.get(one.verdict_by, ""), said.time(one.verdict_at), one.verdict_reason)
            if text
        )
    return EntryLine(
        id=one.id,
        measure=one.measure,
        title=figures.title(said, definition),
        unit=figures.unit(said, definition),
        period=one.period,
        value=number(one.value),
        parts=parts,
        document=one.document,
        dated=said.short_day(one.dated),
        by=show_.names.get(one.entered_by, one.entered_by),
        at=said.time(one.entered_at),
        corrected=one.replaces is not None,
        synthetic=one.synthetic,
        url=f"/entries/{one.id}",
        place=_place_name(show_, one),
        state=(said.say(label), look, sign),
        verdict=verdict,
        may_review=show_.may_write and one.state == "waiting" and one.entered_by != show_.visit.who.account,
    )


def entered_event(visit: Visit, given: Given, id: int) -> audit.Event:
    """What the log keeps of a value that was entered."""
    return visit.event("C", "indicator", given.measure, detail=f"{given.period} #{id}", interaction="entry")


def crumbs_of(visit: Visit) -> list[Crumb]:
    """Where the visitor is."""
    return [*plans.crumbs(visit), Crumb(visit.language.say(N_("Entered values")), "/entries")]
