"""Walking FHIR JSON: members and children of elements, and the System value an element stands for.

Rule source: FHIR R4, FHIRPath page: choice elements, primitive `value`, `_name` siblings with id and extensions,
and the mapping of FHIR types to System types, Quantity included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.dates import Date, DateTime, Time
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.values import Collection, Item, Long, Node, TypeInfo

Reader = Callable[[dict[str, Any], Collection], None]

UCUM = "http://unitsofmeasure.org"
CALENDAR_UNITS = "http://hl7.org/fhirpath/CodeSystem/calendar-units"
_LARGEST_POWER = 300  # of ten; beyond it, writing a number out would take its length in memory
BOUNDED = "bounded"  # the `system` of a quantity that is only a bound (< 5 mg) and so compares with nothing

# FHIR quantities in UCUM time units mean calendar durations (FHIR R4, FHIRPath page, Quantity)
# the finer ones are the same in both, and stay as they are to remain part of UCUM products
_CALENDAR_CODES = {"a": "year", "mo": "month"}


def node_of(value: Any, type_: str = "") -> Item:
    """An item for JSON: a resource knows its type, `type_` tells that of an element."""
    if type(value) is dict:
        return Node(value, value.get("resourceType") or type_)
    if type_ and not isinstance(value, Node):
        return Node(value, type_)
    return _plain(value)


def collection_of(value: Any) -> Collection:
    """The collection a caller means by a value: a list as its items, None as nothing."""
    if value is None:
        return []
    if type(value) is list or type(value) is tuple:
        return [node_of(item) for item in value if item is not None]
    return [node_of(value)]


def plain(item: Item) -> Any:
    """The item as the caller gets it: JSON of an element, or a System value."""
    return item.value if item.__class__ is Node else item


@lru_cache(maxsize=4096)
def step(name: str) -> Callable[[Collection], Collection]:
    """The function that goes from items to their members called `name`."""
    readers: dict[str, Reader] = {}

    def walk(items: Collection) -> Collection:
        found: Collection = []
        for item in items:
            if item.__class__ is not Node:
                found.extend(_of_system(item, name))
            elif item.value.__class__ is dict:
                read = readers.get(item.type)
                if read is None:
                    read = readers[item.type] = reader(item.type, name)
                read(item.value, found)
            else:
                found.extend(_of_primitive(item, name))
        return found

    return walk


@lru_cache(maxsize=16384)
def reader(type_: str, name: str) -> Reader:
    """The function that appends the members `name` of a JSON object of a type to a collection."""
    table = model.members(type_)
    if table is None or (name == "value" and model.is_primitive(type_)):
        return lambda value, found: found.extend(_of_unknown(value, name))
    member = table.get(name)
    if member is None:
        return lambda value, found: None
    if member.choices is not None:
        choices = member.choices
        return lambda value, found: _append_choice(found, value, choices)
    if member.primitive:
        return _primitive_reader(name, member.type)
    return _resource_reader(name) if member.type == "Resource" else _element_reader(name, member.type)


def _primitive_reader(name: str, type_: str) -> Reader:
    sibling = "_" + name

    def read(value: dict[str, Any], found: Collection) -> None:
        child = value.get(name)
        if sibling in value:
            _append_with_extra(found, child, value[sibling], type_)
        elif child.__class__ is list:
            found.extend([Node(one, type_) for one in child if one is not None])
        elif child is not None:
            found.append(Node(child, type_))

    return read


def _element_reader(name: str, type_: str) -> Reader:
    def read(value: dict[str, Any], found: Collection) -> None:
        child = value.get(name)
        if child.__class__ is list:
            found.extend([Node(one, type_) for one in child if one is not None])
        elif child is not None:
            found.append(Node(child, type_))

    return read


def _resource_reader(name: str) -> Reader:
    def read(value: dict[str, Any], found: Collection) -> None:
        child = value.get(name)
        children = child if child.__class__ is list else [child]
        found.extend([_resource(one) for one in children if one is not None])

    return read


def children(items: Iterable[Item]) -> Collection:
    """All immediate children of the items."""
    found: Collection = []
    for item in items:
        if item.__class__ is not Node:
            continue
        if item.value.__class__ is not dict:
            found.extend(_of_primitive(item, "id"))
            found.extend(_of_primitive(item, "extension"))
            continue
        table = model.members(item.type)
        names = _names(item.value) if table is None or model.is_primitive(item.type) else table
        for name in names:
            found.extend(step(name)([item]))
    return found


def descendants(items: Iterable[Item]) -> Collection:
    """All descendants of the items, parents before children."""
    found: Collection = []
    level = children(items)
    while level:
        found.extend(level)
        level = children(level)
    return found


def has_plain_text(node: Node) -> bool:
    """Whether a node's value is a String that stands for nothing else, such as a date."""
    return node.value.__class__ is str and node.type not in _CONVERSIONS


