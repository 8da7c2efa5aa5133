"""What can be asked: the views of the libraries, each with the columns it has and those that stand behind every row; and the
published figures of the measures.

Behind a row stand the institution that owns it and, when it is about a person, where that person lives, sex, and age at
the row's date. Columns that name single persons or records are known but neither divide a table nor filter it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake import library
from healthbrain.lake.library import View
from healthbrain.terms import systems

Kind = Literal["category", "number", "date", "hidden"]
Words = Mapping[str, str]

INSTITUTION, TOWN, SEX, AGE = "_institution", "_town", "_sex", "_age_group"
IMPERSONAL = frozenset(
    {"Organization", "Practitioner", "PractitionerRole", "Location", "Device", "CareTeam"}
)  # types that are about nobody who is treated
_NAMING = frozenset({"record", "household", "certificate"})
_KEY = re.compile(r"getResourceKey\(\)|getReferenceKey\((Patient|Encounter)?\)")
_SYSTEM = re.compile(r"system = %([A-Z][A-Z0-9_]+)")
_FREE = re.compile(r"\.text(\.first\(\))?$|^name(\.text\.first\(\))?$|^lotNumber$")
_TITLES: Mapping[str, Words] = {
    INSTITUTION: {"zh": "上传机构", "en": "institution that sent it"},
    TOWN: {"zh": "居住街镇", "en": "town of residence"},
    SEX: {"zh": "患者性别", "en": "sex of the person"},
    AGE: {"zh": "年龄组", "en": "age group"},
}
_NUMBERS: Mapping[str, Words] = {
    "value": {"zh": "数值", "en": "value"}, "numerator": {"zh": "分子", "en": "numerator"},
    "denominator": {"zh": "分母", "en": "denominator"}, "low": {"zh": "95%区间下限", "en": "lower end of the 95 % interval"},
    "high": {"zh": "95%区间上限", "en": "upper end of the 95 % interval"},
}  # fmt: skip
# by what published figures are divided further; the ids of the measures' stratifiers
STRATIFIERS: Mapping[str, Words] = {
    "sex": {"zh": "性别", "en": "sex"}, "age_group": {"zh": "年龄段", "en": "age group"},
    "fault": {"zh": "问题", "en": "fault"},
    "facility_class": {"zh": "机构类别", "en": "class of facility"}, "age_5": {"zh": "五岁年龄组", "en": "five-year age group"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a question sees it."""

    name: str
    kind: Kind
    title: Words
    system: str = ""  # the code system of its values
    refers: str = ""  # Organization, when its values are their ids
    free: bool = False  # words that somebody typed


PUBLISHED = "figures.published"  # the one source that is no view: what measures have published


@dataclass(frozen=True, slots=True)
class Source:
    """A view with its columns, or the published figures (which have none)."""

    id: str  # library.view
    title: Words
    description: Words
    columns: tuple[Column, ...]
    own: View | None = None

    @property
    def published(self) -> bool:
        """Whether its cells are figures that measures have published, not counts of rows."""
        return self.own is None

    @property
    def view(self) -> View:
        """The view that is read. Raises Incorrect for published figures."""
        if self.own is None:
            raise Incorrect("published figures have no rows behind them here; the measure's page leads to its members")
        return self.own

    @property
    def personal(self) -> bool:
        """Whether its rows are about persons."""
        return self.own is not None and self.own.resource not in IMPERSONAL

    @property
    def day(self) -> str:
        """The column that says when a row happened; '' when there is none."""
        found = [
            c.name for c in self.columns if c.kind == "date" and c.name not in {"birth", "died", "updated", "until"}
        ]
        return found[0] if found else ""

    def column(self, name: str) -> Column:
        """One column. Raises Incorrect."""
        for one in self.columns:
            if one.name == name:
                return one
        raise Incorrect("the view has no column of this name")


@cache
def sources() -> tuple[Source, ...]:
    """Every view of every library, then the published figures."""
    return (*(_source(view) for view in library.views()), _published())


def source_of(id_: str) -> Source:
    """One view by library.view. Raises NotFound."""
    for one in sources():
        if one.id == id_:
            return one
    raise NotFound("there is no such view in the catalogue")


def _published() -> Source:
    numbers = ("value", "numerator", "denominator", "low", "high")
    return Source(
        PUBLISHED,
        {"zh": "已发布的指标数据", "en": "published figures of measures"},
        {
            "zh": "各指标按口径发布的结果：指标、周期、街镇或机构、分层、分子、分母、数值。每个单元格就是一个已发布的数字，不再加总。",
            "en": "what measures have published: measure, period, town or institution, stratum, numerator, denominator, value. "
            "A cell is one published figure; nothing is added up.",
        },
        (
            Column("measure", "category", {"zh": "指标", "en": "measure"}),
            Column("period", "date", {"zh": "周期", "en": "period"}),
            Column(TOWN, "category", {"zh": "街镇", "en": "town"}),
            Column(INSTITUTION, "category", {"zh": "机构", "en": "institution"}),
            *(Column(key, "category", title) for key, title in STRATIFIERS.items()),
            *(Column(name, "number", _NUMBERS[name]) for name in numbers),
        ),
    )


def _source(view: View) -> Source:
    own = tuple(_column(view, one) for one in view.columns)
    behind = [INSTITUTION, *((TOWN, SEX, AGE) if view.resource not in IMPERSONAL else ())]
    columns = (*own, *(Column(name, "category", _TITLES[name]) for name in behind))
    return Source(view.id, view.title, view.description, columns, view)


def _column(view: View, one: library.Column) -> Column:
    kind: Kind = "category"
    if one.type in {"date", "dateTime", "instant"}:
        kind = "date"
    elif one.type in {"integer", "decimal", "positiveInt", "unsignedInt", "integer64"}:
        kind = "number"
    elif one.type == "string" and (_KEY.search(one.path) or (one.name in _NAMING)):
        kind = "hidden"
    named = _SYSTEM.search(one.path)
    return Column(
        one.name, kind, one.title,
        getattr(systems, named[1], "") if named else "",
        "Organization" if "getReferenceKey(Organization)" in one.path else "",
        one.type == "string" and bool(_FREE.search(one.path)) and view.resource not in IMPERSONAL,
    )  # fmt: skip
