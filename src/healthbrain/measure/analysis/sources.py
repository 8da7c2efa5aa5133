"""What can be asked: the views of the libraries, each with the columns it has and those that stand behind every row.

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


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a question sees it."""

    name: str
    kind: Kind
    title: Words
    system: str = ""  # the code system of its values
    refers: str = ""  # Organization, when its values are their ids
    free: bool = False  # words that somebody typed


@dataclass(frozen=True, slots=True)
class Source:
    """A view with its columns."""

    view: View
    columns: tuple[Column, ...]

    @property
    def id(self) -> str:
        """library.view"""
        return self.view.id

    @property
    def personal(self) -> bool:
        """Whether its rows are about persons."""
        return self.view.resource not in IMPERSONAL

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
    """Every view of every library."""
    return tuple(_source(view) for view in library.views())


def source_of(id_: str) -> Source:
    """One view by library.view. Raises NotFound."""
    for one in sources():
        if one.id == id_:
            return one
    raise NotFound("there is no such view in the catalogue")


def _source(view: View) -> Source:
    own = tuple(_column(view, one) for one in view.columns)
    behind = [INSTITUTION, *((TOWN, SEX, AGE) if view.resource not in IMPERSONAL else ())]
    return Source(view, (*own, *(Column(name, "category", _TITLES[name]) for name in behind)))


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
