"""Measured values: normal ones spread inside the reference range of sex and age, shifted by what the person has.

The ranges are the terms table `reference_range`. How far a disease moves a value is a plausible simulation, not a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from healthbrain.terms import tables
from healthbrain.twin.events import Result

PANELS = {
    "cbc": ("6690-2", "789-8", "718-7", "4544-3", "787-2", "777-3", "770-8", "736-9"),
    "crp": ("1988-5",),
    "liver": ("1742-6", "1920-8", "14631-6", "1751-7", "2324-2"),
    "renal": ("14682-9", "22664-7", "14933-6"),
    "lipid": ("14647-2", "14927-8", "14646-4", "22748-8"),
    "lytes": ("2823-3", "2951-2", "2075-0", "2000-8"),
    "glucose": ("14771-0",),
    "a1c": ("4548-4",),
    "cardiac": ("10839-9", "33762-6"),
    "coag": ("6301-6", "48065-7"),
    "thyroid": ("3016-3", "14920-3"),
    "urine": ("20454-5", "25428-4"),
    "tumour": ("2039-6", "1834-1"),
    "flu": ("80382-5", "80383-3"),
    "hbv": ("5196-1",),
}
PANEL_NAMES = {
    "cbc": ("58410-2", "血常规"), "crp": ("1988-5", "C反应蛋白"), "liver": ("24325-3", "肝功能"),
    "renal": ("24362-6", "肾功能"), "lipid": ("24331-1", "血脂"), "lytes": ("24326-1", "电解质"),
    "glucose": ("14771-0", "空腹血糖"), "a1c": ("4548-4", "糖化血红蛋白"), "cardiac": ("10839-9", "心肌标志物"),
    "coag": ("48065-7", "凝血功能"), "thyroid": ("3016-3", "甲状腺功能"), "urine": ("24356-8", "尿常规"),
    "tumour": ("2039-6", "肿瘤标志物"), "flu": ("80382-5", "流感病毒抗原"), "hbv": ("5196-1", "乙肝表面抗原"),
}  # fmt: skip

_BACTERIAL = {"6690-2": 1.75, "770-8": 1.3, "736-9": 0.55, "1988-5": 9.0}
_VIRAL = {"6690-2": 0.85, "770-8": 0.85, "736-9": 1.2, "1988-5": 1.6}
_CORONARY = {"10839-9": 1.2, "14647-2": 1.6, "22748-8": 1.4}

# diagnosis -> factor on the usual value of each analyte
EFFECTS: dict[str, dict[str, float]] = {
    **dict.fromkeys(("J18.9", "J18.0", "J03.9", "L03.9", "K35.8", "A03.9", "A04.9", "N39.0", "A38", "J44.1", "K81.0"), _BACTERIAL),
    **dict.fromkeys(("J06.9", "J10.1", "J11.1", "B08.4", "B08.5", "A08.0", "A08.1", "U07.1", "R50.9", "B01.9"), _VIRAL),
    "J15.7": {"1988-5": 4.0, "6690-2": 1.1},
    "A37.9": {"6690-2": 2.2, "736-9": 1.9},
    "E78.5": {"14647-2": 2.2, "14927-8": 2.2, "22748-8": 2.3},
    "K76.0": {"1742-6": 1.8, "2324-2": 1.8, "14927-8": 2.2},
    "K80.2": {"14631-6": 1.4, "2324-2": 2.0},
    "K85.9": {"6690-2": 1.7, "1988-5": 14.0, "2000-8": 0.92},
    "N18.3": {"14682-9": 1.75, "22664-7": 1.7, "14933-6": 1.3, "718-7": 0.9},
    "N18.5": {"14682-9": 7.0, "22664-7": 4.0, "2823-3": 1.2, "718-7": 0.66, "2000-8": 0.9},
    "M10.9": {"14933-6": 1.6},
    "I25.1": _CORONARY,
    "I21.9": {"10839-9": 180.0, "33762-6": 3.0, **_CORONARY},
    "I50.9": {"33762-6": 14.0, "2951-2": 0.97},
    "I63.9": {"14647-2": 1.7, "22748-8": 1.7, "48065-7": 1.8},
    "D50.9": {"718-7": 0.68, "787-2": 0.8, "4544-3": 0.74, "777-3": 1.2},
    "K92.2": {"718-7": 0.62, "4544-3": 0.64, "22664-7": 1.8},
    "E05.9": {"3016-3": 0.02, "14920-3": 2.6},
    "E03.9": {"3016-3": 4.2, "14920-3": 0.6},
    "B18.1": {"1742-6": 1.9, "1920-8": 1.6},
    "C34.9": {"2039-6": 5.0}, "C18.9": {"2039-6": 6.0, "718-7": 0.85},
    "P59.9": {"14631-6": 11.0},
    "J45.9": {"713-8": 2.0},
}  # fmt: skip

# diagnosis -> the chance that a test answered in words is positive
POSITIVE: dict[str, dict[str, float]] = {
    "J10.1": {"80382-5": 0.8, "80383-3": 0.2},
    "N39.0": {"20454-5": 0.4}, "N18.3": {"20454-5": 0.7}, "E11.9": {"25428-4": 0.5, "20454-5": 0.2},
    "E11.2": {"20454-5": 0.8}, "B18.1": {"5196-1": 1.0}, "O24.4": {"25428-4": 0.4},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usual:
    """What one analyte usually is for one sex and age: where it lies, how it spreads, what is normal."""

    mean: float
    spread: float
    low: float
    high: float
    decimals: int
    range: str


@cache
def usual(code: str, sex: str, age: int) -> Usual:
    """The usual value of an analyte."""
    analyte = tables.analytes()[code]
    normal = tables.reference(code, sex, age)
    low = normal.low if normal else None
    high = normal.high if normal else None
    places = analyte.decimals
    if low is not None and high is not None:
        middle = (low + high) / 2
        return Usual(middle, (high - low) / 5, low, high, places, f"{low:.{places}f}-{high:.{places}f}")
    if high is not None:
        return Usual(high * 0.5, high * 0.2, float("-inf"), high, places, f"<{high:.{places}f}")
    if low is not None:
        return Usual(low * 1.3, low * 0.15, low, float("inf"), places, f">{low:.{places}f}")
    return Usual(0.0, 0.0, float("-inf"), float("inf"), places, "")


def measured(code: str, sex: str, age: int, value: float) -> Result:
    """A given value with its flag and range."""
    normal = usual(code, sex, age)
    flag = "L" if value < normal.low else "H" if value > normal.high else "N"
    text = f"{value:.{normal.decimals}f}"
    return Result(code, text, float(text), flag, normal.range)


def result(rng: Random, code: str, sex: str, age: int, effects: dict[str, float], positive: dict[str, float]) -> Result:
    """A value as it comes from the laboratory."""
    if code in WORDS:
        if rng.random() < positive.get(code, 0.015):
            return Result(code, "阳性(+)", None, "A", "阴性")
        return Result(code, "阴性(-)", None, "N", "阴性")
    normal = usual(code, sex, age)
    value = (normal.mean + normal.spread * rng.gauss(0, 1)) * effects.get(code, 1.0)
    if value < normal.mean * 0.1:
        value = normal.mean * 0.1
    if code in ("770-8", "736-9") and value > 96:
        value = 96.0
    text = f"{value:.{normal.decimals}f}"
    flag = "L" if value < normal.low else "H" if value > normal.high else "N"
    return Result(code, text, float(text), flag, normal.range)


WORDS = frozenset(a.code for a in tables.analytes().values() if a.category == "laboratory" and not a.unit)
