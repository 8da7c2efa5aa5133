"""Assessment schemes on the screens: what a scheme says, the form that composes one, its weights as they add up.

A built-in scheme is shown and copied; an own one is changed by form, each saving a version. The form sends the kept form of a
scheme as fields; whatever is wrong is said at once beside what was typed, and nothing typed is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import yaml
from starlette.responses import RedirectResponse, Response

from healthbrain import audit, measure
from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.measure import Definition, assessment
from healthbrain.measure.assessment import Kept, Scheme
from healthbrain.measure.assessment.rules import KINDS
from healthbrain.runtime import assessments as seeing
from healthbrain.runtime.assessments import Viewer
from healthbrain.web import guard, wording
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import assessment_form, figures
from healthbrain.web.pages import assessment_words as words
from healthbrain.web.pages.assessment_form import Typed
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

NEW = "new"
_BLANK = 3  # empty lines under the last item
SAID = {
    "created": N_("The scheme is kept as your own; it can be run now."),
    "changed": N_("The scheme is saved as a new version; earlier runs keep theirs."),
    "retired": N_("The scheme is no longer offered."),
    "resumed": N_("The scheme is offered again."),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a list."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One line of the form."""

    values: Mapping[str, str]
    measures: Sequence[Choice]
    rules: Sequence[Choice]
    directions: Sequence[Choice]
    takes: Sequence[Choice]
    missing: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class FormView:
    """The form with its lists."""

    values: Mapping[str, str]
    levels: Sequence[Choice]
    spans: Sequence[Choice]
    missing: Sequence[Choice]
    small: Sequence[Choice]
    rows: Sequence[ItemRow]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights as they add up."""

    groups: Sequence[tuple[str, str, float]]
    total: str
    whole: bool


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item as it is read."""

    group: str
    measure: str
    title: str
    weight: str
    rule: str
    missing: str
    take: str
    note: str


@dataclass(frozen=True, slots=True)
class SchemePage:
    """Context of assessment_scheme.html."""

    id: str
    title: str
    about: str
    source: str
    weights_source: str
    version: int
    own: bool
    retired: bool
    facts: Sequence[tuple[str, str]]
    items: Sequence[ItemView]
    weights: Weights
    versions: Sequence[tuple[int, str, str, str]]
    administers: bool
    mine: bool
    editing: bool
    form: FormView | None = None
    action: str = ""
    number: int = 0
    errors: Sequence[tuple[str, str]] = ()


async def one_scheme(visit: Visit) -> Response:
    """A scheme to read; as YAML; or in the form, to change it or to make a copy."""
    id_, how = str(visit.request.path_params["scheme"]), visit.query.get("edit", "")
    async with visit.platform.pool.connection() as connection:
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        known = await measure.in_force(connection)
        if id_ == NEW:
            await visit.decide(connection, "administer", "assessment")
            return _form(visit, reader, known, None, assessment_form.empty(), how="copy")
        kept = await _found(connection, reader, id_)
        past = await assessment.versions(connection, id_) if kept.own else []
        names = await display_names(connection, [one.by for one in past])
    if visit.query.get("format") == "yaml":
        return _yaml(kept.scheme)
    if how in {"change", "copy"} and reader.administers:
        raw = kept.scheme.as_raw()
        if how == "copy":
            raw["title"] = {name: f"{text} 2" for name, text in raw["title"].items()}
        return _form(visit, reader, known, kept, assessment_form.typed_of(raw), how=how)
    page = _page(
        visit,
        reader,
        kept,
        known,
        [(one.number, one.change, names[one.by], visit.language.time(one.at)) for one in past],
    )
    return show(visit, "assessment_scheme.html", page, crumbs=_crumbs(visit, page.title), toast=_toast(visit))


