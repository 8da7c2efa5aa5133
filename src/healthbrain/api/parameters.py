"""What is asked of an operation: Parameters in the body, or the query, or both; and Parameters as an answer.

The query carries the same names with their values as text (R4 operations, 3.2.0.1.2), as long as they are primitive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from healthbrain.api import media
from healthbrain.api.call import Call
from healthbrain.errors import Incorrect
from healthbrain.exchange import read_fhir
from healthbrain.fhir import dump

_OUTER = frozenset({"_format", "_pretty"})


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one request, in order: (name, value); text from the query, anything from a body."""

    values: tuple[tuple[str, Any], ...]

    def all(self, name: str) -> list[Any]:
        """Every value of a parameter."""
        return [value for key, value in self.values if key == name]

    def texts(self, *names: str) -> list[str]:
        """Every value of parameters that are primitive; raises Incorrect for others."""
        found = [(key, value) for key, value in self.values if key in names]
        for key, value in found:
            if not isinstance(value, (str, int, float)):
                raise Incorrect(f"the parameter '{key}' is a plain value")
        return [str(value).lower() if isinstance(value, bool) else str(value) for _, value in found]

    def text(self, name: str) -> str:
        """The only value of a parameter, '' when absent."""
        found = self.texts(name)
        if len(found) > 1:
            raise Incorrect(f"the parameter '{name}' is given once")
        return found[0] if found else ""

    def only(self, names: Iterable[str]) -> None:
        """Raises Incorrect for a parameter that is not among `names`."""
        known = frozenset(names)
        for key, _ in self.values:
            if key not in known and key not in _OUTER:
                raise Incorrect(f"this operation takes the parameters {', '.join(sorted(known))} and no others")


async def asked(call: Call) -> Asked:
    """Query and body together. Raises Incorrect unless the body is Parameters (or there is none)."""
    values: list[tuple[str, Any]] = list(call.params)
    if call.method == "POST" and (raw := await call.body()).strip():
        media.check_resource_type(call)
        body = await read_fhir(raw)
        if body.get("resourceType") != "Parameters":
            raise Incorrect("the body of an operation is a Parameters resource")
        parts = body.get("parameter", [])
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict) or not isinstance(part.get("name"), str):
                raise Incorrect("each of the Parameters has a name")
            values += [
                (part["name"], value)
                for key, value in part.items()
                if key.startswith("value") or key in ("resource", "part")
            ]
    return Asked(tuple(values))


def parameters(*values: tuple[str, str, Any]) -> bytes:
    """A Parameters resource of (name, kind such as valueMeta, value); FHIR has no empty values, so these are left out."""
    listed = [{"name": name, kind: value} for name, kind, value in values if value not in ({}, [])]
    return dump({"resourceType": "Parameters"} | ({"parameter": listed} if listed else {}))
