"""The safe subset of XHTML that a narrative may hold (R4 narrative, invariants txt-1 and txt-2).

Well-formed, one `div` in the XHTML namespace, only the listed elements and attributes, no DOCTYPE and no entities but
XML's own, some content to see. Beyond txt-1, links that run code (`javascript:` and the like) are refused, since
narratives are shown to people in a browser.
"""

from __future__ import annotations

from xml.parsers import expat

_NAMESPACE = "http://www.w3.org/1999/xhtml"


def _names(text: str, prefix: str = "") -> frozenset[str]:
    return frozenset(prefix + name for name in text.split())


_ELEMENTS = _names(
    "a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i"
    " img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var",
    f"{_NAMESPACE} ",
)
_ATTRIBUTES = _names(
    "abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset"
    " cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap"
    " rel rev rowspan rules scope shape span src start style summary tabindex title type valign value vspace width"
) | _names("lang space", "http://www.w3.org/XML/1998/namespace ")
_ADDRESSES = ("href", "src", "cite", "longdesc")
_RUNS_CODE = ("javascript:", "vbscript:", "data:text")
_ROOT = f"{_NAMESPACE} div"


class _Refused(Exception):
    """What is wrong with the narrative."""


class _Reader:
    """State of one pass over a narrative."""

    __slots__ = ("depth", "visible")

    def __init__(self) -> None:
        self.depth = 0
        self.visible = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in _ELEMENTS:
            raise _Refused("an element that is not in the XHTML subset for narratives, or not in its namespace")
        if not self.depth and name != _ROOT:
            raise _Refused("the outermost element is not <div xmlns='http://www.w3.org/1999/xhtml'>")
        self.depth += 1
        if attributes:
            if not attributes.keys() <= _ATTRIBUTES:
                raise _Refused("an attribute that is not allowed in narratives")
            self._addresses(attributes)
            self.visible |= name.endswith(" img") and "src" in attributes

    def _addresses(self, attributes: dict[str, str]) -> None:
        for key in _ADDRESSES:
            address = attributes.get(key)
            if address and "".join(address.split()).lower().startswith(_RUNS_CODE):
                raise _Refused("a link that runs code")

    def text(self, data: str) -> None:
        if not self.visible and not data.isspace():
            self.visible = True

    def doctype(self, *_: object) -> None:
        raise _Refused("a DOCTYPE")


def fault(div: object) -> str | None:
    """What is wrong with a narrative's div; None when it is fine."""
    if type(div) is not str or not div:
        return "must be a string holding an XHTML div"
    reader = _Reader()
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(div.encode("utf-8", "replace"), True)
    except _Refused as refused:
        return (
            f"has {refused}; use the subset of FHIR narratives" if "is not <div" not in str(refused) else str(refused)
        )
    except expat.ExpatError as error:
        kind = expat.ErrorString(error.code) or "wrong"
        return (
            f"is not well-formed XHTML (line {error.lineno}, column {error.offset + 1}: {kind}); write é not &eacute;"
        )
    return None if reader.visible else "has nothing to see; leave text out or say something"
