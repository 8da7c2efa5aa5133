"""Whether a code is in a ValueSet resource, as far as the resource itself tells.

An expansion that is whole decides; else the definition: concepts that are listed, other value sets, systems that are
included whole, and filters over systems that are at hand as resources. Where that does not tell the answer is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from healthbrain.fhir.profile.concepts import Systems
from healthbrain.fhir.profile.filters import passes

ValueSet = dict[str, Any]
Lookup = Callable[[str], ValueSet | None]
Member = Callable[[str | None, str, str], bool | None]  # system, code, value set -> whether it is in the set

_DEEP = 8


def contains(value_set: ValueSet, system: str | None, code: str, member: Member, systems: Systems) -> bool | None:
    """Whether a code is in a value set; None when the resource does not tell. `member` is asked of other sets."""
    expansion = value_set.get("expansion")
    if isinstance(expansion, dict):
        listed = any(
            one.get("code") == code and system in (None, one.get("system")) and one.get("abstract") is not True
            for one in _contained(expansion.get("contains"), 0)
        )
        return listed or (None if _is_part(expansion) else False)
    compose = value_set.get("compose")
    if not isinstance(compose, dict):
        return None
    within = _any(_included(one, system, code, member, systems) for one in _objects(compose.get("include")))
    if within is False:
        return False
    without = _any(_included(one, system, code, member, systems) for one in _objects(compose.get("exclude")))
    if without is True:
        return False
    return within if without is False else None


def _included(include: dict[str, Any], system: str | None, code: str, member: Member, systems: Systems) -> bool | None:
    """Whether one include (or exclude) has the code: it is in the system's part and in every value set named."""
    answers: list[bool | None] = [
        member(system, code, url) for url in include.get("valueSet") or () if isinstance(url, str)
    ]
    of = include.get("system")
    if isinstance(of, str):
        answers.append(False if system not in (None, of) else _of_system(include, of, code, systems))
    if not answers or False in answers:
        return False
    return None if None in answers else True


def _of_system(include: dict[str, Any], system: str, code: str, systems: Systems) -> bool | None:
    if "concept" in include:
        return any(one.get("code") == code for one in _objects(include["concept"]))
    known = systems.has(system, code)
    if known is False:
        return False
    concept = systems.concept(system, code)
    if "filter" not in include:
        return False if concept is not None and concept.abstract else known
    stated = systems.stated(system)
    found = None if stated is None else stated.concept(code)
    if found is None:
        return None
    answers = [passes(code, found, one) for one in _objects(include["filter"])]
    return False if False in answers else None if None in answers else True


def _contained(contains: Any, depth: int) -> Iterator[dict[str, Any]]:
    for one in _objects(contains):
        yield one
        if depth < _DEEP:
            yield from _contained(one.get("contains"), depth + 1)


def _is_part(expansion: dict[str, Any]) -> bool:
    """Whether a page of the codes is all it holds."""
    total = expansion.get("total")
    offset = expansion.get("offset")
    held = sum(1 for _ in _contained(expansion.get("contains"), 0))
    return bool(offset) or (isinstance(total, int) and total > held)


def _any(answers: Iterator[bool | None]) -> bool | None:
    found = list(answers)
    if True in found:
        return True
    return None if None in found else False


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
