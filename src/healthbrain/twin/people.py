"""The people: households with an age and sex structure like the 2020 census of Qingpu, their births, deaths and moves.

Census margins (Qingpu bulletin no. 1, 2021-08-09): 694,529 of 1,271,424 male, 0-14 8.9 %, 60+ 16.6 %, 65+ 11.6 %,
56.9 % from other provinces. Households are drawn from the kinds below; their weights were fitted to these margins by
least squares over the expected members of each kind. Ages are as of the end of the simulated period.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from healthbrain.twin import names, numbers, places
from healthbrain.twin.chance import Weighted, stream, whole


@dataclass(slots=True)
class Resident:
    """A real person of the twin: the truth that no institution sees whole."""

    key: int  # household * 10 + place in it; says nothing outside the twin
    sex: str  # M | F
    born: date
    name: names.Name
    nation: str
    native: bool
    area: str  # division of the first registration
    province: str
    id_card: str  # '' for foreigners
    passport: str
    phone: str
    phone_own: bool
    insurance: str
    address: places.Address
    health_record: str
    marital: str
    household: int
    role: str  # head, spouse, child, parent, member
    mother: int | None = None
    father: int | None = None
    arrived: date | None = None  # moved in during the period (birth is `born`)
    left: date | None = None
    died: date | None = None
    twin: bool = False
    cast: str = ""  # part in the demonstration: elder, child
    births: tuple[date, ...] = ()  # when a mother's children of this household were born; twins once

    def age(self, on: date) -> float:
        """Age in years."""
        return (on - self.born).days / 365.2425


@dataclass(slots=True)
class Household:
    """People who live together."""

    number: int
    native: bool
    members: list[Resident] = field(default_factory=list)


Slot = tuple[str, str, str]  # role, sex or '' for either, age band


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of household and who lives in it."""

    name: str
    native: bool
    weight: float
    members: tuple[Slot, ...]


# age bands: weights of (from, to) in years
BANDS = {
    "elder": [((60, 64), 30), ((65, 69), 28), ((70, 74), 19), ((75, 79), 11), ((80, 84), 7), ((85, 89), 4), ((90, 99), 1)],
    "widowed": [((65, 74), 30), ((75, 84), 45), ((85, 98), 25)],
    "middle": [((45, 49), 30), ((50, 54), 36), ((55, 59), 34)],
    "parent": [((27, 32), 30), ((33, 38), 42), ((39, 46), 28)],
    "grown": [((18, 24), 50), ((25, 29), 50)],
    "worker": [((17, 24), 22), ((25, 34), 38), ((35, 44), 22), ((45, 54), 14), ((55, 59), 4)],
    "child": [((0, 2), 18), ((3, 6), 31), ((7, 11), 34), ((12, 14), 14), ((15, 17), 3)],
    "cast elder": [((71, 74), 1)],
    "cast child": [((2, 2), 1)],
    "grandparent": [((56, 59), 18), ((60, 64), 36), ((65, 69), 30), ((70, 78), 16)],
}  # fmt: skip
_BANDS = {name: Weighted(bands) for name, bands in BANDS.items()}

KINDS = (
    Kind("elder couple", True, 5.78, (("head", "M", "elder"), ("spouse", "F", "elder"))),
    Kind("elder alone", True, 0.84, (("head", "F", "widowed"),)),
    Kind("widower", True, 0.57, (("head", "M", "widowed"),)),
    Kind("middle couple", True, 3.26, (("head", "M", "middle"), ("spouse", "F", "middle"))),
    Kind("middle couple, grown child", True, 3.59, (("head", "M", "middle"), ("spouse", "F", "middle"), ("child", "", "grown"))),
    Kind("young family", True, 1.14, (("head", "M", "parent"), ("spouse", "F", "parent"), ("child", "", "child"))),
    Kind("three generations", True, 1.43, (("head", "M", "parent"), ("spouse", "F", "parent"), ("child", "", "child"), ("parent", "M", "grandparent"), ("parent", "F", "grandparent"))),
    Kind("alone", True, 2.19, (("head", "", "worker"),)),
    Kind("workman", False, 7.64, (("head", "M", "worker"),)),
    Kind("workwoman", False, 3.74, (("head", "F", "worker"),)),
    Kind("working couple", False, 8.68, (("head", "M", "worker"), ("spouse", "F", "worker"))),
    Kind("dormitory", False, 2.19, (("member", "M", "worker"), ("member", "M", "worker"), ("member", "M", "worker"), ("member", "", "worker"))),
    Kind("family", False, 3.08, (("head", "M", "parent"), ("spouse", "F", "parent"), ("child", "", "child"))),
    Kind("family of four", False, 0.93, (("head", "M", "parent"), ("spouse", "F", "parent"), ("child", "", "child"), ("child", "", "child"))),
    Kind("family with grandmother", False, 1.62, (("head", "M", "parent"), ("spouse", "F", "parent"), ("child", "", "child"), ("parent", "F", "grandparent"))),
)  # fmt: skip
# the demonstration's households: an elderly couple, and a young family whose child has all its vaccinations
CAST = {
    0: Kind("the elder's", True, 0.0, (("head", "M", "cast elder"), ("spouse", "F", "elder"))),
    1: Kind(
        "the child's", True, 0.0, (("head", "M", "parent"), ("spouse", "F", "parent"), ("child", "F", "cast child"))
    ),
}
_KIND = Weighted([(kind, kind.weight) for kind in KINDS])

