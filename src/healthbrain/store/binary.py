"""Columns as PostgreSQL sends them in binary, for the questions asked by `database.Statement`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
UUID = 2950  # type OIDs of parameters


def number(value: bytes | None) -> int:
    """smallint, integer or bigint; null is 0."""
    return int.from_bytes(value, "big", signed=True) if value else 0


def number_or_none(value: bytes | None) -> int | None:
    """The same where null is None."""
    return None if value is None else int.from_bytes(value, "big", signed=True)


def instant(value: bytes | None) -> datetime:
    """timestamptz, not null and not infinite."""
    return _EPOCH + timedelta(microseconds=number(value))


def text(value: bytes | None) -> str:
    """text; null is empty."""
    return value.decode() if value else ""


def truth(value: bytes | None) -> bool:
    """boolean; null is False."""
    return value == b"\x01"
