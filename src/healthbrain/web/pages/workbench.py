"""The indicator workbench (指标工作台): own measures composed by form, previewed by step, tested, reviewed, published.

Who may write indicators works here, for the own organisation and those below it. Sample members and known persons as examples
need permission over patients, and are recorded. Nobody publishes what they made themselves.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError, Incorrect, Invalid
from healthbrain.fhir import dump
from healthbrain.fhir import parse as parse_resource
from healthbrain.lake import Lake
from healthbrain.measure import fhir, load, workbench
from healthbrain.measure.suppression import THRESHOLD
from healthbrain.measure.workbench import Case, Condition, Fact, Form, Outcome, Step, drafts
from healthbrain.measure.workbench.drafts import Own
from healthbrain.portrait.masking import mask_number
from healthbrain.web import guard, wording
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import cockpit, figures
from healthbrain.web.pages import workbench_words as words
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_ROWS = 3  # empty lines of conditions
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
class Choice:
    """An entry of a list."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ConditionLine:
    """One row of conditions."""

    columns: Sequence[Choice]
    operators: Sequence[Choice]
    value: str


@dataclass(frozen=True, slots=True)
class FactLine:
    """One fact of another table."""

    name: str
    tables: Sequence[Choice]
    within: str
    conditions: Sequence[ConditionLine]


@dataclass(frozen=True, slots=True)
class FormView:
    """The form with its lists."""

    form: Form
    kinds: Sequence[Choice]
    directions: Sequence[Choice]
    periods: Sequence[Choice]
    bases: Sequence[Choice]
    days: Sequence[Choice]
    observes: Sequence[Choice]
    parts: Sequence[tuple[str, str, Sequence[ConditionLine]]]
    facts: Sequence[FactLine]
    strata: Sequence[Choice]
    targets: str
    change: str


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


@dataclass(frozen=True, slots=True)
class _Tried:
    """What trying the definition out gave."""

    steps: Sequence[Step] = ()
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    sample: Sequence[tuple[str, str, bool]] = ()
    error: str = ""
    done: bool = False


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
                    connection, _definition_text(content), visit.who.organisation, visit.who.account, visit.at
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
        return _file(own, kind)
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
                    tried = await _tried(visit, connection, own, people=False)
                    passed = not tried.error and all(one.passed for one in tried.outcomes.values())
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
                    await _add_case(visit, connection, own, fields)
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


def form_from(items: Sequence[tuple[str, str]], id_: str) -> Form:
    """What was typed. Raises Incorrect."""
    fields: dict[str, list[str]] = {}
    for key, value in items:
        fields.setdefault(key, []).append(value.strip())

    def one(key: str, default: str = "") -> str:
        return fields.get(key, [default])[-1]

    def rows(place: str) -> tuple[Condition, ...]:
        parts = (fields.get(f"{place}-{part}", []) for part in ("c", "o", "v"))
        return tuple(Condition(c, o, v) for c, o, v in zip(*parts, strict=False) if c)

    facts = []
    for number in (1, 2):
        if table := one(f"fact_{number}-table"):
            facts.append(Fact(f"fact_{number}", table, one(f"fact_{number}-within", "period"), rows(f"fact_{number}")))
    return Form(
        id=id_, title=one("title"), title_en=one("title_en"), formula=one("formula"), reading=one("reading"),
        document=one("document"), clause=one("clause"), owner=one("owner"), kind=one("kind", "proportion"),
        unit=one("unit"), direction=one("direction", "none"), period=one("period", "month"),
        window=_whole(one("window", "0")), base=one("base", "home"), day=one("day"), once=one("once", "1") == "1",
        observe=one("observe"), conditions=rows("conditions"), excluded=rows("excluded"), numerator=rows("numerator"),
        facts=tuple(facts), strata=tuple(fields.get("strata", ())), targets=_targets(one("targets")),
    )  # fmt: skip


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
        tried = await _tried(visit, connection, own, people=people) if asked else _Tried()
    errors = _errors(said, version.form) if version.form else {}
    before = next((one for one in own.versions[1:] if one.state == "published"), None)
    state, look = _state(said, own)
    page = MeasurePage(
        id=own.id, title=_title(own), state=state, look=look, version=version.number, open=own.open is not None,
        editable=version.state in {"draft", "returned"}, in_review=version.state == "review",
        own_work=version.made_by == visit.who.account, published=own.published is not None, retired=own.retired,
        may_write=visit.may("write", "indicator"), form=_form_view(said, version.form, version.change) if version.form else None,
        errors=errors if version.state != "published" else {}, error=error or tried.error, text=version.text,
        diff=_diff(before.text, version.text) if before else [],
        steps=[_step_line(said, one, people) for one in tried.steps],
        previewed=tried.done, may_people=people, sample=tried.sample,
        cases=[(id_, case.name, mask_number(case.subject) if case.subject else said.say(N_("resources")), case.expected) for id_, case in kept],
        outcomes={id_: tried.outcomes[id_] for id_, case in kept if id_ in tried.outcomes and (people or not case.subject)}, expected={key: said.say(text) for key, text in words.OUTCOMES.items()},
        history=[(said.time(one.at), names[one.by], str(one.number), said.say(words.ACTIONS.get(one.action, one.action)), one.note) for one in events],
    )  # fmt: skip
    return show(visit, "workbench_measure.html", page, crumbs=[*_crumbs(said), Crumb(own.id)], toast=_toast(visit))


