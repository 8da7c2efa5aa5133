"""PostgreSQL arrays in binary, made quickly, so that one statement takes any number of rows.

psycopg's own list adaptation costs over 100 µs a row; joining prepared bytes costs less than one. Each array is a
bytes subclass whose type says what the elements are. Layout: PostgreSQL's array_send (dimensions, null flag, element
type, length, lower bound; then each element with its length before it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct, pack, unpack
from typing import ClassVar
from weakref import WeakSet

from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from healthbrain.database import Connection

_HEAD = Struct(">iiIii")
_LENGTH = Struct(">i")
_NULL = b"\xff\xff\xff\xff"
_INT8 = Struct(">iq")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLUS_INFINITY = (1 << 63) - 1
_MINUS_INFINITY = -(1 << 63)


class Array(bytes):
    """A PostgreSQL array, encoded."""

    oid: ClassVar[int] = 0


class Int2(Array):
    """smallint[]"""

    oid = 1005


class Int4(Array):
    """int[]"""

    oid = 1007


class Int8(Array):
    """bigint[]"""

    oid = 1016


class Bool(Array):
    """boolean[]"""

    oid = 1000


class Float8(Array):
    """double precision[]"""

    oid = 1022


class Text(Array):
    """text[]"""

    oid = 1009


class Bytes(Array):
    """bytea[]"""

    oid = 1001


class Uuid(Array):
    """uuid[]"""

    oid = 2951


class Instant(Array):
    """timestamptz[]"""

    oid = 1185


def _head(element: int, count: int) -> bytes:
    return _HEAD.pack(1 if count else 0, 1, element, count, 1) if count else _HEAD.pack(0, 0, element, 0, 1)[:12]


def int8(values: Sequence[int | None]) -> Int8:
    """bigint[]; None becomes null."""
    packed = _INT8.pack
    return Int8(_head(20, len(values)) + b"".join([_NULL if v is None else packed(8, v) for v in values]))


def int8_raw(values: Sequence[bytes]) -> Int8:
    """bigint[] from numbers that are already 8 big-endian bytes."""
    return Int8(_head(20, len(values)) + b"".join([b"\0\0\0\x08" + v for v in values]))


def int8_text(values: Iterable[bytes]) -> str:
    """One bigint[] as text, from numbers that are already 8 big-endian bytes: an array inside a text[] of many."""
    raw = b"".join(values)
    return "{" + str(list(unpack(f">{len(raw) // 8}q", raw)))[1:-1] + "}"


def int4(values: Sequence[int]) -> Int4:
    """int[]"""
    return Int4(_head(23, len(values)) + pack(">" + "ii" * len(values), *_interleaved(4, values)))


def int2(values: Sequence[int]) -> Int2:
    """smallint[]"""
    return Int2(_head(21, len(values)) + pack(">" + "ih" * len(values), *_interleaved(2, values)))


def _interleaved(size: int, values: Sequence[int]) -> list[int]:
    mixed = [size] * (2 * len(values))
    mixed[1::2] = values
    return mixed


def boolean(values: Sequence[bool]) -> Bool:
    """boolean[]"""
    return Bool(_head(16, len(values)) + b"".join([b"\0\0\0\x01\x01" if v else b"\0\0\0\x01\0" for v in values]))


def float8(values: Sequence[float]) -> Float8:
    """double precision[]"""
    return Float8(_head(701, len(values)) + b"".join([pack(">id", 8, v) for v in values]))


def text(values: Sequence[str]) -> Text:
    """text[]"""
    return Text(_head(25, len(values)) + _sized(v.encode() for v in values))


def bytea(values: Sequence[bytes]) -> Bytes:
    """bytea[]"""
    return Bytes(_head(17, len(values)) + _sized(values))


def uuid(values: Sequence[bytes]) -> Uuid:
    """uuid[] from 16 bytes each"""
    return Uuid(_head(2950, len(values)) + b"".join([b"\0\0\0\x10" + v for v in values]))


def instant(values: Sequence[int | None]) -> Instant:
    """timestamptz[] from `microseconds`; None becomes null."""
    packed = _INT8.pack
    return Instant(_head(1184, len(values)) + b"".join([_NULL if v is None else packed(8, v) for v in values]))


def microseconds(at: datetime) -> int:
    """An instant as PostgreSQL counts it."""
    return (at - _EPOCH) // _MICROSECOND


def lower_bound(at: datetime | None) -> int:
    """The low end of a range; None is -infinity."""
    return _MINUS_INFINITY if at is None else microseconds(at)


def upper_bound(at: datetime | None) -> int:
    """The high end of a range; None is infinity."""
    return _PLUS_INFINITY if at is None else microseconds(at)


def _sized(values: Iterable[bytes]) -> bytes:
    length = _LENGTH.pack
    parts: list[bytes] = []
    for value in values:
        parts.append(length(len(value)))
        parts.append(value)
    return b"".join(parts)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return obj


def _dumper(kind: type[Array]) -> type[Dumper]:
    return type(f"{kind.__name__}Dumper", (_ArrayDumper,), {"oid": kind.oid})


_DUMPERS = {kind: _dumper(kind) for kind in (Int2, Int4, Int8, Bool, Float8, Text, Bytes, Uuid, Instant)}
_taught: WeakSet[AsyncConnection[tuple[object, ...]]] = WeakSet()


def teach(connection: Connection) -> None:
    """Let a connection take these arrays as parameters; once per connection, then free."""
    if connection not in _taught:
        for kind, dumper in _DUMPERS.items():
            connection.adapters.register_dumper(kind, dumper)
        _taught.add(connection)
