"""A body that may be larger than memory: kept packed in a file as it comes, with the digest of what is in it."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from pathlib import Path

from healthbrain.api.call import Call
from healthbrain.errors import Incorrect, TooLarge

LARGEST = 16 * 1024**3  # bytes, unpacked
_AT_ONCE = 4 * 1024 * 1024  # unpacked from one piece at most before it is written


async def keep(call: Call, path: Path) -> str:
    """Keep the body of a request as a gzip file; returns the SHA-256 of its content. It is there when this returns."""
    encoding = call.header(b"content-encoding").lower()
    if encoding not in ("", "identity", "gzip"):
        raise Incorrect(f"content-encoding '{encoding[:20]}' is not known here; send gzip or none")
    await asyncio.to_thread(path.parent.mkdir, parents=True)
    file = await asyncio.to_thread(path.open, "wb")
    writing = _Upload(encoding == "gzip")
    with file:
        async for piece in call.chunks():
            while piece:
                packed, piece = await asyncio.to_thread(writing.take, piece)
                await asyncio.to_thread(file.write, packed)
        await asyncio.to_thread(file.write, writing.end())
    return writing.digest.hexdigest()


class _Upload:
    def __init__(self, packed: bool) -> None:
        self.digest = hashlib.sha256()
        self._size = 0
        self._unpacker = zlib.decompressobj(wbits=31) if packed else None
        self._packer = zlib.compressobj(1, zlib.DEFLATED, 31)

    def take(self, piece: bytes) -> tuple[bytes, bytes]:
        """What to write for a piece, and what is left of it."""
        left = b""
        if self._unpacker is not None:
            if self._unpacker.eof:
                raise Incorrect("there is something behind the end of the gzip body")
            try:
                piece = self._unpacker.decompress(piece, _AT_ONCE)
            except zlib.error:
                raise Incorrect("the body is not gzip although content-encoding says so") from None
            left = self._unpacker.unconsumed_tail
        self._size += len(piece)
        if self._size > LARGEST:
            raise TooLarge(f"an import takes files of up to {LARGEST // 1024**3} GiB; send it in parts")
        self.digest.update(piece)
        return self._packer.compress(piece), left

    def end(self) -> bytes:
        """What to write at the end."""
        if self._unpacker is not None and not self._unpacker.eof:
            raise Incorrect("the gzip body is cut off")
        if not self._size:
            raise Incorrect("the body is empty; it holds one resource a line")
        return self._packer.flush()
