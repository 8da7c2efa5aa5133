"""Whether codes are in value sets: asked of R4 itself, of ValueSet resources the caller has, of the caller's function.

The first that knows decides. None means that nobody does, and is told as such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from healthbrain.fhir.profile.builtin import built_in
from healthbrain.fhir.profile.concepts import Systems
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.parts import BindingRule
from healthbrain.fhir.profile.report import Report
from healthbrain.fhir.profile.value_sets import Lookup, contains

# (system or None for a bare code, code, value set) -> whether it is in the set; None when that is not known
MemberOf = Callable[[str | None, str, str], bool | None]

_CODED = frozenset(["code", "string", "uri", "Coding", "CodeableConcept", "Quantity", "id", "markdown"])


class Terminology:
    """Membership in value sets, and findings about coded elements."""

    def __init__(
        self, member_of: MemberOf | None, value_sets: Lookup | None = None, code_systems: Lookup | None = None
    ) -> None:
        self.systems = Systems(code_systems)
        self._member_of = member_of
        self._value_sets = value_sets
        self._within: set[str] = set()

    def has(self, system: str | None, code: str, value_set: str) -> bool | None:
        """Whether a code is in a value set; None when nobody knows."""
        found = built_in().member_of(system, code, value_set)
        if found is None:
            found = self._stated(system, code, value_set)
        if found is None and self._member_of is not None:
            found = self._member_of(system, code, value_set)
        return found

    def _stated(self, system: str | None, code: str, value_set: str) -> bool | None:
        """What a ValueSet resource says, sets that include each other aside."""
        if self._value_sets is None or value_set in self._within:
            return None
        resource = self._value_sets(value_set)
        if resource is None:
            return None
        self._within.add(value_set)
        try:
            return contains(resource, system, code, self.has, self.systems)
        finally:
            self._within.discard(value_set)

    def member(self, value: Any, value_set: str) -> bool | None:
        """memberOf() of FHIRPath: of a code, a Coding or a CodeableConcept."""
        return _any(self.has(system, code, value_set) for system, code in codes_of(value))

    def check(self, item: Item, binding: BindingRule, report: Report, origin: str = "") -> None:
        """Note it when a coded element is not in the value set it is bound to."""
        if item.type not in _CODED:
            return
        if binding.strength not in ("required", "extensible"):
            if binding.limit:
                self.check(item, BindingRule("required", binding.limit), report, origin)
            return
        where = f" (profile {origin})" if origin else ""
        found = list(codes_of(item.value))
        if not found:
            self._uncoded(item, binding, report, where)
            return
        within = _any(self.has(system, code, binding.value_set) for system, code in found)
        if within is None:
            report.unchecked(
                f"{binding.value_set}{where}",
                item.place,
                f"whether the code is in {binding.value_set} was not checked: nobody here can list that value set{where}",
            )
        elif not within and binding.strength == "required":
            report.error("code-invalid", item.place, f"must be a code from {binding.value_set}, with its system{where}")
        elif not within:
            text = f"is not from {binding.value_set}; use one of its codes if any of them fits{where}"
            report.add("warning", "code-invalid", item.place, text)
        if binding.limit and within is not True:
            self.check(item, BindingRule("required", binding.limit), report, origin)

    def _uncoded(self, item: Item, binding: BindingRule, report: Report, where: str) -> None:
        if item.type != "CodeableConcept" or not isinstance(item.value, dict):
            return
        if binding.strength == "extensible":
            text = f"has no code; use one from {binding.value_set} if any of them fits{where}"
            report.add("warning", "code-invalid", item.place, text)
        elif "extension" not in item.value:
            text = f"must have a code from {binding.value_set}, as a coding with its system{where}"
            report.error("code-invalid", item.place, text)


def codes_of(value: Any) -> list[tuple[str | None, str]]:
    """System and code of what can be coded; the system of a bare code is None."""
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    codings = value.get("coding") if "coding" in value else [value]
    return [
        (str(one.get("system", "")), one["code"])
        for one in (codings if isinstance(codings, list) else ())
        if isinstance(one, dict) and isinstance(one.get("code"), str)
    ]


def _any(answers: Any) -> bool | None:
    found = list(answers)
    if True in found:
        return True
    return None if None in found else False
