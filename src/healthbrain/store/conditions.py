"""From one search parameter to a condition in SQL.

Everything searched by equality becomes hashes that the row's tokens must hold; ranges and prefixes become conditions
on columns or narrow side tables. Text in the SQL is only our own; whatever was asked travels as a bound parameter.
Rule source: FHIR R4 search (3.1.1.4 parameter types, 3.1.1.5 modifiers and prefixes).
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Callable

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.store import arrays, keys
from healthbrain.store.asking import Asking
from healthbrain.store.clause import Clause, contains, starts_with
from healthbrain.store.composites import composite
from healthbrain.store.moments import amount, moment
from healthbrain.store.nearness import near
from healthbrain.store.pieces import NEVER, Condition, all_of, any_of, holds_any, lacks_all, negated, side
from healthbrain.store.pointing import reference
from healthbrain.store.question import Criterion, unescape
from healthbrain.store.ranges import amount_condition, date_condition, quantity_condition, updated_condition
from healthbrain.store.rows import fold
from healthbrain.store.tokens import token
from healthbrain.store.types import CONJUNCTIONS, OWN_COLUMNS, UNIONS, TypeIndex

_ALWAYS = Condition("true")


def condition(index: TypeIndex, criterion: Criterion, alias: str, asking: Asking) -> Condition:
    """The condition of an unchained parameter that this type has."""
    name, modifier, values = criterion.name, criterion.modifier, criterion.values
    if name in OWN_COLUMNS:
        return _own_column(index, criterion, alias)
    if union := UNIONS.get((index.name, name)):
        parts = [condition(index, _renamed(criterion, part), alias, asking) for part in union]
        negative = modifier in {"not", "not-in"} or (modifier, values) == ("missing", ("true",))
        return all_of(parts) if negative else any_of(parts)
    clause = Clause(index, index.parameters[name], criterion, alias, asking)
    if modifier == "missing":
        return _missing(clause)
    return _KINDS[clause.parameter.type](clause)


def _renamed(criterion: Criterion, name: str) -> Criterion:
    return Criterion(criterion.written, name, criterion.modifier, criterion.chain, criterion.values)


def _own_column(index: TypeIndex, criterion: Criterion, alias: str) -> Condition:
    """_id and _lastUpdated."""
    written, values = f"'{criterion.written}'", criterion.values
    if criterion.modifier == "missing":
        return NEVER if _wanted_missing(criterion) else _ALWAYS
    if criterion.name == "_lastUpdated" and not criterion.modifier:
        return any_of([updated_condition(alias, moment(value, written)) for value in values])
    if criterion.name == "_id" and criterion.modifier in {"", "not"}:
        named = arrays.uuid([keys.resource_key(index.name, unescape(value)) for value in values])
        return Condition(f"{'not ' if criterion.modifier else ''}{alias}.key = any(%s)", (named,))
    raise Incorrect(f"{written}: {criterion.name} has no modifier ':{criterion.modifier}'")


def _wanted_missing(criterion: Criterion) -> bool:
    if criterion.values not in {("true",), ("false",)}:
        raise Incorrect(f"'{criterion.written}' is true or false")
    return criterion.values == ("true",)


def _missing(clause: Clause) -> Condition:
    wanted = _wanted_missing(clause.criterion)
    if conjunction := CONJUNCTIONS.get((clause.index.name, clause.parameter.code)):
        numbers = [clause.index.numbers[code] for code in conjunction]
        present = all_of([holds_any(clause.alias, [keys.number(keys.present(number))]) for number in numbers])
        return negated(present) if wanted else present
    there = [keys.number(keys.present(clause.number))]
    return lacks_all(clause.alias, there) if wanted else holds_any(clause.alias, there)


# -- string and uri


def _string(clause: Clause) -> Condition:
    values = [unescape(value) for value in clause.values]
    number, alias = clause.number, clause.alias
    match clause.modifier:
        case "":
            return any_of([side("string", number, starts_with(clause, "s.value", fold(v)), alias) for v in values])
        case "exact":
            return holds_any(alias, [keys.number(keys.form(number, "exact", value)) for value in values])
        case "contains":
            return any_of([side("string", number, contains(clause, "s.value", fold(v)), alias) for v in values])
        case "text":  # every word, wherever it stands
            return any_of([_words(clause, fold(value)) for value in values])
    clause.only("string", ":exact, :contains, :text")
    return NEVER


def _words(clause: Clause, text: str) -> Condition:
    words = text.split() or [""]
    return side("string", clause.number, all_of([contains(clause, "s.value", word) for word in words]), clause.alias)


def _uri(clause: Clause) -> Condition:
    values = [unescape(value) for value in clause.values]
    if clause.modifier == "below":
        return any_of([_below(clause, value) for value in values])
    if clause.modifier == "above":
        values = [start for value in values for start in _beginnings(value)]
    else:
        clause.only("uri", ":below, :above")
    return holds_any(clause.alias, [keys.number(keys.form(clause.number, "uri", value)) for value in values])


def _below(clause: Clause, value: str) -> Condition:
    """Profiles are few and repeat, so their urls stand in the list of texts; other urls are strings of the row."""
    if clause.parameter.code == "_profile":
        listed = starts_with(clause, "t.value", value)
        return Condition(
            f"{clause.alias}.tokens && array(select t.token from concept_text t where t.param = %s and {listed.sql})",
            (clause.number, *listed.parameters),
        )
    if clause.parameter.code == "_source":
        return _below_source(clause, value)
    return side("string", clause.number, starts_with(clause, "s.value", value), clause.alias)


def _below_source(clause: Clause, value: str) -> Condition:
    """By whole parts of the path: of a source only what stands before its last part is kept as text."""
    itself = [keys.number(keys.form(clause.number, form, value)) for form in ("uri", "beginning")]
    start = value if value.endswith(("/", ":")) else value + ("/" if "/" in value else ":")
    listed = starts_with(clause, "t.value", start)
    return Condition(
        f"{clause.alias}.tokens && (%s || array(select t.token from concept_text t where t.param = %s and {listed.sql}))",
        (arrays.int8(itself), clause.number, *listed.parameters),
    )


def _beginnings(url: str) -> list[str]:
    """The url and every shorter one that ends where a path segment does."""
    ends = [i for i, character in enumerate(url) if character == "/"][-20:]
    return list(dict.fromkeys([url, *(url[:end] for end in ends), *(url[: end + 1] for end in ends)]))


# -- date, number, quantity, composite, special


def _date(clause: Clause) -> Condition:
    clause.only("date")
    moments = [moment(value, clause.written) for value in clause.values]
    if clause.parameter.code == clause.index.main_date:
        return any_of([date_condition(f"{clause.alias}.at_low", f"{clause.alias}.at_high", m) for m in moments])
    return any_of([side("date", clause.number, date_condition("d.low", "d.high", m), clause.alias) for m in moments])


def _number(clause: Clause) -> Condition:
    clause.only("number")
    asked = [amount(value, clause.written) for value in clause.values]
    return any_of([side("number", clause.number, amount_condition(a, 0), clause.alias) for a in asked])


def _quantity(clause: Clause) -> Condition:
    clause.only("quantity")
    return any_of(
        [side("number", clause.number, quantity_condition(value, clause, 0), clause.alias) for value in clause.values]
    )


def _composite(clause: Clause) -> Condition:
    return composite(clause, lambda whole, part: condition(whole.index, part, whole.alias, whole.asking))


def _special(clause: Clause) -> Condition:
    if clause.parameter.code == "near":
        return near(clause)
    raise Unsupported(
        f"{clause.written}: there are no named queries here; what one would ask is written as parameters, or in _filter"
    )


_KINDS: dict[str, Callable[[Clause], Condition]] = {
    "token": token,
    "reference": reference,
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "composite": _composite,
    "special": _special,
}
