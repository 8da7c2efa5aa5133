"""Whose is it? The person index: normalise, compare by exact rules, link, let people decide, undo.

`link` is the store's observer. `person_of`, `patients_of`, `patient_ids` and `find` ask; `explain` says why; `unlink`,
`relink` and `undo` are people's decisions.
"""

from healthbrain.identity.evidence import Evidence, evidence
from healthbrain.identity.grouping import MODEL
from healthbrain.identity.index import (
    Doubt,
    LinkEvent,
    doubts,
    explain,
    find,
    links,
    patient_ids,
    patients_of,
    person_of,
    resolve,
)
from healthbrain.identity.linking import link
from healthbrain.identity.names import name_kind, normal_name
from healthbrain.identity.stewards import relink, undo, unlink

__all__ = [
    "MODEL",
    "Doubt",
    "Evidence",
    "LinkEvent",
    "doubts",
    "evidence",
    "explain",
    "find",
    "link",
    "links",
    "name_kind",
    "normal_name",
    "patient_ids",
    "patients_of",
    "person_of",
    "relink",
    "resolve",
    "undo",
    "unlink",
]
