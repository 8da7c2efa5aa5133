"""A district's own programmes by form: target group, services and window; its measure goes to review in the workbench.

Row APP-PH-39. Open to who may write indicators of the whole district; nothing is counted before a second person publishes the measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, Invalid
from healthbrain.measure import own_programmes
from healthbrain.measure.own_programmes import Wish
from healthbrain.web import wording
from healthbrain.web.language import N_
from healthbrain.web.pages import figures, plans
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_SAID = {
    "made": N_("The programme is kept; its measure is in review in the workbench."),
    "closed": N_("The programme is closed; its figures stay."),
}


@dataclass(frozen=True, slots=True)
class OwnLine:
    """One programme that was made here."""

    id: str
    title: str
    group: str
    measure: str
    made: str
    closed: bool


@dataclass(frozen=True, slots=True)
class OwnPage:
    """Context of own_programmes.html."""

    lines: Sequence[OwnLine]
    services: Sequence[tuple[str, str]]
    vaccines: Sequence[tuple[str, str]]
    typed: Mapping[str, str]
    chosen: Sequence[str]
    error: str
    wrong: Sequence[tuple[str, str]]


async def overview(visit: Visit) -> Response:
    """What was made, and the form."""
    return await _page(visit)


async def act(visit: Visit) -> Response:
    """Make a programme, or close one."""
    form = await visit.form()
    typed = {name: str(value) for name, value in form.items()}
    codes = tuple(str(value) for value in form.getlist("codes"))
    try:
        async with visit.platform.pool.connection() as connection:
            organisations, own = await _may(visit, connection)
            if typed.get("action") == "close":
                await own_programmes.close(connection, typed.get("id", ""), organisations, visit.who.account, visit.at)
                said = "closed"
            else:
                await own_programmes.begin(connection, _wish(typed, codes), own, visit.who.account, visit.at)
                said = "made"
            await audit.record(
                connection, [visit.event("C", "indicator", typed.get("id", ""), detail=said, interaction="programme")]
            )
    except Invalid as error:
        wrong = [(one.expression, wording.tell(visit.language, one.text)) for one in error.issues]
        return await _page(visit, typed, codes, wording.tell(visit.language, error.message), wrong)
    except (Incorrect, Conflict) as error:
        return await _page(visit, typed, codes, wording.tell(visit.language, error.message))
    return RedirectResponse(f"/programmes/own?said={said}", 303)


async def _page(
    visit: Visit, typed: Mapping[str, str] | None = None, codes: Sequence[str] = (), error: str = "",
    wrong: Sequence[tuple[str, str]] = (),
) -> Response:  # fmt: skip
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        organisations, _ = await _may(visit, connection)
        found = await own_programmes.owned(connection, organisations)
        names = await display_names(connection, [one.made_by for one in found])
    page = OwnPage(
        lines=[
            OwnLine(
                one.programme.id, figures.words(said, one.programme.title), figures.words(said, one.programme.group),
                one.programme.measures[0], f"{names.get(one.made_by, one.made_by)} · {said.time(one.made_at)}", one.closed,
            )
            for one in found
        ],
        services=own_programmes.services(),
        vaccines=own_programmes.vaccines(),
        typed=typed or {},
        chosen=codes,
        error=error,
        wrong=wrong,
    )  # fmt: skip
    crumbs = [
        Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Basic public health programmes")), "/programmes"),
        Crumb(said.say(N_("Own programmes"))),
    ]  # fmt: skip
    known = _SAID.get(visit.query.get("said", ""))
    toast = Toast(said.say(known)) if known else None
    return show(visit, "own_programmes.html", page, crumbs=crumbs, toast=toast, status=400 if error else 200)


async def _may(visit: Visit, connection: Connection) -> tuple[tuple[int, ...] | None, int]:
    """The organisations whose programmes this visitor looks after, and the one a new programme belongs to."""
    scope = await visit.decide(connection, "write", "indicator")
    if visit.who.role == "system":
        raise Forbidden("values are entered by people")
    tree = await visit.platform.tree(connection)
    await plans.whole(visit, connection, tree)
    return scope.organisations, visit.who.organisation


def _wish(typed: Mapping[str, str], codes: tuple[str, ...]) -> Wish:
    kind = typed.get("kind", "service")
    prefix = "v:" if kind == "vaccine" else "s:"
    return Wish(
        id=typed.get("id", "").strip(),
        title=typed.get("title", "").strip(),
        title_en=typed.get("title_en", "").strip(),
        group=typed.get("group", "").strip(),
        group_en=typed.get("group_en", "").strip(),
        document=typed.get("document", "").strip(),
        register=typed.get("register", ""),
        from_age=_whole(typed.get("from_age", ""), 0),
        to_age=_whole(typed.get("to_age", ""), 130),
        sex=typed.get("sex", ""),
        vaccines=kind == "vaccine",
        codes=tuple(code.removeprefix(prefix) for code in codes if code.startswith(prefix)),
        window=_whole(typed.get("window", ""), 12),
        times=_whole(typed.get("times", ""), 1),
    )


def _whole(text: str, usual: int) -> int:
    if not text.strip():
        return usual
    if not text.strip().isascii() or not text.strip().isdigit():
        raise Incorrect("the value is no number")
    return min(int(text[:6]), 999_999)
