"""Codes that cannot exist, told without their code system: LOINC and SNOMED CT end in a check digit.

The content of both is licensed and not part of the platform. LOINC User's Guide, appendix "Calculating Mod 10 Check
Digits"; SNOMED CT Release File Specifications, "Check-digit" (Verhoeff) and "Partition Identifier". A code that passes may
still not exist, which nobody here can say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"

_LOINC = re.compile(r"([0-9]{1,7})-([0-9])", re.ASCII)
_LOINC_PARTS = re.compile(
    r"(L[PALG][0-9]{1,7}-[0-9]|MTHU[0-9]{1,8})", re.ASCII
)  # parts, answers, lists, groups, hierarchy
_SNOMED = re.compile(r"[1-9][0-9]{5,17}", re.ASCII)
_EXPRESSION = re.compile(r"[0-9][^\x00-\x1f]*[:+={}|,(][^\x00-\x1f]*", re.ASCII)  # post-coordinated
_CONCEPT = ("00", "10")  # partition: a concept of the core, of an extension

# the dihedral group of the pentagon, and its permutation (J. Verhoeff, 1969)
_TURN = 5
_PERMUTED = "1576283094"


def impossible(system: str, code: str) -> bool | None:
    """Whether a code cannot be one of its system; None when that system is none of these."""
    check = _CHECKS.get(system)
    return None if check is None else not check(code)


def luhn(digits: str) -> int:
    """The Mod 10 check digit of a number.

    >>> luhn("12345")
    5
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


def verhoeff(number: str) -> bool:
    """Whether the last digit of a number is its Verhoeff check digit.

    >>> verhoeff("73211009"), verhoeff("73211090")
    (True, False)
    """
    state = 0
    for place, digit in enumerate(reversed(number)):
        state = _times(state, _permuted(int(digit), place % 8))
    return state == 0


def _times(left: int, right: int) -> int:
    """The product in the dihedral group: 0 to 4 turn, 5 to 9 flip and turn."""
    if left < _TURN:
        return (left + right) % _TURN if right < _TURN else _TURN + (left + right) % _TURN
    return _TURN + (left - right) % _TURN if right < _TURN else (left - right) % _TURN


def _permuted(digit: int, times: int) -> int:
    for _ in range(times):
        digit = int(_PERMUTED[digit])
    return digit


def _is_loinc(code: str) -> bool:
    match = _LOINC.fullmatch(code)
    return luhn(match[1]) == int(match[2]) if match else _LOINC_PARTS.fullmatch(code) is not None


def _is_snomed(code: str) -> bool:
    if _SNOMED.fullmatch(code):
        return code[-3:-1] in _CONCEPT and verhoeff(code)
    return _EXPRESSION.fullmatch(code) is not None


_CHECKS: Mapping[str, Callable[[str], bool]] = {LOINC: _is_loinc, SNOMED: _is_snomed}
