"""Reading FHIR XML with one pass of a streaming parser.

Decides what counts as readable: UTF-8, no DOCTYPE (so no entities of any kind, nothing is fetched), at most `MAX_SIZE`
bytes, as JSON at most `MAX_DEPTH` levels. Elements must be known, in the namespace of FHIR and in the order of the
standard; comments and processing instructions are skipped. What the values mean is judged by `validate`, as for JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn
from xml.parsers import expat

from healthbrain.errors import Invalid, Issue, Malformed, TooLarge
from healthbrain.fhir.codec import MAX_DEPTH
from healthbrain.fhir.xml.fields import FHIR, Field, attributes, children, extension_only, resources
from healthbrain.fhir.xml.narrative import standing_alone
from healthbrain.fhir.xml.texts import Read, Unfit, reader

MAX_SIZE = 64 * 1024 * 1024

_SPACE = " \t\r\n"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_IGNORED = frozenset({f"{_XSI} schemaLocation", f"{_XSI} noNamespaceSchemaLocation"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NOTHING: Mapping[str, Field] = {}


def from_xml(raw: bytes) -> dict[str, Any]:
    """The resource in `raw`, as its JSON would be read.

    Raises Malformed with line and column when it is not readable XML, Invalid with line, column and element path when
    it is not a FHIR resource, TooLarge beyond `MAX_SIZE`.
    """
    if len(raw) > MAX_SIZE:
        raise TooLarge(f"the XML is larger than {MAX_SIZE // 2**20} MiB; send it in parts")
    if raw.startswith(_UTF16):
        raise Malformed("line 1, column 1: not UTF-8; send the text as UTF-8")
    return _Reader(raw).resource()


class _Open:
    """An element that has begun and not ended: what it holds so far.

    A primitive holds its id and extensions in `content` and its value beside it.
    """

    __slots__ = ("content", "depth", "field", "gaps", "inside", "last", "value")

    def __init__(self, field: Field, inside: Mapping[str, Field], content: dict[str, Any], depth: int) -> None:
        self.field = field
        self.inside = inside
        self.content = content
        self.depth = depth  # levels of brackets in JSON down to here
        self.last = 0  # position of the latest child
        self.value: Any = None
        self.gaps = False  # a list of primitives in it has a place without value


class _Reader:
    """State of one reading."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        document = Field("", "", 0, False, "wrapper", "Resource")
        self._open = [_Open(document, resources(), {}, 1)]
        self._namespaces: list[tuple[str | None, str | None]] = []
        self._begin = self._nested = 0
        parser = self._parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declare
        parser.EndNamespaceDeclHandler = self._forget
        parser.StartDoctypeDeclHandler = self._doctype
        parser.XmlDeclHandler = self._declaration

    def resource(self) -> dict[str, Any]:
        try:
            self._parser.Parse(self._raw, True)
        except expat.ExpatError as error:
            kind = expat.ErrorString(error.code) or "wrong"
            raise Malformed(f"line {error.lineno}, column {error.offset + 1}: not XML: {kind}") from None
        return self._open[0].content

    # what the parser reports

    def _start(self, name: str, given: dict[str, str]) -> None:
        parent = self._open[-1]
        field = parent.inside.get(name)
        if field is None:
            self._unknown(name, parent)
        if field.position <= parent.last:
            self._order(field, parent)
        parent.last = field.position
        kind = field.kind
        depth = parent.depth if kind == "resource" else parent.depth + 1 + field.repeats
        opened = _Open(field, _inside(field), {"resourceType": field.type} if kind == "resource" else {}, depth)
        self._open.append(opened)
        if kind == "primitive":
            depth -= 1  # a value alone has no brackets of its own
            self._primitive(opened, given)
        elif kind == "narrative":
            self._enter_narrative()
        elif given:
            self._attributes(attributes(field.type) if kind == "complex" else _NO_ATTRIBUTES, given)
        if depth > MAX_DEPTH:
            raise Malformed(f"{self._line()}: nested deeper than {MAX_DEPTH} levels; flatten it")

    def _end(self, _: str) -> None:
        done = self._open[-1]
        parent = self._open[-2]
        field = done.field
        if field.kind == "primitive":
            self._place(done, parent)
        elif field.kind == "resource":
            parent.content = done.content
        elif not done.content:
            self._refuse("structure", "is empty; leave it out or give it content")
        elif field.repeats:
            parent.content.setdefault(field.key, []).append(done.content)
        else:
            parent.content[field.key] = done.content
        if done.gaps:
            _without_empty_lists(done.content)
        self._open.pop()

    def _enter_narrative(self) -> None:
        """Until its end, only count tags: its text is taken from the raw bytes."""
        self._begin, self._nested = self._parser.CurrentByteIndex, 1
        self._parser.StartElementHandler = self._start_within
        self._parser.EndElementHandler = self._end_within
        self._parser.CharacterDataHandler = None

    def _start_within(self, *_: object) -> None:
        self._nested += 1

    def _end_within(self, _: str) -> None:
        self._nested -= 1
        if self._nested:
            return
        at = self._parser.CurrentByteIndex
        if self._raw.startswith(b"</", at):
            at = self._raw.index(b">", at) + 1
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        text = standing_alone(self._raw[self._begin : at].decode(), dict(self._namespaces))
        if text is None:
            self._refuse("structure", "holds elements or attributes that are not XHTML; remove them")
        self._open.pop()
        self._open[-1].content["div"] = text

    def _text(self, text: str) -> None:
        if text.strip(_SPACE):
            self._refuse("structure", "has text between elements; a value stands in the attribute 'value'")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        if not self._nested:
            self._namespaces.append((prefix, uri))

    def _forget(self, _: str | None) -> None:
        if not self._nested:
            self._namespaces.pop()

    def _doctype(self, *_: object) -> None:
        raise Malformed(f"{self._line()}: a DOCTYPE is not allowed; remove it")

    def _declaration(self, _: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            raise Malformed("line 1: the encoding of FHIR XML is UTF-8; send the text as UTF-8")

    # what it means

    def _primitive(self, opened: _Open, given: dict[str, str]) -> None:
        for name, text in given.items():
            if name == "value":
                if not text:
                    self._refuse("value", "has an empty value; leave it out")
                try:
                    opened.value = _reader(opened.field.type)(text)
                except Unfit as unfit:
                    self._refuse("value", str(unfit))
            else:
                self._attributes(_ID, {name: text})

    def _attributes(self, allowed: frozenset[str], given: dict[str, str]) -> None:
        content = self._open[-1].content
        for name, text in given.items():
            if name in allowed:
                if not text:
                    self._refuse("value", f"has an empty attribute '{name}'; leave it out")
                content[name] = text
            elif name not in _IGNORED:
                named = f" '{name}'" if _NAME.fullmatch(name) else ""
                self._refuse("structure", f"has an attribute{named} that FHIR does not have here; remove it")

    def _place(self, done: _Open, parent: _Open) -> None:
        """A primitive into its parent: the value under its name, id and extensions under `_name`."""
        key, value, extra = done.field.key, done.value, done.content
        if value is None and not extra:
            self._refuse("structure", "has neither value nor extension; leave it out")
        if not done.field.repeats:
            if value is not None:
                parent.content[key] = value
            if extra:
                parent.content["_" + key] = extra
            return
        values = parent.content.setdefault(key, [])
        values.append(value)
        parent.gaps |= value is None
        extras = parent.content.get("_" + key)
        if extra and extras is None:
            extras = parent.content["_" + key] = [None] * (len(values) - 1)
        if extras is not None:
            extras.append(extra or None)

    def _order(self, field: Field, parent: _Open) -> None:
        if field.position == parent.last:
            if not field.repeats:
                self._refuse("structure", f"<{field.key}> is given twice; it may stand once")
        elif field.key in parent.content or "_" + field.key in parent.content:
            self._refuse("structure", f"<{field.key}> must stand together with the others of its name")
        else:
            self._refuse("structure", f"<{field.key}> stands too late; elements keep the order of the standard")

    def _unknown(self, name: str, parent: _Open) -> NoReturn:
        namespace, _, local = name.rpartition(" ")
        named = f" <{local}>" if _NAME.fullmatch(local) else ""
        if len(self._open) == 1:
            if namespace == FHIR:
                self._refuse("structure", f"the outermost element{named} is no resource type of FHIR R4")
            self._refuse("structure", f"the outermost element must be a resource in the namespace {FHIR}")
        if namespace != FHIR:
            self._refuse("structure", f"has an element{named} outside the namespace {FHIR}; remove it")
        if parent.field.kind == "wrapper":
            self._refuse("structure", f"has an element{named}, which is no resource type of FHIR R4")
        what = "a primitive" if parent.field.kind == "primitive" else parent.field.type
        self._refuse("structure", f"has an element{named}; {what} has no such element, use an extension")

    # where it is

    def _refuse(self, code: str, text: str) -> NoReturn:
        path, line = self._path(), self._line()
        raise Invalid(
            f"{line}: {path or 'the document'}: {text}", issues=[Issue("error", code, path, f"{text} ({line})")]
        )

    def _line(self) -> str:
        return f"line {self._parser.CurrentLineNumber}, column {self._parser.CurrentColumnNumber + 1}"

    def _path(self) -> str:
        parts: list[str] = []
        for outer, inner in zip(self._open, self._open[1:], strict=False):
            field = inner.field
            if field.repeats:
                parts.append(f"{field.label}[{len(outer.content.get(field.key, ()))}]")
            elif field.kind != "resource" or not parts:
                parts.append(field.label)
        return ".".join(parts)


_ID = frozenset({"id"})
_NO_ATTRIBUTES: frozenset[str] = frozenset()


def _inside(field: Field) -> Mapping[str, Field]:
    """What may stand in an element."""
    if field.kind == "primitive":
        return extension_only()
    if field.kind == "wrapper":
        return resources()
    return _NOTHING if field.kind == "narrative" else children(field.type)


@cache
def _reader(type_: str) -> Read:
    return reader(type_)


def _without_empty_lists(content: dict[str, Any]) -> None:
    """Lists of primitives that have extensions only stand in `_name` alone."""
    for key in [key for key, value in content.items() if type(value) is list and not any(v is not None for v in value)]:
        del content[key]