_DEATHS = (  # yearly probability of dying by age; gives a life expectancy near that of a Shanghai district
    (0, 1, 0.003),
    (1, 40, 0.0004),
    (40, 60, 0.0014),
    (60, 70, 0.0056),
    (70, 80, 0.015),
    (80, 90, 0.052),
    (90, 200, 0.17),
)


class Register:
    """Makes households one after the other and gives out the numbers that must be unique.

    Household n depends on the seed, on n and on which numbers the households before it took, never on those after it.
    """

    def __init__(self, seed: int, start: date, end: date) -> None:
        self.seed, self.start, self.end = seed, start, end
        self._cards: set[str] = set()
        self._records: dict[tuple[str, int], int] = {}

    def households(self) -> Iterator[Household]:
        """All households, without end."""
        number = 0
        while True:
            yield self.household(number)
            number += 1

    def household(self, number: int) -> Household:
        """The next household."""
        rng = stream(self.seed, "household", number)
        kind = _KIND.pick(rng)
        home = places.address(rng, native=kind.native)
        if number in CAST:
            kind = CAST[number]
            home = places.address(rng, native=True)
            home = places.Address(places.towns()[0], 0, home.line if "号" in home.line else "1号")
        household = Household(number, kind.native)
        ages = _fitting_ages(rng, kind.members)
        for (role, sex, band), age in zip(kind.members, ages, strict=True):
            self._add(household, rng, home, (role, sex, band), age)
            if role == "child" and rng.random() < 0.012 and number not in CAST:
                self._add_twin(household, rng)
        self._relate(household)
        if number in CAST:
            self._play(household)
        else:
            self._move(household, rng)
        return household

    def _play(self, household: Household) -> None:
        """Gives the members of the demonstration's households their parts."""
        for member in household.members:
            if not member.health_record:
                member.health_record = self._record(member.address)
            member.insurance = member.insurance or numbers.insurance(member.key)
        household.members[0 if household.number == 0 else 2].cast = "elder" if household.number == 0 else "child"

    def _add(self, household: Household, rng: Random, home: places.Address, slot: Slot, age: float) -> None:
        role, sex, band = slot
        sex = sex or ("M" if rng.random() < 0.52 else "F")
        born = self.end - timedelta(days=int(age * 365.2425) + 1)
        head = household.members[0] if household.members else None
        foreign = not household.native and band in ("worker", "parent") and rng.random() < 0.004
        nation = head.nation if head and role != "member" else self._nation(rng, native=household.native)
        area, province = numbers.home_area(rng, native=household.native, nation=nation, born=born)
        if head and role in ("child", "parent") and not household.native:
            area, province = head.area, head.province
        key = household.number * 10 + len(household.members)
        called = self._name(household, rng, (role, sex, nation), born) if not foreign else names.foreigner(rng)
        own_phone = age >= 14 and not (age >= 80 and rng.random() < 0.5)
        resident = Resident(
            key=key, sex=sex, born=born, name=called, nation="" if foreign else nation, native=household.native,
            area=area, province=province,
            id_card="" if foreign or (age > 88 and rng.random() < 0.02) else self._card(rng, area, born, sex),
            passport=f"E{int(rng.random() * 10**8):08d}" if foreign else "",
            phone=numbers.phone(rng) if own_phone or head is None else head.phone, phone_own=own_phone or head is None,
            insurance=numbers.insurance(key) if self._insured(household, rng, age) else "",
            address=home, health_record=self._record(home) if self._recorded(household, rng) else "",
            marital=_marital(role, age, alone=band == "widowed"), household=household.number, role=role,
        )  # fmt: skip
        household.members.append(resident)

    def _add_twin(self, household: Household, rng: Random) -> None:
        first = household.members[-1]
        first.twin = True
        sex = first.sex if rng.random() < 0.7 else ("F" if first.sex == "M" else "M")
        called = self._name(household, rng, ("child", sex, first.nation or "01"), first.born)
        key = first.key + 1
        card = self._card(rng, first.area, first.born, sex) if first.id_card else ""
        household.members.append(
            replace(first, key=key, sex=sex, name=called, id_card=card, insurance=numbers.insurance(key),
                    health_record=self._record(first.address) if first.health_record else "")
        )  # fmt: skip

    def _name(self, household: Household, rng: Random, who: tuple[str, str, str], born: date) -> names.Name:
        role, sex, nation = who
        head = household.members[0] if household.members else None
        family = names.surname(rng, native=household.native)
        if head and role in ("child", "parent") and sex_line(role, sex) and head.name.family and not head.passport:
            family = head.name.family
        return names.name(rng, family, sex, born.year, nation)

    def _nation(self, rng: Random, *, native: bool) -> str:
        if native:
            return "01" if rng.random() < 0.994 else "03"
        return names.NATIONS.pick(rng)

    def _card(self, rng: Random, area: str, born: date, sex: str) -> str:
        order = int(rng.random() * 500)
        while True:
            card = numbers.id_card(area, born, sex, order)
            if card not in self._cards:
                self._cards.add(card)
                return card
            order += 1

    def _record(self, home: places.Address) -> str:
        place = (home.town.code, home.community)
        self._records[place] = self._records.get(place, 0) + 1
        return numbers.health_record(home.town.code, home.community, self._records[place])

    def _insured(self, household: Household, rng: Random, age: float) -> bool:
        chance = 0.97 if household.native else 0.74 if age >= 16 else 0.55
        return rng.random() < chance

    def _recorded(self, household: Household, rng: Random) -> bool:
        return rng.random() < (0.96 if household.native else 0.78)

    def _relate(self, household: Household) -> None:
        couple = [m for m in household.members if m.role in ("head", "spouse")]
        father = next((m.key for m in couple if m.sex == "M"), None)
        mother = next((m.key for m in couple if m.sex == "F"), None)
        born = tuple(sorted({m.born for m in household.members if m.role == "child"}))
        for member in couple:
            member.births = born if member.key == mother else ()
        grand = [m for m in household.members if m.role == "parent"]
        for member in household.members:
            if member.role == "child":
                member.father, member.mother = father, mother
            elif member.role == "head":
                member.father = next((m.key for m in grand if m.sex == "M"), None)
                member.mother = next((m.key for m in grand if m.sex == "F"), None)

    def _move(self, household: Household, rng: Random) -> None:
        days = (self.end - self.start).days
        chance = rng.random()
        when = self.start + timedelta(days=int(rng.random() * days))
        arrival, leaving = (0.006, 0.004) if household.native else (0.055, 0.035)
        for member in household.members:
            if chance < arrival * days / 365:
                member.arrived = when
            elif 1 - chance < leaving * days / 365:
                member.left = when
            age = member.age(self.end)
            yearly = next(p for low, high, p in _DEATHS if low <= age < high)
            if rng.random() < yearly * days / 365 and member.left is None:
                first = max(self.start, member.born, member.arrived or self.start)
                member.died = first + timedelta(days=int(rng.random() * max((self.end - first).days, 1)))


