"""Saved questions on the screens: the list, saving, new versions, copies, deletion with undo, the start page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.measure.analysis import saved
from healthbrain.measure.analysis.saved import Given, Reading, Saved
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import analysis_form
from healthbrain.web.visit import Visit

SAID = {
    "saved": N_("The question is saved."),
    "changed": N_("The question is saved as a new version."),
    "copied": N_("This is your own copy now."),
    "deleted": N_("The question is deleted."),
    "restored": N_("The question is back."),
    "pinned": N_("The question stands on your start page."),
    "unpinned": N_("The question is no longer on your start page."),
}
SHARED = {
    "private": N_("only me"), "role": N_("my role in this district or institution"), "organisation": N_("my organisation")
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SavedLine:
    """A saved question in the list."""

    id: int
    name: str
    description: str
    tags: Sequence[str]
    shared: str
    shared_code: str
    owner: str
    own: bool
    version: int
    changed: str
    url: str
    pinned: bool


async def reading(visit: Visit, connection: Connection) -> Reading:
    """The visitor as a reader of saved questions."""
    tree = await visit.platform.tree(connection)
    return saved.reading_of(visit.who.account, visit.who.role, visit.who.organisation, tree)


def saved_lines(said: Language, found: Sequence[Saved], account: str) -> list[SavedLine]:
    """Saved questions as lines of a list."""
    return [
        SavedLine(
            one.id, one.name, one.description, one.tags, said.say(SHARED[one.shared]), one.shared, one.owner,
            one.owner == account, one.version, said.time(one.changed_at),
            analysis_form.address(one.question, id=str(one.id)), one.pinned,
        )
        for one in found
    ]  # fmt: skip


async def save(visit: Visit) -> Response:
    """Keep the question of the form under a name."""
    form = await visit.form()
    items = [(key, str(value)) for key, value in form.multi_items()]
    asked = analysis_form.question_from(items)
    said = _given(dict(items))
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        id_ = await saved.save(connection, await reading(visit, connection), said, asked, visit.at)
    return RedirectResponse(analysis_form.address(asked, id=str(id_), said="saved"), 303)


async def act(visit: Visit) -> Response:
    """Change, copy, delete, take back, pin."""
    id_ = int(visit.request.path_params["question"])
    items = [(key, str(value)) for key, value in (await visit.form()).multi_items()]
    fields = dict(items)
    action = fields.get("action", "")
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        reader = await reading(visit, connection)
        match action:
            case "change":
                asked = analysis_form.question_from(items)
                version = int(fields["version"]) if fields.get("version", "").isdigit() else 0
                await saved.change(connection, reader, id_, _given(fields), asked, version, visit.at)
                return RedirectResponse(analysis_form.address(asked, id=str(id_), said="changed"), 303)
            case "copy":
                one = await saved.one(connection, reader, id_)
                copy = Given(f"{one.name} 2"[:80], one.description, one.tags)
                new = await saved.save(connection, reader, copy, one.question, visit.at)
                return RedirectResponse(analysis_form.address(one.question, id=str(new), said="copied"), 303)
            case "delete":
                await saved.delete(connection, reader, id_, visit.at)
                return RedirectResponse(f"/analysis?said=deleted&undo=restore&was={id_}", 303)
            case "restore":
                await saved.restore(connection, reader, id_)
                return RedirectResponse("/analysis?said=restored", 303)
            case "pin" | "unpin":
                await saved.pin(connection, reader, id_, visit.at, on=action == "pin")
                return RedirectResponse(f"/analysis?said={action}ned", 303)
    raise Incorrect("there is no such action")


def _given(fields: dict[str, str]) -> Given:
    return saved.given(
        fields.get("name", ""), fields.get("description", ""), fields.get("tags", ""), fields.get("shared", "private")
    )
