"""What must fit together in a filled form: parts and wholes, shares and figures, this report and the one before.

A check that must hold and does not keeps a form from being submitted; one that asks (`ask`) lets it go with an explanation. What
cannot be judged because a number is missing is not listed as a fault: an empty cell is asked about by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from healthbrain.measure.statutory.form import Form, Row

NEAR = 0.05  # a share and the published value may differ by rounding
Check = dict[str, Any]


def checked(form: Form, content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Check]:
    """Every check that could be judged, in the order of the rows."""
    numbers = numbers_of(content)
    earlier = numbers_of(before) if before else {}
    found: list[Check] = []
    for section in content["sections"]:
        found += _empty(section)
    for row in form.rows:
        if row.no in numbers:
            found += _of_row(row, numbers, earlier, content)
    return found


def numbers_of(content: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """The numbers of each row, the whole first."""
    return {
        row["no"]: [cell["number"] for cell in row["cells"]]
        for section in content["sections"]
        for row in section["rows"]
    }


def _empty(section: Mapping[str, Any]) -> Iterator[Check]:
    """One question for all rows of a service that should have a number and have none."""
    empty = [
        row["no"] for row in section["rows"]
        if row["cells"][0]["number"] is None and "from" not in row["cells"][0]
        and row["cells"][0].get("why") != "not_additive"
    ]  # fmt: skip
    if empty:
        yield {
            "id": f"filled-{section['id']}", "kind": "filled", "no": empty[0], "rows": empty, "ask": True, "ok": False,
            "left": None, "right": None,
        }  # fmt: skip


def _of_row(
    row: Row,
    numbers: Mapping[str, list[float | None]],
    earlier: Mapping[str, list[float | None]],
    content: Mapping[str, Any],
) -> Iterator[Check]:
    own = numbers[row.no]
    whole = own[0]
    if whole is None:
        return
    if row.share:
        above, below = row.share
        yield from _each(row, "share", numbers[above], numbers[below], lambda one, other: one <= other)
        published = content["published"].get(row.same_as)
        if published is not None:
            yield _check("published", row, ok=abs(whole - published) <= NEAR, left=whole, right=published)
    if row.at_most and not row.share:
        yield from _each(row, "at_most", own, numbers[row.at_most], lambda one, other: one <= other)
    if len(own) > 1 and not row.share and None not in own:
        parts = sum(number for number in own[1:] if number is not None)
        yield _check("columns", row, ok=parts == whole, left=parts, right=whole)
    if row.no in content["places"]:
        yield _check("places", row, ok=content["places"][row.no] == whole, left=content["places"][row.no], right=whole)
    past = (earlier.get(row.no) or [None])[0]
    if row.growing and past is not None:
        yield _check("growing", row, ask=True, ok=whole >= past, left=whole, right=past)


def _each(row: Row, kind: str, left: list[float | None], right: list[float | None], fits: Any) -> Iterator[Check]:
    """The same comparison in every column; one line, of the first column that fails."""
    pairs = [(one, other) for one, other in zip(left, right, strict=True) if one is not None and other is not None]
    wrong = next(((one, other) for one, other in pairs if not fits(one, other)), None)
    if pairs:
        one, other = wrong or pairs[0]
        yield _check(kind, row, ok=wrong is None, left=one, right=other)


def _check(
    kind: str, row: Row, *, ok: bool, ask: bool = False, left: float | None = None, right: float | None = None
) -> Check:
    return {"id": f"{kind}-{row.no}", "kind": kind, "no": row.no, "ask": ask, "ok": ok, "left": left, "right": right}


def failed(content: Mapping[str, Any], *, ask: bool) -> list[Check]:
    """The checks that do not hold, of those that ask or of those that must hold."""
    return [one for one in content["checks"] if not one["ok"] and one["ask"] == ask]
