"""What can be counted in: the measures' own tables, then every view of the catalogue that is over resources."""

from __future__ import annotations

from datetime import date
from functools import cache

from healthbrain.lake.expression_sql import Kind
from healthbrain.measure.catalogue_views import catalogue_views
from healthbrain.measure.compile import Compiler
from healthbrain.measure.compute import constants_at
from healthbrain.measure.load import library

OWN = (
    "home", "contact", "managed", "diagnosis", "problem", "vaccination", "referral", "delivery", "case_report", "finding",
    "donation",
)  # fmt: skip
# what is attached to the rows of a table that does not say where the person lives
PERSON: dict[str, Kind] = {"town": "text", "birth": "date", "sex": "text"}
_UNSHOWN = frozenset(
    {"_id", "_patient", "_owner", "_updated", "person", "encounter", "practitioner", "key", "record", "id", "patient"}
)


@cache
def bases() -> tuple[str, ...]:
    """Every table and view by its name."""
    return (*OWN, *catalogue_views())


@cache
def kinds_of(base: str) -> dict[str, Kind]:
    """All columns of a table as it is."""
    return dict(_library().made(base).kinds)


@cache
def tables() -> dict[str, dict[str, Kind]]:
    """The tables with the columns that conditions may speak of."""
    found: dict[str, dict[str, Kind]] = {}
    for name in bases():
        kinds = kinds_of(name)
        if "town" not in kinds:
            kinds = {
                **kinds,
                **{key: kind for key, kind in PERSON.items() if key not in kinds},
                "institution": "integer",
            }
        kinds = {**kinds, "age": "integer"}
        found[name] = {column: kind for column, kind in kinds.items() if column not in _UNSHOWN and kind != "instant"}
    return found


@cache
def _library() -> Compiler:
    compiler = Compiler(constants_at(date(2000, 1, 1)), calendar="calendar")
    compiler.library(library())
    return compiler
