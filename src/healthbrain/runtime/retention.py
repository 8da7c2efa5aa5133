"""Until when the law wants a person's records kept, and on which grounds they may be erased before.

- Outpatient and emergency records: 15 years after the last visit; inpatient records: 30 years after the last discharge
  (医疗机构病历管理规定（2013年版）第二十九条; 医疗机构管理条例实施细则第五十三条).
- Vaccinations: 5 years after the vaccine's expiry (疫苗管理法第四十五条); where the expiry was not sent, after the day of the vaccination.
- While such a period runs, personal information is not deleted but only stored and protected (个人信息保护法第四十七条第二款).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from healthbrain.database import Connection
from healthbrain.store.versions import of_patients

# The cases of 个人信息保护法第四十七条第一款, and whether the case ends a statutory period too.
GROUNDS: dict[str, tuple[str, str, bool]] = {
    "purpose": (
        "处理目的已实现、无法实现或不再必要",
        "the purpose is reached, cannot be reached or needs it no more",
        False,
    ),
    "ended": ("停止提供服务，或者保存期限已届满", "the service ended or the period of keeping is over", False),
    "withdrawn": ("个人撤回同意", "the person withdrew the consent", False),
    "unlawful": ("违反法律、行政法规或者约定处理个人信息", "it was processed against law or agreement", True),
    "law": ("法律、行政法规规定的其他情形（含法院裁判）", "another case named by law, a judgement included", True),
}
_OUTPATIENT, _INPATIENT, _VACCINE = 15, 30, 5


@dataclass(frozen=True, slots=True)
class Hold:
    """A period of keeping that still runs."""

    kind: str  # outpatient, inpatient, vaccination
    until: date
    records: int
    rule: str


async def holds(connection: Connection, patients: Sequence[int], today: date) -> list[Hold]:
    """The periods that run for these patients (keys)."""
    found: dict[str, list[date]] = {}
    for one in await of_patients(connection, patients, ["Encounter", "Immunization"]):
        body = orjson.loads(one.body)
        if one.type == "Encounter":
            kind = "inpatient" if body.get("class", {}).get("code") in {"IMP", "ACUTE", "NONAC"} else "outpatient"
            day = _day(body.get("period", {}).get("end") or body.get("period", {}).get("start"))
        else:
            kind, day = "vaccination", _day(body.get("expirationDate") or body.get("occurrenceDateTime"))
        if day is not None:
            found.setdefault(kind, []).append(day)
    made = [_hold(kind, days) for kind, days in sorted(found.items())]
    return [one for one in made if one.until > today]


_RULES: Mapping[str, tuple[int, str]] = {
    "outpatient": (
        _OUTPATIENT,
        "医疗机构病历管理规定（2013年版）第二十九条：门（急）诊病历自最后一次就诊之日起不少于15年",
    ),
    "inpatient": (_INPATIENT, "医疗机构病历管理规定（2013年版）第二十九条：住院病历自最后一次出院之日起不少于30年"),
    "vaccination": (_VACCINE, "疫苗管理法第四十五条：接种记录保存至疫苗有效期满后不少于5年"),
}


def _hold(kind: str, days: Sequence[date]) -> Hold:
    years, rule = _RULES[kind]
    last = max(days)
    return Hold(kind, date(last.year + years, last.month, min(last.day, 28)), len(days), rule)


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat((str(text) + "-01-01")[:10]) if text else None
    except ValueError:
        return None
