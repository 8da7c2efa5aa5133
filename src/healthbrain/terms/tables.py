"""The code tables the platform ships: what a code means, in Chinese, and what is normal for whom.

Each table is a CSV file in `data/` whose first lines, marked with #, name its source (GB/T, WS/T, ICD-10, LOINC).
They are working subsets for the demonstration district and the twin, not the whole standards; a district loads the
full ones. Read once, cached and frozen. Catalog rows HUB-ST (terms) and HUB-EX-17 (what identity needs).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from types import MappingProxyType

from healthbrain.errors import NotFound
from healthbrain.terms import systems

Row = Mapping[str, str]

# code system -> the table that holds it
TABLE_OF = MappingProxyType(
    {
        systems.ICD10: "icd10",
        systems.ICD9CM3: "procedure",
        systems.LOINC: "loinc",
        systems.SEX: "sex",
        systems.NATION: "nation",
        systems.MARITAL: "marital",
        systems.DIVISION: "division",
        systems.FACILITY_CLASS: "facility_class",
        systems.VACCINE: "vaccine",
        systems.DRUG: "drug",
        systems.SERVICE: "service",
        systems.FINDING: "finding",
        systems.DEPARTMENT: "department",
        systems.QUALIFICATION: "qualification",
        systems.DEVICE: "device",
        systems.TUMOUR_STAGE: "tumour_stage",
        systems.FEE: "fee_category",
    }
)


@dataclass(frozen=True, slots=True)
class Analyte:
    """Something measured: a laboratory test or a vital sign. `unit` is UCUM, `shown` is how a report prints it;
    both are empty for results that are words (阴性, 阳性)."""

    code: str
    name: str
    short: str
    english: str
    category: str
    unit: str
    shown: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Range:
    """What is normal for one sex ('' = both) and ages [age_from, age_to) in years; None = no limit."""

    sex: str
    age_from: float
    age_to: float
    low: float | None
    high: float | None

    def flag(self, value: float) -> str:
        """L, H or N for a value."""
        if self.low is not None and value < self.low:
            return "L"
        if self.high is not None and value > self.high:
            return "H"
        return "N"


@dataclass(frozen=True, slots=True)
class Drug:
    """A medicine by its Chinese generic name, with the usual way to take it."""

    code: str
    name: str
    strength: str
    form: str
    dose: str
    route: str
    group: str

    @property
    def text(self) -> str:
        """Name and strength, as a prescription shows it."""
        return f"{self.name} {self.strength}"


@dataclass(frozen=True, slots=True)
class Dose:
    """One due dose of the childhood immunisation schedule: at `month` months of age."""

    vaccine: str
    number: int
    month: int
    sex: str
    born_from: date | None
    born_before: date | None

    def applies(self, born: date, sex: str) -> bool:
        """Whether a child of that birth date and sex (M or F) is to get it."""
        return (
            (not self.sex or self.sex == sex)
            and (self.born_from is None or born >= self.born_from)
            and (self.born_before is None or born < self.born_before)
        )


@cache
def table(name: str) -> Mapping[str, Row]:
    """The rows of a table by their `code` (the last row where a code has several).

    >>> table("nation")["05"]["name"]
    '维吾尔族'
    """
    return MappingProxyType({row["code"]: row for row in rows(name)})


@cache
def rows(name: str) -> tuple[Row, ...]:
    """The rows of a table, in the order of the file. Raises NotFound for a table that we don't have."""
    file = resources.files(__package__).joinpath("data", f"{name}.csv")
    if not file.is_file():
        raise NotFound(f"there is no code table '{name}'; known are {', '.join(names())}")
    lines = (line for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
    return tuple(MappingProxyType(row) for row in csv.DictReader(lines))


@cache
def source(name: str) -> str:
    """Where a table comes from: the comment lines at its head."""
    text = resources.files(__package__).joinpath("data", f"{name}.csv").read_text("utf-8")
    return "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))


@cache
def names() -> tuple[str, ...]:
    """The names of all tables."""
    folder = resources.files(__package__).joinpath("data")
    return tuple(sorted(f.name.removesuffix(".csv") for f in folder.iterdir() if f.name.endswith(".csv")))


def display(system: str, code: str) -> str | None:
    """The Chinese name of a code, or None when we don't know it.

    >>> display(systems.ICD10, "I10")
    '特发性（原发性）高血压'
    """
    name = TABLE_OF.get(system)
    row = table(name).get(code) if name else None
    return row["name"] if row else None


@cache
def analytes() -> Mapping[str, Analyte]:
    """Every laboratory test and vital sign by LOINC code."""
    return MappingProxyType(
        {
            r["code"]: Analyte(
                r["code"], r["name"], r["short"], r["english"], r["category"], r["unit"], r["shown"], int(r["decimals"])
            )
            for r in rows("loinc")
        }
    )


@cache
def ranges(code: str) -> tuple[Range, ...]:
    """All reference ranges of a LOINC code."""
    return tuple(
        Range(
            r["sex"],
            float(r["age_from"] or 0),
            float(r["age_to"] or 999),
            float(r["low"]) if r["low"] else None,
            float(r["high"]) if r["high"] else None,
        )
        for r in rows("reference_range")
        if r["code"] == code
    )


def reference(code: str, sex: str, age: float) -> Range | None:
    """What is normal for a person of `sex` (M, F or '') and `age` in years, or None when nothing is laid down.

    >>> reference("718-7", "F", 40).low
    115.0
    """
    for candidate in ranges(code):
        if candidate.age_from <= age < candidate.age_to and candidate.sex in ("", sex):
            return candidate
    return None


@cache
def drugs() -> Mapping[str, Drug]:
    """Every medicine by its code."""
    return MappingProxyType(
        {
            r["code"]: Drug(r["code"], r["name"], r["strength"], r["form"], r["dose"], r["route"], r["class"])
            for r in rows("drug")
        }
    )


@cache
def schedule() -> tuple[Dose, ...]:
    """The childhood immunisation schedule in order of age."""
    return tuple(
        Dose(
            r["code"],
            int(r["dose"]),
            int(r["month"]),
            r["sex"],
            date.fromisoformat(r["born_from"]) if r["born_from"] else None,
            date.fromisoformat(r["born_before"]) if r["born_before"] else None,
        )
        for r in rows("vaccine_schedule")
    )
