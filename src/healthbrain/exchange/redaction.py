"""Taking one person out of what sources have sent: entries of bundles, lines of files, messages, or the whole raw.

The ledger row and its digest stay: that something arrived, when, and that it was exactly this, can still be shown to whoever has the original.
Others in the same delivery keep their way down to the raw message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from healthbrain.database import Connection
from healthbrain.exchange import ledger
from healthbrain.store import forgetting

_SHORTEST = 6  # characters from which on a number is taken as one of this person
_MESSAGE = re.compile(rb"(?=(?:\x0b)?MSH\|)")
# deliveries in which something is linked with no resource: refused, repeated, without any change
_UNLINKED = """
select d.id from delivery d left join brought b on b.delivery = d.id
where (coalesce(b.versions, 0) < d.entries or d.state not in ('accepted', 'partly') or d.refused > 0)
  and d.id <> all(%s::bigint[]) and exists (select 1 from delivery_raw r where r.delivery = d.id) order by d.id"""
_PARTS = "select part, raw from delivery_raw where delivery = %s order by part"
_KEEP = "update delivery_raw set raw = %s where delivery = %s and part = %s"
_DROP = "delete from delivery_raw where delivery = %s and part = %s"
_MARK = "update delivery set redacted_at = %s, request = null where id = any(%s::bigint[])"
TABLES = ("delivery", "delivery_raw")


@dataclass(frozen=True, slots=True)
class About:
    """How a person is recognised in raw content: by numbers and record ids, or by name together with the birth date."""

    numbers: frozenset[bytes]
    names: frozenset[bytes]
    births: frozenset[bytes]

    def __call__(self, text: bytes) -> bool:
        """Whether `text` speaks of the person."""
        if any(_stands(number, text) for number in self.numbers):
            return True
        return any(name in text for name in self.names) and any(birth in text for birth in self.births)


def about(numbers: Iterable[str], names: Iterable[str], births: Iterable[str]) -> About:
    """What to look for; names in the charsets that sources write."""
    return About(
        frozenset(number.encode() for number in numbers if len(number) >= _SHORTEST),
        frozenset(
            name.encode(charset, "ignore") for name in names if len(name) > 1 for charset in ("utf-8", "gb18030")
        ),
        frozenset(form.encode() for birth in births for form in (birth, birth.replace("-", "")) if len(form) >= 8),
    )


async def redact(
    connection: Connection, deliveries: Sequence[int], *, known: About, unknown: About, at: datetime
) -> tuple[int, int]:
    """Take the person out of these deliveries, and out of those that are linked with no resource.

    `known` recognises the person in what is certainly theirs, numbers of one institution included; `unknown` in the rest.
    Returns how many were changed in part, and of how many the whole content went. A delivery of `deliveries` in which
    the person cannot be told from others loses its content.
    """
    partly, wholly, sure = [], [], set(deliveries)
    await forgetting.count_brought(connection)
    unlinked = [row[0] for row in await (await connection.execute(_UNLINKED, (list(deliveries),))).fetchall()]
    for number in (*deliveries, *unlinked):
        certain = number in sure
        found = await _redact_one(connection, number, known if certain else unknown, certain=certain)
        if found == "partly":
            partly.append(number)
        elif found == "wholly":
            wholly.append(number)
    await connection.execute(_MARK, (at, [*partly, *wholly]))
    return len(partly), len(wholly)


async def _redact_one(connection: Connection, number: int, person: About, *, certain: bool) -> str:
    parts = await (await connection.execute(_PARTS, (number,))).fetchall()
    changed: dict[int, bytes | None] = {}
    for part, packed in parts:
        content = ledger.unpack(bytes(packed))
        left = without(content, person)
        if left != content:
            changed[part] = left
    if certain and parts and not changed:
        changed = {part: None for part, _ in parts}
    for part, left in changed.items():
        if left is None:
            await connection.execute(_DROP, (number, part))
        else:
            await connection.execute(_KEEP, (ledger.pack(left), number, part))
    if not changed:
        return ""
    return "wholly" if len(changed) == len(parts) and all(left is None for left in changed.values()) else "partly"


def without(content: bytes, person: About) -> bytes | None:
    """`content` without what speaks of the person; None when nothing is left."""
    if not person(content):
        return content
    if _MESSAGE.match(content):
        messages = [one for one in _MESSAGE.split(content) if one]
        return b"".join(one for one in messages if not person(one)) or None
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _lines(content, person)
    if isinstance(tree, dict) and isinstance(tree.get("entry"), list):
        kept = _entries(tree["entry"], person)
        return orjson.dumps({**tree, "entry": kept}) if kept else None
    return None


def _lines(content: bytes, person: About) -> bytes | None:
    """Lines stay where they are, because refusals name them by number."""
    kept = [b"" if person(line) else line for line in content.split(b"\n")]
    return b"\n".join(kept) if any(kept) else None


def _entries(entries: Sequence[Any], person: About) -> list[Any]:
    """Entries of others. What refers to an entry of the person by its fullUrl is of the person too."""
    raw = [orjson.dumps(entry) for entry in entries]
    out = {n for n, text in enumerate(raw) if person(text)}
    while True:
        urls = [
            f'"{entry["fullUrl"]}"'.encode()
            for n, entry in enumerate(entries)
            if n in out and isinstance(entry, dict) and isinstance(entry.get("fullUrl"), str)
            and _is_patient(entry)
        ]  # fmt: skip
        more = {n for n, text in enumerate(raw) if n not in out and any(url in text for url in urls)}
        if not more:
            return [entry for n, entry in enumerate(entries) if n not in out]
        out |= more


def _is_patient(entry: dict[str, Any]) -> bool:
    resource = entry.get("resource")
    return isinstance(resource, dict) and resource.get("resourceType") == "Patient"


def _stands(number: bytes, text: bytes) -> bool:
    """Whether the number is in the text on its own, not inside a longer one."""
    start = text.find(number)
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(number) : start + len(number) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        start = text.find(number, start + 1)
    return False
