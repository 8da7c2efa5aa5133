"""Small counts of a table with totals, hidden so that they cannot be worked out from what is shown.

A number is small when fewer than `least` persons stand behind it (and not nobody). Every small number is hidden. It could
still follow from a total less the others, so it becomes the corner of a *rectangle* of hidden numbers: moving one person
along the rectangle (one more here, one less there) leaves every total and every shown number as it is, so a reader cannot
tell the two tables apart. Corners that would lose one must hold at least `least`, corners that would gain one may hold
anything. Where a table is too sparse for that, all numbers inside it are hidden and its larger totals stay. The row and column of totals are part of the table; a total moves with its parts, against them.

What two different questions tell together (the same one with and without one filter) this cannot see: numbers that are
shown are blurred for that (`blur`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Key = tuple[str, ...]
Place = tuple[Key | None, Key | None]  # row and column; None = total
_NEAR = 12  # candidates looked at in each direction


def hidden_places(
    rows: Sequence[Key], columns: Sequence[Key], persons: Mapping[Place, int], small: Mapping[Place, bool], least: int
) -> set[Place]:
    """The places of a table that must not be shown. `persons` has every place, also those of the totals."""
    lines: list[Key | None] = [*rows, None]
    across: list[Key | None] = [*columns, None] if columns else [None]
    if small.get((None, None)):
        return {(row, column) for row in lines for column in across}
    primary = [(row, column) for row in lines for column in across if small.get((row, column))]
    hidden = set(primary)
    for place in sorted(primary, key=lambda one: (-persons.get(one, 0), str(one))):
        if not columns:
            return hidden | _lines(rows, None, persons, hidden)
        found = _rectangle(place, lines, across, persons, hidden, least)
        if found is None:
            return _inside(rows, columns, persons, set(primary))
        hidden |= found
    return hidden


def _inside(
    rows: Sequence[Key], columns: Sequence[Key], persons: Mapping[Place, int], primary: set[Place]
) -> set[Place]:
    """Where no rectangle is left: everything but the totals, and of these the small ones with one more if needed.

    Then a small number can take one from a neighbour in its row, which gives one to it in its column; or its total, hidden
    too, moves with it.
    """
    hidden: set[Place] = {(row, column) for row in rows for column in columns}
    totals = {place for place in primary if None in place}
    hidden |= totals | _lines(rows, None, persons, totals)
    turned = {(column, row): count for (row, column), count in persons.items()}
    across = _lines(columns, None, turned, {(column, row) for row, column in totals})
    return hidden | {(row, column) for column, row in across}


def _lines(keys: Sequence[Key], other: Key | None, persons: Mapping[Place, int], hidden: set[Place]) -> set[Place]:
    """One more part of a total when a single one is hidden: the smallest that is not empty."""
    mine = [key for key in keys if (key, other) in hidden]
    if len(mine) != 1:
        return set()
    rest = [key for key in keys if key not in mine]
    rest.sort(key=lambda key: (not persons.get((key, other), 0), persons.get((key, other), 0), key))
    return {(key, other) for key in rest[:1]}


def _rectangle(
    place: Place, lines: Sequence[Key | None], across: Sequence[Key | None], persons: Mapping[Place, int],
    hidden: set[Place], least: int,
) -> set[Place] | None:  # fmt: skip
    """The three other corners that cost least. A corner gains or loses one as the sign of the table's equations says."""
    row, column = place
    gains = _sign(place)  # this place gains one: y changes by its sign
    turns = [one for one in across if one != column and _moves((row, one), -gains, persons, least)]
    steps = [one for one in lines if one != row and _moves((one, column), -gains, persons, least)]
    turns.sort(key=lambda one: _cost((row, one), persons, hidden))
    steps.sort(key=lambda one: _cost((one, column), persons, hidden))
    best: tuple[tuple[int, int], set[Place]] | None = None
    for other in turns[:_NEAR]:
        for line in steps[:_NEAR]:
            corners = {(row, other), (line, column), (line, other)}
            if (None, None) in corners or not _moves((line, other), gains, persons, least):
                continue
            fresh = corners - hidden
            cost = (len(fresh), sum(persons.get(one, 0) for one in fresh))
            if best is None or cost < best[0]:
                best = (cost, corners)
    return best[1] if best else None


def _moves(place: Place, change: int, persons: Mapping[Place, int], least: int) -> bool:
    """Whether a place can take this change of its signed number."""
    return change * _sign(place) > 0 or persons.get(place, 0) >= least


def _sign(place: Place) -> int:
    """Parts count up, totals down, the total of totals up: then every line adds up to nothing."""
    return (-1 if place[0] is None else 1) * (-1 if place[1] is None else 1)


def _cost(place: Place, persons: Mapping[Place, int], hidden: set[Place]) -> tuple[bool, bool, int, str]:
    return (place not in hidden, None in place, persons.get(place, 0), str(place))