async def _tried(visit: Visit, connection: Connection, own: Own, *, people: bool) -> _Tried:
    """Preview, examples and (with permission) sample members of the newest version."""
    version = own.versions[0]
    if not version.text:
        return _Tried()
    lake = Lake(visit.platform.settings.lake)
    kept = await drafts.cases(connection, own)
    try:
        one = workbench.definition_from(version.text)
        steps = await asyncio.to_thread(workbench.steps, lake, one, visit.at) if one.population else []
        found = await asyncio.to_thread(workbench.run_cases, lake, one, [case for _, case in kept], visit.at)
        members = await asyncio.to_thread(workbench.sample, lake, one, visit.at) if people and one.members else []
    except HealthBrainError as error:
        return _Tried(error=wording.tell(visit.language, error.message))
    if members:
        ids = [one.subject for one in members]
        visit.note("R", "Patient", detail=f"{len(ids)} sample members of {own.id}")
    return _Tried(
        steps, {id_: outcome for (id_, _), outcome in zip(kept, found, strict=True)},
        [(mask_number(one.subject), one.town, one.numerator) for one in members], done=True,
    )  # fmt: skip


def _step_line(said: Language, one: Step, people: bool) -> list[str]:
    """A period in words; counts that are too few for this reader are hidden with all others of the period."""
    counts = (one.initial, one.excluded, one.denominator, one.numerator)
    if not people and any(0 < count < THRESHOLD for count in (*counts, one.denominator - one.numerator)):
        return [figures.period_text(said, one.period), "*", "*", "*", "*", "*"]
    share = f"{100 * one.numerator / one.denominator:.1f}%" if one.denominator else "—"
    return [figures.period_text(said, one.period), *(said.number(count) for count in counts), share]


async def _add_case(visit: Visit, connection: Connection, own: Own, fields: Mapping[str, str]) -> None:
    subject, text = fields.get("subject", "").strip(), fields.get("resources", "").strip()
    if subject:
        if not await cockpit.sees_people(visit, connection):
            raise Forbidden("your purpose of use shows numbers only; state another purpose to see rows")
        visit.note("R", "Patient", detail=f"known person as an example of {own.id}")
    resources = workbench.case_resources(text) if text and not subject else ()
    case = Case(
        fields.get("name", "").strip(), fields.get("expected", ""), fields.get("when", "").strip(), subject, resources
    )
    await drafts.add_case(connection, own, case, visit.who.account, visit.at)


def _errors(said: Language, form: Form) -> dict[str, list[str]]:
    try:
        workbench.definition_from(workbench.text_of_form(form, "1"))
    except Invalid as error:
        found: dict[str, list[str]] = {}
        for issue in error.issues:
            found.setdefault(issue.expression, []).append(wording.tell(said, issue.text))
        return found
    except Incorrect as error:
        return {"": [wording.tell(said, error.message)]}
    return {}


