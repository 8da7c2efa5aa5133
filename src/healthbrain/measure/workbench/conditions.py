"""Conditions of the workbench's form as expressions over columns: operators fit the column's kind, values are quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healthbrain.errors import Incorrect
from healthbrain.lake.expression_sql import Kind

OPERATORS = ("is", "is_not", "starts", "at_least", "at_most", "given", "missing", "in_period", "by_end", "after_end")
_WORD = re.compile(r"[^'\\\n\r\t]{1,60}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a part: column, operator, values."""

    column: str
    operator: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """How many rows of another table the person has; `within` the period, or ever up to its end. Its column is its name."""

    name: str
    table: str
    within: str = "period"
    conditions: tuple[Condition, ...] = ()


def all_of(rows: Sequence[Condition], kinds: Mapping[str, Kind], facts: Sequence[Fact] = ()) -> str:
    """All conditions together. Raises Incorrect."""
    return " and ".join(expression(one, kinds, facts) for one in rows) or "true"


def of_fact(one: Fact, kinds: Mapping[str, Kind]) -> str:
    """Which rows of its table a fact counts. Raises Incorrect."""
    days = [column for column, kind in kinds.items() if kind == "date" and column not in {"birth", "gone", "died"}]
    tests = [f"{days[0]} <= %to"] if days else []
    if days and one.within == "period":
        tests.append(f"{days[0]} >= %from")
    tests += [expression(row, kinds, ()) for row in one.conditions]
    return " and ".join(tests) or "true"


def expression(one: Condition, kinds: Mapping[str, Kind], facts: Sequence[Fact]) -> str:
    """A condition as FHIRPath. Raises Incorrect."""
    kind: Kind | None = "integer" if one.column in {fact.name for fact in facts} else kinds.get(one.column)
    if kind is None:
        raise Incorrect("the table has no column of this name")
    column = one.column
    match one.operator:
        case "given":
            return f"{column}.exists()"
        case "missing":
            return f"{column}.empty()"
        case "in_period" | "by_end" | "after_end" if kind == "date":
            return {
                "in_period": f"({column} >= %from and {column} <= %to)", "by_end": f"{column} <= %to",
                "after_end": f"{column} > %to",
            }[one.operator]  # fmt: skip
        case "at_least" | "at_most" if kind in {"integer", "decimal"}:
            return f"{column} {'>=' if one.operator == 'at_least' else '<='} {_number(one.value)}"
        case "is" | "is_not" if kind in {"text", "integer", "decimal", "boolean"}:
            values = _values(one.value, kind)
            test = f"{column} = {values[0]}" if len(values) == 1 else f"({column} in ({' | '.join(values)}))"
            return test if one.operator == "is" else f"({test}).not()"
        case "starts" if kind == "text":
            starts = [f"{column}.substring(0, {len(value) - 2}) = {value}" for value in _values(one.value, kind)]
            return f"({' or '.join(starts)})"
    raise Incorrect("this comparison does not fit the column")


def _values(text: str, kind: Kind) -> list[str]:
    found = [one.strip() for one in text.replace("，", ",").split(",") if one.strip()]
    if not found or len(found) > 50:
        raise Incorrect("give one value, or several separated by commas")
    if kind == "text":
        if not all(_WORD.fullmatch(one) for one in found):
            raise Incorrect("a value cannot have quotes or backslashes")
        return [f"'{one}'" for one in found]
    if kind == "boolean":
        if not set(found) <= {"true", "false"}:
            raise Incorrect("the value is true or false")
        return found
    return [_number(one) for one in found]


def _number(text: str) -> str:
    if not re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", text.strip()):
        raise Incorrect("the value is a number")
    return text.strip()