async def change(visit: Visit) -> Response:
    """Save the form, look at its weights, or retire a scheme."""
    form = await visit.form()
    items = [(key, str(value)) for key, value in form.multi_items()]
    fields, id_ = dict(items), str(visit.request.path_params["scheme"])
    action = fields.get("action", "")
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "administer", "assessment")
        reader = await seeing.viewer(visit.platform, connection, visit.who)
        known = await measure.in_force(connection)
        kept = None if id_ == NEW else await _found(connection, reader, id_)
        if action in {"retire", "resume"} and kept is not None:
            _may_change(kept, reader)
            await assessment.retire(connection, id_, visit.at, on=action == "retire")
            await _noted(visit, connection, "U", id_, action)
            return RedirectResponse(
                f"/assessments/schemes/{id_}?said={'retired' if action == 'retire' else 'resumed'}", 303
            )
        typed = assessment_form.from_form(items)
        how = "change" if action in {"change", "preview-change"} and kept is not None and kept.own else "copy"
        if action not in {"create", "change"}:
            return _form(visit, reader, known, kept, typed, how=how)
        raw = assessment_form.raw_of(typed, keep=kept.scheme.as_raw() if kept else {})
        try:
            if action == "create" or kept is None:
                made = await assessment.create(
                    connection,
                    raw,
                    organisation=reader.area,
                    by=visit.who.account,
                    at=visit.at,
                    change=fields.get("change", ""),
                )
                await _noted(visit, connection, "C", made.id, "scheme created")
                return RedirectResponse(f"/assessments/schemes/{made.id}?said=created", 303)
            _may_change(kept, reader)
            number = int(fields["number"]) if fields.get("number", "").isdigit() else 0
            await assessment.change(
                connection, id_, raw, number=number, by=visit.who.account, at=visit.at, note=fields.get("change", "")
            )
            await _noted(visit, connection, "U", id_, f"scheme version {number + 1}")
            return RedirectResponse(f"/assessments/schemes/{id_}?said=changed", 303)
        except Incorrect as refused:
            return _form(visit, reader, known, kept, typed, how=how, refused=refused)


async def _found(connection: Connection, reader: Viewer, id_: str) -> Kept:
    """A scheme that this reader may see. Raises NotFound."""
    kept = await assessment.find(connection, id_)
    if kept.own and reader.schemes_of is not None and kept.organisation not in reader.schemes_of:
        raise NotFound("there is no such assessment scheme")
    return kept


def _may_change(kept: Kept, reader: Viewer) -> None:
    if not kept.own:
        raise Conflict("a scheme that comes with the platform is not changed; copy it")
    if not _own(kept, reader):
        raise Forbidden("this scheme belongs to another area")


def _own(kept: Kept, reader: Viewer) -> bool:
    """Whether the reader may change a scheme: one of the own area, not one that an area above gives."""
    return kept.own and reader.administers and (reader.areas is None or kept.organisation in reader.areas)


async def _noted(visit: Visit, connection: Connection, action: audit.AuditAction, id_: str, detail: str) -> None:
    await audit.record(
        connection, [visit.event(action, "assessment", id_, detail=detail, interaction="assessment scheme")]
    )


def _page(
    visit: Visit, reader: Viewer, kept: Kept, known: Sequence[Definition], past: Sequence[tuple[int, str, str, str]]
) -> SchemePage:
    said, scheme = visit.language, kept.scheme
    return SchemePage(
        id=scheme.id,
        title=figures.words(said, scheme.title),
        about=figures.words(said, scheme.about) if scheme.about else "",
        source=scheme.source,
        weights_source=words.weights_source(said, scheme),
        version=scheme.version,
        own=kept.own,
        retired=kept.retired,
        facts=_facts(said, scheme),
        items=_items(said, scheme, {one.id: one for one in known}),
        weights=_weights(
            [(figures.words(said, one.title), [str(item.weight) for item in one.items]) for one in scheme.groups]
        ),
        versions=past,
        administers=reader.administers,
        mine=_own(kept, reader),
        editing=False,
    )


def _facts(said: Language, scheme: Scheme) -> list[tuple[str, str]]:
    grades = ", ".join(
        f"{words.grade(said, one)[0]} ≥ {scheme.grades[one].normalize():f}" for one in assessment.GRADES[:-1]
    )
    return [
        (said.say(N_("Who is assessed")), said.say(words.LEVELS[scheme.level]) + (f" ({', '.join(scheme.peers)})" if scheme.peers else "")),
        (said.say(N_("Period")), said.say(words.SPANS[scheme.period])),
        (said.say(N_("Grades")), grades),
        (said.say(N_("A missing figure")), said.say(words.MISSING[scheme.missing])),
        (said.say(N_("A figure of few people")), said.say(words.SMALL[scheme.small])),
        (said.say(N_("Weight that must count for a total")), f"{scheme.least.normalize():f}"),
    ]  # fmt: skip


def _items(said: Language, scheme: Scheme, known: Mapping[str, Definition]) -> list[ItemView]:
    found = []
    for group in scheme.groups:
        for item in group.items:
            one = known.get(item.measure)
            own = f"{item.rule.target.normalize():f}" if item.rule.target is not None else ""
            found.append(
                ItemView(
                    group=figures.words(said, group.title),
                    measure=item.measure,
                    title=figures.title(said, one) if one else item.measure,
                    weight=f"{item.weight.normalize():f}",
                    rule=words.rule(said, item, own or said.say(N_("target of the measure"))),
                    missing=said.say(words.MISSING[item.missing or scheme.missing]),
                    take=said.say(words.TAKES[item.take]),
                    note=item.note,
                )
            )
    return found


