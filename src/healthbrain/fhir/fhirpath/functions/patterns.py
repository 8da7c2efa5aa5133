"""Regular expressions of expressions, made safe to run.

FHIRPath recommends the PCRE dialect; Python's is near enough once named groups and references are rewritten. A
backtracking matcher can take time exponential in the text when it repeats what can itself be split in several ways,
so such patterns are refused, and the length of the text is limited by how ambiguous the rest of the pattern is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from healthbrain.fhir.fhirpath.functions.ambiguity import Explosive, cost_of
from healthbrain.fhir.fhirpath.problems import Unanswerable

MAX_PATTERN = 2_000
_STEPS = 3e8  # what a match may cost at worst, in steps of the matcher (some hundred a microsecond)
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE}
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\d+)|(\$))")
_NAMED_GROUP = re.compile(r"(?<!\\)((?:\\\\)*)\(\?<(?=[A-Za-z_])")


class Pattern(NamedTuple):
    """A compiled pattern and the longest text it may run on."""

    regex: re.Pattern[str]
    longest: int

    def found_in(self, subject: str) -> bool:
        """Whether a part of the text matches."""
        return self.regex.search(self._bounded(subject)) is not None

    def is_all_of(self, subject: str) -> bool:
        """Whether the whole text matches."""
        return self.regex.fullmatch(self._bounded(subject)) is not None

    def replaced(self, subject: str, substitution: str) -> str:
        """The text with every match replaced; `$1`, `${name}` stand for groups."""
        try:
            return self.regex.sub(_template(substitution), self._bounded(subject))
        except (re.error, IndexError):
            raise Unanswerable("the substitution names a group that the regular expression does not have") from None

    def _bounded(self, subject: str) -> str:
        if len(subject) > self.longest:
            raise Unanswerable(f"the text is longer than {self.longest} characters, too long for this pattern")
        return subject


@lru_cache(maxsize=1024)
def compiled(text: str, flags: str = "", *, whole: bool = False) -> Pattern:
    """The pattern, to match a part or the `whole` of a text. Raises Unanswerable when it cannot be read or could run too long."""
    if len(text) > MAX_PATTERN:
        raise Unanswerable(f"the regular expression is longer than {MAX_PATTERN} characters")
    options = re.DOTALL
    for flag in flags:
        if flag not in _FLAGS:
            raise Unanswerable("the flags of a regular expression are i (ignore case) and m (multi-line)")
        options |= _FLAGS[flag]
    python = _NAMED_GROUP.sub(r"\1(?P<", text)
    try:
        regex = re.compile(python, options)
        cost = cost_of(python, options, whole=whole)
    except (re.error, OverflowError) as error:
        raise Unanswerable(f"the regular expression cannot be read: {error}") from None
    except (Explosive, RecursionError):
        raise Unanswerable(
            "the regular expression repeats something that can be split in several ways, and could run without end; "
            "begin what is repeated with a character that cannot stand inside it"
        ) from None
    return Pattern(regex, int((_STEPS / cost.factor) ** (1 / cost.power)))


def _template(substitution: str) -> str:
    """`$1` and `${name}` as Python writes them; all else as it is."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[3] else rf"\g<{found[1] or found[2]}>"

    return _REFERENCE.sub(one, substitution.replace("\\", "\\\\"))
