"""What is asked of a patient with a suspected food-borne disease: what was eaten where, and what the laboratory found.

The content follows the case monitoring of 食源性疾病监测报告工作规范（试行）: suspected food, place of eating, pathogen.
Which food and pathogen somebody has depends on the record alone, so that the same district always gives the same cases.
"""

from __future__ import annotations

from healthbrain.twin.chance import Weighted, stream

# ICD-10 of infections and poisonings through food; norovirus (A08.1) is one of them, rotavirus (A08.0) is not
DISEASES = frozenset({"A02", "A03", "A04", "A05", "A08.1", "A09"})
_SHARE = 0.7  # of whom a doctor asks and writes it down
_FOODS = Weighted([
    ("food-seafood", 24.0), ("food-meat", 22.0), ("food-mixed", 20.0), ("food-vegetable", 12.0), ("food-eggs", 9.0),
    ("food-dairy", 7.0), ("food-mushroom", 6.0),
])  # fmt: skip
_PLACES = Weighted([("place-home", 46.0), ("place-restaurant", 30.0), ("place-canteen", 16.0), ("place-stall", 8.0)])
_PATHOGENS = {
    "A08": Weighted([("pathogen-norovirus", 60.0), ("pathogen-none", 40.0)]),
    "A0": Weighted([
        ("pathogen-none", 70.0), ("pathogen-salmonella", 11.0), ("pathogen-vibrio", 10.0), ("pathogen-ecoli", 9.0),
    ]),
}  # fmt: skip


def suspected(diagnosis: str) -> bool:
    """Whether the diagnosis is one of food-borne diseases."""
    return diagnosis in DISEASES or diagnosis.partition(".")[0] in DISEASES


def asked(record: str, diagnosis: str) -> tuple[str, str, str] | None:
    """The codes of food, place and pathogen written down with this record; None when nobody asked."""
    if not suspected(diagnosis):
        return None
    rng = stream("food", record)
    if rng.random() >= _SHARE:
        return None
    found = _PATHOGENS["A08" if diagnosis.startswith("A08") else "A0"]
    return _FOODS.pick(rng), _PLACES.pick(rng), found.pick(rng)
