"""Code systems that are grammars: whether a code belongs to them is seen from the code itself.

Media types (BCP 13), language tags (BCP 47) and UCUM units have no list of codes. Currencies and time zones have one,
but not in the R4 package; they are judged by form, as in the structural validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from healthbrain.fhir.fhirpath.ucum import valid

_WORD = r"[A-Za-z0-9!#$&^_.+\-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}(?:\s*;\s*{_WORD}=(?:{_WORD}|\"[^\"]*\"))*")
_LANGUAGE = re.compile(r"(?:[A-Za-z]{2,8}|[ix])(?:-[A-Za-z0-9]{1,8})*")
_CURRENCY = re.compile(r"[A-Z]{3}")
_TIME_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_\-]*(?:/[A-Za-z0-9+_\-]+)*")

# system -> whether a code is one of it
FORMS: dict[str, Callable[[str], bool]] = {
    "urn:ietf:bcp:13": lambda code: _MEDIA_TYPE.fullmatch(code) is not None,
    "urn:ietf:bcp:47": lambda code: _LANGUAGE.fullmatch(code) is not None,
    "http://unitsofmeasure.org": valid,
    "urn:iso:std:iso:4217": lambda code: _CURRENCY.fullmatch(code) is not None,
    "https://www.iana.org/time-zones": lambda code: _TIME_ZONE.fullmatch(code) is not None,
}