def _fitting_ages(rng: Random, slots: tuple[Slot, ...]) -> list[float]:
    """Ages that go together: spouses close to each other, parents 20 to 38 years older than their children."""
    ages = []
    for _, _, band in slots:
        first, last = _BANDS[band].pick(rng)
        ages.append(whole(rng, first, last) + rng.random())
    roles = [role for role, _, _ in slots]
    youngest = max((age for role, age in zip(roles, ages, strict=True) if role == "child"), default=None)
    if "head" not in roles:
        return ages
    head = roles.index("head")
    if youngest is not None and not 20 <= ages[head] - youngest <= 38:
        ages[head] = youngest + 20.5 + rng.random() * 14
    for place, (role, _, band) in enumerate(slots):
        if role == "spouse":
            ages[place] = _spouse_age(rng, ages[head], band, youngest)
        elif role == "parent" and ages[place] - ages[head] < 20:
            ages[place] = ages[head] + 20.5 + rng.random() * 10
    return ages


def _spouse_age(rng: Random, head: float, band: str, child: float | None) -> float:
    """A wife is about two years younger; never too young for the household's child, or to be married."""
    age = head - 1.7 + rng.gauss(0, 2.2)
    least = 60.0 if band == "elder" else 20.0
    if child is not None:
        least = max(least, child + 20.2)
    return max(age, least + rng.random() * 0.5)


def sex_line(role: str, sex: str) -> bool:
    """Whether a relative bears the head's surname: children do, of the head's parents the father."""
    return role == "child" or sex == "M"


def _marital(role: str, age: float, *, alone: bool) -> str:
    if age < 22:
        return "10"
    if alone:
        return "30"
    return "20" if role in ("head", "spouse", "parent") else "10"
