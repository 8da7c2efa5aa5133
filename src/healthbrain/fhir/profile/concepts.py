"""What code systems say of a code: whether they have it, what it is called, whether it may still be used.

Asked of R4's own code systems and of CodeSystem resources the caller has. A system that is listed in part (`content`
other than complete) says nothing of codes it does not list. Rule source: R4 CodeSystem, "Key properties", and
terminologies, "Validating Coding". Readings: docs/spec-readings.md#displays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from healthbrain.fhir.profile.builtin import built_in

CodeSystem = dict[str, Any]
Lookup = Callable[[str], CodeSystem | None]

# properties that every system may have (R4 CodeSystem, "Key properties" and concept-properties), and what filters may name
BASIC = frozenset([
    "concept", "code", "display", "definition", "designation", "parent", "child", "subsumedBy", "subsumes", "partOf", "status",
    "inactive", "deprecated", "deprecationDate", "retired", "retirementDate", "notSelectable", "effectiveDate", "synonym", "comment",
    "itemWeight",
])  # fmt: skip
_DEEPEST = 64
_ENDED = frozenset(["retired", "deprecated", "inactive", "withdrawn"])


@dataclass(frozen=True, slots=True)
class Concept:
    """A code with all it is called; `above` are the codes it is subsumed by."""

    names: tuple[str, ...] = ()
    abstract: bool = False
    inactive: bool = False
    above: frozenset[str] = frozenset()
    properties: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class System:
    """A code system as far as its resource lists it."""

    version: str
    whole: bool
    case_sensitive: bool
    concepts: dict[str, Concept]
    folded: dict[str, str] = field(default_factory=dict)
    declares: frozenset[str] = frozenset()  # its properties and filters

    def concept(self, code: str) -> Concept | None:
        """The concept of a code."""
        found = self.concepts.get(code)
        if found is None and not self.case_sensitive:
            found = self.concepts.get(self.folded.get(code.casefold(), ""))
        return found


class Systems:
    """Code systems by url: R4's own first, then those the caller finds."""

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup = lookup
        self._made: dict[str, System | None] = {}

    def has(self, system: str, code: str) -> bool | None:
        """Whether a code is one of its system; None when nobody here can tell."""
        known = built_in().knows_code(system, code)
        if known is not None:
            return known
        found = self.stated(system)
        if found is None:
            return None
        return True if found.concept(code) else (False if found.whole else None)

    def concept(self, system: str, code: str) -> Concept | None:
        """What is known of a code."""
        own = built_in().concept(system, code)
        if own is not None:
            return Concept(*own)
        found = self.stated(system)
        return None if found is None else found.concept(code)

    def version(self, system: str) -> str:
        """The version at hand; '' when there is none."""
        own = built_in().version_of(system)
        found = None if own else self.stated(system)
        return own or ("" if found is None else found.version)

    def held(self, system: str) -> bool:
        """Whether anything is known of a system's codes."""
        return built_in().knows_code(system, "?") is not None or self.stated(system) is not None

    def stated(self, system: str) -> System | None:
        """The system as the caller's CodeSystem resource has it."""
        if system not in self._made:
            resource = self._lookup(system) if self._lookup else None
            self._made[system] = None if resource is None else read(resource)
        return self._made[system]


def read(resource: CodeSystem) -> System | None:
    """A CodeSystem resource; None when it lists no concepts."""
    listed = resource.get("concept")
    if not isinstance(listed, list):
        return None
    ended = frozenset(["inactive"]) | _codes_of(resource, "http://hl7.org/fhir/concept-properties#inactive")
    concepts = dict(_concepts(listed, frozenset(), ended, 0))
    return System(
        str(resource.get("version", "")),
        resource.get("content") == "complete",
        resource.get("caseSensitive") is not False,
        concepts,
        {code.casefold(): code for code in concepts},
        frozenset(str(one.get("code")) for key in ("property", "filter") for one in _objects(resource.get(key))),
    )


def _codes_of(resource: CodeSystem, uri: str) -> frozenset[str]:
    """The codes a system gives a property of this meaning."""
    return frozenset(str(one.get("code")) for one in _objects(resource.get("property")) if one.get("uri") == uri)


def _concepts(listed: Any, above: frozenset[str], ended: frozenset[str], depth: int) -> Iterator[tuple[str, Concept]]:
    for one in _objects(listed):
        code = one.get("code")
        if not isinstance(code, str):
            continue
        properties = tuple((str(p.get("code")), _value(p)) for p in _objects(one.get("property")))
        parents = {str(value) for name, value in properties if name in ("parent", "subsumedBy")}
        names = [one.get("display"), *(d.get("value") for d in _objects(one.get("designation")))]
        yield (
            code,
            Concept(
                tuple(name for name in names if isinstance(name, str)),
                ("notSelectable", True) in properties,
                any(
                    (name in ended and value is True) or (name == "status" and value in _ENDED)
                    for name, value in properties
                ),
                above | parents,
                properties,
            ),
        )
        if depth < _DEEPEST:
            yield from _concepts(one.get("concept"), above | parents | {code}, ended, depth + 1)


def _value(given: dict[str, Any]) -> Any:
    return next((value for key, value in given.items() if key.startswith("value")), None)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


@cache
def same_name(one: str, other: str) -> bool:
    """Whether two displays are the same but for case and white space (R4: displays are for people)."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
