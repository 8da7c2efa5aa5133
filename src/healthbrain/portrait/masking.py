"""How identifying values are shown to readers who need to recognise a person but not to have the number.

An ID card keeps its division and its last four characters, a phone number its first three and last four digits, a
name its surname: the forms that Chinese public services print.
"""

from __future__ import annotations

_COMPOUND = ("欧阳", "司马", "上官", "诸葛", "司徒", "东方", "皇甫", "尉迟", "公孙", "慕容", "夏侯", "令狐")  # fmt: skip


def mask_number(value: str, head: int = 3, tail: int = 4) -> str:
    """The first `head` and last `tail` characters, the rest as *; short values lose nearly everything.

    >>> mask_number("310118196005010028", 6, 4)
    '310118********0028'
    """
    if len(value) <= head + tail:
        return "*" * max(0, len(value) - 2) + value[-2:] if len(value) > 2 else "*" * len(value)
    return value[:head] + "*" * (len(value) - head - tail) + value[-tail:]


def mask_name(name: str) -> str:
    """The surname, the given name as *.

    >>> mask_name("欧阳修"), mask_name("张伟")
    ('欧阳*', '张*')
    """
    surname = name[:2] if name.startswith(_COMPOUND) else name[:1]
    return surname + "*" * (len(name) - len(surname))
