"""What a reference string points to (R4 references, "Literal references").

One of: relative `Patient/1` or `Patient/1/_history/2`; absolute URL, of a FHIR server or not; `urn:uuid:` or
`urn:oid:` within a Bundle; `#id` of a contained resource, or `#` for the container; conditional `Patient?...`,
which a transaction resolves. Outside a transaction a conditional reference is only accepted by identifier, where it
says the same as Reference.identifier (docs/spec-readings.md#conditional-references).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import unquote

Form = Literal["relative", "absolute", "urn", "local", "conditional", "wrong"]

_ID = r"[A-Za-z0-9\-.]{1,64}"
_REST = re.compile(rf"(?:(https?://[^\s?#]+)/)?([A-Z][A-Za-z]+)/({_ID})(?:/_history/({_ID}))?")
_URN = re.compile(
    r"urn:(?:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|oid:[0-2](?:\.(?:0|[1-9][0-9]*))+)"
)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(?:identifier=(?:([^\s|&]*)(?:\||%7C))?([^\s|&]+)|\S+)")
_LOCAL = re.compile(rf"#(?:{_ID})?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


class Target(NamedTuple):
    """A reference string taken apart; empty where a part does not apply."""

    form: Form
    type: str = ""
    id: str = ""
    version: str = ""
    system: str = ""  # of a conditional reference by identifier, as is `value`
    value: str = ""


def read(text: str) -> Target:
    """Take a reference string apart; form `wrong` when it is none of the known ones."""
    if match := _REST.fullmatch(text):
        return Target("absolute" if match[1] else "relative", match[2], match[3], match[4] or "")
    if text.startswith("#"):
        return Target("local", id=text[1:]) if _LOCAL.fullmatch(text) else Target("wrong")
    if text.startswith("urn:") and text[4:8] in {"uuid", "oid:"}:
        return Target("urn") if _URN.fullmatch(text) else Target("wrong")
    if match := _CONDITIONAL.fullmatch(text):
        return Target("conditional", match[1], system=unquote(match[2] or ""), value=unquote(match[3] or ""))
    return Target("absolute") if _ABSOLUTE.fullmatch(text) else Target("wrong")
