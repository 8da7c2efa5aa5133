"""htmlChecks(): whether a narrative keeps to the XHTML that FHIR allows.

Rule source: FHIR R4, Narrative, invariants txt-1 and txt-2: one `div`, formatting elements only, no scripts, forms,
frames or event attributes, links and images by safe addresses, and some content.
"""

from __future__ import annotations

import re
from html.entities import html5
from xml.parsers import expat

_NAMESPACE = "http://www.w3.org/1999/xhtml"
_MAX_DEPTH = 200
_ELEMENTS = frozenset(
    [
        "p",
        "br",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "a",
        "span",
        "b",
        "em",
        "i",
        "strong",
        "small",
        "big",
        "tt",
        "dfn",
        "q",
        "var",
        "abbr",
        "acronym",
        "cite",
        "blockquote",
        "hr",
        "address",
        "bdo",
        "kbd",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "pre",
        "table",
        "caption",
        "colgroup",
        "col",
        "thead",
        "tr",
        "tfoot",
        "tbody",
        "th",
        "td",
        "code",
        "samp",
        "img",
        "map",
        "area",
        "sub",
        "sup",
        "ins",
        "del",
    ]
)
_ATTRIBUTES = frozenset(
    [
        "abbr",
        "accesskey",
        "align",
        "alt",
        "axis",
        "bgcolor",
        "border",
        "cellhalign",
        "cellpadding",
        "cellspacing",
        "cellvalign",
        "char",
        "charoff",
        "charset",
        "cite",
        "class",
        "colspan",
        "compact",
        "coords",
        "dir",
        "frame",
        "headers",
        "height",
        "href",
        "hreflang",
        "hspace",
        "id",
        "lang",
        "longdesc",
        "name",
        "nowrap",
        "rel",
        "rev",
        "rowspan",
        "rules",
        "scope",
        "shape",
        "span",
        "src",
        "start",
        "style",
        "summary",
        "tabindex",
        "title",
        "type",
        "valign",
        "value",
        "vspace",
        "width",
        "xml:lang",
        "xmlns",
    ]
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset(("amp", "lt", "gt", "quot", "apos"))
_SAFE_SCHEMES = ("http:", "https:", "mailto:", "tel:", "#", "data:image/")


class _Unsafe(Exception):
    """Leaves the parser's callbacks, never this module."""


def is_safe(text: str) -> bool:
    """Whether `text` is a narrative `div` that may be shown."""
    checker = _Checker()
    parser = expat.ParserCreate()
    parser.StartElementHandler = checker.start
    parser.EndElementHandler = checker.end
    parser.CharacterDataHandler = checker.characters
    parser.StartDoctypeDeclHandler = checker.refuse
    parser.ProcessingInstructionHandler = checker.refuse
    try:
        parser.Parse(_without_named_entities(text), True)
    except (expat.ExpatError, _Unsafe, ValueError):
        return False
    return checker.has_content


def _without_named_entities(text: str) -> str:
    """HTML's named characters are no XML, but FHIR allows them; their value does not matter here."""
    return _ENTITY.sub(
        lambda found: found[0] if found[1] in _XML_ENTITIES or f"{found[1]};" not in html5 else "x", text
    )


class _Checker:
    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH or name not in _ELEMENTS:
            raise _Unsafe
        if self.depth == 1 and (name != "div" or attributes.get("xmlns") not in (_NAMESPACE, None)):
            raise _Unsafe
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES:
                raise _Unsafe
            if attribute in ("href", "src", "cite", "longdesc") and not _safe_address(value):
                raise _Unsafe
        if name == "img":
            self.has_content = True

    def end(self, name: str) -> None:
        self.depth -= 1

    def characters(self, data: str) -> None:
        if not data.isspace():
            self.has_content = True

    def refuse(self, *_: object) -> None:
        raise _Unsafe


def _safe_address(value: str) -> bool:
    plain = "".join(value.split()).lower()
    scheme = plain.partition(":")[0]
    return ":" not in plain or plain.startswith(_SAFE_SCHEMES) or "/" in scheme or "#" in scheme or "?" in scheme
