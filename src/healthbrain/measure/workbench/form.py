"""A measure composed by form (指标工作台): what is typed becomes a definition in YAML, the same format as the built-in ones.

The form knows the tables that people and events are counted in, conditions as rows (column, operator, value), and facts
of another table about the same person. Names are checked against the tables' columns; values are quoted; what the form
cannot say is refused at the field. The format of the result is docs/reference/measures.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from typing import Any

import yaml

from healthbrain.errors import Incorrect, Invalid, Issue
from healthbrain.lake.expression_sql import Kind
from healthbrain.measure.compile import Compiler
from healthbrain.measure.compute import constants_at
from healthbrain.measure.definition import Definition
from healthbrain.measure.load import definition_of, library
from healthbrain.measure.tally import counting

BASES = (
    "home", "contact", "managed", "diagnosis", "problem", "vaccination", "referral", "delivery", "case_report", "finding",
    "donation",
)  # fmt: skip
KINDS = ("proportion", "count", "mean", "median", "sum")
OPERATORS = ("is", "is_not", "starts", "at_least", "at_most", "given", "missing", "in_period", "by_end", "after_end")
STRATA = ("sex", "age_group")
ID = re.compile(r"OWN-[A-Z0-9-]{2,30}")
_UNSHOWN = frozenset({"_id", "_patient", "_owner", "_updated", "person", "encounter", "practitioner", "key", "record"})
_WORD = re.compile(r"[^'\\\n\r\t]{1,60}")
_MOST = 8  # conditions of one part


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a part: column, operator, values."""

    column: str
    operator: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """How many rows of another table the person has; `within` the period, or ever up to its end. Its column is its name."""

    name: str
    table: str
    within: str = "period"
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """Everything that is typed."""

    id: str = ""
    title: str = ""
    title_en: str = ""
    formula: str = ""
    reading: str = ""
    document: str = ""
    clause: str = ""
    owner: str = ""
    kind: str = "proportion"
    unit: str = "%"
    direction: str = "up"
    period: str = "month"
    window: int = 0  # months; 0 = the period itself
    base: str = "home"
    day: str = ""  # the column that must lie in the window; '' = as of its end
    once: bool = True  # each person once
    observe: str = ""
    conditions: tuple[Condition, ...] = ()
    excluded: tuple[Condition, ...] = ()
    numerator: tuple[Condition, ...] = ()
    facts: tuple[Fact, ...] = ()
    strata: tuple[str, ...] = ()
    targets: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)


def form_of(raw: Mapping[str, Any]) -> Form:
    """A form from its JSON."""

    def rows(found: Any) -> tuple[Condition, ...]:
        return tuple(Condition(str(one["column"]), str(one["operator"]), str(one.get("value", ""))) for one in found)

    plain = {key: raw[key] for key in raw if key not in {"conditions", "excluded", "numerator", "facts", "strata"}}
    facts = (Fact(one["name"], one["table"], one["within"], rows(one["conditions"])) for one in raw.get("facts", ()))
    return Form(
        **plain, conditions=rows(raw.get("conditions", ())), excluded=rows(raw.get("excluded", ())),
        numerator=rows(raw.get("numerator", ())), facts=tuple(facts), strata=tuple(raw.get("strata", ())),
    )  # fmt: skip


@cache
def tables() -> dict[str, dict[str, Kind]]:
    """The tables of the form with the columns that conditions may speak of."""
    compiler = Compiler(constants_at(date(2000, 1, 1)), calendar="calendar")
    compiler.library(library())
    found: dict[str, dict[str, Kind]] = {}
    for name in BASES:
        kinds = dict(compiler.made(name).kinds)
        if "town" not in kinds:
            kinds |= {"town": "text", "birth": "date", "sex": "text", "institution": "integer"}
        kinds["age"] = "integer"
        found[name] = {column: kind for column, kind in kinds.items() if column not in _UNSHOWN and kind != "instant"}
    return found


