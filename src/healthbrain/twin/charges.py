"""What a visit costs: plausible prices in yuan, one line for each fee category, as a hospital settles it.

The categories are those of the terms table fee_category. Nothing is drawn by chance: a price follows from what was done and from
the code of the drug, so charges change no other event of the district.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from healthbrain.terms import systems, tables
from healthbrain.twin.chance import number
from healthbrain.twin.events import Visit
from healthbrain.twin.institutions import by_code

SENDERS = frozenset({"QPH01", "QPH06"})  # the hospitals that send what they charge

_CONSULTATION = {"三级乙等": "25.00", "二级甲等": "20.00", "二级乙等": "18.00"}
_EMERGENCY = Decimal("8.00")  # more than an outpatient visit
_BED, _NURSING, _WARD_ROUND = Decimal("50.00"), Decimal("26.00"), Decimal("20.00")  # a day
_TESTS = {
    "cbc": "20.00", "crp": "20.00", "liver": "48.00", "renal": "30.00", "lipid": "42.00", "lytes": "24.00", "glucose": "5.00",
    "a1c": "60.00", "cardiac": "150.00", "coag": "52.00", "thyroid": "90.00", "urine": "15.00", "tumour": "120.00", "flu": "80.00",
    "hbv": "12.00",
}  # fmt: skip
_OPERATION, _MATERIAL = Decimal("1350.00"), Decimal("420.00")
_PACKS, _PACKS_A_STAY = 2, 6  # of each drug


@dataclass(frozen=True, slots=True)
class Fee:
    """One line of a bill."""

    category: str
    quantity: int
    amount: Decimal

    @property
    def name(self) -> str:
        """The category in words."""
        return tables.display(systems.FEE, self.category) or self.category


def fees(visit: Visit) -> tuple[Fee, ...]:
    """The bill of a visit or stay, by category; nothing where the hospital does not send it."""
    if visit.place not in SENDERS:
        return ()
    stay = visit.kind == "inpatient"
    days = max(1, (visit.until.date() - visit.at.date()).days) if stay else 0
    found = [_consultation(visit, days)]
    if stay:
        found += [Fee("01", days, _BED * days), Fee("07", days, _NURSING * days)]
    if visit.panels:
        tests = sum((Decimal(_TESTS[name]) for name, _ in visit.panels), Decimal(0))
        found.append(Fee("04", len(visit.panels), tests))
    for category in ("09", "11"):
        packs = [price(code) for code in visit.drugs if _drug_category(code) == category]
        times = _PACKS_A_STAY if stay else _PACKS
        if packs:
            found.append(Fee(category, len(packs) * times, sum(packs, Decimal(0)) * times))
    if visit.procedures:
        much = len(visit.procedures)
        found += [Fee("06", much, _OPERATION * much), Fee("08", much, _MATERIAL * much)]
    return tuple(found)


def _consultation(visit: Visit, days: int) -> Fee:
    if days:
        return Fee("02", days, _WARD_ROUND * days)
    each = Decimal(_CONSULTATION.get(by_code()[visit.place].level, "14.00"))
    return Fee("02", 1, each + (_EMERGENCY if visit.kind == "emergency" else 0))


@cache
def price(drug: str) -> Decimal:
    """What a pack of a drug costs: between 6 and 86 yuan, always the same."""
    return Decimal(600 + number("price", drug) % 8000) / 100


def _drug_category(code: str) -> str:
    return "11" if tables.drugs()[code].group == "chinese" else "09"
