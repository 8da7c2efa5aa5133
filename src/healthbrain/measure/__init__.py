"""Measures: indicator definitions as data, results with numerator, denominator, as-of time, version and coverage,
and the way down from a number to people, resources and raw messages (OPS-57, IND-*).

Public: `built_in` (definitions), `compute_all` (pure), `publish` and `refresh` (write), and the queries
`headline`, `by_division`, `by_institution`, `trend`, `members`.
"""

from healthbrain.measure.adjusting import adjust, in_force, mark
from healthbrain.measure.base import DeliveryDay
from healthbrain.measure.compute import Computed, compute_all
from healthbrain.measure.definition import Definition, Level
from healthbrain.measure.listing import Member
from healthbrain.measure.load import built_in, definition_of, library
from healthbrain.measure.publish import publish
from healthbrain.measure.queries import (
    Figure,
    Headline,
    MemberPage,
    ShownMember,
    as_table,
    by_division,
    by_institution,
    by_stratum,
    components,
    current,
    defined,
    definition,
    headline,
    members,
    series,
    trend,
)
from healthbrain.measure.refresh import Refreshed, refresh
from healthbrain.measure.result import Coverage, Result

__all__ = [
    "Computed",
    "Coverage",
    "Definition",
    "DeliveryDay",
    "Figure",
    "Headline",
    "Level",
    "Member",
    "MemberPage",
    "Refreshed",
    "Result",
    "ShownMember",
    "adjust",
    "as_table",
    "built_in",
    "by_division",
    "by_institution",
    "by_stratum",
    "components",
    "compute_all",
    "current",
    "defined",
    "definition",
    "definition_of",
    "headline",
    "in_force",
    "library",
    "mark",
    "members",
    "publish",
    "refresh",
    "series",
    "trend",
]