def _weights(groups: Sequence[tuple[str, Sequence[str]]]) -> Weights:
    sums = [(name, sum((_number(one) for one in weights), Decimal(0))) for name, weights in groups]
    total = sum((one for _, one in sums), Decimal(0))
    return Weights(
        [(name, f"{one.normalize():f}", float(one)) for name, one in sums], f"{total.normalize():f}", total == 100
    )


def _number(text: str) -> Decimal:
    try:
        found = Decimal(text.strip() or "0")
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() and abs(found) < 10**6 else Decimal(0)


def _form(
    visit: Visit, reader: Viewer, known: Sequence[Definition], kept: Kept | None, typed: Typed, *, how: str,
    refused: Incorrect | None = None,
) -> Response:  # fmt: skip
    said, (head, rows) = visit.language, typed
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["group"] or "—", []).append(row["weight"])
    errors = []
    if refused is not None:
        errors = [(one.expression, wording.tell(said, one.text)) for one in refused.issues] or [
            ("", wording.tell(said, refused.message))
        ]
    measures = [(one.id, f"{one.id} {figures.title(said, one)}") for one in known if one.period != "week"]
    blank = dict.fromkeys((*assessment_form.FIELDS, "note"), "")
    page = SchemePage(
        id=kept.scheme.id if kept else NEW,
        title=figures.words(said, kept.scheme.title) if kept and how == "change" else said.say(N_("New assessment scheme")),
        about="", source="", weights_source="", version=kept.scheme.version if kept else 0, own=True, retired=False, facts=(),
        items=(), versions=(), administers=reader.administers, mine=True, editing=True,
        weights=_weights(list(groups.items())),
        form=FormView(
            values={**dict.fromkeys(("title", "title_en", "about", "source", "weights", "peers", "least", "change", *assessment.GRADES), ""), **head},
            levels=_choices(said, words.LEVELS, head.get("level", "")),
            spans=_choices(said, words.SPANS, head.get("period", "")),
            missing=_choices(said, words.MISSING, head.get("missing", "")),
            small=_choices(said, words.SMALL, head.get("small", "")),
            rows=[_row(said, row, measures) for row in [*rows, *([blank] * _BLANK)]],
        ),
        action="change" if how == "change" else "create",
        number=int(head["number"]) if head.get("number", "").isdigit() else (kept.scheme.version if kept else 0),
        errors=errors,
    )  # fmt: skip
    return show(visit, "assessment_scheme.html", page, crumbs=_crumbs(visit, page.title), status=400 if errors else 200)


def _row(said: Language, row: Mapping[str, str], measures: Sequence[tuple[str, str]]) -> ItemRow:
    chosen = row["measure"]
    listed = [("", "—"), *measures]
    if chosen and chosen not in {one for one, _ in measures}:
        listed.append((chosen, chosen))
    sides = {"": N_("as the measure says"), "up": N_("more is better"), "down": N_("less is better")}
    return ItemRow(
        values=row,
        measures=[Choice(value, label, value == chosen) for value, label in listed],
        rules=_choices(said, {kind: words.RULES[kind] for kind in KINDS}, row["rule"]),
        directions=_choices(said, sides, row["direction"]),
        takes=_choices(said, words.TAKES, row["take"]),
        missing=_choices(said, {"": N_("as the scheme says"), **words.MISSING}, row["missing"]),
    )


def _choices(said: Language, texts: Mapping[str, str], chosen: str) -> list[Choice]:
    return [Choice(value, said.say(text), value == chosen) for value, text in texts.items()]


def _yaml(scheme: Scheme) -> Response:
    text = yaml.safe_dump(
        scheme.as_raw() | {"version": str(scheme.version)}, allow_unicode=True, sort_keys=False, width=120
    )
    response = Response(text, media_type="application/yaml")
    response.headers["content-disposition"] = f"attachment; filename={scheme.id}-v{scheme.version}.yaml"
    return guard.protect(response)


def _toast(visit: Visit) -> Toast | None:
    text = SAID.get(visit.query.get("said", ""))
    return Toast(visit.language.say(text)) if text else None


def _crumbs(visit: Visit, title: str) -> list[Crumb]:
    said = visit.language
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Assessments")), "/assessments"), Crumb(title)]
