"""JSON Patch (RFC 6902): add, remove, replace, move, copy, test, in order; the first that fails ends it.

Works on the document it is given (the caller passes a copy). Copying cannot be used to grow a document without end:
all that the operations put in is counted.
"""

from __future__ import annotations

import copy
import decimal
import re
from collections.abc import Mapping, Sequence
from typing import Any

from healthbrain.errors import Invalid, Issue, Malformed, TooLarge
from healthbrain.fhir.codec import MAX_DEPTH
from healthbrain.fhir.patch.pointer import Nowhere, Pointer, follow, index, parse, step

MOST_OPERATIONS = 1000
MOST_VALUES = 1_000_000

_NAME = re.compile(r"(/[A-Za-z0-9_-]{0,64}){0,32}", re.ASCII)
Operation = Mapping[str, Any]


def apply(document: Any, operations: Sequence[Any]) -> Any:
    """The document after all operations; it is changed in place. Raises Malformed, Invalid or TooLarge."""
    if not isinstance(operations, list):
        raise Malformed("a JSON Patch must be an array of operations")
    if len(operations) > MOST_OPERATIONS:
        raise TooLarge(f"the patch has more than {MOST_OPERATIONS} operations; send the whole resource")
    read = [_read(operation, number) for number, operation in enumerate(operations)]
    patching = _Patching(document)
    for number, (name, path, from_, value) in enumerate(read):
        try:
            getattr(patching, name)(path, from_, value)
        except Nowhere as nowhere:
            raise _unfit(operations[number], number, str(nowhere)) from None
    return patching.document


def _read(operation: Any, number: int) -> tuple[str, Pointer, Pointer, Any]:
    """One operation, checked as far as that is possible without the document."""
    here = f"operation {number}"
    if not isinstance(operation, dict):
        raise Malformed(f"{here} of the patch must be an object")
    name = operation.get("op")
    if not isinstance(name, str) or name not in _NEEDS:
        raise Malformed(f"{here} of the patch: 'op' must be one of {', '.join(_NEEDS)}")
    for needed in ("path", *_NEEDS[name]):
        if needed not in operation:
            raise Malformed(f"{here} of the patch: {name} needs '{needed}'")
    path = parse(operation["path"], f"{here} of the patch: 'path'")
    from_ = parse(operation["from"], f"{here} of the patch: 'from'") if "from" in _NEEDS[name] else ()
    if name == "move" and path[: len(from_)] == from_ and path != from_:
        raise Malformed(f"{here} of the patch: a value cannot be moved into itself")
    return name, path, from_, operation.get("value")


_NEEDS: Mapping[str, tuple[str, ...]] = {
    "add": ("value",), "remove": (), "replace": ("value",), "move": ("from",), "copy": ("from",), "test": ("value",),
}  # fmt: skip


class _Patching:
    """A document under operations. Each takes the target, the source (move, copy) and the value (add, ...)."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._added = 0

    def add(self, path: Pointer, _: Pointer, value: Any) -> None:
        """Put a value in: a new member, an item before that of the index, an old member replaced."""
        self._put(path, self._counted(value, path))

    def remove(self, path: Pointer, _: Pointer, __: Any) -> None:
        """Take a value out; it must be there."""
        if not path:
            raise Nowhere("the whole document cannot be removed")
        follow(self.document, path)
        parent = follow(self.document, path[:-1])
        del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]

    def replace(self, path: Pointer, _: Pointer, value: Any) -> None:
        """Put a value in the place of another, which must be there."""
        follow(self.document, path)
        new = self._counted(value, path)
        if not path:
            self.document = new
            return
        parent = follow(self.document, path[:-1])
        parent[int(path[-1]) if isinstance(parent, list) else path[-1]] = new

    def move(self, path: Pointer, from_: Pointer, _: Any) -> None:
        """Take a value out and put it in elsewhere."""
        value = self._source(from_)
        if path == from_:
            return
        self.remove(from_, (), None)
        self._put(path, self._counted(value, path))

    def copy(self, path: Pointer, from_: Pointer, _: Any) -> None:
        """Put in what stands elsewhere too."""
        self._put(path, self._counted(self._source(from_), path))

    def test(self, path: Pointer, _: Pointer, value: Any) -> None:
        """The value must be equal to the one given."""
        if not equal(follow(self.document, path), value):
            raise Nowhere("the value there is not the one tested for; read the resource again")

    def _source(self, from_: Pointer) -> Any:
        try:
            return follow(self.document, from_)
        except Nowhere as nowhere:
            raise Nowhere(f"'from': {nowhere}") from None

    def _put(self, path: Pointer, value: Any) -> None:
        if not path:
            self.document = value
            return
        parent, token, depth = follow(self.document, path[:-1]), path[-1], len(path) - 1
        if isinstance(parent, list):
            parent.insert(index(parent, token, depth, len(parent)), value)
        elif isinstance(parent, dict):
            parent[token] = value
        else:
            step(parent, token, depth)

    def _counted(self, value: Any, path: Pointer) -> Any:
        """A copy of a value that is put in, if it does not grow the document too deep or too large."""
        level, depth = [value], len(path)
        while level:
            self._added += len(level)
            if self._added > MOST_VALUES:
                raise TooLarge(f"the patch puts in more than {MOST_VALUES} values; send the whole resource")
            nodes = [node for node in level if isinstance(node, (dict, list))]
            depth += 1
            if nodes and depth > MAX_DEPTH:
                raise Nowhere(f"the document would be nested deeper than {MAX_DEPTH} levels")
            level = [child for node in nodes for child in (node.values() if isinstance(node, dict) else node)]
        return copy.deepcopy(value)


def equal(one: Any, other: Any) -> bool:
    """Equality of JSON values (RFC 6902, 4.6): numbers by value, objects without order, true is not 1."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(equal, one, other))
    if _is_number(one) and _is_number(other):
        try:
            return decimal.Decimal(str(one)) == decimal.Decimal(str(other))
        except decimal.InvalidOperation:  # an exponent of more than 18 digits
            return str(one) == str(other)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unfit(operation: Operation, number: int, why: str) -> Invalid:
    """An operation that does not fit the document; its pointer is repeated when it is made of names and indexes."""
    path = operation["path"]
    at = f" {path}" if path and _NAME.fullmatch(path) else ""
    text = f"operation {number} of the patch ({operation['op']}{at}): {why}"
    return Invalid(text, issues=[Issue("error", "conflict" if operation["op"] == "test" else "not-found", "", text)])
