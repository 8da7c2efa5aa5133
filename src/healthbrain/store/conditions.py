"""From one search parameter to a condition in SQL.

Everything searched by equality becomes hashes that the row's tokens must hold; ranges and prefixes become conditions
on columns or narrow side tables. Text in the SQL is only our own; whatever was asked travels as a bound parameter.
Rule source: FHIR R4 search (3.1.1.4 parameter types, 3.1.1.5 modifiers and prefixes).
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Iterable

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.fhir import SearchParameter, definitions
from healthbrain.store import arrays, keys
from healthbrain.store.moments import amount, moment
from healthbrain.store.pieces import NEVER, Condition, all_of, any_of, holds_any, lacks_all, negated, side
from healthbrain.store.question import Criterion, split, unescape
from healthbrain.store.ranges import amount_condition, date_condition, quantity_condition, updated_condition
from healthbrain.store.rows import LONGEST_STRING, fold, main_code
from healthbrain.store.types import CONJUNCTIONS, UNIONS, TypeIndex

LAST_CHARACTER = "\U0010ffff"


def condition(index: TypeIndex, criterion: Criterion, alias: str) -> Condition:
    """The condition of an unchained parameter that this type has."""
    name, modifier, values = criterion.name, criterion.modifier, criterion.values
    if name == "_id":
        _no_modifier(criterion, "_id")
        return Condition(
            f"{alias}.key = any(%s)", (arrays.uuid([keys.resource_key(index.name, unescape(v)) for v in values]),)
        )
    if name == "_lastUpdated":
        _no_modifier(criterion, "_lastUpdated")
        return any_of([updated_condition(alias, moment(v, f"'{criterion.written}'")) for v in values])
    if union := UNIONS.get((index.name, name)):
        parts = [condition(index, _renamed(criterion, part), alias) for part in union]
        return all_of(parts) if modifier == "not" or (modifier, values) == ("missing", ("true",)) else any_of(parts)
    parameter = index.parameters[name]
    if modifier == "missing":
        return _missing(index, parameter, criterion, alias)
    return _KINDS[parameter.type](index, parameter, criterion, alias)


def _renamed(criterion: Criterion, name: str) -> Criterion:
    return Criterion(criterion.written, name, criterion.modifier, criterion.chain, criterion.values)


def _missing(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    if criterion.values not in {("true",), ("false",)}:
        raise Incorrect(f"'{criterion.written}' is true or false")
    if conjunction := CONJUNCTIONS.get((index.name, parameter.code)):
        present = all_of([holds_any(alias, [keys.number(keys.present(index.numbers[c]))]) for c in conjunction])
        return present if criterion.values == ("false",) else negated(present)
    token = [keys.number(keys.present(parameter.number))]
    return holds_any(alias, token) if criterion.values == ("false",) else lacks_all(alias, token)


def _no_modifier(criterion: Criterion, kind: str) -> None:
    if criterion.modifier:
        raise Incorrect(f"'{criterion.written}': a {kind} parameter has no modifier ':{criterion.modifier}'")


# -- token


def _token(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    modifier = criterion.modifier
    if modifier == "text":
        return _token_text(parameter, criterion, alias)
    if modifier == "of-type":
        return holds_any(alias, [_of_type(parameter, value, criterion) for value in criterion.values])
    if modifier not in {"", "not"}:
        raise Unsupported(
            f"'{criterion.written}': ':{modifier}' is not offered yet; :not, :text, :of-type and :missing are"
        )
    tokens = [token_of(parameter.number, value) for value in criterion.values]
    if modifier == "not":
        return lacks_all(alias, tokens)
    found = holds_any(alias, tokens)
    if parameter.code == index.main_code:
        codes = [unescape(split(value, "|")[-1]) for value in criterion.values]
        if all(codes):  # lets the index on patient, code and date be used; 0 stands for several codes
            hashes = arrays.int8([*dict.fromkeys(main_code(code) for code in codes), 0])
            return all_of([found, Condition(f"{alias}.code = any(%s)", (hashes,))])
    return found


def token_of(number: int, value: str) -> int:
    """The token that `code`, `system|code`, `|code` or `system|` asks for."""
    parts = split(value, "|")
    if len(parts) == 1:
        return keys.code_alone(number, unescape(value))
    system, code = unescape(parts[0]), unescape("|".join(parts[1:]))
    if not code:
        return keys.any_of_system(number, system)
    return keys.code_in_system(number, system, code)


def _of_type(parameter: SearchParameter, value: str, criterion: Criterion) -> int:
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) != 3 or not all(parts[1:]):
        raise Incorrect(f"'{criterion.written}' is written system|code|value")
    return keys.number(keys.form(parameter.number, "type", "|".join(parts)))


def _token_text(parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    """Texts are few and repeat: find those that begin so in the list of texts, then the rows that hold them."""
    starts = [_prefix("t.value", fold(unescape(value)), criterion) for value in criterion.values]
    any_start = any_of(starts)
    return Condition(
        f"{alias}.tokens && array(select t.token from concept_text t where t.param = %s and {any_start.sql})",
        (parameter.number, *any_start.parameters),
    )


# -- reference


def _reference(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    modifier = criterion.modifier
    if modifier == "identifier":
        return holds_any(alias, [_identifier(parameter, value) for value in criterion.values])
    if modifier and modifier not in definitions().types:
        raise Incorrect(
            f"'{criterion.written}': a reference takes a resource type, :identifier or :missing, not ':{modifier}'"
        )
    tokens: list[int] = []
    patients: list[int] = []
    for value in criterion.values:
        for type_, id_ in _targets(parameter, modifier, unescape(value), criterion):
            if type_ == "Patient" and parameter.code in index.patient_params:
                patients.append(keys.patient_key(id_))
            elif type_:
                tokens.append(keys.number(keys.referred(parameter.number, type_, id_)))
            else:
                tokens.append(keys.number(keys.form(parameter.number, "uri", id_)))
    found = [Condition(f"{alias}.patient = any(%s)", (arrays.int8(patients),))] if patients else []
    if tokens:
        found.append(holds_any(alias, tokens))
    return any_of(found) if found else NEVER


def reference_targets(parameter: SearchParameter) -> tuple[str, ...]:
    """The types a parameter may refer to; `patient` means patients although R4 lists Group with it."""
    if parameter.code == "patient" and "Patient" in parameter.targets:
        return ("Patient",)
    return parameter.targets or tuple(definitions().types)


def _targets(parameter: SearchParameter, modifier: str, value: str, criterion: Criterion) -> Iterable[tuple[str, str]]:
    """(type, id) of each resource a value may mean; ('', url) for what lies elsewhere."""
    if "://" in value or value.startswith("urn:") or "|" in value:
        return [("", value)]
    type_, slash, id_ = value.partition("/")
    if not slash:
        return [(target, value) for target in ([modifier] if modifier else reference_targets(parameter))]
    if type_ not in definitions().types or (modifier and modifier != type_):
        raise Incorrect(f"'{criterion.written}' is written id, Type/id or a full url")
    return [(type_, id_.partition("/")[0])]


def _identifier(parameter: SearchParameter, value: str) -> int:
    parts = split(value, "|")
    if len(parts) == 1:
        return keys.number(keys.form(parameter.number, "identifier-value", unescape(value)))
    return keys.number(
        keys.form(parameter.number, "identifier", f"{unescape(parts[0])}|{unescape('|'.join(parts[1:]))}")
    )


# -- string and uri


def _string(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    values = [unescape(value) for value in criterion.values]
    if criterion.modifier == "exact":
        return holds_any(alias, [keys.number(keys.form(parameter.number, "exact", value)) for value in values])
    if criterion.modifier == "contains":
        return any_of([side("string", parameter.number, _inside(fold(v), criterion), alias) for v in values])
    _only("string", criterion, "exact, :contains")
    return any_of([side("string", parameter.number, _prefix("s.value", fold(v), criterion), alias) for v in values])


def _uri(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    values = [unescape(value) for value in criterion.values]
    if criterion.modifier == "above":
        values = [start for value in values for start in _beginnings(value)]
    elif criterion.modifier == "below":
        if parameter.code.startswith("_"):
            raise Unsupported(f"'{criterion.written}': ':below' is not offered for {parameter.code}")
        return any_of([side("string", parameter.number, _prefix("s.value", v, criterion), alias) for v in values])
    else:
        _only("uri", criterion, "below, :above")
    return holds_any(alias, [keys.number(keys.form(parameter.number, "uri", value)) for value in values])


def _beginnings(url: str) -> list[str]:
    """The url and every shorter one that ends where a path segment does."""
    ends = [i for i, character in enumerate(url) if character == "/"][-20:]
    return list(dict.fromkeys([url, *(url[:end] for end in ends), *(url[: end + 1] for end in ends)]))


def _only(kind: str, criterion: Criterion, known: str) -> None:
    if criterion.modifier:
        raise Incorrect(f"'{criterion.written}': a {kind} parameter takes :{known} or :missing")


def _prefix(column: str, text: str, criterion: Criterion) -> Condition:
    if not text:
        raise Incorrect(f"'{criterion.written}': the text is empty")
    text = text[:LONGEST_STRING]
    return Condition(f"({column} >= %s and {column} < %s)", (text, text + LAST_CHARACTER))


def _inside(text: str, criterion: Criterion) -> Condition:
    if not text:
        raise Incorrect(f"'{criterion.written}': the text is empty")
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return Condition("s.value like %s", (f"%{escaped}%",))


# -- date


def _date(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    _no_modifier(criterion, "date")
    moments = [moment(value, f"'{criterion.written}'") for value in criterion.values]
    if parameter.code == index.main_date:
        return any_of([date_condition(f"{alias}.at_low", f"{alias}.at_high", m) for m in moments])
    return any_of([side("date", parameter.number, date_condition("d.low", "d.high", m), alias) for m in moments])


# -- number and quantity


def _number(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    _no_modifier(criterion, "number")
    asked = [amount(value, f"'{criterion.written}'") for value in criterion.values]
    return any_of([side("number", parameter.number, amount_condition(a, 0), alias) for a in asked])


def _quantity(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    _no_modifier(criterion, "quantity")
    return any_of(
        [side("number", parameter.number, quantity_condition(value, criterion, 0), alias) for value in criterion.values]
    )


# -- composite and special


def _composite(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    _no_modifier(criterion, "composite")
    return any_of([_composite_value(index, parameter, criterion, value, alias) for value in criterion.values])


def _composite_value(
    index: TypeIndex, parameter: SearchParameter, criterion: Criterion, value: str, alias: str
) -> Condition:
    parts = split(value, "$")
    components = parameter.components
    if len(parts) != len(components) or not all(parts):
        raise Incorrect(f"'{criterion.written}' is written {'$'.join(c.code for c in components)}")
    if conjunction := CONJUNCTIONS.get((index.name, parameter.code)):
        return all_of(
            [
                condition(index, Criterion(criterion.written, code, "", "", (part,)), alias)
                for code, part in zip(conjunction, parts, strict=True)
            ]
        )
    kinds = [component.type for component in components]
    if kinds == ["token", "quantity"]:
        code = keys.name_hash(_written_form("token", parts[0]))
        return side("number", parameter.number, quantity_condition(parts[1], criterion, code), alias)
    if all(kind in {"token", "reference", "uri"} for kind in kinds):
        forms = "$".join(_written_form(kind, part) for kind, part in zip(kinds, parts, strict=True))
        return holds_any(alias, [keys.number(keys.form(parameter.number, "parts", forms))])
    raise Unsupported(
        f"'{criterion.written}' is not offered yet; search by its parts {', '.join(c.code for c in components)}"
    )


def _written_form(kind: str, part: str) -> str:
    """A searched component as rows.part_forms writes a stored one."""
    if kind == "token":
        pieces = split(part, "|")
        if len(pieces) == 1:
            return f"c{unescape(part)}"
        return f"s{unescape(pieces[0])}|{unescape('|'.join(pieces[1:]))}"
    return f"{'r' if kind == 'reference' and '://' not in part else 'u'}{unescape(part)}"


def _special(index: TypeIndex, parameter: SearchParameter, criterion: Criterion, alias: str) -> Condition:
    raise Unsupported(f"'{criterion.written}' is not offered yet")


_KINDS = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "composite": _composite,
    "special": _special,
}
