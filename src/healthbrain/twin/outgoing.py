"""What leaves an institution: one message through one door, and which fault was put into it, if any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it goes out. `payload` is a FHIR Bundle as JSON, or an HL7 v2 message without its MLLP frame."""

    source: str  # institution code
    door: str  # fhir | hl7v2
    sent_at: datetime  # local time
    payload: bytes
    kind: str  # visit, followup, result, register ...
    resources: int  # FHIR resources in it, or that it should become
    fault: str = ""  # what is wrong with it; '' = it is to be accepted
    cut: bool = False  # HL7 v2: the connection breaks before the end of the frame
