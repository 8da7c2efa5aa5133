"""Which interfaces of an agreement a request needs, by its method and path (HUB-EX-15)."""

from __future__ import annotations

from collections.abc import Sequence

from healthbrain.api.view_wishes import EXPORT, RUN

_READS = ("GET", "HEAD")


def needed(method: str, segments: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The interfaces, and the resource type if one is named; nothing is needed to ask what the server does."""
    if not segments:
        return (("search",), "") if method in _READS else (("read", "search", "write"), "")
    first, last = segments[0], segments[-1]
    type_ = "" if first[:1] in "$_" or not first[:1].isupper() else first
    if first in ("metadata", "openapi.json"):
        return (), ""
    if last in RUN:
        return ("view",), ""
    if last in EXPORT or first.startswith("$bulk"):
        return ("export",), ""
    if last.startswith("$"):
        return ("operation",), type_
    if "_history" in segments:
        return ("read",), type_
    if last == "_search" or (method in _READS and len(segments) == 1):
        return ("search",), type_
    if method not in _READS:
        return ("write",), type_
    if len(segments) >= 3:  # a compartment: Patient/1/Observation
        sought = segments[2]
        return ("search",), "" if sought == "*" else sought
    return ("read",), type_


def told(interfaces: Sequence[str], type_: str) -> str:
    """What a request is counted under."""
    return f"{'+'.join(interfaces)} {type_}".strip()
