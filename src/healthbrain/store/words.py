"""The words of a text, for full-text search in Chinese and in languages with blanks. Pure.

Chinese has no blanks, and segmenters disagree with how people search: a text cut into 高血压病 is not found by 高血压.
So runs of Han characters are kept as pairs of neighbours, which find every part of two characters or more; the last
character stands alone, so that a single one is found as a beginning. Other words are found by their beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from healthbrain.store.rows import fold

MOST_WORDS = 20_000  # of one resource
LONGEST_WORD = 60
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_PIECE = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_TAG = re.compile(r"<[^>]*>")
# what is for machines: numbers of resources, addresses, versions, contents of files; and dates, which have parameters of their own
_MOMENT = re.compile(r"\d{4}-\d\d(-\d\d(T[\d:.+Z-]*)?)?")
_UNREAD = frozenset(
    {
        "resourceType", "id", "system", "reference", "url", "fullUrl", "profile", "data", "hash", "contentType", "versionId",
        "lastUpdated", "div", "instantiatesUri", "instantiatesCanonical", "valueUri", "valueUrl", "valueCanonical",
        "valueBase64Binary", "implicitRules",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Term:
    """A word that must be there, or one that begins so."""

    word: str
    beginning: bool


def words(text: str) -> set[str]:
    """What a text is found by."""
    found: set[str] = set()
    for piece in _PIECE.findall(fold.__wrapped__(text)):
        if _is_han(piece):
            found.update(piece[n : n + 2] for n in range(len(piece)))
        else:
            found.add(piece[:LONGEST_WORD])
    return found


def terms(text: str) -> tuple[Term, ...]:
    """What a searched text asks for: all of these."""
    found: dict[Term, None] = {}
    for piece in _PIECE.findall(fold.__wrapped__(text)):
        if not _is_han(piece):
            found[Term(piece[:LONGEST_WORD], beginning=True)] = None
        elif len(piece) == 1:
            found[Term(piece, beginning=True)] = None
        else:
            found.update((Term(piece[n : n + 2], beginning=False), None) for n in range(len(piece) - 1))
    return tuple(found)


def holds(known: set[str], asked: Iterable[Term]) -> bool:
    """Whether a text with these words has all that is asked for."""
    return all(
        term.word in known or (term.beginning and any(word.startswith(term.word) for word in known)) for term in asked
    )


def tsquery(asked: Iterable[Term]) -> str:
    """The same question for PostgreSQL."""
    return " & ".join(f"'{term.word}'{':*' if term.beginning else ''}" for term in asked)


def content_words(resource: dict[str, Any]) -> set[str]:
    """The words of everything in a resource that is text for people, its narrative included."""
    found: set[str] = set()
    for text in _texts(resource):
        found |= words(text)
        if len(found) > MOST_WORDS:
            break
    return found | narrative_words(resource)


def narrative_words(resource: dict[str, Any]) -> set[str]:
    """The words of its narrative."""
    div = resource.get("text", {}).get("div", "") if isinstance(resource.get("text"), dict) else ""
    return words(_TAG.sub(" ", div)) if div else set()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if not _MOMENT.fullmatch(value):
            yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name not in _UNREAD:
                yield from _texts(one)


def _is_han(piece: str) -> bool:
    first = piece[0]
    return "\u3400" <= first <= "\u9fff" or "\uf900" <= first <= "\ufaff" or first >= "\U00020000"
