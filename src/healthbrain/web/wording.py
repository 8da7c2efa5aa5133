"""Refusals and errors in the reader's language.

The rooms below the screens speak English: every finding and error is one of a finite number of sentences with values in
it. `locale/refusals.po` holds each sentence with `{}` for its values, and its Chinese with the values by number. Here
a text is compared with these sentences, the one with the most fixed words first; its values are told the same way. A
text that is none of them is shown as it is. A test reads all sentences from the sources and names what has no Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from string import Formatter

from babel.messages.pofile import read_po

from healthbrain.exchange.listing import containing
from healthbrain.web import labels
from healthbrain.web.language import LOCALE, Language, language

_DEEPEST = 4
# what may stand before a finding: FHIRPath, MSH-10, line 3, segment 2
_PLACE = re.compile(r"((?:line|segment) \d+|[^\s:]+(?:\.ofType\([A-Za-z]+\)[^\s:]*)?): (.+)", re.DOTALL)
_WORDS: Mapping[str, str] = {**labels.ROLES, **labels.PURPOSES}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text with gaps, and its translation."""

    pattern: re.Pattern[str]
    fixed: int  # characters outside the gaps
    translation: str


def tell(said: Language, text: str) -> str:
    """A finding, a refusal's reason or an error's message in this language."""
    return _told(text) if said.chinese and text else text


def patterns(said: Language, text: str) -> list[str]:
    """SQL patterns of the reasons that a reader means with this text: those that hold it, in English or in translation."""
    found = [containing(text)]
    if said.chinese and not text.isascii():
        found += [_pattern(key) for key, value in texts().items() if text in value]
    return found


def told_as(template: str) -> bool:
    """Whether a sentence, with `{}` for its values, has a translation."""
    return template in texts()


@cache
def texts() -> Mapping[str, str]:
    """Every sentence and its Chinese."""
    with (LOCALE / "refusals.po").open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file, locale="zh_CN") if one.id and one.string}


@lru_cache(maxsize=4096)
def _told(text: str) -> str:
    return _tell(text, _DEEPEST)


def _tell(text: str, depth: int) -> str:
    if text in _WORDS:
        return language("zh-CN").say(_WORDS[text])
    fixed, told = _sentence_of(text, depth)
    if (placed := _PLACE.fullmatch(text)) and depth:
        place, rest = placed.groups()
        rest_fixed, rest_told = _sentence_of(rest, depth - 1)
        if rest_fixed > fixed or not fixed:
            return f"{_tell(place, depth - 1)}：{rest_told if rest_fixed else _tell(rest, depth - 1)}"
    return told


def _sentence_of(text: str, depth: int) -> tuple[int, str]:
    """How many characters of the text a known sentence has outside its gaps, and its translation; 0 for none."""
    if (whole := _whole().get(text)) is not None:
        return len(text), whole
    if depth:
        for sentence in _sentences():
            if found := sentence.pattern.fullmatch(text):
                told = sentence.translation.format(*(_tell(value, depth - 1) for value in found.groups()))
                return sentence.fixed, told
    return 0, text


def _pattern(template: str) -> str:
    """For a sentence with gaps: its fixed words in their order, anything between them."""
    parts = (containing(literal)[1:-1] for literal, *_ in Formatter().parse(template))
    return f"%{'%'.join(part for part in parts if part)}%"


@cache
def _whole() -> Mapping[str, str]:
    return {key.format(): value.format() for key, value in texts().items() if "{}" not in key}


@cache
def _sentences() -> tuple[Sentence, ...]:
    made: Iterable[Sentence] = (_sentence(key, value) for key, value in texts().items() if "{}" in key)
    return tuple(sorted(made, key=lambda one: -one.fixed))


def _sentence(template: str, translation: str) -> Sentence:
    pattern, fixed = "", 0
    for literal, gap, _, _ in Formatter().parse(template):
        pattern += re.escape(literal)
        fixed += len(literal)
        if gap is not None:
            pattern += "(.*?)"
    return Sentence(re.compile(pattern, re.DOTALL), fixed, translation)
