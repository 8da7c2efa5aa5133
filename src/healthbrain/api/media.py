"""What bodies are written in: FHIR JSON or FHIR XML, either way, and the three kinds of patches.

Inside, everything is JSON; XML is read where a resource comes in and written when an answer leaves. `_format` counts
more than Accept (R4 http, 3.1.0.1.11); of several formats in Accept the one with the highest quality is taken.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from lxml import etree

from healthbrain.errors import Incorrect
from healthbrain.fhir import parse
from healthbrain.fhir.xml import to_xml

if TYPE_CHECKING:
    from healthbrain.api.call import Call

Format = Literal["json", "xml"]

JSON_TYPE = b"application/fhir+json; charset=utf-8"
XML_TYPE = b"application/fhir+xml; charset=utf-8"
LARGE = 256 * 1024  # bytes; from here on reading and writing happens in a thread

_JSON = frozenset({"json", "application/json", "application/fhir+json", "text/json", "application/json+fhir"})
_XML = frozenset({"xml", "application/xml", "application/fhir+xml", "text/xml", "application/xml+fhir"})
_EITHER = frozenset({"*/*", "application/*", "text/html", "*"})  # a browser's own page is JSON
_LINES = frozenset({"application/fhir+ndjson", "application/ndjson"})  # files of bulk data; their errors are JSON
_PATCH = frozenset({"application/json-patch+json", "application/xml-patch+xml"})
_XHTML = "{http://www.w3.org/1999/xhtml}"


class NotAcceptable(Incorrect):
    """The answer cannot be given in the format that was asked for."""


class UnsupportedMedia(Incorrect):
    """The body is in a format that is not read here."""


def wanted_format(call: Call) -> Format:
    """What the client wants to read. Raises NotAcceptable when that is neither JSON nor XML."""
    asked = call.param("_format") if call.query_string else ""
    if asked:
        kind = asked.partition(";")[0].strip().lower().replace(" ", "+")  # an unescaped + arrives as a space
        if kind in _XML:
            return "xml"
        if kind in _JSON or kind in _EITHER:
            return "json"
        raise NotAcceptable("answers are FHIR JSON or XML; set _format=json or _format=xml")
    found = _accepted(call.headers.get(b"accept", b""))
    if found is None:
        raise NotAcceptable("answers are application/fhir+json or application/fhir+xml; set Accept accordingly")
    return found


def likely_format(call: Call) -> Format:
    """The same for an error: JSON when what was asked for cannot be told."""
    try:
        return wanted_format(call)
    except Incorrect:
        return "json"


@lru_cache(maxsize=256)
def _accepted(header: bytes) -> Format | None:
    if not header.strip():
        return "json"
    best: tuple[float, Format] | None = None
    for one in header.decode("latin-1").lower().split(","):
        kind, _, rest = one.partition(";")
        quality = _quality(rest)
        found = _format_of(kind.strip())
        if found and quality > 0 and (best is None or quality > best[0]):
            best = quality, found
    return best[1] if best else None


def _format_of(kind: str) -> Format | None:
    if kind in _XML:
        return "xml"
    return "json" if kind in _JSON or kind in _EITHER or kind in _LINES else None


def _quality(parameters: str) -> float:
    for one in parameters.split(";"):
        name, _, value = one.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def check_resource_type(call: Call) -> None:
    """Raises UnsupportedMedia unless the body is FHIR JSON or XML in UTF-8."""
    kind, rest = _content_type(call)
    if kind and kind not in _JSON and kind not in _XML:
        raise UnsupportedMedia("bodies are read as application/fhir+json or application/fhir+xml")
    _check_charset(rest)


def check_patch_type(call: Call) -> None:
    """Raises UnsupportedMedia unless the body is a JSON Patch, an XML Patch or FHIR Parameters."""
    kind, rest = _content_type(call)
    if kind not in _PATCH and kind not in _JSON and kind not in _XML:
        raise UnsupportedMedia(
            "a patch is application/json-patch+json (JSON Patch), application/xml-patch+xml (XML Patch), or"
            " application/fhir+json or application/fhir+xml with Parameters (FHIRPath Patch)"
        )
    _check_charset(rest)


def _content_type(call: Call) -> tuple[str, str]:
    kind, _, rest = call.header(b"content-type").partition(";")
    return kind.strip().lower(), rest.lower()


def _check_charset(parameters: str) -> None:
    if "charset" in parameters and "utf-8" not in parameters:
        raise UnsupportedMedia("FHIR is UTF-8; convert the body")


async def as_xml(body: bytes, *, indented: bool = False) -> bytes:
    """A JSON answer in XML."""
    if len(body) > LARGE:
        return await asyncio.to_thread(_xml, body, indented)
    return _xml(body, indented)


def _xml(body: bytes, indented: bool) -> bytes:
    text = to_xml(parse(body))
    if not indented:
        return text
    root = etree.fromstring(text)
    _indent(root, 0)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def _indent(node: etree._Element, depth: int) -> None:
    """White space between elements, except inside the narrative, where it would be text."""
    if len(node) == 0 or str(node.tag).startswith(_XHTML):
        return
    node.text = "\n" + "  " * (depth + 1)
    for child in node:
        _indent(child, depth + 1)
        child.tail = node.text
    node[-1].tail = "\n" + "  " * depth