def _definition_text(content: bytes) -> str:
    """The YAML of an uploaded definition: itself, or what a FHIR Measure carries."""
    text = content.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        return text
    resource = parse_resource(text)
    one = fhir.from_measure(resource)
    found = fhir.carried_text(resource)
    if not found:
        raise Incorrect("the Measure does not carry its definition in a Library; send the YAML")
    return found if one.id else ""


def _file(own: Own, kind: str) -> Response:
    version = own.versions[0]
    if not version.text:
        raise Incorrect("the measure has faults; mend them before it is exported")
    if kind == "yaml":
        response = Response(version.text, media_type="text/yaml; charset=utf-8")
    elif kind == "json":
        resource = fhir.as_measure(load.definition_of(version.text, own.id), version.text)
        response = Response(dump(resource), media_type="application/fhir+json")
    else:
        raise Incorrect("a definition is exported as yaml or json")
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(own.id)}.{kind}"
    return guard.protect(response)


def _form_view(said: Language, form: Form, change: str) -> FormView:
    kinds = workbench.tables().get(form.base, {})
    facts = {one.name: one for one in form.facts}
    columns = [*kinds, *facts]

    def lines(rows: Sequence[Condition], names: Sequence[str]) -> list[ConditionLine]:
        shown = [*rows, *(Condition("", "is") for _ in range(_ROWS if len(rows) < 8 else 0))]
        return [
            ConditionLine(
                [Choice("", "—", not row.column), *(Choice(name, words.column(said, name), name == row.column) for name in names)],
                [Choice(key, said.say(text), key == row.operator) for key, text in words.OPERATORS.items()],
                row.value,
            )
            for row in shown
        ]  # fmt: skip

    fact_lines = []
    for number in (1, 2):
        one = facts.get(f"fact_{number}", Fact(f"fact_{number}", ""))
        names = list(workbench.tables().get(one.table, {}))
        tables = [Choice("", "—", not one.table), *_choices(said, words.BASES, one.table)]
        fact_lines.append(FactLine(one.name, tables, one.within, lines(one.conditions, names)[:3]))
    dates = {name: words.column(said, name) for name, kind in kinds.items() if kind == "date"}
    numbers = {name: words.column(said, name) for name, kind in kinds.items() if kind in {"integer", "decimal"}}
    return FormView(
        form, _choices(said, words.KINDS, form.kind), _choices(said, words.DIRECTIONS, form.direction),
        _choices(said, words.PERIODS, form.period), _choices(said, words.BASES, form.base),
        [Choice("", said.say(N_("as of the end of the period")), not form.day), *(Choice(k, v, k == form.day) for k, v in dates.items())],
        [Choice("", "—", not form.observe), *(Choice(k, v, k == form.observe) for k, v in numbers.items())],
        [
            ("conditions", said.say(N_("Who is counted (initial population)")), lines(form.conditions, columns)),
            ("excluded", said.say(N_("Exclusions from the denominator")), lines(form.excluded, columns)),
            ("numerator", said.say(N_("Numerator")), lines(form.numerator, columns)),
        ],
        fact_lines, [Choice(key, said.say(text), key in form.strata) for key, text in words.STRATA.items()],
        ", ".join(f"{year}={value:g}" for year, value in form.targets.items()), change,
    )  # fmt: skip


def _choices(said: Language, known: Mapping[str, str], chosen: str) -> list[Choice]:
    return [Choice(key, said.say(text), key == chosen) for key, text in known.items()]


def _diff(before: str, after: str) -> list[tuple[str, str]]:
    """Lines that are gone, came, or stay nearby."""
    looks = {"-": "gone", "+": "came"}
    found = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    return [(looks.get(line[:1], ""), line) for line in found if not line.startswith("@@")]


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


def _targets(text: str) -> dict[str, float]:
    found = {}
    for part in text.replace("，", ",").split(","):
        if part.strip():
            year, _, value = part.partition("=")
            try:
                found[str(int(year))] = float(value)
            except ValueError:
                raise Incorrect("targets are written 2026=60, 2027=65") from None
    return found


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


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
