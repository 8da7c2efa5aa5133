"""Definitions that a resource brings with it: a Bundle its profiles, value sets, code systems and questionnaires.

They are meant for each other, so what is validated together is looked up together, before what others know.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.profile.derivation import Lookup

_DEFINING = frozenset(["StructureDefinition", "ValueSet", "CodeSystem", "Questionnaire"])


class Brought:
    """The definitions among the entries of a Bundle, by type and canonical url."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._held: dict[tuple[str, str], dict[str, Any]] = {}
        entries = resource.get("entry") if resource.get("resourceType") == "Bundle" else None
        for entry in entries if isinstance(entries, list) else ():
            one = entry.get("resource") if isinstance(entry, dict) else None
            if not isinstance(one, dict):
                continue
            kind, url = one.get("resourceType"), one.get("url")
            if isinstance(kind, str) and kind in _DEFINING and isinstance(url, str):
                for name in (url, f"{url}|{one.get('version', '')}"):
                    self._held.setdefault((kind, name), one)

    def beside(self, type_: str, lookup: Lookup | None) -> Lookup | None:
        """A lookup that knows these before what `lookup` knows."""
        if not any(kind == type_ for kind, _ in self._held):
            return lookup

        def found(canonical: str) -> dict[str, Any] | None:
            own = self._held.get((type_, canonical))
            return own if own is not None else lookup(canonical) if lookup else None

        return found
