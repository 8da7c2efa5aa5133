"""Assessment and evaluation (考核评价): schemes with weights, runs over frozen figures, the same result whenever recomputed (HUB-DS-06).

scheme_of, scheme_from          a checked scheme from its kept form or YAML
await schemes, find, create, change, retire, versions     the schemes that can be run here
score(scheme, inputs)           pure: the results of frozen figures
await make, read, runs, publish, close, drop, say, remarks, unanswered    runs and what is said of them
verify(content, digest)         recompute a run from what it froze; `gather` and `compared` against the figures of today
"""

from healthbrain.measure.assessment.content import Verified, content_of, digest_of, parts_of, verify
from healthbrain.measure.assessment.gather import check_period, gather
from healthbrain.measure.assessment.protect import hidden_groups, hidden_items, hides_total
from healthbrain.measure.assessment.runs import (
    OUTCOMES,
    Changed,
    Remark,
    Run,
    close,
    compared,
    drop,
    make,
    own_only,
    publish,
    read,
    remarks,
    runs,
    say,
    unanswered,
)
from healthbrain.measure.assessment.scheme import (
    GRADES,
    LEVELS,
    MISSING,
    SMALL,
    SPANS,
    TAKES,
    Group,
    Item,
    Scheme,
    scheme_of,
)
from healthbrain.measure.assessment.schemes import (
    Kept,
    Version,
    built_in_schemes,
    change,
    checked,
    create,
    find,
    retire,
    scheme_from,
    schemes,
    versions,
)
from healthbrain.measure.assessment.score import Column, Figure, Inputs, Points, Score, Unit, score

__all__ = [
    "GRADES",
    "LEVELS",
    "MISSING",
    "OUTCOMES",
    "SMALL",
    "SPANS",
    "TAKES",
    "Changed",
    "Column",
    "Figure",
    "Group",
    "Inputs",
    "Item",
    "Kept",
    "Points",
    "Remark",
    "Run",
    "Scheme",
    "Score",
    "Unit",
    "Verified",
    "Version",
    "built_in_schemes",
    "change",
    "check_period",
    "checked",
    "close",
    "compared",
    "content_of",
    "create",
    "digest_of",
    "drop",
    "find",
    "gather",
    "hidden_groups",
    "hidden_items",
    "hides_total",
    "make",
    "own_only",
    "parts_of",
    "publish",
    "read",
    "remarks",
    "retire",
    "runs",
    "say",
    "scheme_from",
    "scheme_of",
    "schemes",
    "score",
    "unanswered",
    "verify",
    "versions",
]