def text_of_form(form: Form, version: str) -> str:
    """The definition as YAML. Raises Invalid with what is wrong at which field."""
    issues = list(_faults(form))
    if issues:
        raise Invalid("the measure cannot be made yet", issues=issues)
    own = tables()[form.base]
    given = Compiler(constants_at(date(2000, 1, 1)), calendar="calendar")
    given.library(library())
    placed = "town" in given.made(form.base).kinds
    source: dict[str, Any] = {"from": form.base}
    if form.day:
        source["where"] = f"{form.day} >= %from and {form.day} <= %to"
    if not placed:
        source["with"] = [{"table": "person", "match": {"person": "person"}, "take": ["town", "birth", "sex"]}]
    if form.facts:
        source["count"] = {
            one.name: {"table": one.table, "match": {"person": "person"}, "where": _fact(one)} for one in form.facts
        }
    source["add"] = {"age": "age(birth, %to)"} | ({} if placed else {"institution": "_owner"})
    source["keep"] = _all(form.conditions, own, form.facts)
    if form.once:
        source["one_per"] = {"key": "person", "last": form.day or "_id"}
    population = {
        "from": "counted", "subject": "person" if form.once else "_id", "town": "town", "institution": "institution",
        **({"exclude": _all(form.excluded, own, form.facts)} if form.excluded else {}),
        **({"numerator": _all(form.numerator, own, form.facts)} if form.numerator else {}),
        **({"observe": form.observe} if form.observe else {}),
    }  # fmt: skip
    said = {
        "id": form.id, "version": version, "order": 200, "title": {"zh": form.title, "en": form.title_en or form.title},
        "source": {"document": form.document, "clause": form.clause or "—"},
        "formula": {"zh": form.formula, "en": form.formula}, "reading": {"zh": form.reading or "—", "en": form.reading or "—"},
        "kind": form.kind, "unit": form.unit, "direction": form.direction, "period": form.period,
        "window_months": form.window, "periods": 18,
        **({"targets": dict(form.targets)} if form.targets else {}),
        "tables": {"counted": source}, "population": population,
        **({"stratifiers": list(form.strata)} if form.strata else {}),
    }  # fmt: skip
    return yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=100)


def definition_from(text: str, where: str = "definition") -> Definition:
    """The definition of a text, compiled once to prove that it can be counted. Raises Incorrect."""
    one = definition_of(text, where)
    if not ID.fullmatch(one.id):
        raise Incorrect("an own measure's number begins with OWN-, in capitals, digits and hyphens")
    counting((one,), library(), constants_at(date(2000, 1, 1)))
    return one


def _faults(form: Form) -> list[Issue]:
    found: list[Issue] = []

    def wrong(place: str, text: str) -> None:
        found.append(Issue("error", "value", place, text))

    if not ID.fullmatch(form.id):
        wrong("id", "an own measure's number begins with OWN-, in capitals, digits and hyphens")
    for place, text in (
        ("title", form.title),
        ("formula", form.formula),
        ("document", form.document),
        ("unit", form.unit),
    ):
        if not text.strip():
            wrong(place, "this must be filled in")
    for place, value, allowed in (
        ("kind", form.kind, KINDS), ("direction", form.direction, ("up", "down", "none")),
        ("period", form.period, ("month", "quarter", "year")), ("base", form.base, BASES),
    ):  # fmt: skip
        if value not in allowed:
            wrong(place, "choose one of the list")
    if not 0 <= form.window <= 60:
        wrong("window", "a window has 0 to 60 months")
    if form.base not in BASES:
        return found
    own = tables()[form.base]
    if form.day and own.get(form.day) != "date":
        wrong("day", "choose a date of the table")
    if form.kind in {"mean", "median", "sum"} and own.get(form.observe) not in {"integer", "decimal"}:
        wrong("observe", "choose the number that is measured")
    if form.kind == "proportion" and not form.numerator:
        wrong("numerator", "a share needs a numerator")
    if set(form.strata) - set(STRATA):
        wrong("strata", "choose one of the list")
    for number, fact in enumerate(form.facts):
        if (
            fact.table not in BASES
            or not re.fullmatch(r"fact_[1-9]", fact.name)
            or fact.within not in {"period", "ever"}
        ):
            wrong(f"facts-{number}", "choose one of the list")
        else:
            found += _wrong_rows(f"facts-{number}", fact.conditions, tables()[fact.table], ())
    for place, rows in (("conditions", form.conditions), ("excluded", form.excluded), ("numerator", form.numerator)):
        found += _wrong_rows(place, rows, own, form.facts)
    return found


