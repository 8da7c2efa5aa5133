"""Composite parameters: several values that stand together in one element.

What is found by equality is one hash of all parts. A last part that is a number or quantity keeps its own row, with
the hash of the parts before it. Several numbers (a position in a chromosome) keep a row each, tied by the element they
come from (rows.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.store import keys
from healthbrain.store.clause import Clause
from healthbrain.store.moments import amount
from healthbrain.store.pieces import Condition, all_of, any_of, holds_any, side
from healthbrain.store.question import Criterion, split, unescape
from healthbrain.store.ranges import amount_condition, quantity_condition
from healthbrain.store.rows import element_code
from healthbrain.store.types import CONJUNCTIONS, EQUAL

One = Callable[[Clause, Criterion], Condition]


def composite(clause: Clause, one: One) -> Condition:
    """The condition of a composite parameter; `one` makes that of a parameter of its own."""
    clause.only("composite")
    return any_of([_value(clause, value, one) for value in clause.values])


def _value(clause: Clause, value: str, one: One) -> Condition:
    parts = split(value, "$")
    components = clause.parameter.components
    if len(parts) != len(components) or not all(parts):
        raise Incorrect(f"{clause.written} is written {'$'.join(c.code for c in components)}")
    if conjunction := CONJUNCTIONS.get((clause.index.name, clause.parameter.code)):
        named = zip(conjunction, parts, strict=True)
        return all_of([one(clause, Criterion(clause.criterion.written, code, "", "", (part,))) for code, part in named])
    kinds = [component.type for component in components]
    if all(kind in EQUAL for kind in kinds):
        forms = _form(kinds, parts)
        return holds_any(clause.alias, [keys.number(keys.form(clause.number, "parts", forms))])
    if all(kind in EQUAL for kind in kinds[:-1]) and kinds[-1] in {"quantity", "number"}:
        code = keys.name_hash(_form(kinds[:-1], parts[:-1]))
        return side("number", clause.number, quantity_condition(parts[-1], clause, code), clause.alias)
    if kinds[0] in EQUAL and set(kinds[1:]) == {"number"}:
        return _numbers(clause, _form(kinds[:1], parts[:1]), parts[1:])
    raise Unsupported(f"{clause.written} cannot be searched; search by {', '.join(c.code for c in components)}")


def _numbers(clause: Clause, form: str, parts: Sequence[str]) -> Condition:
    """Several numbers of one element: their rows carry the same number of it."""
    asked = [amount(part, clause.written) for part in parts]
    inner = [amount_condition(a, element_code(form, place)) for place, a in enumerate(asked)]
    first, *others = inner
    joined = [first.sql]
    values = list(first.parameters)
    for place, other in enumerate(others, 1):
        name = f"n{place}"
        joined.append(
            f"exists (select from resource_number {name} where {name}.rid = n.rid and {name}.param = n.param"
            f" and {name}.unit = n.unit and {other.sql.replace('n.', f'{name}.')})"
        )
        values += other.parameters
    return side("number", clause.number, Condition(" and ".join(joined), tuple(values)), clause.alias)


def _form(kinds: Sequence[str], parts: Sequence[str]) -> str:
    return "$".join(written_form(kind, part) for kind, part in zip(kinds, parts, strict=True))


def written_form(kind: str, part: str) -> str:
    """A searched component as rows.part_forms writes a stored one."""
    if kind == "token":
        pieces = split(part, "|")
        if len(pieces) == 1:
            return f"c{unescape(part)}"
        return f"s{unescape(pieces[0])}|{unescape('|'.join(pieces[1:]))}"
    return f"{'r' if kind == 'reference' and '://' not in part else 'u'}{unescape(part)}"
