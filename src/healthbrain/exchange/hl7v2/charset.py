"""Which characters the bytes of a message mean.

Order (HUB-EX-16; MSH-18 of HL7 v2.8 2.14.9.18 with table 0211): a byte-order mark, what the message declares in
MSH-18, what the source is registered with, UTF-8, and last GB 18030, which many Chinese systems send undeclared. What is
declared is binding: when it doesn't fit the bytes the message is refused, because guessing could change a name.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from healthbrain.errors import Malformed

# HL7 table 0211 and the spellings seen in the field -> Python codec
_DECLARED = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "GB 18030-2005": "gb18030",
    "GB 18030-2022": "gb18030",
    "GB18030-2000": "gb18030",
    "GB18030": "gb18030",
    "GB 18030": "gb18030",
    "GBK": "gb18030",  # GB 18030 contains GBK and GB 2312
    "GB2312": "gb18030",
    "GB 2312-1980": "gb18030",
    "BIG-5": "big5hkscs",
    "BIG5": "big5hkscs",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message as text, and with which codec it was read (a reply is written with the same)."""

    text: str
    codec: str
    declared: str = ""  # MSH-18 as it came


def codec_of(name: str) -> str:
    """The codec for a declared character set; Malformed when we don't know it."""
    try:
        return _DECLARED[" ".join(name.upper().split())]
    except KeyError:
        raise Malformed(
            "MSH-18: this character set is not known here; send 'UNICODE UTF-8' or 'GB 18030-2000'"
        ) from None


def decode(raw: bytes, registered: str = "") -> Decoded:
    """The message in `raw` as text; `registered` is the character set its source is registered with."""
    for mark, codec in _BOMS:
        if raw.startswith(mark):
            return Decoded(
                _strictly(raw[len(mark) :], codec, "the byte-order mark"), codec, declared_in(raw[len(mark) :])
            )
    if declared := declared_in(raw):
        codec = codec_of(declared)
        return Decoded(_strictly(raw, codec, "MSH-18"), codec, declared)
    if registered:
        codec = codec_of(registered)
        return Decoded(_strictly(raw, codec, "the registration of the source"), codec)
    for codec in ("utf-8", "gb18030"):
        try:
            return Decoded(raw.decode(codec), codec)
        except UnicodeDecodeError:
            continue
    raise Malformed("MSH-18: the message is neither UTF-8 nor GB 18030; declare its character set in MSH-18")


def declared_in(raw: bytes) -> str:
    """MSH-18 of the message, '' when absent. Safe before the character set is known."""
    line = first_line(raw)
    if len(line) < 9 or not line.startswith("MSH"):
        return ""
    fields = line.split(line[3])
    return fields[17].split(fields[1][2:3] or "~")[0].strip() if len(fields) > 17 else ""


def first_line(raw: bytes) -> str:
    """The MSH segment as text before the character set is known: good enough for its ASCII fields.

    The second byte of a GB 18030 character can be a separator, so the line is decoded before it is cut.
    """
    head = raw[:8192].replace(b"\n", b"\r").split(b"\r", 1)[0].removeprefix(codecs.BOM_UTF8)
    for codec in ("utf-8", "gb18030"):
        try:
            return head.decode(codec)
        except UnicodeDecodeError:
            continue
    return head.decode("iso8859-1")


def _strictly(raw: bytes, codec: str, according_to: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        raise Malformed(
            f"MSH-18: byte {error.start + 1} does not fit the character set given by {according_to}; "
            "send the message in the character set it declares"
        ) from None
