"""The institutions of the district, who works in them, and how each of them sends.

Institutions are data/institution.csv (classes of WS 218, invented codes and names). Every community health centre
has stations below it. `Habits` says how an institution's records differ from the truth; the rates lie inside what
Chinese hospital data show (a missing ID card in 15-40 % of hospital records, far fewer at community centres).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from healthbrain.twin import names, places
from healthbrain.twin.chance import number, pick, stream


@dataclass(frozen=True, slots=True)
class Habits:
    """How an institution writes people down. Shares are between 0 and 1."""

    no_card: float = 0.03  # ID card not recorded (children 1.7 times as often)
    no_phone: float = 0.06
    placeholder: float = 0.0  # 无, 000000 ... where the ID card should be
    legacy: float = 0.0  # 15-digit card of people born before 1985
    parents_card: float = 0.0  # of children: a parent's card
    wide: float = 0.0  # full-width digits in the ID card
    typo: float = 0.002  # a wrong character in the name, a wrong day of birth
    second_number: float = 0.0  # the same person registered twice
    whole_name: bool = False  # HL7 v2: the whole name in PID-5.1
    late: float = 0.02  # share of messages sent days late
    update: bool = False  # HL7 v2: closes an outpatient visit by A08 instead of A03
    mrn: str = "{:08d}"  # how its patient numbers look


@dataclass(frozen=True, slots=True)
class Institution:
    """An organisation of the district. `door` is '' when it does not send; `facility_class` is WS 218."""

    code: str
    name: str
    facility_class: str
    kind: str  # district | institution | team
    level: str
    parent: str
    division: str
    door: str
    charset: str
    lab_map: str  # name of the concept map of its own laboratory codes, '' = it uses LOINC
    beds: int
    delay: int  # usual minutes between what happens and its message
    habits: Habits

    @property
    def fhir_id(self) -> str:
        """Logical id of its Organization."""
        return f"org-{self.code}"


@dataclass(frozen=True, slots=True)
class Staff:
    """A doctor, nurse or public health physician."""

    code: str
    name: names.Name
    sex: str
    role: str  # doctor | nurse | public-health
    title: str
    organisation: str
    department: str

    @property
    def fhir_id(self) -> str:
        """Logical id of the Practitioner."""
        return f"prac-{self.code}"


_HABITS = {
    "QP00": Habits(no_card=0.0, no_phone=0.03, typo=0.0, mrn="R{:09d}"),
    "QPH01": Habits(no_card=0.22, no_phone=0.12, placeholder=0.012, legacy=0.02, parents_card=0.10, typo=0.006,
                    second_number=0.03, late=0.01, mrn="{:010d}"),
    "QPH02": Habits(no_card=0.15, no_phone=0.08, wide=0.012, legacy=0.01, parents_card=0.05, typo=0.004,
                    second_number=0.02, whole_name=True, update=True, mrn="ZY{:08d}"),
    "QPH03": Habits(no_card=0.20, no_phone=0.04, parents_card=0.16, typo=0.004, second_number=0.02, mrn="FY{:07d}"),
    "QPH04": Habits(no_card=0.17, no_phone=0.15, typo=0.004, mrn="{:07d}"),
    "QPH05": Habits(no_card=0.38, no_phone=0.25, placeholder=0.02, legacy=0.03, parents_card=0.12, typo=0.012,
                    second_number=0.05, whole_name=True, late=0.04, mrn="{:06d}"),
    "QPH06": Habits(no_card=0.25, no_phone=0.12, placeholder=0.006, typo=0.006, second_number=0.03, mrn="XJ{:08d}"),
    "QPH07": Habits(no_card=0.30, no_phone=0.16, wide=0.006, typo=0.008, second_number=0.03, late=0.05, mrn="HX-{:07d}"),
    "QPH08": Habits(no_card=0.16, no_phone=0.10, typo=0.004, late=0.06, mrn="{:07d}"),
    "QPD01": Habits(no_card=0.40, no_phone=0.05, typo=0.01, late=0.10, mrn="K{:07d}"),
    "QPD02": Habits(no_card=0.40, no_phone=0.02, typo=0.01, late=0.10, mrn="YM{:06d}"),
    "QPD03": Habits(no_card=0.38, no_phone=0.20, typo=0.012, late=0.15, mrn="{:06d}"),
}  # fmt: skip
_CENTRE_HABITS = Habits(mrn="J{:08d}")

# departments by kind of institution; the codes are those of the terms table `department`
_DEPARTMENTS = {
    "A100": ("03", "0301", "0302", "0303", "0304", "0307", "0401", "0403", "0404", "05", "07", "10", "11", "12", "13",
             "16", "19", "20", "50"),
    "A210": ("50", "03", "0302", "0304", "0307", "0401", "0403", "05", "07", "13", "20"),
    "A518": ("05", "07"),
    "A520": ("15",),
    "A527": ("03", "0303", "0403", "50"),
    "B100": ("02", "50", "01"),
    "D110": ("03", "0401", "07", "12"),
    "D152": ("12",),
    "D211": ("02",),
}  # fmt: skip
_PER_DEPARTMENT = {"三级乙等": 6, "二级甲等": 4, "二级乙等": 2}


@cache
def institutions() -> tuple[Institution, ...]:
    """All institutions, parents before children."""
    found = [
        Institution(
            row["code"], row["name"], row["class"], row["kind"], row["level"], row["parent"], row["town"], row["door"],
            row["charset"], row["map"], int(row["beds"]), int(row["delay_minutes"]),
            _HABITS.get(row["code"], _CENTRE_HABITS),
        )
        for row in places.read_rows("institution")
    ]  # fmt: skip
    return tuple(
        found + [station for centre in found if centre.facility_class == "B100" for station in _stations(centre)]
    )


def _stations(centre: Institution) -> list[Institution]:
    town = next(t for t in places.towns() if t.code == centre.division)
    chosen = town.communities[1::3][:3]
    return [
        Institution(
            f"{centre.code}{order:02d}", f"{town.name}{place}社区卫生服务站", "B200", "team", "", centre.code,
            centre.division, "", "", "", 0, 0, centre.habits,
        )
        for order, place in enumerate(chosen, 1)
    ]  # fmt: skip


@cache
def by_code() -> dict[str, Institution]:
    """Institutions by their code."""
    return {institution.code: institution for institution in institutions()}


def centre_of(town: places.Town) -> Institution:
    """The community health centre that serves a town."""
    return by_code()[f"QPC{town.index + 1:02d}"]


@cache
def staff(seed: int) -> tuple[Staff, ...]:
    """Everybody who works in the district's institutions, for one seed."""
    people: list[Staff] = []
    for institution in institutions():
        for department in _DEPARTMENTS.get(institution.facility_class, ()):
            people.extend(_team(seed, institution, department))
    return tuple(people)


