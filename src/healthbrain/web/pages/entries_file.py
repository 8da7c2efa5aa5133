"""Values of indicators from a file: the template to fill in, what a file would enter line by line, and keeping all of it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import quote

import orjson
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Incorrect, Malformed
from healthbrain.measure import entries
from healthbrain.measure.entries import Given
from healthbrain.measure.plans import plans as all_plans
from healthbrain.web import wording
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA, N_
from healthbrain.web.pages import figures
from healthbrain.web.pages.entries import crumbs_of, entered_event, may_enter, may_see, placed
from healthbrain.web.pages.plans_view import number
from healthbrain.web.paper import sheets
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One line of a file as it would be taken."""

    number: int
    title: str
    period: str
    value: str
    before: str
    error: str


@dataclass(frozen=True, slots=True)
class ImportPage:
    """Context of entries_import.html."""

    name: str
    lines: Sequence[ImportLine]
    good: int
    bad: int
    corrections: int
    payload: str


async def template(visit: Visit) -> Response:
    """The Excel file to fill in."""
    async with visit.platform.pool.connection() as connection:
        await may_see(visit, connection)
    wanted = {i.measure for p in all_plans() if p.id == visit.query.get("plan") for i in p.indicators}
    known = [one for one in entries.enterable() if not wanted or one.id in wanted]
    content = sheets.template(visit.language, known, visit.at.astimezone(CHINA).year - 1)
    name = visit.language.say(N_("Entered values")) + ".xlsx"
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type=_EXCEL, headers=headers)


async def preview(visit: Visit) -> Response:
    """What a file would enter, line by line; nothing is kept yet."""
    form = await visit.form()
    sent = form.get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        raise Incorrect("choose a file first")
    async with visit.platform.pool.connection() as connection:
        await may_enter(visit, connection)
        rows = sheets.rows_of(visit.language, sent.filename, await sent.read(sheets.LARGEST + 1))
        if not rows:
            raise Malformed("the file has no line with a value")
        lines, good = await _checked(visit, connection, rows)
    page = ImportPage(
        name=sent.filename[-80:],
        lines=lines,
        good=len(good),
        bad=len(lines) - len(good),
        corrections=sum(bool(line.before) and not line.error for line in lines),
        payload=orjson.dumps([asdict(one) for one in good]).decode(),
    )
    crumbs = [*crumbs_of(visit), Crumb(visit.language.say(N_("Import")))]
    return show(visit, "entries_import.html", page, crumbs=crumbs)


async def confirm(visit: Visit) -> Response:
    """Keep what the preview showed: all of it or nothing."""
    text = str((await visit.form()).get("payload", ""))
    try:
        listed = [_again(one) for one in orjson.loads(text)]
    except (orjson.JSONDecodeError, TypeError, ValueError, KeyError):
        raise Malformed("the preview is damaged; choose the file again") from None
    async with visit.platform.pool.connection() as connection, connection.transaction():
        await may_enter(visit, connection)
        tree = await visit.platform.tree(connection)
        for one in listed[: sheets.MOST_ROWS]:
            given = placed(tree, replace(one, level="district", key=""), f"{one.level}:{one.key}")
            id = await entries.enter(
                connection, given, by=visit.who.account, at=visit.at, review=visit.platform.settings.entry_approval
            )
            await audit.record(connection, [entered_event(visit, given, id)])
    said = "all-waiting" if visit.platform.settings.entry_approval else "imported"
    return RedirectResponse(f"/entries?said={said}", 303)


async def _checked(
    visit: Visit, connection: Connection, rows: Sequence[sheets.Row]
) -> tuple[list[ImportLine], list[Given]]:
    said, today = visit.language, visit.at.astimezone(CHINA).date()
    known = {one.id: one for one in entries.enterable()}
    lines, good = [], list[Given]()
    tree = await visit.platform.tree(connection)
    seen: set[tuple[str, str, str, str]] = set()
    for row in rows:
        given, error, value, before = row.given, row.error, "", ""
        if given is not None:
            try:
                given = placed(tree, given, _place_coded(tree, row.place))
                value = number(entries.check(given, today))
                held = await entries.holding(connection, given.measure, given.period, given.level, given.key)
                before = number(held.value) if held else ""
                if held and len(given.reason) < 2:
                    raise Incorrect("there is a value for this period already; to correct it, give the reason")
                asked = (given.measure, given.period, given.level, given.key)
                if asked in seen:
                    raise Incorrect("the same measure and period stand in the file twice")
                seen.add(asked)
                good.append(given)
            except HealthBrainError as wrong:
                error = wrong.message
        one = known.get(given.measure) if given else None
        title = figures.title(said, one) if one else given.measure if given else "—"
        title += f" · {row.place}" if row.place else ""
        period = given.period if given else "—"
        lines.append(ImportLine(row.number, title, period, value, before, wording.tell(said, error)))
    return lines, good


def _again(raw: Mapping[str, Any]) -> Given:
    """A line of the preview as it comes back from the browser; raises ValueError or KeyError when it is not one."""
    texts = {name: str(raw[name]) for name in ("measure", "period", "document", "reason", "level", "key")}
    numbers = {name: None if raw[name] is None else float(raw[name]) for name in ("value", "numerator", "denominator")}
    return Given(dated=date.fromisoformat(raw["dated"]), **texts, **numbers)  # type: ignore[arg-type]  # names of its fields


def _place_coded(tree: Tree, code: str) -> str:
    """The place that a file names by its code. Raises Incorrect when there is none."""
    if not code or code in towns():
        return f"town:{code}" if code else ""
    node = tree.by_code(code)
    if node is None:
        raise Incorrect("there is no town or institution with this code")
    return f"institution:{node.key}" if node.kind == "institution" else "district:"
