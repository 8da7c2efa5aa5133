"""Days and instants: what FHIR's dates mean on the calendar of the place, in DuckDB and in Python.

FHIR dates are text of any precision with any offset. A day is a day of local time; an instant is the earliest one that the text
may mean. China has one time zone and no summer time.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta, timezone
from typing import Any

LOCAL = timezone(timedelta(hours=8))

# Installed once per connection.
MACROS = """
create or replace macro hb_instant(t) as cast(case length(t)
    when 4 then t || '-01-01 00:00:00+08' when 7 then t || '-01 00:00:00+08' when 10 then t || ' 00:00:00+08'
    else t end as timestamptz);
create or replace macro hb_date(t) as case length(t)
    when 4 then cast(t || '-01-01' as date) when 7 then cast(t || '-01' as date) when 10 then cast(t as date)
    else cast((cast(t as timestamptz) at time zone 'Asia/Shanghai') as date) end;
create or replace macro hb_age(b, d) as
    year(d) - year(b) - cast(month(d) * 100 + day(d) < month(b) * 100 + day(b) as integer);
"""


def instant(text: str) -> datetime:
    """The earliest moment a FHIR date or dateTime may mean."""
    if len(text) <= 10:
        year, month, day_ = (*(int(part) for part in text.split("-")), 1, 1)[:3]
        return datetime(year, month, day_, tzinfo=LOCAL)
    return datetime.fromisoformat(text)


def day(text: str) -> date:
    """The local day of a FHIR date or dateTime; the first one that it may mean."""
    return instant(text).astimezone(LOCAL).date()


def age(birth: date, at: date) -> int:
    """Completed years."""
    return at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))


def shift(moment: Any, number: int, unit: str) -> Any:
    """A date moved by a calendar length; the last day of a month stays within it."""
    if unit == "hour":
        return moment + timedelta(hours=number)
    if unit in {"day", "week"}:
        return moment + timedelta(days=number * (7 if unit == "week" else 1))
    months = moment.year * 12 + moment.month - 1 + number * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
