"""A search as it was asked: parameters split into names, modifiers, chains and values. Pure; no definitions yet.

R4 search: commas separate alternatives, repeated parameters must all hold, `\\,` `\\|` `\\$` `\\\\` are literal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from healthbrain.errors import Incorrect, TooLarge
from healthbrain.store.filtering import Node, read_filter

DEFAULT_COUNT = 50
LARGEST_COUNT = 1000
_LONGEST_LIST = 2000
_MOST_CRITERIA = 50
_MOST_SORTS = 5

# how a result is shown is the API's business, except what changes which rows are read
_PRESENTATION = frozenset({"_format", "_pretty", "_elements", "_summary"})


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition. `chain` is what follows the first dot, or all that follows `_has:`."""

    written: str  # the name as it came, for messages
    name: str
    modifier: str
    chain: str
    values: tuple[str, ...]  # alternatives, still escaped
    filter: Node | None = None  # of _filter


@dataclass(frozen=True, slots=True)
class Include:
    """An _include or _revinclude. `target` restricts the type; `source` is a type name or '*'."""

    source: str
    parameter: str
    target: str
    reverse: bool
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key, the most important first."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Everything asked of one search."""

    criteria: tuple[Criterion, ...]
    count: int = DEFAULT_COUNT
    sort: tuple[Sort, ...] = ()
    total: Literal["none", "accurate", "estimate"] = "none"
    only_count: bool = False
    includes: tuple[Include, ...] = ()
    cursor: str = ""
    contained: Literal["false", "true", "both"] = "false"
    containers: bool = True  # what contains is the result, not what is contained
    types: tuple[str, ...] = ()  # _type, of a search over several types
    asked: tuple[tuple[str, str], ...] = field(default=())  # all but the cursor: what a cursor belongs to


def read_question(parameters: Sequence[tuple[str, str]]) -> Question:
    """Sort the parameters of a search. Incorrect when a result parameter has a wrong value."""
    criteria: list[Criterion] = []
    includes: list[Include] = []
    result: dict[str, str] = {}
    for name, value in parameters:
        base = name.partition(":")[0]
        if base in {"_include", "_revinclude"}:
            includes.append(_include(name, value))
        elif base in {"_count", "_sort", "_total", "_cursor", "_type", "_contained", "_containedType"}:
            result[base] = value
        elif base in _PRESENTATION:
            if name == "_summary" and value == "count":
                result["_summary"] = value
        elif (criterion := _criterion(name, value)).values:  # a parameter without a value says nothing
            criteria.append(criterion)
    if len(criteria) > _MOST_CRITERIA:
        raise TooLarge(f"a search takes at most {_MOST_CRITERIA} parameters")
    return Question(
        criteria=tuple(criteria),
        count=_count(result.get("_count", "")),
        sort=_sort(result.get("_sort", "")),
        total=_total(result.get("_total", "none")),
        only_count=result.get("_summary") == "count" or result.get("_count") == "0",
        includes=tuple(includes),
        cursor=result.get("_cursor", ""),
        contained=_contained(result.get("_contained", "") or "false"),
        containers=_containers(result.get("_containedType", "") or "container"),
        types=tuple(dict.fromkeys(filter(None, result.get("_type", "").split(",")))),
        asked=tuple((name, value) for name, value in parameters if name != "_cursor"),
    )


def _contained(text: str) -> Literal["false", "true", "both"]:
    match text:
        case "false" | "true" | "both":
            return text
    raise Incorrect("'_contained' is false, true or both")


def _containers(text: str) -> bool:
    if text not in {"container", "contained"}:
        raise Incorrect("'_containedType' is container or contained")
    return text == "container"


def split(value: str, separator: str) -> list[str]:
    """Split at unescaped separators; the parts stay escaped."""
    if "\\" not in value:
        return value.split(separator)
    parts, start, position = [], 0, 0
    while position < len(value):
        if value[position] == "\\":
            position += 2
            continue
        if value[position] == separator:
            parts.append(value[start:position])
            start = position + 1
        position += 1
    return [*parts, value[start:]]


def unescape(value: str) -> str:
    """The value itself."""
    return re.sub(r"\\([,|$\\])", r"\1", value) if "\\" in value else value


def _criterion(written: str, value: str) -> Criterion:
    if written == "_filter":
        return Criterion(written, written, "", "", (value,), read_filter(value))
    if written.startswith("_has:"):
        return Criterion(written, "_has", "", written.removeprefix("_has:"), _alternatives(written, value))
    first, dot, chain = written.partition(".")
    name, _, modifier = first.partition(":")
    if dot and not chain:
        raise Incorrect(f"'{written}': a chained parameter needs a name after the dot")
    return Criterion(written, name, modifier, chain, _alternatives(written, value))


def _alternatives(written: str, value: str) -> tuple[str, ...]:
    found = tuple(part for part in split(value, ",") if part)
    if len(found) > _LONGEST_LIST:
        raise TooLarge(f"'{written}': a list takes at most {_LONGEST_LIST} values")
    return found


def _include(name: str, value: str) -> Include:
    kind, _, modifier = name.partition(":")
    if modifier not in {"", "iterate", "recurse"}:  # recurse: what DSTU2 and STU3 called it
        raise Incorrect(f"'{name}' has no modifier but :iterate")
    parts = value.split(":")
    if value == "*":
        parts = ["*", "*"]
    if len(parts) not in {2, 3} or not all(parts) or (parts[0] == "*" and parts[1] != "*"):
        raise Incorrect(f"'{name}': write Type:parameter or Type:parameter:TargetType, with * for any parameter")
    target = parts[2] if len(parts) == 3 else ""
    return Include(parts[0], parts[1], target, kind == "_revinclude", bool(modifier))


def _count(value: str) -> int:
    if not value:
        return DEFAULT_COUNT
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise Incorrect(f"'_count' is a whole number from 0 to {LARGEST_COUNT}")
    return min(max(int(value), 1), LARGEST_COUNT)


def _sort(value: str) -> tuple[Sort, ...]:
    names = [name.strip() for name in value.split(",")] if value else []
    if len(names) > _MOST_SORTS or not all(name.lstrip("-") for name in names):
        raise Incorrect(f"'_sort' is a list of up to {_MOST_SORTS} parameters, each with - before it to turn it round")
    return tuple(Sort(name.lstrip("-"), name.startswith("-")) for name in names)


def _total(value: str) -> Literal["none", "accurate", "estimate"]:
    match value:
        case "none" | "accurate" | "estimate":
            return value
    raise Incorrect("'_total' is none, estimate or accurate")
