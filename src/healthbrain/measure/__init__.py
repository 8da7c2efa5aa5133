"""Measures: indicator definitions as data, results with numerator, denominator, as-of time, version and coverage,
and the way down from a number to people, resources and raw messages (OPS-57, IND-*).

Public: `built_in` (definitions), `compute_all` (pure), `publish` and `refresh` (write), and the queries
`headline`, `by_division`, `by_institution`, `trend`, `members`.
"""

from healthbrain.measure.compute import Computed, Coverage, DeliveryDay, Member, Result, compute_all
from healthbrain.measure.definition import Definition, Level
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
    definition,
    headline,
    members,
    trend,
)
from healthbrain.measure.refresh import refresh

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
    "Result",
    "ShownMember",
    "as_table",
    "built_in",
    "by_division",
    "by_institution",
    "compute_all",
    "definition",
    "definition_of",
    "headline",
    "library",
    "members",
    "publish",
    "refresh",
    "trend",
]
