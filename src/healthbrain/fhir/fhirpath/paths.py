"""Chains of members (`name.given`) walked in raw JSON, without an item for every element on the way.

From the type where a chain begins, R4 says what lies on it. When that is nothing but plain elements, the JSON is walked
directly and only the last elements become items; choices, resources and unknown types go step by step (nodes.step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.nodes import reader, step
from healthbrain.fhir.fhirpath.values import Collection, Node

Walk = Callable[[Collection], Collection]


def chain(names: tuple[str, ...]) -> Walk:
    """The function that goes from items along `names`."""
    steps = [step(name) for name in names]
    if len(steps) == 1:
        return steps[0]
    inner, last = names[:-1], names[-1]
    holders: dict[str, str] = {}  # type a chain begins on -> type that holds its last member; '' when not plain

    def walk(items: Collection) -> Collection:
        if len(items) == 1 and items[0].__class__ is Node:
            item = items[0]
            holder = holders.get(item.type)
            if holder is None:
                holder = holders[item.type] = _holder(item.type, inner)
            if holder:
                holding = _inside(item.value, inner)
                if holding is not None:
                    read = reader(holder, last)
                    found: Collection = []
                    for one in holding:
                        if one.__class__ is dict:
                            read(one, found)
                    return found
        for one in steps:
            items = one(items)
        return items

    return walk


def _holder(type_: str, names: tuple[str, ...]) -> str:
    """The type at the end of a chain of plain complex elements; '' when it is not such a chain."""
    for name in names:
        member = (model.members(type_) or {}).get(name)
        if member is None or member.choices is not None or member.primitive or member.type in ("", "Resource"):
            return ""
        type_ = member.type
    return type_


def _inside(value: Any, names: tuple[str, ...]) -> list[Any] | None:
    """The JSON objects at the end of a chain; None when something on it is not an object."""
    level: list[Any] = [value]
    for name in names:
        following: list[Any] = []
        for one in level:
            if one.__class__ is not dict:
                return None
            child = one.get(name)
            if child.__class__ is list:
                following.extend(child)
            elif child is not None:
                following.append(child)
        level = following
    return level
