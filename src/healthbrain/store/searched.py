"""A searched code as the hash that rows hold, and a text as a searched value."""

from __future__ import annotations

from healthbrain.store import keys
from healthbrain.store.question import split, unescape


def token_of(number: int, value: str) -> int:
    """The token that `code`, `system|code`, `|code` or `system|` asks for."""
    parts = split(value, "|")
    if len(parts) == 1:
        return keys.code_alone(number, unescape(value))
    system, code = unescape(parts[0]), unescape("|".join(parts[1:]))
    if not code:
        return keys.any_of_system(number, system)
    return keys.code_in_system(number, system, code)


def escape(text: str) -> str:
    """A text as a search value; the inverse of question.unescape."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text
