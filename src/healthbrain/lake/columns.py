"""The columns of a resource type in the lake, derived from the R4 definitions.

What is a column: every element of the type with its R4 type, nested elements as structs, repeated ones as lists,
each choice (`value[x]`) under its JSON name (`valueQuantity`). What stays JSON text: contained resources, extensions
(kept down to the second level, where they carry meaning: Patient.extension, Patient.address.extension), an element
that nests in itself (Questionnaire.item.item), the complex alternatives of an element of any type (Task.input.value), and
whole resources inside others. Ids of inner elements and
extensions of primitives have no column. Nothing is lost by that, because every row also keeps the resource as it was
written, byte for byte, in `_body`: decimals there have their digits (72.50), while the decimal columns are doubles.
A part on the disk has only the columns and members that occur in its rows; `parts.shape_file` has them all.
Measured choices: docs/decisions/0005-lake-shape.md, 0082-sql-on-fhir.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from healthbrain.fhir.definitions import definitions

Kind = Literal["text", "integer", "decimal", "boolean", "json", "struct"]

_SQL: dict[Kind, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DOUBLE",
    "boolean": "BOOLEAN",
    "json": "JSON",
}
_KINDS: dict[str, Kind] = {
    "boolean": "boolean",
    "integer": "integer",
    "unsignedInt": "integer",
    "positiveInt": "integer",
    "decimal": "decimal",
}
_EXTENSION_LEVELS = 2  # extensions of the resource and of its direct elements are columns
_OPEN = (
    20  # an element that may be of any type (Task.input.value) has more alternatives; its complex ones are JSON text
)
_OPAQUE = frozenset({"Resource", "Extension", "ElementDefinition"})  # whole things inside others: JSON text


@dataclass(frozen=True, slots=True)
class Field:
    """One column, or one member of a struct: its JSON name and what it holds."""

    name: str
    kind: Kind
    many: bool = False
    fhir: str = ""  # R4 type: dateTime, Quantity, Patient.contact ...
    fields: tuple[Field, ...] = ()

    def member(self, name: str) -> Field | None:
        """The member called `name` of a struct."""
        return next((field for field in self.fields if field.name == name), None)


@cache
def fields_of(type_: str) -> tuple[Field, ...]:
    """The columns of a resource type."""
    return tuple(_fields(type_, (type_,)))


def occurring(fields: Sequence[Field], names: Collection[str]) -> tuple[Field, ...]:
    """The fields without those whose names occur nowhere in a set of resources. At least one is left, so that the
    presence of an element is kept too.
    """
    found: list[Field] = []
    for field in fields:
        if field.name not in names:
            continue
        if field.kind == "struct":
            field = replace(field, fields=occurring(field.fields, names))
        found.append(field)
    return tuple(found) or _thinnest(fields)


def _thinnest(fields: Sequence[Field]) -> tuple[Field, ...]:
    first = next((field for field in fields if field.kind != "struct"), fields[0])
    return (replace(first, fields=_thinnest(first.fields)) if first.kind == "struct" else first,)


def structure(fields: Sequence[Field]) -> dict[str, Any]:
    """The fields as DuckDB's `from_json` wants to be told."""
    return {field.name: _shape(field) for field in fields}


def leaves(fields: Sequence[Field]) -> int:
    """How many columns Parquet makes of the fields."""
    return sum(leaves(field.fields) if field.kind == "struct" else 1 for field in fields)


def _shape(field: Field) -> Any:
    shape: Any = structure(field.fields) if field.kind == "struct" else _SQL[field.kind]
    return [shape] if field.many else shape


def _fields(path: str, above: tuple[str, ...]) -> list[Field]:
    found: list[Field] = []
    level = len(above)
    for element in definitions().type(path).elements.values():
        for name, choice in element.keys().items():
            if name == "id" and level > 1:
                continue
            if choice.code == "Extension" and level > _EXTENSION_LEVELS:
                continue
            opaque = len(element.types) > _OPEN and not choice.code[0].islower()
            if opaque:
                found.append(Field(name, "json", element.repeats, choice.code))
            else:
                found.append(_field(name, choice.code, element.repeats, above))
    return [field for field in found if field.kind != "struct" or field.fields]


def _field(name: str, type_: str, many: bool, above: tuple[str, ...]) -> Field:
    if "." not in type_ and type_[0].islower():  # primitives, and only they, have lower-case names
        return Field(name, _KINDS.get(type_, "text"), many, type_)
    if type_ in _OPAQUE or type_ in above:
        return Field(name, "json", many, type_)
    return Field(name, "struct", many, type_, tuple(_fields(type_, (*above, type_))))
