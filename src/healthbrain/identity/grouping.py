"""Which records are one person: a pure function of the records and of what people decided about them.

Exact rules, in this order: what a steward decided, the same verified identity card, a merge that the records' own source
reported, the same insurance number with the same name, birth date and sex. No union may bring together two records that
a steward kept apart, or (except by a steward) two different verified cards. The result doesn't depend on the order in which
records arrived: blocks and keys are taken in an order of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

MODEL = "exact-1"
MOST_PER_KEY = 200  # records that share more than this have a placeholder, not an identifier


@dataclass(frozen=True, slots=True)
class Record:
    """A patient record as grouping sees it."""

    patient: int
    cards: frozenset[UUID]
    insurances: frozenset[UUID]
    owner: int
    replaced_by: int | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """A steward's decision about two records; a later one about the same two replaces it."""

    one: int
    other: int
    same: bool
    event: int


@dataclass(slots=True)
class Grouping:
    """Blocks of records that are one person, with the rule that brought each record in, and what is doubtful."""

    blocks: list[frozenset[int]] = field(default_factory=list)
    rules: dict[int, str] = field(default_factory=dict)
    doubts: dict[int, str] = field(default_factory=dict)


class _Blocks:
    """Union-find with conditions."""

    def __init__(self, records: Sequence[Record], apart: Mapping[int, frozenset[int]]) -> None:
        self._block = {record.patient: {record.patient} for record in records}
        self._cards = {record.patient: record.cards for record in records}
        self._apart = apart
        self.rules: dict[int, str] = {}
        self.doubts: dict[int, str] = {}

    def of(self, patients: Iterable[int]) -> list[set[int]]:
        """The blocks of these records: the largest first, equals by their smallest key."""
        found = {id(self._block[one]): self._block[one] for one in patients if one in self._block}
        return sorted(found.values(), key=lambda block: (-len(block), min(block)))

    def unite(self, patients: Iterable[int], rule: str, *, over_cards: bool = False, doubt: str = "") -> None:
        """Bring the blocks of these records together as far as the conditions allow."""
        waiting = self.of(patients)
        while len(waiting) > 1:
            anchor, *rest = waiting
            refused = []
            for block in rest:
                if self._may(anchor, block, over_cards=over_cards):
                    self._join(anchor, block, rule)
                else:
                    refused.append(block)
                    if doubt:
                        self.doubts.update(dict.fromkeys(anchor | block, doubt))
            waiting = refused

    def _may(self, one: set[int], other: set[int], *, over_cards: bool) -> bool:
        if any(self._apart.get(patient, frozenset()) & other for patient in one):
            return False
        if over_cards:
            return True
        cards = set().union(*(self._cards[patient] for patient in one | other))
        return len(cards) <= 1

    def _join(self, anchor: set[int], block: set[int], rule: str) -> None:
        for patient in block:
            self._block[patient] = anchor
            self.rules.setdefault(patient, rule)
        for patient in anchor:
            self.rules.setdefault(patient, rule)
        anchor |= block

    def all(self) -> list[frozenset[int]]:
        """Every block once."""
        return [frozenset(block) for block in self.of(self._block)]


def group(records: Sequence[Record], rulings: Sequence[Ruling] = ()) -> Grouping:
    """The persons among `records`. `records` must hold everything connected with each of them."""
    by_patient = {record.patient: record for record in records}
    latest: dict[tuple[int, int], Ruling] = {}
    for ruling in sorted(rulings, key=lambda r: r.event):
        latest[ruling.one, ruling.other] = ruling
    apart: dict[int, frozenset[int]] = {}
    for ruling in latest.values():
        if not ruling.same:
            apart[ruling.one] = apart.get(ruling.one, frozenset()) | {ruling.other}
            apart[ruling.other] = apart.get(ruling.other, frozenset()) | {ruling.one}
    blocks = _Blocks(records, apart)
    for pair in sorted(pair for pair, ruling in latest.items() if ruling.same):
        blocks.unite(pair, "verdict", over_cards=True, doubt="conflicting-verdict")
    for _, holders in sorted(_by_key(records, "cards").items()):
        blocks.unite(holders, "id-card", over_cards=True)
    for record in sorted(records, key=lambda r: r.patient):
        survivor = by_patient.get(record.replaced_by) if record.replaced_by is not None else None
        if survivor is not None and survivor.owner == record.owner:
            blocks.unite((record.patient, survivor.patient), "source-merge", doubt="contested-merge")
    _unite_insurances(blocks, records)
    return Grouping(blocks.all(), blocks.rules, blocks.doubts)


def _unite_insurances(blocks: _Blocks, records: Sequence[Record]) -> None:
    """A chain of insurance numbers that leads to two different cards proves nothing: none of it is used."""
    cards = {record.patient: record.cards for record in records}
    keys = sorted(_by_key(records, "insurances").items())
    for chain in _chains(blocks, [holders for _, holders in keys]):
        found = set().union(*(cards[patient] for patient in chain))
        if len(found) > 1:
            blocks.doubts.update(dict.fromkeys(chain, "contested-insurance"))
            continue
        for _, holders in keys:
            if holders[0] in chain:
                blocks.unite(holders, "insurance", doubt="conflicting-verdict")


def _chains(blocks: _Blocks, groups: Sequence[Sequence[int]]) -> list[set[int]]:
    """Records connected by any of the groups or by already being in one block."""
    chains: list[set[int]] = []
    for holders in groups:
        joined = set().union(*blocks.of(holders))
        touching = [chain for chain in chains if chain & joined]
        for chain in touching:
            joined |= chain
            chains.remove(chain)
        chains.append(joined)
    return chains


def _by_key(records: Sequence[Record], kind: str) -> dict[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    for record in sorted(records, key=lambda r: r.patient):
        for key in getattr(record, kind):
            found.setdefault(key, []).append(record.patient)
    return {key: holders for key, holders in found.items() if 1 < len(holders) <= MOST_PER_KEY}
