"""Types of items and the tests is, as and ofType(). Rule source: FHIRPath N1, Types and Reflection.

A FHIR type and its System counterpart are different types: `Patient.active is Boolean` is false, as the reflection
chapter and the suite have it. Only `Quantity` without namespace means both; see docs/spec-readings.md#fhirpath-types.
"""

from __future__ import annotations

from decimal import Decimal

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.dates import Date, DateTime, Time
from healthbrain.fhir.fhirpath.model import TypeName
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.values import Collection, Item, Long, Node, TypeInfo

_NAMES: dict[type, str] = {
    bool: "Boolean", str: "String", int: "Integer", Long: "Long", Decimal: "Decimal",
    Date: "Date", DateTime: "DateTime", Time: "Time", Quantity: "Quantity",
}  # fmt: skip


def type_of(item: Item) -> TypeInfo:
    """What type() says of an item."""
    if isinstance(item, Node):
        name = item.type or "Element"
        base = model.base_of(name)
        return TypeInfo("FHIR", name, f"FHIR.{base}" if base else "System.Any")
    return TypeInfo("System", _NAMES.get(type(item), "Any"), "System.Any")


def is_of(item: Item, wanted: TypeName, *, qualified: bool) -> bool:
    """Whether the item is of the type or of one derived from it."""
    if isinstance(item, Node):
        return wanted.namespace == "FHIR" and model.is_a(item.type, wanted.name)
    if wanted.namespace == "System":
        return wanted.name in (_NAMES.get(type(item)), "Any")
    return not qualified and wanted.name == "Quantity" and type(item) is Quantity


def test(items: Collection, wanted: TypeName, *, qualified: bool) -> Collection:
    """`is`: of the one item."""
    if len(items) > 1:
        raise Unanswerable(f"is takes one item, not {len(items)}; use all() or where()")
    return [is_of(items[0], wanted, qualified=qualified)] if items else []


def cast(items: Collection, wanted: TypeName, *, qualified: bool, filters: bool) -> Collection:
    """`as`: the one item if it is of the type. With `filters`, of every item, as some R4 expressions expect."""
    if len(items) > 1 and not filters:
        raise Unanswerable(f"as takes one item, not {len(items)}; use ofType()")
    return of_type(items, wanted, qualified=qualified)


def of_type(items: Collection, wanted: TypeName, *, qualified: bool) -> Collection:
    """`ofType()`: the items of the type."""
    return [item for item in items if is_of(item, wanted, qualified=qualified)]
