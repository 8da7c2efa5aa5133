"""What passes the doors: an arrival, its receipt, and a delivery as the ledger keeps it. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from healthbrain.errors import HealthBrainError, Issue
from healthbrain.exchange.limits import Limits
from healthbrain.exchange.sender import Sender
from healthbrain.store import Written

Door = Literal["fhir", "ndjson", "hl7v2"]
State = Literal["accepted", "partly", "refused", "duplicate", "failed", "held"]
DOORS: tuple[Door, ...] = ("fhir", "ndjson", "hl7v2")
STATES: tuple[State, ...] = ("accepted", "partly", "refused", "duplicate", "failed", "held")


@dataclass(frozen=True, slots=True)
class Source:
    """A system that sends to us. `organisation` is the owner key of everything it sends."""

    key: int
    code: str
    name: str
    organisation: int
    organisation_code: str
    door: Door
    application: str
    facility: str
    charset: str
    code_set: str
    zone: str
    verified: bool
    blocked: bool = False  # by an administrator; its messages are kept and refused
    invariants: bool = True  # what it sends must keep the invariants of R4

    @property
    def sender(self) -> Sender:
        """The same as translation needs to know it. An unverified system's numbers stay its own."""
        return Sender(
            namespace=self.organisation_code or self.code,
            organisation=self.organisation_code,
            charset=self.charset,
            code_set=self.code_set,
            zone=self.zone,
        )


@dataclass(frozen=True, slots=True)
class Interaction:
    """One FHIR REST write. Without it a FHIR arrival is a Bundle posted to the base."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    type: str
    id: str | None = None
    if_match: int | None = None
    if_none_exist: str = ""  # search query of a conditional create
    condition: str = ""  # search query of a conditional update, patch or delete


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came in at a door, as it came."""

    door: Door
    source: int | None
    raw: bytes
    received_at: datetime
    content_type: str = ""
    control_id: str | None = None  # idempotency key; for HL7 v2 it is read from MSH-10
    message_type: str = ""
    interaction: Interaction | None = None
    author: str = ""  # account or token name
    name: str = ""  # file name
    limits: Limits | None = None  # of the application that sent it


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an arrival. `response` goes back to the sender: an acknowledgment or a FHIR body."""

    delivery: int | None  # None: not even the ledger could be written, and nothing was stored
    state: State
    issues: tuple[Issue, ...] = ()
    response: Any = None
    written: tuple[Written, ...] = ()
    error: HealthBrainError | None = None
    original: int | None = None  # of a duplicate


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the ledger."""

    id: int
    source: int | None
    door: Door
    received_at: datetime
    message_at: datetime | None
    settled_at: datetime
    attempt: int
    state: State
    control_id: str
    message_type: str
    name: str
    digest: bytes
    size: int
    entries: int
    written: int
    refused: int
    warnings: int
    reason: str
    issues: tuple[Mapping[str, Any], ...]
    original: int | None
    source_name: str = ""
    organisation: int | None = None