def _team(seed: int, institution: Institution, department: str) -> list[Staff]:
    size = _PER_DEPARTMENT.get(institution.level, 2)
    if institution.facility_class == "B100":
        size = {"02": 7, "01": 3, "50": 2}[department]
    roles = ["doctor"] * size + ["nurse"] * (2 if institution.beds else 1)
    if department == "01":
        roles = ["public-health"] * size
    team = []
    for order, role in enumerate(roles, 1):
        code = f"{institution.code}{department}{order:02d}"
        rng = stream(seed, "staff", code)
        sex = "F" if rng.random() < {"doctor": 0.47, "nurse": 0.97, "public-health": 0.6}[role] else "M"
        called = names.name(rng, names.surname(rng, native=True), sex, 1968 + int(rng.random() * 30), "01")
        titles = (
            ("主管护师", "护师", "护士")
            if role == "nurse"
            else ("主任医师", "副主任医师", "主治医师", "主治医师", "住院医师")
        )
        team.append(Staff(code, called, sex, role, pick(rng, titles), institution.code, department))
    return team


@cache
def _doctors(seed: int) -> dict[tuple[str, str], tuple[Staff, ...]]:
    found: dict[tuple[str, str], list[Staff]] = {}
    for member in staff(seed):
        if member.role != "nurse":
            found.setdefault((member.organisation, member.department), []).append(member)
            found.setdefault((member.organisation, ""), []).append(member)
    return {key: tuple(value) for key, value in found.items()}


def doctor(seed: int, organisation: str, department: str, key: int) -> Staff:
    """The doctor of an institution and department whom resident `key` sees."""
    team = _doctors(seed).get((organisation, department)) or _doctors(seed)[(organisation, "")]
    return team[number(organisation, department, key) % len(team)]


def family_doctors(seed: int, centre: str) -> tuple[Staff, ...]:
    """The general practitioners of a community health centre."""
    return _doctors(seed)[(centre, "02")]
