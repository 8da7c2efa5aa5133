"""Acknowledgments (ACK): what the sender is told. Original mode of HL7 v2.8 chapter 2.9.

AA: it is in the ledger and in the store. AE: it was understood but can't be used, or we are in trouble; ERR says which. AR: not for
us (unknown sender, unsupported type, unreadable). One ERR segment per error, at most twenty, located by ERL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Literal

from healthbrain.errors import Issue
from healthbrain.exchange.hl7v2.charset import Decoded, declared_in, first_line
from healthbrain.exchange.hl7v2.escape import STANDARD, Separators, escape, separators
from healthbrain.exchange.hl7v2.message import Message

Verdict = Literal["AA", "AE", "AR"]
_CHINA = timezone(timedelta(hours=8))
_PLACE = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<n>\d+)\])?(?:-(?P<field>\d+)(?:\[(?P<rep>\d+)\])?(?P<rest>(?:\.\d+)*))?"
)
_MOST = 20
# FHIR issue type -> HL7 table 0357
_CONDITION = {
    "structure": "100^Segment sequence error^HL70357",
    "required": "101^Required field missing^HL70357",
    "value": "102^Data type error^HL70357",
    "code-invalid": "103^Table value not found^HL70357",
    "not-supported": "200^Unsupported message type^HL70357",
    "conflict": "205^Duplicate key identifier^HL70357",
    "exception": "207^Application internal error^HL70357",
    "transient": "207^Application internal error^HL70357",
}
_SEVERITY = {"fatal": "E", "error": "E", "warning": "W", "information": "I"}


def acknowledge(
    message: Message | bytes, verdict: Verdict, issues: Sequence[Issue] = (), *, at: datetime, number: int | None = None
) -> bytes:
    """The ACK for `message` (or for bytes that couldn't be parsed), in the sender's separators and character set.

    `number` is the delivery's: it becomes our control id, so that a sender can ask about it.
    """
    marks, charset, declared, header = _origin(message)

    def said(field: int) -> str:
        return header[field - 1] if len(header) >= field else ""

    event = ([*said(9).split(marks.component), "", ""])[1]
    kind = marks.component.join(("ACK", event, "ACK") if event else ("ACK",))
    stamp = at.astimezone(_CHINA).strftime("%Y%m%d%H%M%S+0800")
    msh = [
        "MSH", marks.encoding, said(5), said(6), said(3), said(4), stamp, "", kind,
        f"HB{number}" if number is not None else f"HB{stamp[:14]}", said(11) or "P", said(12) or "2.5",
        "", "", "", "", "", declared,
    ]  # fmt: skip
    worst = next((one.text for one in issues if one.severity in {"error", "fatal"}), "")
    msa = ["MSA", verdict, said(10), escape(worst[:80], marks) if verdict != "AA" else ""]
    lines = [_line(msh, marks), _line(msa, marks)]
    lines += [_err(issue, marks) for issue in [one for one in issues if one.severity != "information"][:_MOST]]
    text = "\r".join(lines) + "\r"
    return text.encode(charset, "replace")


def _origin(message: Message | bytes) -> tuple[Separators, str, str, list[str]]:
    if isinstance(message, Message):
        header = message.header
        return message.marks, message.charset, message.declared, list(header.pieces[1:])
    line = first_line(message)
    try:
        marks = separators(line)
    except Exception:
        return STANDARD, "utf-8", "", []
    pieces = line.split(marks.field)
    decoded = Decoded(line, "utf-8", declared_in(message))
    return marks, decoded.codec, "", [marks.field, *pieces[1:]]


def _err(issue: Issue, marks: Separators) -> str:
    condition = _CONDITION.get(
        issue.code, "207^Application internal error^HL70357" if not issue.expression else "102^Data type error^HL70357"
    )
    return _line(
        ["ERR", "", _located(issue.expression, marks), condition.replace("^", marks.component),
         _SEVERITY[issue.severity], "", "", escape(f"{issue.expression}: " if not _PLACE.fullmatch(issue.expression) and issue.expression else "", marks), escape(issue.text, marks)],
        marks,
    )  # fmt: skip


def _located(expression: str, marks: Separators) -> str:
    """ERL: segment ^ sequence ^ field ^ repetition ^ component ^ subcomponent."""
    match = _PLACE.fullmatch(expression)
    if match is None:
        return ""
    rest = match["rest"].strip(".").split(".") if match["rest"] else []
    parts = [
        match["segment"],
        match["n"] or "1",
        match["field"] or "",
        (match["rep"] or "1") if match["field"] else "",
        *rest,
    ]
    return marks.component.join(parts).rstrip(marks.component)


def _line(fields: Sequence[str], marks: Separators) -> str:
    return marks.field.join(fields).rstrip(marks.field) if fields[0] != "MSH" else marks.field.join(fields)
