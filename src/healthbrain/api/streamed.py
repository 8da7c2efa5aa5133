"""An answer that is not FHIR JSON in one piece: a file sent as it is read, or plain JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from healthbrain.api.answer import Answer
from healthbrain.api.call import Call, Send


@dataclass(slots=True)
class Streamed(Answer):
    """`pieces` are read in a thread, one by one, so that a large file takes no memory and holds up nobody."""

    content_type: bytes = b"application/json"
    pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))

    async def stream(self, call: Call, send_message: Send) -> None:
        """Send it."""
        headers = [
            *self.headers,
            (b"content-type", self.content_type),
            (b"x-request-id", call.request_id.encode()),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept-encoding, authorization"),
        ]
        await send_message({"type": "http.response.start", "status": self.status, "headers": headers})
        if call.method != "HEAD":
            while (piece := await asyncio.to_thread(next, self.pieces, None)) is not None:
                await send_message({"type": "http.response.body", "body": piece, "more_body": True})
        await send_message({"type": "http.response.body", "body": b""})
