"""A message as it came, made readable: HL7 v2 with field names, JSON indented, anything else as text or hexadecimal.

Places of findings (`PID-3[1].1`, `OBX[2]-5`, `Bundle.entry[3].resource.birthDate`) are marked where they stand. Only a
part of a long message is laid out, around the first finding; the whole can be had as a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from healthbrain.web.language import N_, Language

MOST_LINES = 260
_WIDEST = 600  # characters of one line
_LINES_BEFORE = 40
_FIELD_NAMES = Path(__file__).parent / "hl7_fields.json"
_PLACE = re.compile(r"^(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<nth>\d+)\])?(?:-(?P<field>\d+))?")
_DECLARED = {"UNICODE UTF-8": "utf-8", "UTF-8": "utf-8", "GB 18030-2000": "gb18030", "GB18030": "gb18030"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a line: its text, how it looks, what it is."""

    text: str
    look: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line."""

    tokens: Sequence[Token]
    hit: bool = False


@dataclass(frozen=True, slots=True)
class RawView:
    """A message laid out. `anchors` name the line of each place that was found."""

    note: str
    lines: Sequence[Line]
    anchors: dict[str, str]
    cut: str = ""


class Exact(str):
    """A number exactly as it was written."""

    __slots__ = ()


def raw_view(said: Language, raw: bytes, door: str, places: Sequence[str]) -> RawView:
    """The message as lines; `places` are where findings stand."""
    size = said.size(len(raw))
    text, charset = readable(raw)
    if text is None:
        lines = [Line([Token(row)]) for row in _hexadecimal(raw)]
        why = said.say(N_("not readable as text; shown as hexadecimal"))
        return _cut(said, f"{size} · {why}", lines, {})
    note = f"{size} · {charset}"
    if door == "hl7v2" or text.startswith(("MSH", "FHS", "BHS")):
        lines, anchors = _hl7(said, text, places)
    elif (value := _as_json(text)) is not None:
        lines, anchors = json_lines(value, places)
    else:
        lines, anchors = [Line([Token(line[:_WIDEST])]) for line in text.splitlines()], {}
    return _cut(said, note, lines, anchors)


def readable(raw: bytes) -> tuple[str | None, str]:
    """The text and the charset it was read with; (None, '') when it is no text."""
    wanted = ["utf-8", "gb18030"]
    head = raw[:2000].decode("latin-1")
    for name, codec in _DECLARED.items():
        if f"|{name}" in head.upper():
            wanted.insert(0, codec)
            break
    for codec in wanted:
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        if not any(ord(c) < 32 and c not in "\r\n\t\x0b\x0c\x1c" for c in text[:4000]):
            return text, codec.upper()
    return None, ""


def json_lines(value: Any, places: Sequence[str] = ()) -> tuple[list[Line], dict[str, str]]:
    """JSON indented, one line per member, with the line of each place."""
    lines: list[Line] = []
    anchors: dict[str, str] = {}
    root = value.get("resourceType", "") if isinstance(value, dict) else ""
    wanted = {_plain(place): place for place in places if place}
    for path, tokens in _laid_out(value, str(root), 0, "", last=True):
        place = wanted.get(_plain(path))
        if place is not None and place not in anchors:
            anchors[place] = f"l{len(lines) + 1}"
        lines.append(Line(tokens, place is not None))
    return lines, anchors


@cache
def field_names() -> dict[str, list[list[str]]]:
    """Names of HL7 v2 fields by segment: [Chinese, English] in the order of the standard."""
    return dict(json.loads(_FIELD_NAMES.read_text("utf-8")))


def parse_exact(text: str) -> Any:
    """JSON with numbers kept as they are written."""
    return json.loads(text, parse_float=Exact, parse_int=Exact)


def _as_json(text: str) -> Any:
    try:
        return parse_exact(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _laid_out(value: Any, path: str, depth: int, key: str, *, last: bool) -> Iterator[tuple[str, list[Token]]]:
    lead = [Token("  " * depth)]
    if key:
        lead += [Token(json.dumps(key, ensure_ascii=False), "k"), Token(": ")]
    comma = "" if last else ","
    if isinstance(value, (dict, list)) and value:
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        yield path, [*lead, Token(opening)]
        members = list(value.items()) if isinstance(value, dict) else [("", one) for one in value]
        for number, (name, one) in enumerate(members):
            inner = f"{path}.{name}" if isinstance(value, dict) else f"{path}[{number}]"
            yield from _laid_out(one, inner, depth + 1, name, last=number == len(members) - 1)
        yield "", [Token("  " * depth + closing + comma)]
        return
    if isinstance(value, Exact):
        token = Token(value, "n")
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        token = Token(text if len(text) <= _WIDEST else text[:_WIDEST] + "…", "s")
    else:
        token = Token(json.dumps(value), "n")
    yield path, [*lead, token, Token(comma)]


def _hl7(said: Language, text: str, places: Sequence[str]) -> tuple[list[Line], dict[str, str]]:
    found = [match.groupdict() | {"place": place} for place in places if (match := _PLACE.match(place))]
    lines: list[Line] = []
    anchors: dict[str, str] = {}
    seen: dict[str, int] = {}
    separator = "|"
    for row in re.split(r"[\r\n]+", text.strip("\x0b\x1c\r\n")):
        name = row[:3]
        if name in ("MSH", "FHS", "BHS") and len(row) > 3:
            separator = row[3]
        seen[name] = seen.get(name, 0) + 1
        here = [one for one in found if one["segment"] == name and int(one["nth"] or seen[name]) == seen[name]]
        for one in here:
            anchors.setdefault(str(one["place"]), f"l{len(lines) + 1}")
        fields = {int(one["field"]) for one in here if one["field"]}
        lines.append(Line(_segment(said, row, separator, fields), hit=bool(here) and not fields))
    return lines, anchors


def _segment(said: Language, row: str, separator: str, hits: set[int]) -> list[Token]:
    name, *fields = row.split(separator)
    names = field_names().get(name, [])
    tokens = [Token(name, "seg")]
    first = 2 if name in ("MSH", "FHS", "BHS") else 1  # MSH-1 is the separator itself
    for number, field in enumerate(fields, start=first):
        tokens.append(Token(separator, "sep"))
        if field or number in hits:
            label = names[number - 1][0 if said.chinese else 1] if number <= len(names) else ""
            text = field if len(field) <= _WIDEST else field[:_WIDEST] + "…"
            text = text or "∅"  # a finding about what is not there
            tokens.append(Token(text, "f hit" if number in hits else "f", f"{name}-{number} {label}".strip()))
    return tokens


def _hexadecimal(raw: bytes) -> Iterator[str]:
    for start in range(0, min(len(raw), MOST_LINES * 16 + 1), 16):
        row = raw[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):<47}  {shown}"


def _cut(said: Language, note: str, lines: Sequence[Line], anchors: dict[str, str]) -> RawView:
    if len(lines) <= MOST_LINES:
        return RawView(note, lines, anchors)
    first = min((int(anchor[1:]) for anchor in anchors.values()), default=1)
    start = max(0, first - _LINES_BEFORE) if first > MOST_LINES - _LINES_BEFORE else 0
    kept = lines[start : start + MOST_LINES]
    moved = {p: f"l{int(a[1:]) - start}" for p, a in anchors.items() if start < int(a[1:]) <= start + MOST_LINES}
    words = said.say(N_("Lines %(first)s to %(last)s of %(all)s; take the file for the rest."))
    return RawView(note, kept, moved, words % {"first": start + 1, "last": start + len(kept), "all": len(lines)})


def _plain(path: str) -> str:
    """FHIRPath spellings of one place made equal: no ofType(), no [x], a first index may be left out."""
    return re.sub(r"\.ofType\([^)]*\)|\[0\]", "", path)
