"""The indicator workbench (指标工作台): own measures composed by form, previewed by step, tested, reviewed, published.

Who may write indicators works here, for the own organisation and those below it. Sample members and known persons as examples
need permission over patients, and are recorded. Nobody publishes what they made themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.measure import load
from healthbrain.measure.workbench import Form, Outcome, drafts
from healthbrain.measure.workbench.drafts import Own
from healthbrain.portrait.masking import mask_number
from healthbrain.web import wording
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import cockpit
from healthbrain.web.pages import workbench_words as words
from healthbrain.web.pages.workbench_files import definition_text, differences, file_of
from healthbrain.web.pages.workbench_form import FormView, errors_of, form_from, form_view
from healthbrain.web.pages.workbench_tried import Tried, add_case, step_line, tried
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_LARGEST = 200_000  # bytes of an imported definition
SAID = {
    "begun": N_("The draft is there; fill in the form and look at the preview."),
    "kept": N_("The draft is saved."), "submitted": N_("The version waits for a second person."),
    "returned": N_("The version is sent back."),
    "published": N_("The version is published; it is counted with the next run."), "retired": N_("The measure is retired."),
    "resumed": N_("The measure is counted again."), "discarded": N_("The draft is thrown away."),
    "restored": N_("The draft is back."), "tested": N_("The example is kept."), "revised": N_("A new version is open."),
    "imported": N_("The definition is taken in as a draft."),
}  # fmt: skip
_UNDO = {"discarded": "restore", "retired": "resume"}


@dataclass(frozen=True, slots=True)
class OwnLine:
    """An own measure in the list."""

    id: str
    title: str
    state: str
    look: str
    version: str
    owner: str
    changed: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """Context of workbench.html."""

    lines: Sequence[OwnLine]
    may_write: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class MeasurePage:
    """Context of workbench_measure.html."""

    id: str
    title: str
    state: str
    look: str
    version: int
    open: bool
    editable: bool
    in_review: bool
    own_work: bool
    published: bool
    retired: bool
    may_write: bool
    form: FormView | None
    errors: Mapping[str, Sequence[str]]
    error: str
    text: str
    diff: Sequence[tuple[str, str]]
    steps: Sequence[Sequence[str]]
    previewed: bool
    may_people: bool
    sample: Sequence[tuple[str, str, bool]]
    cases: Sequence[tuple[int, str, str, str]]
    outcomes: Mapping[int, Outcome]
    expected: Mapping[str, str]
    history: Sequence[tuple[str, str, str, str, str]]


async def overview(visit: Visit) -> Response:
    """All own measures here."""
    return await _overview(visit)


async def begin(visit: Visit) -> Response:
    """A new draft, empty or from a file."""
    form = await visit.form()
    try:
        async with visit.platform.pool.connection() as connection:
            await _scope(visit, connection, write=True)
            uploaded = form.get("file")
            if isinstance(uploaded, UploadFile) and uploaded.filename:
                content = await uploaded.read(_LARGEST + 1)
                if len(content) > _LARGEST:
                    raise Incorrect("a definition has at most 200 KB")
                id_ = await drafts.take_in(
                    connection, definition_text(content), visit.who.organisation, visit.who.account, visit.at
                )
                said = "imported"
            else:
                id_ = str(form.get("id", "")).strip().upper()
                made = Form(id=id_, title=str(form.get("title", "")).strip())
                await drafts.begin(connection, made, visit.who.organisation, visit.who.account, visit.at)
                said = "begun"
    except Incorrect as error:
        return await _overview(visit, wording.tell(visit.language, error.message))
    visit.note("C", "Measure", id_, detail="own measure begun")
    return RedirectResponse(f"/workbench/{quote(id_)}?said={said}", 303)


async def one_measure(visit: Visit) -> Response:
    """One own measure: form, definition, preview, examples, history; or its file."""
    async with visit.platform.pool.connection() as connection:
        own = await _own(visit, connection)
    if kind := visit.query.get("format"):
        return file_of(own, kind)
    return await _page(visit, own)


async def act(visit: Visit) -> Response:
    """Save, preview, test, send to review, send back, publish, revise, retire, throw away."""
    items = [(key, str(value)) for key, value in (await visit.form()).multi_items()]
    fields = dict(items)
    action, at, by = fields.get("action", ""), visit.at, visit.who.account
    id_ = str(visit.request.path_params["measure"])
    typed: Form | None = None
    try:
        async with visit.platform.pool.connection() as connection:
            organisations = await _scope(visit, connection, write=True)
            if action == "restore":
                await drafts.discard(connection, id_, organisations, by, at, back=True)
                return _back(visit, id_, "restored")
            own = await _own(visit, connection)
            match action:
                case "keep" | "preview":
                    typed = form_from(items, own.id)
                    await drafts.keep(connection, own, typed, fields.get("change", ""), by, at)
                    if action == "keep":
                        return _back(visit, id_, "kept")
                case "submit":
                    await drafts.submit(connection, own, by, at)
                    return _back(visit, id_, "submitted")
                case "return":
                    await drafts.send_back(connection, own, fields.get("note", ""), by, at)
                    return _back(visit, id_, "returned")
                case "publish":
                    found = await tried(visit, connection, own, people=False)
                    passed = not found.error and all(one.passed for one in found.outcomes.values())
                    await drafts.publish(connection, own, passed=passed, note=fields.get("note", ""), by=by, at=at)
                    return _back(visit, id_, "published")
                case "revise":
                    await drafts.revise(connection, own, by, at)
                    return _back(visit, id_, "revised")
                case "retire" | "resume":
                    await drafts.retire(connection, own, by, at, back=action == "resume")
                    return _back(visit, id_, "retired" if action == "retire" else "resumed")
                case "discard":
                    await drafts.discard(connection, own.id, organisations, by, at)
                    return _back(visit, id_, "discarded", "/workbench")
                case "case":
                    await add_case(visit, connection, own, fields)
                    return _back(visit, id_, "tested")
                case "drop":
                    await drafts.drop_case(
                        connection, own, int(fields["case"]) if fields.get("case", "").isdigit() else 0
                    )
                    return _back(visit, id_, "kept")
                case _:
                    raise Incorrect("there is no such action")
            own = await _own(visit, connection)
        return await _page(visit, own, try_it=True)
    except (Incorrect, Forbidden) as error:
        async with visit.platform.pool.connection() as connection:
            own = await _own(visit, connection)
        return await _page(visit, own, error=wording.tell(visit.language, error.message))


async def _overview(visit: Visit, error: str = "") -> Response:
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        organisations = await _scope(visit, connection)
        found = await drafts.owned(connection, organisations)
        tree = await visit.platform.tree(connection)
    lines = []
    for one in found:
        newest = one.versions[0]
        state, look = _state(said, one)
        lines.append(
            OwnLine(
                one.id,
                _title(one),
                state,
                look,
                str(newest.number),
                tree.name(one.organisation),
                said.time(newest.changed_at),
            )
        )
    page = ListPage(lines, visit.may("write", "indicator"), error)
    return show(visit, "workbench.html", page, crumbs=_crumbs(said), toast=_toast(visit))


async def _page(visit: Visit, own: Own, *, try_it: bool = False, error: str = "") -> Response:
    said, version = visit.language, own.versions[0]
    people = False
    async with visit.platform.pool.connection() as connection:
        whole = await _scope(visit, connection) is None  # a preview is over the whole platform
        people = whole and await cockpit.sees_people(visit, connection)
        kept = await drafts.cases(connection, own)
        events = await drafts.history(connection, own)
        names = await display_names(connection, [one.by for one in events])
        asked = try_it or "preview" in visit.query
        found = await tried(visit, connection, own, people=people) if asked else Tried()
    errors = errors_of(said, version.form) if version.form else {}
    before = next((one for one in own.versions[1:] if one.state == "published"), None)
    state, look = _state(said, own)
    page = MeasurePage(
        id=own.id, title=_title(own), state=state, look=look, version=version.number, open=own.open is not None,
        editable=version.state in {"draft", "returned"}, in_review=version.state == "review",
        own_work=version.made_by == visit.who.account, published=own.published is not None, retired=own.retired,
        may_write=visit.may("write", "indicator"), form=form_view(said, version.form, version.change) if version.form else None,
        errors=errors if version.state != "published" else {}, error=error or found.error, text=version.text,
        diff=differences(before.text, version.text) if before else [],
        steps=[step_line(said, one, found, people) for one in found.steps],
        previewed=found.done, may_people=people, sample=found.sample,
        cases=[(id_, case.name, mask_number(case.subject) if case.subject else said.say(N_("resources")), case.expected) for id_, case in kept],
        outcomes={id_: found.outcomes[id_] for id_, case in kept if id_ in found.outcomes and (people or not case.subject)}, expected={key: said.say(text) for key, text in words.OUTCOMES.items()},
        history=[(said.time(one.at), names[one.by], str(one.number), said.say(words.ACTIONS.get(one.action, one.action)), one.note) for one in events],
    )  # fmt: skip
    return show(visit, "workbench_measure.html", page, crumbs=[*_crumbs(said), Crumb(own.id)], toast=_toast(visit))


def _state(said: Language, own: Own) -> tuple[str, str]:
    if own.open is not None:
        label, look = words.STATES[own.open.state]
    else:
        label, look = words.STATES["retired" if own.retired else "published"]
    return said.say(label), look


def _title(own: Own) -> str:
    version = own.versions[0]
    if version.form and version.form.title:
        return version.form.title
    return load.definition_of(version.text, own.id).title["zh"] if version.text else own.id


async def _scope(visit: Visit, connection: Connection, *, write: bool = False) -> Sequence[int] | None:
    """The organisations whose own measures this visitor looks after."""
    scope = await visit.decide(connection, "write" if write else "read", "indicator")
    return scope.organisations


async def _own(visit: Visit, connection: Connection) -> Own:
    return await drafts.one_own(connection, str(visit.request.path_params["measure"]), await _scope(visit, connection))


def _back(visit: Visit, id_: str, said: str, path: str = "") -> Response:
    visit.note("U", "Measure", id_, detail=f"own measure {said}")
    return RedirectResponse(f"{path or f'/workbench/{quote(id_)}'}?said={said}&was={quote(id_)}", 303)


def _toast(visit: Visit) -> Toast | None:
    text, was = SAID.get(visit.query.get("said", "")), visit.query.get("was", "")
    if text is None:
        return None
    undo = _UNDO.get(visit.query.get("said", ""))
    if undo and was:
        return Toast(visit.language.say(text), f"/workbench/{quote(was)}", {"action": undo})
    return Toast(visit.language.say(text))


def _crumbs(said: Language) -> list[Crumb]:
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Indicator workbench")), "/workbench")]
