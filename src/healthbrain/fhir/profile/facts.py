"""What an ElementDefinition says, written into a Part, and taken out again where R4 says the same of the element.

The second step keeps findings apart: what R4 itself asks is told by the structural validation and its invariants,
what only the profile asks is told as the profile's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from healthbrain.fhir.definitions import Element, definitions
from healthbrain.fhir.fhirpath.model import is_primitive, knows
from healthbrain.fhir.profile.parts import MANY, BindingRule, Discriminator, Exact, Limit, Part, Slicing, TypeRule
from healthbrain.fhir.profile.rules import STRUCTURAL, rule_of

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_MAX_VALUE_SET = _CORE + "elementdefinition-maxValueSet"
_KINDS = frozenset(["value", "exists", "pattern", "type", "profile"])

Record = dict[str, Any]


def apply_facts(part: Part, element: Record, origin: str) -> None:
    """Add what an ElementDefinition of the profile `origin` says."""
    if type(element.get("min")) is int:
        part.min = element["min"]
    if isinstance(maximum := element.get("max"), str):
        part.max = int(maximum) if maximum.isdecimal() else MANY
    if type(element.get("maxLength")) is int:
        part.max_length = element["maxLength"]
    if element.get("isModifier") is True:
        part.modifier = True
    if isinstance(like := element.get("contentReference"), str):
        part.like = like.rpartition("#")[2]
    _types(part, element.get("type"))
    _values(part, element)
    _slicing(part, element.get("slicing"))
    _binding(part, element.get("binding"))
    for rule in _objects(element.get("constraint")):
        _rule(part, rule, origin)


def _types(part: Part, given: Any) -> None:
    types = _objects(given)
    if not types or any(str(one.get("code", "")).startswith(_SYSTEM) for one in types):
        return
    part.types = tuple(
        TypeRule(str(one.get("code")), _texts(one.get("profile")), _texts(one.get("targetProfile"))) for one in types
    )
    if len(part.types) == 1 and (part.choice or part.type in ("", "Resource")):
        part.type = part.types[0].code


def _values(part: Part, element: Record) -> None:
    for key, value in element.items():
        if key.startswith("fixed"):
            part.exact = Exact(value, fixed=True)
        elif key.startswith("pattern"):
            part.exact = Exact(value, fixed=False)
        elif key.startswith("minValue"):
            part.least = Limit(value, _type_of(key.removeprefix("minValue")))
        elif key.startswith("maxValue"):
            part.greatest = Limit(value, _type_of(key.removeprefix("maxValue")))


def _type_of(suffix: str) -> str:
    small = suffix[:1].lower() + suffix[1:]
    return small if is_primitive(small) else suffix


def _slicing(part: Part, given: Any) -> None:
    if not isinstance(given, dict):
        return
    part.slicing = Slicing(
        tuple(
            Discriminator(one["type"], str(one.get("path", "$this")))
            for one in _objects(given.get("discriminator"))
            if str(one.get("type")) in _KINDS
        ),
        str(given.get("rules", "open")),
        given.get("ordered") is True,
    )


def _binding(part: Part, given: Any) -> None:
    if isinstance(given, dict) and isinstance(value_set := given.get("valueSet"), str):
        limits = [
            str(one.get("valueCanonical", ""))
            for one in _objects(given.get("extension"))
            if one.get("url") == _MAX_VALUE_SET
        ]
        url = value_set.partition("|")[0]
        part.binding = BindingRule(str(given.get("strength")), url, limits[0] if limits else "")


def _rule(part: Part, given: Record, origin: str) -> None:
    key, expression = str(given.get("key", "")), given.get("expression")
    if (
        not isinstance(expression, str)
        or key in STRUCTURAL
        or _is_own(key, expression, str(given.get("source", _CORE)))
    ):
        return
    part.rules[key] = rule_of(key, str(given.get("severity")), expression, str(given.get("human", "")), origin)


def _is_own(key: str, expression: str, source: str) -> bool:
    """Whether a rule is R4's own, in this wording or in that of another edition of R4."""
    if (key, expression) in _own_rules():
        return True
    return key in _own_keys() and source.startswith(_CORE)


@cache
def _own_keys() -> frozenset[str]:
    """Keys of R4's own rules; inv-1 and the like are everybody's."""
    return frozenset(key for key, _ in _own_rules() if not key.startswith("inv-"))


@cache
def _own_rules() -> frozenset[tuple[str, str]]:
    """Key and expression of every invariant of R4's own types, which are checked wherever those occur."""
    known = definitions()
    found: set[tuple[str, str]] = set()
    for name in known.type_names:
        type_ = known.type(name)
        for rules in (type_.invariants, *(element.invariants for element in type_.elements.values())):
            found.update((one.key, one.expression) for one in rules)
    return frozenset(found)


def prune(part: Part) -> Part:
    """The same demands without those that R4 makes itself."""
    _prune(part)
    return part


def _prune(part: Part) -> None:
    structured = knows(part.type) and not is_primitive(part.type)
    elements = definitions().type(part.type).elements if structured else {}
    for name, child in list(part.children.items()):
        if element := elements.get(name):
            _without(child, element)
            for slice_ in child.slices.values():
                _without(slice_, element, cardinality=False)
        _prune(child)
        if child.asks_nothing:
            del part.children[name]
    for slice_ in part.slices.values():
        _prune(slice_)


def _without(part: Part, element: Element, *, cardinality: bool = True) -> None:
    """Take out what the element of the type says too."""
    if cardinality:
        if part.min is not None and part.min <= element.min:
            part.min = None
        if part.max is not None and part.max >= (MANY if element.max is None else element.max):
            part.max = None
        if part.types is not None and _same_types(part.types, element):
            part.types = None
    own = element.binding
    if part.binding and own and part.binding == BindingRule(own.strength, own.value_set):
        part.binding = None


def _same_types(types: tuple[TypeRule, ...], element: Element) -> bool:
    own = {choice.code: set(choice.targets) for choice in element.types}
    if {one.code for one in types} != set(own) and not any("." in code for code in own):
        return False
    for one in types:
        if any(profile.removeprefix(_CORE) not in ("SimpleQuantity", "MoneyQuantity") for profile in one.profiles):
            return False
        targets = {target.removeprefix(_CORE) for target in one.targets} - {"Resource"}
        if targets != own.get(one.code, targets):
            return False
    return True


def _objects(value: Any) -> list[Record]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
