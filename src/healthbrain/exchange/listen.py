"""What the MLLP port does with a frame: into the ledger, whatever it is, and an acknowledgment back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from healthbrain.errors import HealthBrainError, Issue, Malformed, TooLarge
from healthbrain.exchange.hl7v2.ack import acknowledge
from healthbrain.exchange.hl7v2.mllp import Frame, Handler
from healthbrain.exchange.receiving import Ledger
from healthbrain.exchange.values import Arrival

_FAULTS = {
    "truncated": "the frame was not finished (no 0x1C 0x0D); send the whole message again",
    "oversized": "the message is larger than this port takes; send it in parts or by file",
    "unframed": "bytes outside a frame; every message must stand between 0x0B and 0x1C 0x0D",
}


def _now() -> datetime:
    return datetime.now(UTC)


def mllp_handler(ledger: Ledger, clock: Callable[[], datetime] = _now) -> Handler:
    """A handler for `serve_mllp` that takes every frame into `ledger`."""

    async def handle(frame: Frame) -> bytes | None:
        at = clock()
        arrival = Arrival("hl7v2", None, frame.raw, at)
        if not frame.fault:
            receipt = await ledger.receive(arrival, at=at)
            answer: bytes = receipt.response
            return answer
        text = _FAULTS[frame.fault]
        issue = Issue("error", "too-long" if frame.fault == "oversized" else "structure", "", text)
        error: HealthBrainError = (TooLarge if frame.fault == "oversized" else Malformed)(text, issues=[issue])
        receipt = await ledger.refuse(arrival, error, at=at, size=frame.size)
        return acknowledge(frame.raw, "AR", receipt.issues, at=at, number=receipt.delivery)

    return handle
