"""An HL7 v2 message as it was sent: cut at its own separators, nothing lost, nothing unescaped before it is asked for.

Rules: HL7 v2.8 chapter 2 (separators from MSH-1 and MSH-2; segments end with CR; real files also use LF or CRLF).
Places are written `PID-3[1].1`; a segment that repeats carries its number: `OBX[2]-5[1].1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from healthbrain.errors import Issue, Malformed
from healthbrain.exchange.hl7v2.charset import decode
from healthbrain.exchange.hl7v2.escape import Separators, separators, unescape

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_BURIED = re.compile(r"\n+(?=[A-Z][A-Z0-9]{2}\W)")
NULL = '""'  # HL7's "delete this value"


@dataclass(frozen=True, slots=True)
class Value:
    """One repetition, component or subcomponent, and where it stands."""

    raw: str
    place: str
    marks: Separators
    charset: str = "utf-8"
    depth: int = 0  # 0 repetition, 1 component, 2 subcomponent

    @property
    def text(self) -> str:
        """What is meant: without escape sequences and outer blanks; '' for HL7's null."""
        raw = self.raw
        if raw == NULL:
            return ""
        mark = self.marks.escape
        return (unescape(raw, self.marks, self.charset) if mark and mark in raw else raw).strip()

    def part(self, number: int) -> Value:
        """Component (of a repetition) or subcomponent (of a component) `number`, from 1."""
        if self.depth == 2:
            return self if number == 1 else Value("", self.place, self.marks, self.charset, 2)
        mark = self.marks.subcomponent if self.depth else self.marks.component
        pieces = self.raw.split(mark) if mark else [self.raw]
        raw = pieces[number - 1] if number <= len(pieces) else ""
        return Value(raw, f"{self.place}.{number}", self.marks, self.charset, self.depth + 1)

    def first(self, number: int) -> str:
        """Text of component `number`, of its first subcomponent when it has several."""
        marks, raw = self.marks, self.raw
        outer = marks.subcomponent if self.depth else marks.component
        if self.depth < 2 and outer and outer in raw:
            pieces = raw.split(outer, number)
            raw = pieces[number - 1] if number <= len(pieces) else ""
        elif number > 1:
            return ""
        if not raw or raw == NULL:
            return ""
        if not self.depth and (inner := marks.subcomponent) and inner in raw:
            raw = raw.split(inner, 1)[0]
        if marks.escape and marks.escape in raw:
            raw = unescape(raw, marks, self.charset)
        return raw.strip()

    def __bool__(self) -> bool:
        return bool(self.raw) and self.raw != NULL


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of a message. Field numbers are HL7's: MSH-1 is the field separator itself."""

    name: str
    index: int  # position in the message, from 1
    occurrence: int  # how many-th of its name, from 1
    pieces: tuple[str, ...]  # pieces[n] is field n
    marks: Separators
    charset: str
    alone: bool  # the only one of its name

    @property
    def place(self) -> str:
        """`PID`, or `OBX[2]` when there are several."""
        return self.name if self.alone else f"{self.name}[{self.occurrence}]"

    def raw(self, number: int) -> str:
        """Field `number` as it came, '' when the segment ends before it."""
        return self.pieces[number] if number < len(self.pieces) else ""

    def values(self, number: int) -> list[Value]:
        """The repetitions of field `number` that hold something."""
        raw = self.pieces[number] if number < len(self.pieces) else ""
        if not raw:
            return []
        place = f"{self.name}-{number}" if self.alone else f"{self.name}[{self.occurrence}]-{number}"
        mark = self.marks.repetition
        if not mark or mark not in raw or (self.name == "MSH" and number <= 2):
            return [Value(raw, f"{place}[1]", self.marks, self.charset)] if raw != NULL else []
        return [
            Value(piece, f"{place}[{n}]", self.marks, self.charset)
            for n, piece in enumerate(raw.split(mark), 1)
            if piece and piece != NULL
        ]

    def value(self, number: int) -> Value:
        """The first repetition of field `number` (empty when there is none)."""
        found = self.values(number)
        return found[0] if found else Value("", f"{self.place}-{number}", self.marks, self.charset)

    def text(self, number: int, component: int = 1) -> str:
        """Text of a component of the first repetition of field `number`."""
        raw = self.raw(number)
        return self.value(number).first(component) if raw else ""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message. `text` is exactly what was sent, decoded."""

    text: str
    marks: Separators
    charset: str  # codec it was read with
    declared: str  # MSH-18
    segments: tuple[Segment, ...] = field(repr=False)

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """`ADT^A01`; the event alone may be missing in very old messages."""
        kind, event = self.header.text(9, 1), self.header.text(9, 2)
        return f"{kind}^{event}" if event else kind

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    @property
    def application(self) -> str:
        """Who sends: MSH-3."""
        return self.header.text(3)

    @property
    def facility(self) -> str:
        """From where: MSH-4, by agreement the organisation's code."""
        return self.header.text(4)

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment called `name`."""
        return (segment for segment in self.segments if segment.name == name)

    def first(self, name: str) -> Segment | None:
        """The first segment called `name`."""
        return next(self.all(name), None)


def parse(frame: bytes | str, *, registered: str = "") -> Message:
    """The message in `frame` (without MLLP's frame bytes). `registered` is its source's character set.

    Raises Malformed naming the place when it can't be cut into segments.
    """
    if isinstance(frame, str):
        text, charset, declared = frame.removeprefix("\ufeff"), "utf-8", ""
    else:
        decoded = decode(frame, registered)
        text, charset, declared = decoded.text, decoded.codec, decoded.declared
    lines = segment_lines(text)
    if not lines:
        raise Malformed("MSH: the message is empty")
    marks = separators(lines[0])
    return Message(text, marks, charset, declared, _segments(lines, marks, charset))


def segment_lines(text: str) -> list[str]:
    """The segments as lines, whatever ends them (CR, LF, CRLF); blank lines are dropped."""
    text = text.lstrip("\r\n\t \x0b")
    if "\n" not in text:
        lines = text.split("\r")
    elif "\r" not in text:
        lines = text.split("\n")
    else:
        # CR ends segments; an LF inside one belongs to its text, unless another segment begins after it
        lines = _BURIED.sub("\r", text.replace("\r\n", "\r")).split("\r")
    return [line for line in lines if line and not line.isspace()]


def _segments(lines: list[str], marks: Separators, charset: str) -> tuple[Segment, ...]:
    mark = marks.field
    seen: dict[str, int] = {}
    cut = [line.split(mark) for line in lines]
    for pieces in cut:
        name = pieces[0]
        seen[name] = seen.get(name, 0) + 1
    counted: dict[str, int] = {}
    found = []
    for index, pieces in enumerate(cut, 1):
        name = pieces[0]
        if _NAME.fullmatch(name) is None:
            name = _mended_name(name, index)
        number = counted.get(name, 0) + 1
        counted[name] = number
        if index == 1:
            pieces.insert(1, mark)  # MSH-1 is the separator that split() consumed
        elif name == "MSH":
            raise Malformed(
                f"segment {index}: a second MSH; send one message in a frame",
                issues=[Issue("error", "structure", f"MSH[{number}]", "a second message begins inside this one")],
            )
        found.append(Segment(name, index, number, tuple(pieces), marks, charset, seen.get(pieces[0], 1) == 1))
    return tuple(found)


def _mended_name(name: str, index: int) -> str:
    stripped = name.strip()
    if _NAME.fullmatch(stripped):
        return stripped
    raise Malformed(
        f"segment {index} does not begin with a segment name; a line break inside a value must be sent as \\.br\\",
        issues=[
            Issue("error", "structure", f"segment {index}", "does not begin with a segment name of three capitals")
        ],
    )
