"""The operations of a FHIRPath Patch, read from its Parameters resource (R4 fhirpatch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from healthbrain.errors import Invalid, Malformed, TooLarge
from healthbrain.fhir.validation import validate

MOST_OPERATIONS = 200  # each searches the resource anew

Kind = Literal["add", "insert", "delete", "replace", "move"]
Part = dict[str, Any]

_NEEDS: dict[Kind, tuple[str, ...]] = {
    "add": ("name", "value"), "insert": ("value", "index"), "delete": (), "replace": ("value",),
    "move": ("source", "destination"),
}  # fmt: skip
_TYPES: dict[str, tuple[str, ...]] = {
    "type": ("valueCode", "valueString"), "path": ("valueString",), "name": ("valueString",),
    "index": ("valueInteger",), "source": ("valueInteger",), "destination": ("valueInteger",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `value` is the part of Parameters that holds what is put in."""

    number: int
    kind: Kind
    path: str
    name: str
    value: Part
    index: int
    source: int
    destination: int

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"operation {self.number} of the patch ({self.kind})"


def read(parameters: dict[str, Any]) -> list[Operation]:
    """All operations, checked as far as that is possible without the resource. Raises Malformed or Invalid."""
    if parameters.get("resourceType") != "Parameters":
        raise Malformed("a FHIRPath Patch must be a Parameters resource")
    if issues := validate(parameters):
        raise Invalid("the patch is not a valid Parameters resource", issues=issues)
    given = parameters.get("parameter", [])
    if len(given) > MOST_OPERATIONS:
        raise TooLarge(f"the patch has more than {MOST_OPERATIONS} operations; send the whole resource")
    return [_operation(parameter, number) for number, parameter in enumerate(given)]


def _operation(parameter: Part, number: int) -> Operation:
    here = f"operation {number} of the patch"
    if parameter["name"] != "operation":
        raise Malformed(f"parameter {number} of the patch must have the name 'operation'")
    parts: dict[str, Part] = {}
    for part in parameter.get("part", []):
        name = part["name"]
        if name != "value" and name not in _TYPES:
            raise Malformed(f"{here} has a part of a name it does not know; parts are value, {', '.join(_TYPES)}")
        if name in parts:
            raise Malformed(f"{here} has the part '{name}' twice")
        parts[name] = part
    kind = _simple(parts, "type", here)
    if kind not in get_args(Kind):
        raise Malformed(f"{here}: 'type' must be one of {', '.join(get_args(Kind))}")
    needs = _NEEDS[kind]
    for name in needs:
        if name not in parts:
            raise Malformed(f"{here}: {kind} needs the part '{name}'")
    return Operation(
        number,
        kind,
        _simple(parts, "path", here),
        *(_simple(parts, "name", here) if "name" in needs else "", parts["value"] if "value" in needs else {}),
        *(_simple(parts, name, here) if name in needs else 0 for name in ("index", "source", "destination")),
    )


def _simple(parts: dict[str, Part], name: str, here: str) -> Any:
    part = parts.get(name)
    if part is None:
        raise Malformed(f"{here} needs the part '{name}'")
    for key in _TYPES[name]:
        if key in part:
            return part[key]
    raise Malformed(f"{here}: the part '{name}' must be given as {_TYPES[name][0]}")
