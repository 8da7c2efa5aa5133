"""One audited act, and the one way to write it down so that its digest never changes.

The fields follow FHIR R4 AuditEvent (who, what, when, why, with which outcome). A canonical row is the JSON array of
the fields in the order of `FIELDS`; a batch's content digest is SHA-256 over its rows, one per line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from healthbrain.scope import Principal

AuditAction = Literal["C", "R", "U", "D", "E"]

FINE, REFUSED, FAILED = 0, 4, 8  # AuditEvent.outcome: success, minor failure (the request), serious failure (ours)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DETAIL = 2000  # characters


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody did something with somebody's data. `patients` are the patient keys touched or shown."""

    at: datetime
    action: AuditAction
    account: str
    role: str
    organisation: int
    purpose: str
    type: str = ""
    id: str | None = None
    patients: tuple[int, ...] = ()
    outcome: int = FINE
    detail: str = ""
    interaction: str = ""  # FHIR restful-interaction code, or page, sign-in, replay ...
    address: str = ""
    request: str = ""

    @staticmethod
    def of(
        principal: Principal,
        at: datetime,
        action: AuditAction,
        type: str = "",
        id: str | None = None,
        *,
        patients: Iterable[int] = (),
        outcome: int = FINE,
        detail: str = "",
        interaction: str = "",
        address: str = "",
        request: str = "",
    ) -> Event:
        """An event of this principal."""
        return Event(
            at, action, principal.account, principal.role, principal.organisation, principal.purpose,
            type, id, tuple(patients), outcome, detail[:_DETAIL], interaction, address, request,
        )  # fmt: skip


Row = list[Any]  # the canonical row: one JSON array


def row_of(event: Event) -> Row:
    """The canonical row of an event; times are whole microseconds since 1970."""
    since = event.at - EPOCH
    return [
        (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds,
        event.action,
        event.interaction,
        event.account,
        event.role,
        event.organisation,
        event.purpose,
        event.type,
        event.id,
        sorted(set(event.patients)),
        event.outcome,
        event.detail,
        event.address,
        event.request,
    ]


def line_of(row: Row) -> bytes:
    """A row as it is digested and spooled."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def clean_row(row: Row) -> Row:
    """The row with text that PostgreSQL or JSON cannot hold (NUL, lone surrogates) replaced."""
    return [_clean_text(value) if isinstance(value, str) else value for value in row]


def content_digest(lines: Sequence[bytes]) -> bytes:
    """The digest of a batch's rows."""
    return hashlib.sha256(b"".join(lines)).digest()


def _clean_text(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
