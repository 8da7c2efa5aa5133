"""How a stored date or number must lie to a searched one, prefix by prefix.

Rule source: FHIR R4 search 3.1.1.5.1 prefixes. Numbers: docs/spec-readings.md#numbers-compare-at-their-written-value.
"""

from __future__ import annotations

from healthbrain.errors import Incorrect
from healthbrain.store import keys
from healthbrain.store.clause import Clause
from healthbrain.store.lookups import UnitsInUse
from healthbrain.store.moments import Amount, Moment, amount
from healthbrain.store.pieces import Condition, all_of, any_of
from healthbrain.store.question import split, unescape
from healthbrain.store.rows import UCUM
from healthbrain.store.units import converted, units_like


def date_condition(low: str, high: str, asked: Moment) -> Condition:
    """How a value's range [low, high) must lie to the asked one.

    The bounds that follow from a rule are said too, where they let an index on `high` be used.
    """
    start, end = asked.low, asked.high
    match asked.prefix:
        case "eq":
            return Condition(f"({low} >= %s and {high} <= %s and {high} > %s)", (start, end, start))
        case "ne":
            return Condition(f"({low} < %s or {high} > %s)", (start, end))
        case "gt":
            return Condition(f"{high} > %s", (end,))
        case "ge":
            return Condition(f"({high} > %s and ({high} > %s or {low} >= %s))", (start, end, start))
        case "lt":
            return Condition(f"{low} < %s", (start,))
        case "le":
            return Condition(f"({low} < %s and ({low} < %s or {high} <= %s))", (end, start, end))
        case "sa":
            return Condition(f"({low} >= %s and {high} > %s)", (end, end))
        case "eb":
            return Condition(f"{high} <= %s", (start,))
        case _:  # ap: up to a tenth of the distance to now beside the range
            return Condition(
                f"({high} > %s - {_TENTH} and {low} < %s + {_TENTH})", (start, start, start, end, start, start)
            )


# a tenth of the time between a searched instant (bound twice) and now
_TENTH = "greatest(now() - %s, %s - now()) / 10"


def updated_condition(alias: str, asked: Moment) -> Condition:
    """_lastUpdated is an instant, so the rules become simple comparisons."""
    column, start, end = f"{alias}.updated", asked.low, asked.high
    match asked.prefix:
        case "eq":
            return Condition(f"({column} >= %s and {column} < %s)", (start, end))
        case "ne":
            return Condition(f"({column} < %s or {column} >= %s)", (start, end))
        case "gt" | "sa":
            return Condition(f"{column} >= %s", (end,))
        case "ge":
            return Condition(f"{column} >= %s", (start,))
        case "lt" | "eb":
            return Condition(f"{column} < %s", (start,))
        case "le":
            return Condition(f"{column} < %s", (end,))
        case _:
            return Condition(
                f"({column} >= %s - {_TENTH} and {column} < %s + {_TENTH})", (start, start, start, end, start, start)
            )


def quantity_condition(value: str, clause: Clause, code: int) -> Condition:
    """number, number|system|code or number||unit; `code` is the hash of a composite's code.

    A UCUM unit finds the quantities of every unit that measures the same: the asked number is converted into each
    such unit in use, so what is stored is compared as it was written.
    """
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) not in {1, 3}:
        raise Incorrect(f"{clause.written} is written number, number|system|code or number||unit")
    asked = amount(parts[0], clause.written)
    if len(parts) == 1 or not parts[2]:
        return amount_condition(asked, code)
    if parts[1] == UCUM:
        units = units_like(parts[2], clause.asking.need(UnitsInUse()))
        inside = [(unit, converted(asked, parts[2], unit)) for unit in units]
        return any_of([_of_unit(a, code, "unit", f"{UCUM}|{unit}") for unit, a in inside if a is not None])
    column, name = ("unit", f"{parts[1]}|{parts[2]}") if parts[1] else ("label", parts[2])
    return _of_unit(asked, code, column, name)


def _of_unit(asked: Amount, code: int, column: str, name: str) -> Condition:
    return all_of([amount_condition(asked, code), Condition(f"n.{column} = %s", (keys.name_hash(name),))])


def amount_condition(asked: Amount, code: int) -> Condition:
    """How a value, or the range of one, must lie to the asked number."""
    value, low, high = asked.value, asked.low, asked.high
    rules: dict[str, tuple[str, tuple[float, ...]]] = {
        "eq": ("n.high >= %s and n.low >= %s and n.high < %s", (low, low, high)),
        "ne": ("(n.low < %s or n.high >= %s)", (low, high)),
        "gt": ("n.high > %s", (value,)),
        "ge": ("n.high >= %s", (value,)),
        "lt": ("n.low < %s", (value,)),
        "le": ("n.low <= %s", (value,)),
        "sa": ("n.low > %s and n.high > %s", (value, value)),
        "eb": ("n.high < %s", (value,)),
        "ap": ("n.high >= %s and n.low <= %s", (value - abs(value) / 10, value + abs(value) / 10)),
    }
    sql, parameters = rules[asked.prefix]
    return Condition(f"(n.code = %s and {sql})", (code, *parameters))
