"""Types of items and the tests is, as and ofType(). Rule source: FHIRPath N1, Types and Reflection.

A FHIR type and its System counterpart are different types: `Patient.active is Boolean` is false, as the reflection
chapter and the suite have it. Only `Quantity` without namespace means both; see docs/spec-readings.md#fhirpath-types.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        if "." in name:  # R4 gives Patient.contact the type BackboneElement
            name, base = base, model.base_of(base)
        return TypeInfo("FHIR", name, f"FHIR.{base}" if base else "System.Any")
    return TypeInfo("System", _NAMES.get(type(item), "Any"), "System.Any")


@dataclass(frozen=True, slots=True)
class TypeTest:
    """A type as an expression names it, ready to be tested for.

    `published` is the looser reading that R4's own invariants and search parameters are written for: `as` filters
    many items, and `Boolean` is also FHIR's boolean.
    """

    wanted: TypeName
    qualified: bool
    published: bool

    def holds(self, item: Item) -> bool:
        """Whether the item is of the type or of one derived from it."""
        namespace, name = self.wanted
        if isinstance(item, Node):
            if namespace == "FHIR":
                return model.is_a(item.type, name)
            return self.published and model.is_primitive(item.type) and model.system_type(item.type) == name
        if namespace == "System":
            return name in (_NAMES.get(type(item)), "Any")
        return not self.qualified and name == "Quantity" and type(item) is Quantity

    def test(self, items: Collection) -> Collection:
        """`is`: of the one item."""
        if len(items) > 1:
            raise Unanswerable(f"is takes one item, not {len(items)}; use all() or where()")
        return [self.holds(items[0])] if items else []

    def cast(self, items: Collection) -> Collection:
        """`as`: the one item if it is of the type."""
        if len(items) > 1 and not self.published:
            raise Unanswerable(f"as takes one item, not {len(items)}; use ofType()")
        return self.select(items)

    def select(self, items: Collection) -> Collection:
        """`ofType()`: the items of the type."""
        return [item for item in items if self.holds(item)]
