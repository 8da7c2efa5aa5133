r"""HL7 v2 escape sequences (v2.8 chapter 2.7), read when a value is used and never before.

`\F\ \S\ \T\ \R\ \E\` stand for the separators, `\Xhh..\` for bytes, `\.br\` and its like for formatting. A sequence
that the standard doesn't know is kept as it came: dropping text of a report would be worse than showing it raw.
"""

from __future__ import annotations

from dataclasses import dataclass

from healthbrain.errors import Malformed


@dataclass(frozen=True, slots=True)
class Separators:
    """The characters a message says it is built with (MSH-1 and MSH-2). '' = this level doesn't exist."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding(self) -> str:
        """MSH-2 as it is written."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD = Separators()


def separators(header: str) -> Separators:
    """The separators declared by the MSH segment `header`; Malformed when they can't be told apart."""
    if len(header) < 6 or not header.startswith("MSH"):
        raise Malformed("MSH: the message must begin with 'MSH' and its separators")
    if header.startswith("MSH|^~\\&|"):
        return STANDARD
    field = header[3]
    encoding = header[4:].split(field, 1)[0]
    if field.isalnum() or field.isspace() or not 2 <= len(encoding) <= 5:
        raise Malformed("MSH-1: the separators are not readable; expected for example MSH|^~\\&|")
    if len(set(field + encoding)) != len(encoding) + 1 or any(c.isalnum() or c.isspace() for c in encoding):
        raise Malformed("MSH-2: the separators must be different from each other and not letters or digits")
    parts = [*encoding, "", "", ""]
    return Separators(field, parts[0], parts[1], parts[2], parts[3], parts[4])


def unescape(text: str, marks: Separators = STANDARD, charset: str = "utf-8") -> str:
    """`text` with its escape sequences replaced."""
    mark = marks.escape
    if not mark or mark not in text:
        return text
    pieces = text.split(mark)
    plain = [pieces[0]]
    i = 1
    while i < len(pieces):
        meant = _meaning(pieces[i], marks, charset) if i + 1 < len(pieces) else None
        if meant is None:  # a lone escape character: keep it, and what follows is ordinary text
            plain.append(mark + pieces[i])
            i += 1
        else:
            plain.append(meant + pieces[i + 1])
            i += 2
    return "".join(plain)


def escape(text: str, marks: Separators = STANDARD) -> str:
    """`text` so that it can stand in a field: the inverse of `unescape`."""
    if marks.escape:
        text = text.replace(marks.escape, f"{marks.escape}E{marks.escape}")
        for mark, letter in (
            (marks.field, "F"),
            (marks.component, "S"),
            (marks.repetition, "R"),
            (marks.subcomponent, "T"),
        ):
            if mark:
                text = text.replace(mark, f"{marks.escape}{letter}{marks.escape}")
    line_break = f"{marks.escape}.br{marks.escape}" if marks.escape else " "
    return text.replace("\r\n", line_break).replace("\r", line_break).replace("\n", line_break)


def _meaning(sequence: str, marks: Separators, charset: str) -> str | None:
    """What stands between two escape characters; None when it isn't an escape sequence at all."""
    simple = {
        "F": marks.field,
        "S": marks.component,
        "T": marks.subcomponent,
        "R": marks.repetition,
        "E": marks.escape,
        "P": marks.truncation,
        "H": "",  # highlighting on and off carry no text
        "N": "",
    }.get(sequence)
    if simple is not None:
        return simple
    if sequence.startswith("."):
        return _formatting(sequence[1:])
    if sequence.startswith("X") and len(sequence) > 1:
        return _bytes(sequence[1:], charset)
    if sequence[:1] in {"C", "M", "Z"} and sequence[1:].isalnum():
        return f"{marks.escape}{sequence}{marks.escape}"  # other character sets and local ones: shown as they came
    return None


def _formatting(command: str) -> str | None:
    name, amount = command[:2], command[2:].lstrip("+")
    if amount and not (amount.isdecimal() or amount.startswith("-")):
        return None
    if name in {"br", "ce"}:
        return "\n"
    if name == "sp":
        return "\n" * (min(int(amount), 50) if amount.isdecimal() else 1)
    if name == "sk":
        return " " * (min(int(amount), 200) if amount.isdecimal() else 1)
    return "" if name in {"fi", "nf", "in", "ti"} else None


def _bytes(digits: str, charset: str) -> str | None:
    try:
        return bytes.fromhex(digits).decode(charset)
    except ValueError:
        return None
