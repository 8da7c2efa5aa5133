"""The form of the workbench on the screen: what was typed becomes a `Form`, and a `Form` becomes lists to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healthbrain.errors import Incorrect, Invalid
from healthbrain.measure import workbench
from healthbrain.measure.workbench import Below, Condition, Fact, Form
from healthbrain.web import wording
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import workbench_words as words

_ROWS = 3  # empty lines of conditions


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
    tables: Sequence[tuple[str, Sequence[Choice]]]
    within: str
    conditions: Sequence[ConditionLine]


@dataclass(frozen=True, slots=True)
class BelowView:
    """What stands below the line of a ratio."""

    bases: Sequence[tuple[str, Sequence[Choice]]]
    days: Sequence[Choice]
    observes: Sequence[Choice]
    once: bool
    conditions: Sequence[ConditionLine]


@dataclass(frozen=True, slots=True)
class FormView:
    """The form with its lists."""

    form: Form
    kinds: Sequence[Choice]
    pers: Sequence[Choice]
    directions: Sequence[Choice]
    periods: Sequence[Choice]
    bases: Sequence[tuple[str, Sequence[Choice]]]
    days: Sequence[Choice]
    observes: Sequence[Choice]
    parts: Sequence[tuple[str, str, Sequence[ConditionLine]]]
    facts: Sequence[FactLine]
    strata: Sequence[Choice]
    below: BelowView
    targets: str
    change: str


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
        facts=tuple(facts), strata=tuple(fields.get("strata", ())), targets=_targets(one("targets")), per=_whole(one("per", "1")),
        below=Below(one("below_base", "home"), one("below_day"), one("below_once", "1") == "1", one("below_observe"), rows("below")),
    )  # fmt: skip


def form_view(said: Language, form: Form, change: str) -> FormView:
    """The form with everything there is to choose from."""
    kinds = workbench.tables().get(form.base, {})
    facts = {one.name: one for one in form.facts}
    columns = [*kinds, *facts]
    fact_lines = []
    for number in (1, 2):
        one = facts.get(f"fact_{number}", Fact(f"fact_{number}", ""))
        names = list(workbench.tables().get(one.table, {}))
        tables = [("", [Choice("", "—", not one.table)]), *_bases(said, one.table)]
        fact_lines.append(FactLine(one.name, tables, one.within, _lines(said, one.table, one.conditions, names)[:3]))
    return FormView(
        form, _choices(said, words.KINDS, form.kind), [Choice(str(one), said.number(one), one == form.per) for one in workbench.PERS],
        _choices(said, words.DIRECTIONS, form.direction), _choices(said, words.PERIODS, form.period), _bases(said, form.base),
        _days(said, form.base, form.day), _observes(said, form.base, form.observe),
        [
            ("conditions", said.say(N_("Who is counted (initial population)")), _lines(said, form.base, form.conditions, columns)),
            ("excluded", said.say(N_("Exclusions from the denominator")), _lines(said, form.base, form.excluded, columns)),
            ("numerator", said.say(N_("Numerator")), _lines(said, form.base, form.numerator, columns)),
        ],
        fact_lines, [Choice(key, said.say(text), key in form.strata) for key, text in words.STRATA.items()], _below(said, form.below),
        ", ".join(f"{year}={value:g}" for year, value in form.targets.items()), change,
    )  # fmt: skip


def _below(said: Language, low: Below) -> BelowView:
    names = list(workbench.tables().get(low.base, {}))
    return BelowView(
        _bases(said, low.base), _days(said, low.base, low.day), _observes(said, low.base, low.observe), low.once,
        _lines(said, low.base, low.conditions, names),
    )  # fmt: skip


def _lines(said: Language, base: str, rows: Sequence[Condition], names: Sequence[str]) -> list[ConditionLine]:
    """Conditions with some empty ones behind them."""
    shown = [*rows, *(Condition("", "is") for _ in range(_ROWS if len(rows) < 8 else 0))]
    return [
        ConditionLine(
            [Choice("", "—", not row.column), *(Choice(name, words.column(said, name, base), name == row.column) for name in names)],
            [Choice(key, said.say(text), key == row.operator) for key, text in words.OPERATORS.items()],
            row.value,
        )
        for row in shown
    ]  # fmt: skip


def _days(said: Language, base: str, chosen: str) -> list[Choice]:
    names = [name for name, kind in workbench.tables().get(base, {}).items() if kind == "date"]
    end = Choice("", said.say(N_("as of the end of the period")), not chosen)
    return [end, *(Choice(name, words.column(said, name, base), name == chosen) for name in names)]


def _observes(said: Language, base: str, chosen: str) -> list[Choice]:
    kinds = workbench.tables().get(base, {})
    names = [name for name, kind in kinds.items() if kind in {"integer", "decimal"}]
    return [
        Choice("", "—", not chosen),
        *(Choice(name, words.column(said, name, base), name == chosen) for name in names),
    ]


def _bases(said: Language, chosen: str) -> list[tuple[str, Sequence[Choice]]]:
    """The measures' own tables, then the views of each library."""
    return [
        (said.say(N_("Tables of the measures")), _choices(said, words.BASES, chosen)),
        *(
            (title, [Choice(table, label, table == chosen) for table, label in views])
            for title, views in words.libraries(said)
        ),
    ]


def errors_of(said: Language, form: Form) -> dict[str, list[str]]:
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


def _choices(said: Language, known: Mapping[str, str], chosen: str) -> list[Choice]:
    return [Choice(key, said.say(text), key == chosen) for key, text in known.items()]


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
