"""Numbers that can identify a person, and when they may be trusted.

Identity card: GB 11643 (18 digits; the old 15 are lengthened; the last one is an ISO 7064 MOD 11-2 check). It is trusted only
when its birth date and sex are those of the record: a parent's or borrowed card on a child says otherwise and is kept
for review. Insurance number: it has no check digit, so obvious placeholders are thrown out and a match needs name, birth
date and sex as well.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Literal

Verdict = Literal["verified", "unconfirmed", "suspect-birth", "suspect-sex", "wrong-check", "malformed", "placeholder"]

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
# 省级 codes of GB/T 2260, 83 for residents from Taiwan, 90 to 99 for foreign permanent residents
_PROVINCES = frozenset(
    n
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (90, 99))
    for n in range(first, last + 1)
)


@dataclass(frozen=True, slots=True)
class IdCard:
    """A readable identity card number."""

    number: str  # 18 characters
    birth: date
    sex: str


def tidy(number: str) -> str:
    """A number in one width, without blanks and dashes, with capitals."""
    text = unicodedata.normalize("NFKC", number)
    return "".join(c for c in text if not c.isspace() and c not in "-_'").upper().replace("×", "X")


def check_digit(first17: str) -> str:
    """The 18th character that belongs to the first 17 digits."""
    return _CHECKS[sum(w * int(c) for w, c in zip(_WEIGHTS, first17, strict=True)) % 11]


def id_card(number: str, today: date) -> IdCard | Verdict:
    """The card with this number, or what is wrong with it."""
    text = tidy(number)
    if not text.isascii():
        return "malformed"
    if len(text) == 15 and text.isdecimal():
        text = text[:6] + "19" + text[6:]
        text += check_digit(text)
    if len(text) != 18 or not text[:17].isdecimal() or not (text[17].isdecimal() or text[17] == "X"):
        return "malformed"
    if int(text[:2]) not in _PROVINCES:
        return "malformed"
    try:
        birth = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return "malformed"
    if birth > today or birth.year < 1880:
        return "malformed"
    if check_digit(text[:17]) != text[17]:
        return "wrong-check"
    return IdCard(text, birth, "male" if int(text[16]) % 2 else "female")


def judge(card: IdCard, birth: str, sex: str) -> Verdict:
    """Whether the card may be used for a record with this birth date (as precise as known) and sex."""
    if sex and sex != card.sex:
        return "suspect-sex"
    if not birth:
        return "unconfirmed"
    return "verified" if card.birth.isoformat().startswith(birth) else "suspect-birth"


def insurance_number(number: str) -> tuple[str, Verdict]:
    """The normalised number and whether it is more than a placeholder."""
    text = tidy(number)
    if not (text.isascii() and text.isalnum() and 8 <= len(text) <= 28):
        return text, "malformed"
    digits = text.lstrip("0")
    if len(digits) < 6 or len(set(digits)) < 3 or digits in "12345678901234567890" or digits in "9876543210987654321":
        return text, "placeholder"
    return text, "verified"
