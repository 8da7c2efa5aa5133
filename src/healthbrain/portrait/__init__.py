"""The portrait of a person over all institutions, every item with its source (HUB-DS-01).

Public: `portrait` (the resident page), `timeline` (its further pages), and the values they are made of.
"""

from healthbrain.portrait.assemble import portrait, timeline
from healthbrain.portrait.masking import mask_name, mask_number
from healthbrain.portrait.values import (
    Allergy,
    Banner,
    Doctor,
    Dose,
    Event,
    Identifier,
    Medicine,
    Point,
    Portrait,
    Problem,
    Programme,
    Series,
    Source,
    Timeline,
)

__all__ = [
    "Allergy",
    "Banner",
    "Doctor",
    "Dose",
    "Event",
    "Identifier",
    "Medicine",
    "Point",
    "Portrait",
    "Problem",
    "Programme",
    "Series",
    "Source",
    "Timeline",
    "mask_name",
    "mask_number",
    "portrait",
    "timeline",
]
