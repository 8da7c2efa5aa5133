"""What the screens say and how they write numbers and dates, in Chinese (the default) and English.

English text is the key; `locale/zh_CN.po` holds the Chinese. A test extracts every key from templates and code and
fails when one has no Chinese. Times are shown in China Standard Time (UTC+8, one zone, no summer time).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal

from babel.messages.pofile import read_po

Tag = Literal["zh-CN", "en"]
TAGS: tuple[Tag, ...] = ("zh-CN", "en")
CHINA = timezone(timedelta(hours=8), "CST")
LOCALE = Path(__file__).parent / "locale"

_WEEKDAYS = {"zh-CN": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def N_(text: str) -> str:  # noqa: N802 - the name gettext tools look for
    """Mark a text for translation where it is defined; it is translated where it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the screens: its texts and its ways of writing."""

    tag: Tag
    texts: Mapping[str, str]

    @property
    def chinese(self) -> bool:
        """Whether this is Chinese."""
        return self.tag == "zh-CN"

    def say(self, text: str) -> str:
        """The text in this language; the English key itself when there is no translation."""
        return self.texts.get(text) or text

    def pick(self, text: Mapping[str, str]) -> str:
        """The text of data that come in both languages."""
        return text["zh"] if self.chinese else text["en"]

    def count(self, one: str, many: str, number: int) -> str:
        """The text for a number of things (Chinese has one form)."""
        if self.chinese:
            return self.say(one)
        return one if number == 1 else many

    def number(self, value: float | int | Decimal | None, digits: int = 0) -> str:
        """A number with thousands separators; a dash for a missing one (missing is not zero)."""
        return "—" if value is None else f"{value:,.{digits}f}"

    def big(self, value: float | int | None) -> str:
        """A large count in the units people speak in: 万, 亿; k, M in English."""
        if value is None:
            return "—"
        units = ((100_000_000, "亿"), (10_000, "万")) if self.chinese else ((1_000_000, "M"), (100_000, "k"))
        for size, unit in units:
            if abs(value) >= size:
                return f"{value / (1000 if unit == 'k' else size):,.1f}{unit}"
        return self.number(value)

    def share(self, value: float | None, digits: int = 1) -> str:
        """A share of 1 as a percentage."""
        return "—" if value is None else f"{value * 100:.{digits}f}%"

    def signed(self, value: float | None, digits: int = 1) -> str:
        """A difference, with its sign; what rounds to nothing has none."""
        if value is None:
            return "—"
        text = f"{value:+,.{digits}f}"
        return text.replace("-", "\N{MINUS SIGN}") if text.strip("+-0.,") else text.lstrip("+-")

    def size(self, count: int | None) -> str:
        """A number of bytes."""
        if count is None:
            return "—"
        if count < 1024:
            return f"{count} B"
        return f"{count / 1024:.1f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"

    def day(self, value: date | datetime | str | None) -> str:
        """A date."""
        day = _as_date(value)
        if day is None:
            return str(value) if value else "—"
        return (
            f"{day.year}年{day.month}月{day.day}日"
            if self.chinese
            else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
        )

    def short_day(self, value: date | datetime | str | None) -> str:
        """A date for tables: 2026-11-22."""
        day = _as_date(value)
        return day.isoformat() if day else (str(value) if value else "—")

    def weekday(self, value: date | datetime) -> str:
        """The day of the week."""
        day = _as_date(value) or date.min
        return f"星期{_WEEKDAYS['zh-CN'][day.weekday()]}" if self.chinese else _WEEKDAYS["en"][day.weekday()]

    def month(self, value: date | str) -> str:
        """A month."""
        day = _as_date(value)
        if day is None:
            return str(value)
        return f"{day.year}年{day.month}月" if self.chinese else f"{_MONTHS[day.month - 1]} {day.year}"

    def time(self, value: datetime | None, *, seconds: bool = False) -> str:
        """A point in time, to the minute."""
        if value is None:
            return "—"
        return _local(value).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")

    def clock(self, value: datetime) -> str:
        """The time of day."""
        return _local(value).strftime("%H:%M")

    def span(self, value: timedelta | float | None) -> str:
        """A length of time in one unit, rounded down: 3 小时, 2 d."""
        if value is None:
            return "—"
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        for size, zh, en in ((86400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s")):
            if seconds >= size:
                return f"{int(seconds // size)} {zh if self.chinese else en}"
        return "< 1 秒" if self.chinese else "< 1 s"

    def ago(self, value: datetime | None, now: datetime) -> str:
        """How long ago."""
        if value is None:
            return "—"
        gap = max(timedelta(), now - value)
        if gap < timedelta(minutes=1):
            return "刚刚" if self.chinese else "just now"
        return f"{self.span(gap)}前" if self.chinese else f"{self.span(gap)} ago"

    def age(self, born: date | str | None, on: date) -> str:
        """Age as a clinician says it: days under a month, months under two years, else years."""
        day = _as_date(born)
        if day is None:
            return "—"
        months = (on.year - day.year) * 12 + on.month - day.month - (on.day < day.day)
        if months < 1:
            return f"{(on - day).days} 天" if self.chinese else f"{(on - day).days} d"
        if months < 24:
            return f"{months} 个月" if self.chinese else f"{months} mo"
        return f"{months // 12} 岁" if self.chinese else f"{months // 12} y"


@cache
def language(tag: Tag) -> Language:
    """The language of that tag."""
    return Language(tag, _texts() if tag == "zh-CN" else {})


def best(accept: str, default: str) -> Tag:
    """The language to use for a browser that asks for `accept`; Chinese unless it prefers English."""
    for part in accept.split(","):
        wish = part.split(";")[0].strip().lower()
        if wish.startswith("zh"):
            return "zh-CN"
        if wish.startswith("en"):
            return "en"
    return "en" if default == "en" else "zh-CN"


@cache
def _texts() -> Mapping[str, str]:
    with (LOCALE / "zh_CN.po").open("rb") as file:
        messages = read_po(file, locale="zh_CN")
    found: dict[str, str] = {}
    for message in messages:
        key = message.id if isinstance(message.id, str) else message.id[0]
        forms = message.string
        text = forms if isinstance(forms, str) else (forms or ("",))[0]
        if key:
            found[key] = text
    return found


def _as_date(value: date | datetime | str | None) -> date | None:
    if isinstance(value, datetime):
        return _local(value).date()
    if isinstance(value, date) or value is None:
        return value
    text = value[:10]
    try:
        if "T" in value:
            return _local(datetime.fromisoformat(value.replace("Z", "+00:00"))).date()
        return date.fromisoformat(f"{text}-01" if len(text) == 7 else text)
    except ValueError:
        return None


def _local(value: datetime) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(CHINA)
