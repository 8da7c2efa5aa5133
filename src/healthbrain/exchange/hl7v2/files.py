"""HL7 v2 files: one message, many, or a batch with FHS/BHS/BTS/FTS envelopes (HL7 v2.8 chapter 2.10.3), framed or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEGINS = re.compile(rb"(?:^|(?<=[\r\n\x0b]))MSH(?=[^A-Za-z0-9\s])")
_ENVELOPE = re.compile(rb"(?:^|(?<=[\r\n]))(?:FHS|BHS|BTS|FTS)[^\r\n]*[\r\n]*")


def messages_in(raw: bytes) -> Iterator[bytes]:
    """The messages of a file, each as it stands in it. A file that is no message at all is given whole, to be refused."""
    content = raw.removeprefix(b"\xef\xbb\xbf")
    starts = [match.start() for match in _BEGINS.finditer(content)]
    if not starts:
        yield raw
        return
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        message = _ENVELOPE.sub(b"", content[start:end]).replace(b"\x1c", b"").replace(b"\x0b", b"")
        yield message.rstrip(b"\r\n\x00 ") + b"\r"
