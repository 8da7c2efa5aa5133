"""The district as files, for those who have no server: one folder per source, plus the truth behind the records.

FHIR sources become `bundles.ndjson` (one transaction bundle a line), HL7 v2 sources `messages.hl7` (messages in MLLP frames, so that
several lines and charsets survive). Messages that are cut on purpose are left out. `hb import` reads both.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from healthbrain.twin.district import District

_NAMES = {"fhir": "bundles.ndjson", "hl7v2": "messages.hl7"}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    messages: int
    resources: int
    bytes: int


def write(district: District, folder: Path, *, faults: bool = True) -> Written:
    """Write everything the district sends under `folder`; `faults=False` leaves out what would be refused."""
    messages = resources = size = 0
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for message in district.messages():
            if message.cut or (message.fault and not faults):
                continue
            if message.source not in files:
                path = folder / message.source / _NAMES[message.door]
                path.parent.mkdir(parents=True, exist_ok=True)
                files[message.source] = stack.enter_context(path.open("wb"))
            line = message.payload + b"\n" if message.door == "fhir" else b"\x0b" + message.payload + b"\x1c\r"
            files[message.source].write(line)
            messages += 1
            resources += 0 if message.fault else message.resources
            size += len(line)
    with (folder / "truth.ndjson").open("w", encoding="utf-8") as file:
        for row in district.truth():
            known = {"source": row.source, "mrn": row.mrn, "person": row.person, "flaws": row.flaws}
            file.write(json.dumps(known, ensure_ascii=False) + "\n")
    return Written(messages, resources, size)
