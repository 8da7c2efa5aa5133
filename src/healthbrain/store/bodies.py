"""How a body is kept: JSON, zstd-compressed with a shared dictionary.

A FHIR resource repeats the same names and systems, so a trained dictionary makes it four to eight times smaller,
where plain zstd gains nearly nothing on a kilobyte. Every frame names its dictionary; the shipped ones are in
`body-N.dict` and in table body_dictionary (so that a database can be read without this code). A dictionary is never
changed, only a new one added. Measured in docs/decisions/0003-store-shape.md.
"""

from __future__ import annotations

import functools
import threading
from importlib import resources

import zstandard

from healthbrain.errors import Fault

_CURRENT = "body-1.dict"
_LEVEL = 3
_LARGEST = 256 * 1024 * 1024
_local = threading.local()


def compress(body: bytes) -> bytes:
    """The body as it is stored."""
    try:
        compressor = _local.compressor
    except AttributeError:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_dictionary(_CURRENT))
    packed: bytes = compressor.compress(body)
    return packed


def decompress(packed: bytes) -> bytes:
    """The body as it was given; an empty one (a tombstone) stays empty."""
    if not packed:
        return b""
    try:
        decompressors = _local.decompressors
    except AttributeError:
        decompressors = _local.decompressors = _decompressors()
    number = zstandard.get_frame_parameters(packed).dict_id
    if number not in decompressors:
        raise Fault(f"a stored body needs compression dictionary {number}, which this version does not ship")
    body: bytes = decompressors[number].decompress(packed, max_output_size=_LARGEST)
    return body


def shipped_dictionaries() -> dict[int, bytes]:
    """Id and content of every dictionary of this version."""
    found = {}
    for entry in resources.files(__package__).iterdir():
        if entry.name.endswith(".dict"):
            data = zstandard.ZstdCompressionDict(entry.read_bytes())
            found[data.dict_id()] = data.as_bytes()
    return found


@functools.cache
def _dictionary(name: str) -> zstandard.ZstdCompressionDict:
    data = zstandard.ZstdCompressionDict((resources.files(__package__) / name).read_bytes())
    data.precompute_compress(level=_LEVEL)
    return data


def _decompressors() -> dict[int, zstandard.ZstdDecompressor]:
    made = {0: zstandard.ZstdDecompressor()}
    for number, content in shipped_dictionaries().items():
        made[number] = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(content))
    return made
