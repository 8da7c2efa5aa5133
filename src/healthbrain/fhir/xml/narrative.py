"""The XHTML of a narrative, kept as text: what stood between `<div` and `</div>` is what JSON holds, byte for byte.

Only when a div leans on what its surroundings declare (a prefix, a default namespace) is it written anew, so that it
stands alone as JSON needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.parsers import expat

from healthbrain.fhir.xml.fields import XHTML

_ROOT = f"{XHTML} div"
_AROUND = "around"
_XML = "http://www.w3.org/XML/1998/namespace"
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE = str.maketrans({"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})


class _Unusable(Exception):
    """The text is not a div of XHTML alone."""


def stands_alone(div: str) -> bool:
    """Whether the text is one well-formed div in the XHTML namespace and nothing before it; no DOCTYPE."""
    if not div.startswith("<div"):
        return False
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = _refuse

    def root(name: str, _: object) -> None:
        if name != _ROOT:
            raise _Unusable
        parser.StartElementHandler = None

    parser.StartElementHandler = root
    try:
        parser.Parse(div.encode(), True)
    except (expat.ExpatError, _Unusable, UnicodeEncodeError):
        return False
    return div.endswith(">")


def standing_alone(div: str, prefixes: Mapping[str | None, str | None]) -> str | None:
    """The div with the namespaces it took from its surroundings resolved; None when it holds more than XHTML.

    It was well-formed where it stood; `prefixes` are what was declared around it, None where a default was taken back.
    """
    if stands_alone(div):
        return div
    declared = "".join(
        f' xmlns{":" + prefix if prefix else ""}="{(uri or "").translate(_ATTRIBUTE)}"'
        for prefix, uri in prefixes.items()
    )
    rewriter = _Rewriter()
    parser = expat.ParserCreate("utf-8", " ")
    parser.ordered_attributes = True
    parser.StartElementHandler = rewriter.start
    parser.EndElementHandler = rewriter.end
    parser.CharacterDataHandler = rewriter.text
    try:
        parser.Parse(f"<{_AROUND}{declared}>{div}</{_AROUND}>".encode(), True)
    except _Unusable:
        return None
    return "".join(rewriter.out)


class _Rewriter:
    """Writes a div anew while it is read, all names in the one namespace that the div declares."""

    __slots__ = ("depth", "out")

    def __init__(self) -> None:
        self.out: list[str] = []
        self.depth = 0

    def start(self, name: str, attributes: list[str]) -> None:
        if self.depth:
            found = f"<{_name(name, XHTML)}" + (f' xmlns="{XHTML}"' if self.depth == 1 else "")
            for key, value in zip(attributes[::2], attributes[1::2], strict=True):
                found += f' {_name(key, "")}="{value.translate(_ATTRIBUTE)}"'
            self.out.append(found + ">")
        self.depth += 1

    def end(self, name: str) -> None:
        self.depth -= 1
        if self.depth:
            self.out.append(f"</{_name(name, XHTML)}>")

    def text(self, text: str) -> None:
        self.out.append(text.translate(_TEXT))


def _name(name: str, expected: str) -> str:
    namespace, _, local = name.rpartition(" ")
    if namespace == _XML:
        return f"xml:{local}"
    if namespace != expected:
        raise _Unusable
    return local


def _refuse(*_: object) -> None:
    raise _Unusable
