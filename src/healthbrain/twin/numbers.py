"""The numbers a resident carries: citizen ID card, phone, insurance and health record numbers.

ID card: GB 11643-1999, 18 digits with an ISO 7064 MOD 11-2 check digit; the older 15-digit form has a two-digit year
and no check. The division is that of the first registration: people registered in Qingpu before it became a district
in 1999 carry the county's code 310229. Health record number: 17 digits, 国家基本公共卫生服务规范（第三版）.
"""

from __future__ import annotations

from datetime import date
from random import Random

from healthbrain.twin.chance import Numbering, Weighted, pick

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"

# where residents from other provinces come from: province, share (Qingpu: mostly the east of China), county codes
ORIGINS = Weighted(
    [
        (("安徽省", ("341221", "341222", "341225", "341226", "341322", "341523", "340828", "341125")), 0.335),
        (("江苏省", ("320723", "320831", "320924", "320826", "321023", "320322")), 0.175),
        (("河南省", ("411522", "411524", "411525", "411624", "411425", "411724")), 0.14),
        (("四川省", ("511324", "511623", "511725", "511922", "511321")), 0.075),
        (("江西省", ("361128", "361127", "361124", "360430", "361029")), 0.07),
        (("湖北省", ("421083", "420222", "421127", "420984")), 0.05),
        (("浙江省", ("330324", "330522", "331024", "330825")), 0.045),
        (("山东省", ("371322", "371724", "370829")), 0.04),
        (("贵州省", ("522426", "520522", "522324")), 0.02),
        (("湖南省", ("430523", "431224", "430626")), 0.02),
        (("甘肃省", ("622621", "620522", "622425")), 0.015),
        (("福建省", ("350322", "350921")), 0.015),
    ]
)
HOMELANDS = {  # nation code -> county codes where its people are registered
    "05": ("653125", "653221", "652201"),
    "04": ("540102", "540232", "632721"),
    "02": ("150523", "152526", "150430"),
    "03": ("640324", "622926", "411082"),
    "06": ("433123", "522628"),
    "36": ("451226",),
    "08": ("451022", "450122"),
    "15": ("422825", "433127"),
    "07": ("513430", "532322"),
    "11": ("210921", "130827"),
    "10": ("222403", "222405"),
}
_MOBILE = ("138", "139", "136", "135", "150", "151", "158", "159", "187", "188", "133", "189", "177", "186", "199")
_INSURED = Numbering("insurance", 10**8)


def check_digit(first17: str) -> str:
    """The 18th character of an ID card.

    >>> check_digit("11010519491231002")
    'X'
    """
    return _CHECKS[sum(int(digit) * weight for digit, weight in zip(first17, _WEIGHTS, strict=True)) % 11]


def id_card(area: str, born: date, sex: str, order: int) -> str:
    """The ID card of a person: `order` counts within the day (0..499) and is made odd for men, even for women."""
    sequence = order % 500 * 2 + (1 if sex == "M" else 0)
    first = f"{area}{born:%Y%m%d}{sequence:03d}"
    return first + check_digit(first)


def legacy_id(card: str) -> str:
    """The 15-digit form of an 18-digit ID card."""
    return card[:6] + card[8:17]


def home_area(rng: Random, *, native: bool, nation: str, born: date) -> tuple[str, str]:
    """Division code of the first registration and the province it lies in."""
    if nation in HOMELANDS and not native:
        return pick(rng, HOMELANDS[nation]), ""
    if native:
        if rng.random() < 0.86:
            return ("310229" if born.year < 1999 else "310118"), "上海市"
        return pick(rng, ("310104", "310107", "310112", "310226", "310227", "310105")), "上海市"
    province, counties = ORIGINS.pick(rng)
    return pick(rng, counties), province


def phone(rng: Random) -> str:
    """A mobile number."""
    return pick(rng, _MOBILE) + f"{int(rng.random() * 10**8):08d}"


def insurance(key: int) -> str:
    """The medical insurance number of resident `key`: a letter and nine digits, unique."""
    digits = _INSURED.of(key)
    return f"{'ABCDEFGH'[digits % 8]}{digits:08d}{digits % 7}"


def health_record(division: str, community: int, order: int) -> str:
    """The 17-digit health record number: township 9, village or community 3, order 5."""
    return f"{division}{community + 1:03d}{order:05d}"
