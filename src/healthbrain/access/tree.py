"""The organisation tree: municipality > district > institution > team.

Every resource is owned by one organisation, and what somebody may see is a subtree. A district is a virtual tenant
(HUB-05): creating one needs a row here and nothing else. A tree has at most some ten thousand nodes, so a process
keeps it whole; in depth-first order every subtree is one slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from healthbrain.access import stamps
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound

OrganisationKind = Literal["municipality", "district", "institution", "team", "quarantine"]
KINDS: tuple[OrganisationKind, ...] = ("municipality", "district", "institution", "team", "quarantine")


@dataclass(frozen=True, slots=True)
class Organisation:
    """One node. `key` owns resources; `fhir_id` is its Organization; `division` a township or county code."""

    key: int
    code: str
    name: str
    kind: OrganisationKind
    parent: int | None = None
    fhir_id: str | None = None
    facility_class: str = ""
    division: str = ""


class Tree:
    """All organisations at one moment."""

    def __init__(self, nodes: Iterable[Organisation]) -> None:
        self._nodes = {node.key: node for node in nodes}
        self._by_code = {node.code: node for node in self._nodes.values()}
        self._by_fhir = {node.fhir_id: node for node in self._nodes.values() if node.fhir_id}
        self._order, self._span = _depth_first(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Organisation]:
        return iter(self._nodes[key] for key in self._order)

    def __contains__(self, key: int) -> bool:
        return key in self._nodes

    def __getitem__(self, key: int) -> Organisation:
        try:
            return self._nodes[key]
        except KeyError:
            raise NotFound(f"there is no organisation with key {key}") from None

    def by_code(self, code: str) -> Organisation | None:
        """The organisation with this code (医疗机构代码 or our own for districts)."""
        return self._by_code.get(code)

    def by_fhir(self, fhir_id: str) -> Organisation | None:
        """The organisation whose Organization has this logical id."""
        return self._by_fhir.get(fhir_id)

    def name(self, key: int) -> str:
        """Its name; empty for an unknown key."""
        node = self._nodes.get(key)
        return node.name if node else ""

    def division(self, key: int) -> str:
        """Its own division code, else the nearest one above it."""
        for above in (key, *self.ancestors(key)):
            if self._nodes[above].division:
                return self._nodes[above].division
        return ""

    def subtree(self, key: int) -> tuple[int, ...]:
        """Itself and everything below it; empty for an unknown key."""
        span = self._span.get(key)
        return self._order[span[0] : span[1]] if span else ()

    def ancestors(self, key: int) -> tuple[int, ...]:
        """Everything above it, nearest first."""
        above: list[int] = []
        parent = self[key].parent
        while parent is not None:
            above.append(parent)
            parent = self._nodes[parent].parent
        return tuple(above)

    def nearest(self, key: int, *kinds: OrganisationKind) -> int | None:
        """Itself or the nearest organisation above it of one of these kinds."""
        for candidate in (key, *self.ancestors(key)):
            if self._nodes[candidate].kind in kinds:
                return candidate
        return None

    def children(self, key: int) -> tuple[Organisation, ...]:
        """Those directly below it."""
        return tuple(self._nodes[k] for k in self.subtree(key)[1:] if self._nodes[k].parent == key)

    @property
    def root(self) -> Organisation | None:
        """The first organisation that hangs below no other, quarantine aside; None when there is none."""
        tops = (self._nodes[key] for key in self._order if self._nodes[key].parent is None)
        return next((top for top in tops if top.kind != "quarantine"), None)

    def covers_all(self, key: int) -> bool:
        """Whether its subtree is the whole tree."""
        return bool(self._nodes) and self._span.get(key) == (0, len(self._order))


def _depth_first(nodes: dict[int, Organisation]) -> tuple[tuple[int, ...], dict[int, tuple[int, int]]]:
    below: dict[int | None, list[int]] = {}
    for node in sorted(nodes.values(), key=lambda n: n.code):
        below.setdefault(node.parent, []).append(node.key)
    order: list[int] = []
    span: dict[int, tuple[int, int]] = {}
    start: dict[int, int] = {}
    stack: list[tuple[int, bool]] = [(root, False) for root in reversed(below.get(None, []))]
    while stack:
        key, leaving = stack.pop()
        if leaving:
            span[key] = (start[key], len(order))
            continue
        start[key] = len(order)
        order.append(key)
        stack.append((key, True))
        stack.extend((child, False) for child in reversed(below.get(key, [])))
    return tuple(order), span


_COLUMNS = "key, code, name, kind, parent, fhir_id, facility_class, division"
_ALL = f"select {_COLUMNS} from organisation"  # noqa: S608 - a constant column list
_ONE = f"select {_COLUMNS} from organisation where code = %s"  # noqa: S608 - a constant column list
_INSERT = """
insert into organisation (code, name, kind, parent, fhir_id, facility_class, division)
values (%s, %s, %s, %s, %s, %s, %s) on conflict (code) do nothing returning key"""
_UPDATE = """
update organisation set name = %s, kind = %s, parent = %s, fhir_id = %s, facility_class = %s, division = %s
where key = %s"""
# would hanging `key` under `parent` make a ring?
_RING = """
with recursive above as (
    select key, parent from organisation where key = %s
    union all
    select o.key, o.parent from organisation o join above a on o.key = a.parent)
select exists (select 1 from above where key = %s)"""


async def organisations(connection: Connection) -> Tree:
    """The tree as it is now."""
    cursor = await connection.execute(_ALL)
    return Tree([Organisation(*row) for row in await cursor.fetchall()])


async def put_organisation(
    connection: Connection,
    *,
    code: str,
    name: str,
    kind: str,
    parent: int | None = None,
    fhir_id: str | None = None,
    facility_class: str = "",
    division: str = "",
    at: datetime | None = None,
) -> int:
    """Create or change the organisation with this code; returns its key. The same values again change nothing."""
    wanted = (name, _kind(kind), parent, fhir_id, facility_class, division)
    found = await _find(connection, code)
    if found is None:
        cursor = await connection.execute(_INSERT, (code, *wanted))
        row = await cursor.fetchone()
        if row is not None:
            await stamps.changed(connection, "tree", at or datetime.now(UTC))
            return cast(int, row[0])
        found = await _find(connection, code)  # somebody else was quicker
    if found is None:
        raise Conflict(f"organisation {code} is being created by somebody else; try again")
    if wanted == (found.name, found.kind, found.parent, found.fhir_id, found.facility_class, found.division):
        return found.key
    if parent is not None and await _is_ring(connection, found.key, parent):
        raise Incorrect(f"organisation {code} cannot hang below itself; choose another parent")
    await connection.execute(_UPDATE, (*wanted, found.key))
    await stamps.changed(connection, "tree", at or datetime.now(UTC))
    return found.key


async def _find(connection: Connection, code: str) -> Organisation | None:
    cursor = await connection.execute(_ONE, (code,))
    row = await cursor.fetchone()
    return Organisation(*row) if row else None


async def _is_ring(connection: Connection, key: int, parent: int) -> bool:
    cursor = await connection.execute(_RING, (parent, key))
    row = await cursor.fetchone()
    return bool(row and row[0])


def _kind(kind: str) -> OrganisationKind:
    if kind not in KINDS:
        raise Incorrect(f"'{kind}' is not a kind of organisation; known are {', '.join(KINDS)}")
    return kind
