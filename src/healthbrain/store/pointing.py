"""Reference parameters: literal, logical and canonical references, hierarchies of places and organisations.

Rule source: FHIR R4 search 3.1.1.4.9 reference, 3.1.1.5.2 modifiers.
"""

from __future__ import annotations

from collections.abc import Iterable

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.fhir import SearchParameter, definitions
from healthbrain.store import arrays, keys
from healthbrain.store.clause import Clause
from healthbrain.store.lookups import Hierarchy, hierarchy_of
from healthbrain.store.pieces import NEVER, Condition, any_of, holds_any, holds_rare
from healthbrain.store.question import split, unescape

# what happened to one person: few resources refer to one of these, however many there are
_OF_ONE_PERSON = frozenset(
    {
        "Condition", "DiagnosticReport", "Encounter", "EpisodeOfCare", "ImagingStudy", "MedicationRequest", "Procedure",
        "ServiceRequest", "Specimen",
    }
)  # fmt: skip


def reference(clause: Clause) -> Condition:
    """The condition of a reference parameter."""
    modifier = clause.modifier
    if modifier == "identifier":
        return holds_any(clause.alias, [_identifier(clause.number, value) for value in clause.values])
    if modifier in {"above", "below"}:
        return _condition(clause, [target for value in clause.values for target in _hierarchy(clause, value)])
    if modifier and modifier not in definitions().types:
        raise Incorrect(
            f"{clause.written}: a reference takes a resource type, :identifier, :above, :below or :missing,"
            f" not ':{modifier}'"
        )
    return _condition(clause, [target for value in clause.values for target in _targets(clause, unescape(value))])


def reference_targets(parameter: SearchParameter) -> tuple[str, ...]:
    """The types a parameter may refer to; `patient` means patients although R4 lists Group with it."""
    if parameter.code == "patient" and "Patient" in parameter.targets:
        return ("Patient",)
    return parameter.targets or tuple(definitions().types)


def _condition(clause: Clause, targets: Iterable[tuple[str, str]]) -> Condition:
    tokens: list[int] = []
    patients: list[int] = []
    rare = True
    for type_, id_ in targets:
        if type_ == "Patient" and clause.parameter.code in clause.index.patient_params:
            patients.append(keys.patient_key(id_))
        elif type_:
            tokens.append(keys.number(keys.referred(clause.number, type_, id_)))
            rare = rare and type_ in _OF_ONE_PERSON
        else:
            rare = False
            tokens.append(keys.number(keys.form(clause.number, "uri", id_)))
    found = [Condition(f"{clause.alias}.patient = any(%s)", (arrays.int8(patients),))] if patients else []
    if tokens:
        found.append((holds_rare if rare else holds_any)(clause.alias, tokens))
    return any_of(found) if found else NEVER


def _targets(clause: Clause, value: str) -> list[tuple[str, str]]:
    """(type, id) of each resource a value may mean; ('', url) for what lies elsewhere."""
    if "://" in value or value.startswith("urn:") or "|" in value:
        return [("", value)]
    type_, slash, id_ = value.partition("/")
    modifier = "" if clause.modifier in {"above", "below"} else clause.modifier
    if not slash:
        return [(target, value) for target in ([modifier] if modifier else reference_targets(clause.parameter))]
    if type_ not in definitions().types or (modifier and modifier != type_):
        raise Incorrect(f"{clause.written} is written id, Type/id or a full url")
    return [(type_, id_.partition("/")[0])]


def _hierarchy(clause: Clause, value: str) -> list[tuple[str, str]]:
    """The asked resources with all they are part of, or all that is part of them."""
    found: list[tuple[str, str]] = []
    for type_, id_ in _targets(clause, unescape(value)):
        if type_ and hierarchy_of(clause.asking, type_) is not None:
            ids = clause.asking.need(Hierarchy(type_, id_, clause.modifier == "below"))
            found += [(type_, one) for one in ids]
    if not found:
        raise Unsupported(
            f"{clause.written}: ':{clause.modifier}' follows partOf, as Location and Organization have it"
        )
    return found


def _identifier(number: int, value: str) -> int:
    parts = split(value, "|")
    if len(parts) == 1:
        return keys.number(keys.form(number, "identifier-value", unescape(value)))
    return keys.number(keys.form(number, "identifier", f"{unescape(parts[0])}|{unescape('|'.join(parts[1:]))}"))
