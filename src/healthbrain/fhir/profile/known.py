"""The profiles a validation can use: those the caller finds first, then R4's own, each derived once."""

from __future__ import annotations

from functools import cache

from healthbrain.fhir.fhirpath.model import knows
from healthbrain.fhir.profile.builtin import built_in
from healthbrain.fhir.profile.derivation import CORE, Lookup, Structure, Unusable, derive
from healthbrain.fhir.profile.parts import Profile


class Profiles:
    """Profiles by canonical url, for one validation or for as long as the caller's lookup answers the same."""

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup = lookup
        self._made: dict[str, Profile | Unusable | None] = {}

    def find(self, canonical: str) -> Profile | None:
        """The profile with this url (and version); None when nobody knows it.

        Raises Unusable when it is known and cannot be used.
        """
        if canonical not in self._made:
            self._made[canonical] = self._make(canonical)
        found = self._made[canonical]
        if isinstance(found, Unusable):
            raise found
        return found

    def usable(self, canonical: str) -> Profile | None:
        """The profile, or None when it is unknown or cannot be used."""
        try:
            return self.find(canonical)
        except Unusable:
            return None

    def _make(self, canonical: str) -> Profile | Unusable | None:
        own = self._lookup(canonical) if self._lookup else None
        if own is None:
            return _built_in(canonical)
        try:
            return derive(own, self.structure)
        except Unusable as problem:
            return problem

    def structure(self, canonical: str) -> Structure | None:
        """The StructureDefinition with this url, of the caller or of R4."""
        own = self._lookup(canonical) if self._lookup else None
        return own if own is not None else built_in().structure(canonical)


def type_of(canonical: str) -> str:
    """The type of R4 that a canonical url names; '' when it is another profile."""
    url = canonical.partition("|")[0]
    name = url.removeprefix(CORE)
    return name if url.startswith(CORE) and knows(name) and name != "SimpleQuantity" else ""


@cache
def _built_in(canonical: str) -> Profile | Unusable | None:
    structure = built_in().structure(canonical)
    if structure is None:
        return None
    try:
        return derive(structure, built_in().structure)
    except Unusable as problem:
        return problem
