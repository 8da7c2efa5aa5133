"""What a statutory form is: data. Sections by service, numbered rows, columns of the whole or by sex, and what must fit together.

A row's cells are one of: a part of a measure's figure (`of` with `part`: numerator, denominator or value), a share of two other
rows (`share: [above, below]`, times `per`), a sum of other rows (`sum`) or a difference (`less: [from, what]`). Nothing else can
stand in a form, so nothing is typed into one. `year` says what the year's report takes of a measure that is entered by quarter:
their sum, or none where several quarters do not add up. `growing` marks what is not expected to fall from one report to the next;
`at_most` names a row that this one cannot exceed; `same_as` names a measure whose published value a share must equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.definition import Level, Words
from healthbrain.measure.strict import known, one_of, read, words

Part = Literal["numerator", "denominator", "value"]
Over = Literal["none", "sum", "last"]
_FILES = ("bphs.yaml",)
_ROW = frozenset(
    {"no", "title", "unit", "of", "part", "share", "per", "sum", "less", "year", "growing", "at_most", "same_as"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a form."""

    no: str
    title: Words
    unit: str
    measure: str = ""
    part: Part = "value"
    share: tuple[str, ...] = ()
    per: float = 100.0
    sum: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    year: Over = "last"
    growing: bool = False
    at_most: str = ""
    same_as: str = ""

    @property
    def follows(self) -> tuple[str, ...]:
        """The rows that this one is worked out from."""
        return self.share or self.sum or self.less


@dataclass(frozen=True, slots=True)
class Section:
    """One service. `by` names the stratifier whose strata are columns beside the whole."""

    id: str
    title: Words
    rows: tuple[Row, ...]
    by: str = ""
    columns: tuple[tuple[str, Words], ...] = ()  # stratum, heading
    yearly: bool = False  # stands in the report of a year alone


@dataclass(frozen=True, slots=True)
class Form:
    """One statutory form. A change of its rows is a new version; what was made with the old one stays as it is."""

    id: str
    version: str
    title: Words
    document: str
    levels: tuple[Level, ...]
    sections: tuple[Section, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows in their order."""
        return tuple(row for section in self.sections for row in section.rows)


@cache
def forms() -> tuple[Form, ...]:
    """The forms that come with the platform."""
    return tuple(forms_of((resources.files(__package__) / name).read_text("utf-8"), name) for name in _FILES)


def form_named(id_: str) -> Form:
    """The form of that id. Raises NotFound."""
    found = next((one for one in forms() if one.id == id_), None)
    if found is None:
        raise NotFound("there is no statutory form of this name")
    return found


def forms_of(text: str, where: str) -> Form:
    """A form from its YAML; `where` names it in errors. Raises Incorrect."""
    raw = read(text, where)
    known(raw, {"id", "version", "title", "document", "levels", "sections"}, where)
    sections = tuple(_section(id_, one, f"{where}: {id_}") for id_, one in raw["sections"].items())
    levels = tuple(one_of(level, ("district", "town", "institution"), where) for level in raw["levels"])
    form = Form(raw["id"], raw["version"], words(raw["title"]), raw["document"], levels, sections)
    _fits(form, where)
    return form


def _section(id_: str, raw: Mapping[str, Any], where: str) -> Section:
    known(raw, {"title", "by", "columns", "rows", "yearly"}, where)
    columns = tuple((stratum, words(heading)) for stratum, heading in raw.get("columns", {}).items())
    if bool(columns) != bool(raw.get("by")):
        raise Incorrect(f"{where}: `by` and `columns` go together")
    rows = tuple(_row(one, where) for one in raw["rows"])
    return Section(id_, words(raw["title"]), rows, raw.get("by", ""), columns, raw.get("yearly", "false") == "true")


def _row(raw: Mapping[str, Any], where: str) -> Row:
    known(raw, _ROW, f"{where}: row {raw.get('no', '?')}")
    if sum(key in raw for key in ("of", "share", "sum", "less")) != 1:
        raise Incorrect(f"{where}: row {raw.get('no', '?')} is one of `of`, `share`, `sum` and `less`")
    return Row(
        no=raw["no"],
        title=words(raw["title"]),
        unit=raw["unit"],
        measure=raw.get("of", ""),
        part=one_of(raw.get("part", "value"), ("numerator", "denominator", "value"), where),
        share=tuple(raw.get("share", ())),
        per=float(raw.get("per", "100")),
        sum=tuple(raw.get("sum", ())),
        less=tuple(raw.get("less", ())),
        year=one_of(raw.get("year", "last"), ("none", "sum", "last"), where),
        growing=raw.get("growing", "false") == "true",
        at_most=raw.get("at_most", ""),
        same_as=raw.get("same_as", ""),
    )


def _fits(form: Form, where: str) -> None:
    """Rows are numbered once, and speak of rows of their own section that stand before them."""
    numbers = [row.no for row in form.rows]
    if len(numbers) != len(set(numbers)):
        raise Incorrect(f"{where}: a row number stands twice")
    for section in form.sections:
        before: list[str] = []
        for row in section.rows:
            _check_row(row, before, where)
            before.append(row.no)


def _check_row(row: Row, before: Sequence[str], where: str) -> None:
    if missing := set(row.follows) - set(before):
        raise Incorrect(f"{where}: row {row.no} speaks of row {min(missing)}, which does not stand before it")
    if row.at_most and row.at_most not in before:
        raise Incorrect(f"{where}: row {row.no} speaks of row {row.at_most}, which does not stand before it")
    if (row.share and len(row.share) != 2) or (row.less and len(row.less) != 2):
        raise Incorrect(f"{where}: row {row.no} needs two rows to be worked out from")
