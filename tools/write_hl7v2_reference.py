"""Write docs/reference/hl7v2.md from the translation tables. `--check` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from healthbrain.exchange.hl7v2.tables import tables

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "hl7v2.md"

HEAD = """# HL7 v2

Written by `tools/write_hl7v2_reference.py` from the tables in `src/healthbrain/exchange/maps/`; don't edit. To change
a translation, change its table; the platform reads and checks them all when it starts.

## On the wire

- MLLP: `0x0B`, the message, `0x1C 0x0D`, over TCP. One connection may carry any number of messages; they are handled in order.
- The separators are those of MSH-1 and MSH-2. Segments end with CR; LF and CRLF are read too.
- Character set: a byte-order mark, else MSH-18 (`UNICODE UTF-8`, `GB 18030-2000`, `ASCII`, `8859/1` ...), else what the source is
  registered with, else UTF-8, else GB 18030. A declared one that doesn't fit the bytes is refused. The answer comes in the same.
- A time without a zone is Chinese time. Dates that don't exist, and facts later than an hour after arrival, are refused.

| answer | meaning |
|---|---|
| AA | kept and written; sent only after the commit. A message sent again (same MSH-10, same content) gets AA again |
| AE | understood, but something in it is wrong: each ERR segment names the place (ERL), a code of table 0357 and what to do. Code 207 with no other: our trouble, send again |
| AR | not for us: unreadable, of an unsupported type, or from an unregistered facility where those are refused |

Everything that arrives is in the ledger, refused or not, with its raw bytes, and can be replayed.

## Numbers and identity

PID-3 repeats. Its fifth component says what a number is: `MR` (the hospital's own), `NI` (identity card), `SS` (insurance), `HC` (health
card). Resource ids are made from the organisation's code and the sender's own number, so whatever is sent again updates the
same resource, in whatever order messages come. A visit is known by PV1-19 (else PV1-50, PID-18, or patient and PV1-44), an order by
OBR-2/ORC-2, a report by OBR-3.

## How a message meets what is stored

| mode | resources | meaning |
|---|---|---|
| merge | what ADT says of patient and visit | what the message doesn't mention stays; identifiers are replaced per system |
| fill | the copy of patient and visit in a result or order | only adds what is missing |
| replace | results | the latest message counts; the earlier version is in the history |
"""


def text() -> str:
    """The whole page."""
    known = tables()
    lines = [HEAD, "## Message types", "", "| type | 中文 | segments | must have |", "|---|---|---|---|"]
    for name, one in sorted(known.structures.items()):
        parts = ", ".join(f"{segment} → {'/'.join(made)}" for segment, made in one.parts.items())
        needs = ", ".join(need.replace("|", " or ") for need in one.needs)
        lines.append(f"| {name.replace('^', chr(92) + '^')} | {one.title} | {parts} | {needs} |")
    lines += ["", "Segments that are not named are kept with the message and reported as not translated.", ""]
    for part, rows in sorted(known.resources.items()):
        lines += [f"## {part}", "", "| element | from | by | rule |", "|---|---|---|---|"]
        for row in rows:
            fields = ", ".join(map(str, row.fields)) or "–"
            by = f"{row.function}({row.argument})".replace("|", chr(92) + "|")
            lines.append(f"| {row.element}{'[]' if row.many else ''} | {fields} | {by} | {row.rule or '–'} |")
        lines.append("")
    lines += [
        "Of several fields the first that holds something counts; of several rows for one element the first that gives a value.",
        "Rules: `required` – without it the message is refused; `skip` – without it this resource is not made; `once` – only for a",
        "new resource; `default` – only when no row before gave one.",
        "",
        "## Local code tables",
        "",
        "| table | codes | mapped to LOINC |",
        "|---|---|---|",
    ]
    for name, codes in sorted(known.local.items()):
        lines.append(f"| {name} | {len(codes)} | {sum(bool(one.loinc) for one in codes.values())} |")
    return "\n".join([*lines, ""])


def main() -> None:
    if "--check" in sys.argv[1:]:
        current = TARGET.exists() and TARGET.read_text("utf-8") == text()
        sys.exit(0 if current else f"{TARGET.name} is not current: run tools/write_hl7v2_reference.py")
    TARGET.write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
