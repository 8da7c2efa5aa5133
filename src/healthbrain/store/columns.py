"""The rows of one write call as the arrays that the database function takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from healthbrain.store import arrays
from healthbrain.store.drafts import Draft
from healthbrain.store.rows import Rows
from healthbrain.store.values import WriteContext

_NOTHING = Rows()


def version_columns(drafts: Sequence[Draft], contexts: Sequence[WriteContext]) -> list[arrays.Array]:
    """One row a version: when, by whom and through which delivery it is written, then what it is."""
    rows = [d.rows if d.rows is not None and d.content is not None else _NOTHING for d in drafts]
    return [
        arrays.instant([arrays.microseconds(c.at) for c in contexts]),
        arrays.int4([c.owner for c in contexts]),
        arrays.int8([c.delivery for c in contexts]),
        arrays.int8([d.current.rid if d.current else None for d in drafts]),
        arrays.uuid([d.key for d in drafts]),
        arrays.int2([d.index.number for d in drafts]),
        arrays.text([d.id for d in drafts]),
        arrays.int4([d.version for d in drafts]),
        arrays.int8([d.patient for d in drafts]),
        arrays.int8([r.code for r in rows]),
        arrays.instant([r.at_low for r in rows]),
        arrays.instant([r.at_high for r in rows]),
        arrays.text([arrays.int8_text(r.tokens) for r in rows]),
        arrays.bytea([d.body for d in drafts]),
        arrays.text(["d" if d.content is None else "u" if d.exists else "c" for d in drafts]),
    ]


@dataclass(slots=True)
class SideRows:
    """The rows of the side tables; each begins with the place of its version, counted from 1."""

    dates: list[tuple[int, int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int, float, float, int, int, int]] = field(default_factory=list)
    strings: list[tuple[int, int, str]] = field(default_factory=list)
    concepts: set[tuple[int, str, bytes]] = field(default_factory=set)

    @classmethod
    def of(cls, versions: Sequence[Rows | None]) -> SideRows:
        """Gather them from all versions."""
        side = cls()
        for place, rows in enumerate(versions, 1):
            if rows is not None:
                side.dates += [(place, *row) for row in rows.dates]
                side.numbers += [(place, *row) for row in rows.numbers]
                side.strings += [(place, *row) for row in rows.strings]
                side.concepts |= rows.concepts
        return side

    def columns(self) -> list[arrays.Array]:
        """As parameters of the write statement."""
        d_place, d_param, d_low, d_high = columns(self.dates, 4)
        n_place, n_param, n_low, n_high, n_unit, n_label, n_code = columns(self.numbers, 7)
        s_place, s_param, s_value = columns(self.strings, 3)
        c_param, c_value, c_token = columns(sorted(self.concepts), 3)
        int4, int8, float8 = arrays.int4, arrays.int8, arrays.float8
        return [
            int4(d_place), int4(d_param), arrays.instant(d_low), arrays.instant(d_high),
            int4(n_place), int4(n_param), float8(n_low), float8(n_high), int8(n_unit), int8(n_label), int8(n_code),
            int4(s_place), int4(s_param), arrays.text(s_value),
            int4(c_param), arrays.int8_raw(c_token), arrays.text(c_value),
        ]  # fmt: skip


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    """Rows as columns; empty columns when there are no rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
