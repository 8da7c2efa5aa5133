"""What R4 itself brings: its profiles and extensions, its value sets and code systems, from `r4-profiles.bin`.

The file is made with r4.bin by `python -m healthbrain.fhir.compile` and read when first asked for, since only
$validate needs it. Membership has three answers: yes, no, and None where R4 does not list the codes (SNOMED CT, LOINC).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson
import zstandard

from healthbrain.errors import Unavailable
from healthbrain.fhir.profile.forms import FORMS

FILE = Path(__file__).parents[1] / "r4-profiles.bin"
FORMAT = 3
VERSION = "4.0.1"
_LARGEST = 64 * 1024 * 1024


class BuiltIn:
    """The profiles and terminology of R4. Immutable; obtain it from `built_in()`."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._structures: dict[str, dict[str, Any]] = data["structures"]
        self._records: dict[str, dict[str, Any]] = data["code_systems"]
        self._systems = {url: frozenset(one["codes"]) for url, one in self._records.items()}
        self._abstract = {url: frozenset(one["abstract"]) for url, one in self._records.items() if one["abstract"]}
        self._value_sets: dict[str, Any] = data["value_sets"]
        self._sets: dict[str, _ValueSet | None] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """The canonical urls of all profiles and extensions of R4."""
        return tuple(self._structures)

    def structure(self, canonical: str) -> dict[str, Any] | None:
        """The StructureDefinition (head and differential) of a profile or extension of R4; None when it has none."""
        url, _, version = canonical.partition("|")
        if version and not VERSION.startswith(version):
            return None
        return self._structures.get(url)

    def knows_code(self, system: str, code: str) -> bool | None:
        """Whether the code is one of its system; None when R4 does not list the system."""
        listed = self._systems.get(system)
        if listed is not None:
            return code in listed or code in self._abstract.get(system, ())
        form = FORMS.get(system)
        return None if form is None else form(code)

    def concept(self, system: str, code: str) -> tuple[tuple[str, ...], bool, bool] | None:
        """What a code is called, whether it is only to group by, whether it is out of use; None when R4 lists it not."""
        if code not in self._systems.get(system, ()) and code not in self._abstract.get(system, ()):
            return None
        record = self._records[system]
        name = record["displays"].get(code)
        return (name,) if name else (), code in record["abstract"], code in record["ended"]

    def version_of(self, system: str) -> str:
        """The version in which R4 lists a code system; '' when it does not."""
        record = self._records.get(system)
        return "" if record is None else str(record["version"])

    def member_of(self, system: str | None, code: str, value_set: str) -> bool | None:
        """Whether a code is in a value set; None when R4 cannot tell. Without a system any of the set's will do."""
        found = self._value_set(value_set.partition("|")[0])
        if found is None:
            return None
        return found.has(system, code)

    def _value_set(self, url: str) -> _ValueSet | None:
        if url not in self._sets:
            record = self._value_sets.get(url)
            self._sets[url] = None if record is None else _ValueSet(record, self._systems)
        return self._sets[url]


class _ValueSet:
    """One value set: codes by system, systems that are in it whole by their grammar, and those nobody here can list."""

    def __init__(self, record: list[Any], systems: dict[str, frozenset[str]]) -> None:
        listed, whole, partly = record
        self._codes = {system: systems[system] if codes is None else frozenset(codes) for system, codes in listed}
        self._whole = frozenset(whole)
        self._partly = frozenset(partly)

    def has(self, system: str | None, code: str) -> bool | None:
        names = [system] if system is not None else [*self._codes, *self._whole, *self._partly]
        answers = [self._of(name, code) for name in names]
        if True in answers:
            return True
        return None if None in answers else False

    def _of(self, system: str, code: str) -> bool | None:
        if code in self._codes.get(system, ()):
            return True
        if system in self._whole:
            form = FORMS.get(system)
            return None if form is None else form(code)
        return None if system in self._partly else False


@cache
def built_in() -> BuiltIn:
    """The profiles and terminology of R4, loaded once per process.

    Raises Unavailable when they have not been compiled, or by another version of this code.
    """
    return load(FILE)


def load(path: Path) -> BuiltIn:
    """Profiles and terminology from a compiled file."""
    remedy = "run `python -m healthbrain.fhir.compile` (make setup does)"
    try:
        data = orjson.loads(zstandard.ZstdDecompressor().decompress(path.read_bytes(), _LARGEST))
    except OSError:
        raise Unavailable(f"{path}: the profiles of FHIR R4 are missing; {remedy}") from None
    except (zstandard.ZstdError, orjson.JSONDecodeError):
        raise Unavailable(f"{path}: the profiles of FHIR R4 are damaged; {remedy}") from None
    if data.get("format") != FORMAT:
        raise Unavailable(f"{path}: the profiles of FHIR R4 are of another version; {remedy}")
    return BuiltIn(data)