def _wrong_rows(place: str, rows: Sequence[Condition], kinds: Mapping[str, Kind], facts: Sequence[Fact]) -> list[Issue]:
    found = []
    if len(rows) > _MOST:
        found.append(Issue("error", "value", place, f"at most {_MOST} conditions"))
    for one in rows:
        try:
            expression(one, kinds, facts)
        except Incorrect as error:
            found.append(Issue("error", "value", place, error.message))
    return found


def _all(rows: Sequence[Condition], kinds: Mapping[str, Kind], facts: Sequence[Fact]) -> str:
    return " and ".join(expression(one, kinds, facts) for one in rows) or "true"


def _fact(one: Fact) -> str:
    kinds = tables()[one.table]
    days = [column for column, kind in kinds.items() if kind == "date" and column not in {"birth", "gone", "died"}]
    tests = [f"{days[0]} <= %to"] if days else []
    if days and one.within == "period":
        tests.append(f"{days[0]} >= %from")
    tests += [expression(row, kinds, ()) for row in one.conditions]
    return " and ".join(tests) or "true"


def expression(one: Condition, kinds: Mapping[str, Kind], facts: Sequence[Fact]) -> str:
    """A condition as FHIRPath. Raises Incorrect."""
    kind: Kind | None = "integer" if one.column in {fact.name for fact in facts} else kinds.get(one.column)
    if kind is None:
        raise Incorrect("the table has no column of this name")
    column = one.column
    match one.operator:
        case "given":
            return f"{column}.exists()"
        case "missing":
            return f"{column}.empty()"
        case "in_period" | "by_end" | "after_end" if kind == "date":
            return {
                "in_period": f"({column} >= %from and {column} <= %to)", "by_end": f"{column} <= %to",
                "after_end": f"{column} > %to",
            }[one.operator]  # fmt: skip
        case "at_least" | "at_most" if kind in {"integer", "decimal"}:
            return f"{column} {'>=' if one.operator == 'at_least' else '<='} {_number(one.value)}"
        case "is" | "is_not" if kind in {"text", "integer", "decimal", "boolean"}:
            values = _values(one.value, kind)
            test = f"{column} = {values[0]}" if len(values) == 1 else f"({column} in ({' | '.join(values)}))"
            return test if one.operator == "is" else f"({test}).not()"
        case "starts" if kind == "text":
            starts = [f"{column}.substring(0, {len(value) - 2}) = {value}" for value in _values(one.value, kind)]
            return f"({' or '.join(starts)})"
    raise Incorrect("this comparison does not fit the column")


def _values(text: str, kind: Kind) -> list[str]:
    found = [one.strip() for one in text.replace("，", ",").split(",") if one.strip()]
    if not found or len(found) > 50:
        raise Incorrect("give one value, or several separated by commas")
    if kind == "text":
        if not all(_WORD.fullmatch(one) for one in found):
            raise Incorrect("a value cannot have quotes or backslashes")
        return [f"'{one}'" for one in found]
    if kind == "boolean":
        if not set(found) <= {"true", "false"}:
            raise Incorrect("the value is true or false")
        return found
    return [_number(one) for one in found]


def _number(text: str) -> str:
    if not re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", text.strip()):
        raise Incorrect("the value is a number")
    return text.strip()