def system(item: Item) -> Item | None:
    """The System value of an item; None when it has none (a complex element, a primitive without value)."""
    if item.__class__ is not Node:
        return item
    value = item.value
    if value.__class__ is dict:
        if item.type and model.is_a(item.type, "Quantity"):
            return quantity_of(value)
        return None
    if value is None:
        return None
    convert = _CONVERSIONS.get(item.type)
    return value if convert is None else convert(value)


def quantity_of(value: dict[str, Any]) -> Quantity | None:
    """The System.Quantity of a FHIR Quantity; None when it has no number."""
    number = value.get("value")
    if not isinstance(number, (int, float, Decimal)) or isinstance(number, bool):
        return None
    amount, code, of = to_decimal(number), value.get("code"), value.get("system")
    if value.get("comparator"):
        return Quantity(amount, str(code or value.get("unit") or "1"), BOUNDED)
    if of == UCUM and isinstance(code, str):
        return Quantity(amount, _CALENDAR_CODES.get(code, code))
    if of == CALENDAR_UNITS and isinstance(code, str):
        return Quantity(amount, code)
    if of:
        return Quantity(amount, str(code or value.get("unit") or "1"), str(of))
    return Quantity(amount, str(code or value.get("unit") or "1"))


def to_decimal(number: Any) -> Decimal:
    """A JSON number as it was written."""
    found = number if number.__class__ is Decimal else Decimal(str(number))
    if not found.is_finite() or abs(found.adjusted()) > _LARGEST_POWER:
        raise Unanswerable("a number in the data is out of range")
    return found


def _plain(value: Any) -> Item:
    if isinstance(value, float):
        return to_decimal(value)
    return value


def _resource(value: Any) -> Node:
    return Node(value, value.get("resourceType", "Resource") if value.__class__ is dict else "Resource")


def _append_choice(found: Collection, value: dict[str, Any], choices: dict[str, str]) -> None:
    for key in value:
        type_ = choices.get(key)
        if type_ is not None:
            extra = value.get("_" + key)
            if extra is not None:
                _append_with_extra(found, value[key], extra, type_)
            elif value[key] is not None:
                found.append(Node(value[key], type_))
            return
        if key[:1] == "_" and key[1:] in choices and key[1:] not in value:
            _append_with_extra(found, None, value[key], choices[key[1:]])
            return


def _append_with_extra(found: Collection, child: Any, extra: Any, type_: str) -> None:
    """Primitives beside their `_name`, which is a list of the same places when the element repeats."""
    if extra.__class__ is list:
        values = child if child.__class__ is list else []
        for place in range(max(len(values), len(extra))):
            one = values[place] if place < len(values) else None
            more = extra[place] if place < len(extra) else None
            if one is not None or more is not None:
                found.append(Node(one, type_, more))
    elif child.__class__ is list:
        found.extend([Node(one, type_) for one in child if one is not None])
    elif child is not None or extra:
        found.append(Node(child, type_, extra if extra.__class__ is dict else None))


def _of_system(item: Item, name: str) -> Collection:
    """The parts of the System values that have any."""
    if isinstance(item, TypeInfo):
        return [part for part in (dict(zip(_TYPE_PARTS, item, strict=True)).get(name),) if part is not None]
    if isinstance(item, Quantity) and name in ("value", "unit"):
        return [getattr(item, name)]
    return []


_TYPE_PARTS = ("namespace", "name", "baseType")


def _of_primitive(item: Node, name: str) -> Collection:
    if name == "value":
        value = system(item)
        return [] if value is None else [value]
    if item.extra is None:
        return []
    if name == "extension":
        return [Node(one, "Extension") for one in item.extra.get("extension") or () if one is not None]
    return [Node(item.extra["id"], "string")] if name == "id" and "id" in item.extra else []


def _names(value: dict[str, Any]) -> list[str]:
    return [key for key in value if key != "resourceType" and not (key[:1] == "_" and key[1:] in value)]


def _of_unknown(value: dict[str, Any], name: str) -> Collection:
    """Members of JSON that follows no R4 type; `value` still finds `valueString`."""
    if name in value:
        child = value[name]
        items = child if child.__class__ is list else [child]
        return [node_of(one) for one in items if one is not None]
    for key, child in value.items():
        if key.startswith(name) and key[len(name) :][:1].isupper():
            suffix = key[len(name) :]
            for type_ in (suffix, suffix[0].lower() + suffix[1:]):
                if model.knows(type_):
                    return [Node(child, type_)]
    return []


def _temporal(parse: Callable[[str], Item | None]) -> Callable[[Any], Item]:
    def convert(value: Any) -> Item:
        found = parse(value) if isinstance(value, str) else None
        return value if found is None else found

    return convert


def _number(value: Any) -> Item:
    return to_decimal(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _whole(value: Any) -> Item:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_CONVERSIONS: dict[str, Callable[[Any], Item]] = {
    "decimal": _number,
    "integer": _whole,
    "positiveInt": _whole,
    "unsignedInt": _whole,
    "integer64": lambda value: Long(value) if isinstance(value, (int, str)) else value,
    "date": _temporal(Date.parse),
    "dateTime": _temporal(DateTime.parse),
    "instant": _temporal(DateTime.parse),
    "time": _temporal(Time.parse),
}
