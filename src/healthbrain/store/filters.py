"""From a _filter to a condition in SQL: each test becomes what the same parameter would become in a search.

Readings: docs/spec-readings.md#filters. The chains that a path makes are those of selection.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from healthbrain.errors import Incorrect
from healthbrain.store.asking import Asking
from healthbrain.store.clause import Clause, contains, starts_with
from healthbrain.store.conditions import condition
from healthbrain.store.filtering import Both, Check, Node, Not
from healthbrain.store.moments import moment
from healthbrain.store.pieces import Condition, all_of, any_of, negated, side
from healthbrain.store.question import Criterion
from healthbrain.store.rows import fold
from healthbrain.store.types import UNIONS, TypeIndex

Follow = Callable[[TypeIndex, str, Node], Condition]

_ORDERED = {"eq": "eq", "ne": "ne", "gt": "gt", "lt": "lt", "ge": "ge", "le": "le", "ap": "ap", "sa": "sa", "eb": "eb"}
_TEXT_ORDER = {"gt": ">", "lt": "<", "ge": ">=", "le": "<="}
_MODIFIERS = {"in": "in", "ni": "not-in", "ss": "below", "sb": "above"}
_SYSTEMS = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
# names that stand for the parts of a composite: its code, then which part each child is
_PARTS: Mapping[tuple[str, str], tuple[str, tuple[str, str]]] = {
    ("Group", "characteristic"): ("characteristic-value", ("code", "value")),
    ("DocumentReference", "relatesTo"): ("relationship", ("target", "code")),
}


def filter_condition(index: TypeIndex, node: Node, alias: str, asking: Asking, follow: Follow) -> Condition:
    """The condition of a filter; `follow` makes that of a step through a reference."""
    match node:
        case Both(operator, left, right):
            parts = [filter_condition(index, one, alias, asking, follow) for one in (left, right)]
            return any_of(parts) if operator == "or" else all_of(parts)
        case Not(inner):
            return negated(filter_condition(index, inner, alias, asking, follow))
        case Check(path, operator, value):
            first, *rest = path
            if (index.name, first.name) in _PARTS:
                return _composite(index, node, alias, asking)
            if rest:
                inner_test: Node = Check(tuple(rest), operator, value)
                return follow(index, first.name, Both("and", first.filter, inner_test) if first.filter else inner_test)
            return _test(index, first.name, operator, value, alias, asking)


def _test(index: TypeIndex, name: str, operator: str, value: str, alias: str, asking: Asking) -> Condition:
    if not asking.has(index, name):
        raise Incorrect(f"'_filter': '{name}' is not a search parameter of {index.name}")
    if union := UNIONS.get((index.name, name)):
        parts = [_test(index, part, operator, value, alias, asking) for part in union]
        return all_of(parts) if operator == "ni" or (operator, value) == ("pr", "false") else any_of(parts)

    def ask(asked: str, modifier: str = "") -> Condition:
        return condition(index, Criterion("_filter", name, modifier, "", (asked.replace("\\", "\\\\"),)), alias, asking)

    def unequal() -> Condition:
        return all_of([ask("false", "missing"), negated(ask(_system(value)))])

    if operator == "pr":
        if value not in {"true", "false"}:
            raise Incorrect("'_filter': 'pr' is followed by true or false")
        return ask("false" if value == "true" else "true", "missing")
    kind = "date" if name == "_lastUpdated" else index.parameters[name].type
    if kind in {"date", "number", "quantity"} and operator in _ORDERED:
        return ask(_ORDERED[operator] + value)
    clause = Clause(index, index.parameters[name], Criterion("_filter", name, "", "", (value,)), alias, asking)
    if kind == "date" and operator in {"po", "co"}:
        return _period(clause, operator, value)
    if name == "_profile" and operator == "sw":
        return ask(value, "below")
    if kind in {"string", "uri"} and not name.startswith("_") and (found := _text(clause, kind, operator, value)):
        return found
    if kind == "token" and operator in _MODIFIERS:
        return ask(_system(value), _MODIFIERS[operator])
    if operator == "eq" or (operator == "re" and kind in {"reference", "uri"}):
        return ask(_system(value) if kind == "token" else value)
    if operator == "ne":
        return unequal()
    raise Incorrect(f"'_filter': '{operator}' cannot be asked of {name}, which is a {kind}")


def _system(value: str) -> str:
    """loinc|1234-5 with the system's url."""
    system, bar, code = value.partition("|")
    return f"{_SYSTEMS[system.lower()]}|{code}" if bar and system.lower() in _SYSTEMS else value


def _period(clause: Clause, operator: str, value: str) -> Condition:
    """The stored period overlaps with the asked one (po), or holds it whole (co)."""
    asked = moment(value, "'_filter'")
    main = clause.parameter.code == clause.index.main_date
    low, high = (f"{clause.alias}.at_low", f"{clause.alias}.at_high") if main else ("d.low", "d.high")
    if clause.parameter.code == "_lastUpdated":
        raise Incorrect(f"'_filter': '{operator}' cannot be asked of an instant")
    if operator == "po":
        found = Condition(f"({low} < %s and {high} > %s)", (asked.high, asked.low))
    else:
        found = Condition(f"({low} <= %s and {high} >= %s)", (asked.low, asked.high))
    return found if main else side("date", clause.number, found, clause.alias)


def _text(clause: Clause, kind: str, operator: str, value: str) -> Condition | None:
    """Strings without regard to case and accents; uris as they are."""
    text = fold(value) if kind == "string" else value
    if not text:
        raise Incorrect("'_filter': the text is empty")
    if operator in {"eq", "ne"} and kind == "string":
        found = Condition(f"s.value {'=' if operator == 'eq' else '<>'} %s", (text,))
    elif operator == "co":
        found = contains(clause, "s.value", text)
    elif operator == "sw":
        found = starts_with(clause, "s.value", text)
    elif operator == "ew":
        found = contains(clause, "s.value", text, after="")
    elif operator in _TEXT_ORDER:
        found = Condition(f"s.value {_TEXT_ORDER[operator]} %s", (text,))
    else:
        return None
    return side("string", clause.number, found, clause.alias)


def _composite(index: TypeIndex, test: Check, alias: str, asking: Asking) -> Condition:
    """characteristic[code eq a].value eq b: both in one element, which is what a composite asks."""
    code, children = _PARTS[index.name, test.path[0].name]
    inner = test.path[0].filter
    asked: dict[str, str] = {}
    tests = [inner, Check(test.path[1:], test.operator, test.value)] if inner else []
    for one in tests:
        if isinstance(one, Check) and len(one.path) == 1 and one.operator in {"eq", "re"}:
            asked[one.path[0].name] = one.value
    if set(asked) != set(children):
        first, second = children
        raise Incorrect(f"'_filter': write {test.path[0].name}[{first} eq ...].{second} eq ..., or the other way round")
    joined = "$".join(_system(asked[child]).replace("$", "\\$") for child in children)
    return condition(index, Criterion("_filter", code, "", "", (joined,)), alias, asking)
