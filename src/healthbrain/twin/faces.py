"""How one institution knows one resident: the number it gave, and what it wrote down rightly or wrongly.

Each institution registers a person once and keeps what it wrote, so its mistakes are the same on every message. Every
departure from the truth has a name in `Face.flaws`; together with the resident's key they are what an identity test needs.
The kinds of mistakes: an ID card missing, 15 digits long, full-width, a placeholder or a parent's; a phone missing; a wrong
character in the name, a swapped day and month; a second number for the same person; a newborn named after its mother.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from random import Random

from healthbrain.twin import numbers
from healthbrain.twin.chance import Numbering, pick, stream
from healthbrain.twin.institutions import Habits, Institution
from healthbrain.twin.people import Resident

_SIZE = 10**8
CARD_AFTER = timedelta(days=60)  # a newborn is registered and gets its number
_PLACEHOLDERS = ("无", "000000000000000000", "111111111111111111", "不详", "999999999999999999")
_WIDE = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
# characters that are taken for each other: same sound, or alike to the eye
_CONFUSED = {
    "伟": "炜", "芳": "方", "丽": "莉", "静": "婧", "军": "君", "强": "墙", "磊": "垒", "艳": "燕", "霞": "侠", "敏": "闵",
    "涛": "滔", "明": "名", "超": "朝", "秀": "绣", "娟": "鹃", "英": "瑛", "华": "花", "慧": "惠", "建": "健", "平": "萍",
    "玉": "钰", "兰": "蓝", "梅": "玫", "林": "琳", "海": "浩", "宇": "雨", "涵": "函", "轩": "宣", "子": "梓", "梓": "子",
    "怡": "宜", "欣": "新", "诗": "思", "浩": "昊", "志": "智", "福": "富", "国": "囯", "荣": "蓉", "金": "今", "生": "升",
    "章": "张", "肖": "萧", "付": "傅", "闫": "阎", "陆": "路", "徐": "许", "余": "于", "程": "陈", "吴": "武",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Face:
    """A resident as an institution has registered them. Empty strings are not recorded."""

    key: int  # the resident; never sent
    institution: Institution
    number: int  # behind `mrn` and the ids
    mrn: str
    family: str
    given: str
    name: str
    sex: str
    born: date
    id_card: str
    passport: str
    phone: str
    insurance: str
    health_record: str
    nation: str
    marital: str
    town: str
    town_name: str
    line: str
    flaws: tuple[str, ...]

    @property
    def fhir_id(self) -> str:
        """Logical id of its Patient where the institution speaks FHIR."""
        return f"{self.institution.code}-{self.number}"


@cache
def _numbering(code: str) -> Numbering:
    return Numbering(code, _SIZE)


def face(seed: int, who: Resident, institution: Institution, *, on: date, parent: Resident | None = None) -> Face:
    """How `institution` knows `who`, whom it first met on day `on`; `parent` is whose card a child may be given."""
    rng = stream(seed, "face", institution.code, who.key)
    habits = institution.habits
    flaws: list[str] = []
    order = _numbering(institution.code).of(who.key)
    family, given, text = _written_name(rng, who, habits, flaws)
    if institution.facility_class == "A518" and on < who.born + CARD_AFTER and parent is not None:
        family, given, text = _newborn(parent, who, flaws)
    phone = "" if rng.random() < habits.no_phone else who.phone
    insurance = who.insurance if rng.random() < 0.93 else ""
    born = _written_birth(rng, who.born, habits, flaws)
    # the card comes last: what is drawn for it depends on age, and a newborn is written down again when it has one
    card = _written_card(rng, who, habits, flaws, on=on, parent=parent)
    return Face(
        key=who.key, institution=institution, number=order, mrn=habits.mrn.format(order),
        family=family, given=given, name=text, sex=who.sex, born=born,
        id_card=card, passport=who.passport, phone=phone, insurance=insurance,
        health_record=who.health_record if institution.facility_class in ("B100", "X100") else "",
        nation=who.nation, marital=who.marital, town=who.address.town.code, town_name=who.address.town.name,
        line=who.address.line, flaws=tuple(flaws),
    )  # fmt: skip


def _written_card(
    rng: Random, who: Resident, habits: Habits, flaws: list[str], *, on: date, parent: Resident | None
) -> str:
    if not who.id_card:
        return ""
    age = who.age(on)
    if on < who.born + CARD_AFTER:
        flaws.append("newborn-card")
        return ""
    missing = habits.no_card * (1.7 if age < 14 else 1.0)
    draw = rng.random()
    if draw < min(missing, 0.9):
        flaws.append("no-card")
        return ""
    if rng.random() < habits.placeholder:
        flaws.append("placeholder")
        return pick(rng, _PLACEHOLDERS)
    if age < 14 and parent is not None and parent.id_card and rng.random() < habits.parents_card:
        flaws.append("parents-card")
        return parent.id_card
    if who.born.year < 1985 and rng.random() < habits.legacy:
        flaws.append("legacy-card")
        return numbers.legacy_id(who.id_card)
    if rng.random() < habits.wide:
        flaws.append("wide-card")
        return who.id_card.translate(_WIDE)
    return who.id_card


def _written_name(rng: Random, who: Resident, habits: Habits, flaws: list[str]) -> tuple[str, str, str]:
    name = who.name
    if rng.random() >= habits.typo or "·" in name.text or who.passport:
        return name.family, name.given, name.text
    changed = [(place, _CONFUSED[char]) for place, char in enumerate(name.text) if char in _CONFUSED]
    if not changed:
        return name.family, name.given, name.text
    flaws.append("wrong-character")
    place, char = pick(rng, changed)
    text = name.text[:place] + char + name.text[place + 1 :]
    return text[: len(name.family)], text[len(name.family) :], text


def _newborn(mother: Resident, who: Resident, flaws: list[str]) -> tuple[str, str, str]:
    flaws.append("newborn-name")
    given = "之子" if who.sex == "M" else "之女"
    return mother.name.text, given, f"{mother.name.text}{given}"


def _written_birth(rng: Random, born: date, habits: Habits, flaws: list[str]) -> date:
    draw = rng.random()
    if draw < habits.typo * 0.5:
        flaws.append("wrong-birth-date")
        if born.day <= 12 and born.day != born.month:
            return date(born.year, born.day, born.month)
        return born - timedelta(days=1)
    if draw < habits.typo * 0.8:
        flaws.append("first-of-january")
        return date(born.year, 1, 1)
    return born


def again(first: Face) -> Face:
    """The same person registered a second time at the same institution: another number, no ID card this time."""
    from dataclasses import replace

    number = first.number + _SIZE
    return replace(
        first, number=number, mrn=first.institution.habits.mrn.format(number), id_card="", insurance="",
        flaws=(*first.flaws, "second-number", "no-card"),
    )  # fmt: skip
