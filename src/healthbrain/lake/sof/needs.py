"""Which parts of a resource's JSON a view reads: the tree from which schemas and columns are made.

While paths are resolved every step asks its `Need` for a child, so that one tree per view says everything that is read.
A part is read as a value, as an object of the members asked for, or `whole` as JSON text (when it is put out as it is, when
only its presence counts, or when it nests in itself). `settle` then says for each part of the resource whether the lake's
typed columns hold it, or whether it must be read from the JSON of the row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from healthbrain.fhir.fhirpath import model
from healthbrain.lake.columns import Field

Leaf = Literal["text", "integer", "decimal", "boolean", "json"]
_LEAVES: dict[str, Leaf] = {
    "boolean": "boolean",
    "integer": "integer",
    "unsignedInt": "integer",
    "positiveInt": "integer",
    "decimal": "decimal",
}


@dataclass(eq=False)
class Need:
    """One JSON property that is read, and what is read of it."""

    name: str
    type: str
    many: bool
    children: dict[str, Need] = field(default_factory=dict)
    whole: bool = False  # someone wants it as JSON text
    digits: bool = False  # a decimal whose digits count (72.50): read as text
    stored_json: bool = False  # the lake's column holds it as JSON text
    in_body: bool = False  # a part of the resource that is read from the row's JSON

    def child(self, name: str, type_: str, many: bool) -> Need:
        """The member `name`."""
        found = self.children.get(name)
        if found is None:
            found = self.children[name] = Need(name, type_, many)
        return found

    @property
    def leaf(self) -> Leaf | None:
        """The kind of value it is read as; None for an object of its members."""
        if self.digits:
            return "text"
        if model.is_primitive(self.type):
            return _LEAVES.get(self.type, "text")
        return "json" if self.whole or not self.children else None

    @property
    def text(self) -> bool:
        """Whether what is read is JSON text that holds an object."""
        return self.stored_json or self.leaf == "json"


def settle(root: Need, fields: tuple[Field, ...]) -> None:
    """Decide for every part of the resource: typed column, or the row's JSON."""
    known = {one.name: one for one in fields}
    for need in root.children.values():
        held = known.get(need.name)
        need.in_body = held is None or not _held(need, held)
        if not need.in_body and held is not None:
            _mark(need, held)


def prune(root: Need, used: set[int]) -> None:
    """Leave only the members whose id() is in `used`: a path may have asked for more before it said ofType()."""
    root.children = {name: child for name, child in root.children.items() if id(child) in used}
    for child in root.children.values():
        prune(child, used)


def shape(need: Need) -> Any:
    """What is read of a part, nested: a leaf, {member: shape} or [shape]."""
    one: Any = need.leaf or {child.name: shape(child) for child in need.children.values()}
    return [one] if need.many else one


def members(need: Need) -> dict[str, Any]:
    """The shapes of the members of an object that is kept as JSON text."""
    return {child.name: shape(child) for child in need.children.values()}


def _held(need: Need, held: Field) -> bool:
    if need.many != held.many:
        return False
    if held.kind == "json":
        return True
    if held.kind != "struct":
        return need.leaf == held.kind
    if need.leaf == "json":
        return not need.whole  # only its presence is asked for, and a struct has that too
    return all(
        (inner := held.member(child.name)) is not None and _held(child, inner) for child in need.children.values()
    )


def _mark(need: Need, held: Field) -> None:
    need.stored_json = held.kind == "json"
    for child in need.children.values():
        inner = held.member(child.name)
        if inner is not None:
            _mark(child, inner)


def exact_keys(need: Need) -> set[str]:
    """The names of the decimals whose digits count."""
    found = {need.name} if need.digits else set()
    for child in need.children.values():
        found |= exact_keys(child)
    return found
