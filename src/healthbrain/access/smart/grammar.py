"""SMART scopes, read: `patient/Observation.rs?category=laboratory` and the rest of what an application may ask for.

SMART App Launch 2.2, "Scopes for requesting FHIR Resources": level / type . letters ? search. The forms of version 1
(`.read`, `.write`, `.*`) mean `rs`, `cud` and `cruds`. A search restriction is understood when its parameters are found
by equality (token, reference, uri; no modifiers, no chains); a scope with anything else is not granted, because it
could not be kept to everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast
from urllib.parse import parse_qsl, urlencode

from healthbrain.fhir import definitions
from healthbrain.scope import LETTERS, Rule

Level = Literal["patient", "user", "system"]

PLAIN = (
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "launch/encounter",
    "online_access",
    "offline_access",
)
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_SCOPE = re.compile(r"(patient|user|system)/([A-Za-z]+|\*)\.([a-z]+|\*)(?:\?(.+))?")
_KINDS = ("token", "reference", "uri")
_MOST_PARAMETERS = 5


@dataclass(frozen=True, slots=True)
class Access:
    """A scope for resources."""

    level: Level
    type: str  # or "*"
    may: str
    where: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """In the form of version 2."""
        query = f"?{urlencode(self.where, safe='|:/,')}" if self.where else ""
        return f"{self.level}/{self.type}.{self.may}{query}"

    @property
    def rule(self) -> Rule:
        """As a rule of a grant; one for a patient waits for the patient."""
        return Rule(self.type, self.may, () if self.level == "patient" else None, self.where)


def read_scope(text: str) -> Access | None:
    """A scope for resources; None when it is none that is understood here."""
    match = _SCOPE.fullmatch(text)
    if match is None:
        return None
    level, type_, letters, query = match.groups()
    may = _VERSION_1.get(letters) or letters
    if not may or [letter for letter in LETTERS if letter in may] != list(may):  # in order, each once
        return None
    if type_ != "*" and not definitions().is_resource(type_):
        return None
    where = _read_where(type_, query) if query else ()
    return None if where is None else Access(cast(Level, level), type_, may, where)


def _read_where(type_: str, query: str) -> tuple[tuple[str, str], ...] | None:
    pairs = parse_qsl(query, keep_blank_values=True)
    if type_ == "*" or not 1 <= len(pairs) <= _MOST_PARAMETERS or "\0" in query:
        return None
    parameters = definitions().search_parameters(type_)
    for name, value in pairs:
        parameter = parameters.get(name)
        if parameter is None or parameter.type not in _KINDS or name == "_id" or not value.strip(","):
            return None
    return tuple(sorted(set(pairs)))


def split_scopes(text: str) -> tuple[str, ...]:
    """The scopes of a request, each once, in order."""
    return tuple(dict.fromkeys(text.split()))


def granted_scopes(wanted: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """What of `wanted` lies within `allowed`, as scopes; what is unknown or beyond is dropped.

    A scope that is granted whole is given back as it was written.
    """
    plain = dict.fromkeys(allowed)  # in the order they were allowed
    known = [access for text in plain if (access := read_scope(text)) is not None]
    found: list[str] = []
    for text in wanted:
        if text in PLAIN:
            found += [text] if text in plain else []
            continue
        asked = read_scope(text)
        if asked is None:
            continue
        parts = [part for other in known if (part := within(asked, other)) is not None]
        found += [text] if asked in parts else [str(part) for part in without_covered(parts)]
    return tuple(dict.fromkeys(found))


def within(asked: Access, allowed: Access) -> Access | None:
    """The part of `asked` that `allowed` covers; None when there is none."""
    if asked.level != allowed.level:
        return None
    if asked.type != "*" and allowed.type not in ("*", asked.type):
        return None
    may = "".join(letter for letter in asked.may if letter in allowed.may)
    if not may:
        return None
    where = tuple(sorted({*asked.where, *allowed.where}))
    return replace(asked, type=asked.type if asked.type != "*" else allowed.type, may=may, where=where)


def without_covered(parts: Iterable[Access]) -> list[Access]:
    """The same without those that others include."""
    kept = list(dict.fromkeys(parts))
    return [one for one in kept if not any(one != other and within(one, other) == one for other in kept)]


def accesses(scopes: Iterable[str]) -> list[Access]:
    """The scopes for resources among `scopes`."""
    return [access for text in scopes if (access := read_scope(text)) is not None]
