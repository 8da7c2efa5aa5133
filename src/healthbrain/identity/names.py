"""Names as they are compared, and names that are none: newborns, the unknown, tests.

张某之子, 无名氏 and 测试 are kinds of records, never names: they match nobody (identity-quality rules, HUB-EX-17).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

NameKind = Literal["name", "newborn", "unknown", "test", "none"]

_DOTS = re.compile(r"[·•・‧∙⋅.\u30fb\uff0e]")
_NEWBORN = re.compile(r".+之?(?:(?<=之)[子女婴]|毛毛|宝宝|大双|小双|双[大小])$|.+(?:婴儿|之[长次三]?[子女])$")
_UNKNOWN = re.compile(r"无名(?:氏|[男女尸]?)?.{0,3}|不详|未知|佚名|某某|无姓名|UNKNOWN|JOHNDOE|JANEDOE|NONAME")
_TEST = re.compile(r".*(?:测试|試驗|试验|演示|练习).*|TEST\w*|\w*TEST|DEMO\w*|患者?\d+|病人\d*|ABC|AAA+")
_AFTER = re.compile(r"[((\[【].*?[))\]】]$|\d+$")
_BLANK = re.compile(r"[\s\u200b-\u200f\ufeff_*'`’-]+")


def normal_name(name: str) -> str:
    """A name for comparing: one width, no blanks, dots, brackets or trailing numbers, capitals."""
    text = unicodedata.normalize("NFKC", name)
    text = _BLANK.sub("", text)
    if not _is_test(text.upper()):
        text = _AFTER.sub("", text)
    return _DOTS.sub("", text).upper()


def name_kind(name: str) -> NameKind:
    """What kind of record this name stands for."""
    text = normal_name(name)
    if not text:
        return "none"
    if _is_test(text):
        return "test"
    if _UNKNOWN.fullmatch(text):
        return "unknown"
    return "newborn" if _NEWBORN.fullmatch(text) else "name"


def _is_test(text: str) -> bool:
    return _TEST.fullmatch(text) is not None
