"""Who the person is: one picture from the patient records of all institutions.

Each thing is taken from the record that was written last among those that have it. Where institutions disagree on
name, sex or birth date the banner says so instead of hiding it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from healthbrain.access import Tree
from healthbrain.portrait.facts import LOCAL, Record, age, code_of, coding, day, reference_id, shown
from healthbrain.portrait.masking import mask_name, mask_number
from healthbrain.portrait.values import Allergy, AllergyState, Banner, Doctor, Identifier, Programme
from healthbrain.terms import systems

_KINDS = {
    systems.ID_CARD: "id_card",
    systems.INSURANCE: "insurance",
    systems.HEALTH_RECORD: "health_record",
    systems.HEALTH_CARD: "health_card",
}
_ORDER = ("id_card", "insurance", "health_record", "health_card", "local")
_LOCAL_MRN = ("urn:healthbrain:org:", ":mrn")
_BLOOD = ("883-9", "10331-7")  # LOINC: ABO group, Rh


def banner(
    person: str,
    patients: Sequence[Record],
    episodes: Sequence[Record],
    observations: Sequence[Record],
    allergies: Sequence[Allergy],
    state: AllergyState,
    *,
    practitioners: Mapping[str, str],
    tree: Tree,
    reveal: bool,
    at: datetime,
) -> Banner:
    """The banner. `reveal` says that the reader may see full identifiers, phone and name."""
    newest = sorted(patients, key=lambda one: (one.source.recorded, one.source.id), reverse=True)
    names = [text for one in newest if (text := _name(one.body))]
    sexes = [text for one in newest if (text := one.body.get("gender", ""))]
    births = [text for one in newest if (text := one.body.get("birthDate", ""))]
    name, birth = names[0] if names else "", births[0] if births else ""
    died = next((known for one in newest if (known := day(one.body.get("deceasedDateTime")))), None)
    address = next((place for one in newest if (place := _address(one.body))), ("", ""))
    phone = next((text for one in newest if (text := _phone(one.body))), "")
    today = at.astimezone(LOCAL).date()
    born = day(birth) if birth else None
    different = (("name", names), ("sex", sexes), ("birth", births))
    return Banner(
        person=person,
        name=name if reveal else mask_name(name),
        sex=sexes[0] if sexes else "",
        birth=birth,
        age=age(born, died or today) if born else None,
        dead=died is not None or any(one.body.get("deceasedBoolean") is True for one in newest),
        died=died,
        identifiers=_identifiers(newest, tree, reveal),
        address=address[0] if reveal else "",
        division=address[1][:9],
        phone=phone if reveal else mask_number(phone),
        blood=_blood(observations),
        allergies=state,
        severe_allergy=any(one.severe and one.active for one in allergies),
        doctor=_doctor(episodes, practitioners, today),
        programmes=_programmes(episodes, today),
        differing=tuple(what for what, values in different if len(set(values)) > 1),
        records=len(patients),
    )


def in_force(episode: Mapping[str, Any], today: date) -> bool:
    """Whether an EpisodeOfCare runs on that day."""
    period = episode.get("period", {})
    start, end = day(period.get("start")), day(period.get("end"))
    running = episode.get("status") in {"active", "onhold"}
    return running and (start is None or start <= today) and (end is None or end > today)


def services(episode: Mapping[str, Any]) -> list[str]:
    """The SERVICE codes of an EpisodeOfCare."""
    return [code for one in episode.get("type", ()) if (code := coding(one, systems.SERVICE)[1])]


def _name(body: Mapping[str, Any]) -> str:
    for name in body.get("name", ()):
        whole = name.get("text") or name.get("family", "") + "".join(name.get("given", ()))
        if whole:
            return str(whole)
    return ""


def _address(body: Mapping[str, Any]) -> tuple[str, str] | None:
    for address in body.get("address", ()):
        parts = (address.get(part, "") for part in ("state", "city", "district"))
        whole = address.get("text") or "".join(dict.fromkeys([*parts, *address.get("line", ())]))
        extensions = address.get("extension", ())
        division = next(
            (one.get("valueString", "") for one in extensions if one.get("url") == systems.EXT_DIVISION), ""
        )
        if whole or division:
            return whole, division
    return None


def _phone(body: Mapping[str, Any]) -> str:
    phones = [one for one in body.get("telecom", ()) if one.get("system") in {"phone", "sms"} and one.get("value")]
    mobile = next((one for one in phones if one.get("use") == "mobile"), None)
    chosen = mobile or (phones[0] if phones else {})
    return str(chosen.get("value", ""))


def _identifiers(patients: Sequence[Record], tree: Tree, reveal: bool) -> tuple[Identifier, ...]:
    found: dict[tuple[str, str], Identifier] = {}
    for one in patients:
        for identifier in one.body.get("identifier", ()):
            system, value = identifier.get("system", ""), identifier.get("value", "")
            kind = _kind(system)
            if not kind or not value or (system, value) in found:
                continue
            code = system[len(_LOCAL_MRN[0]) : -len(_LOCAL_MRN[1])] if kind == "local" else ""
            organisation = tree.by_code(code) if code else None
            masked = mask_number(value, 6, 4) if kind == "id_card" else mask_number(value, 2, 3)
            found[system, value] = Identifier(
                kind,  # type: ignore[arg-type]  # _kind yields the literal's values
                masked,
                value if reveal else None,
                organisation.name if organisation else one.source.organisation_name,
                one.source,
            )
    return tuple(sorted(found.values(), key=lambda one: _ORDER.index(one.kind)))


def _kind(system: str) -> str:
    if system.startswith(_LOCAL_MRN[0]) and system.endswith(_LOCAL_MRN[1]):
        return "local"
    return _KINDS.get(system, "")


def _blood(observations: Sequence[Record]) -> str:
    latest: dict[str, tuple[datetime, str]] = {}
    for one in observations:
        code = coding(one.body.get("code"), systems.LOINC)[1]
        if code in _BLOOD:
            text = shown(one.body.get("valueCodeableConcept")) or one.body.get("valueString", "")
            latest[code] = max(latest.get(code, (one.source.recorded, "")), (one.source.recorded, text))
    return " ".join(latest[code][1] for code in _BLOOD if code in latest)


def _doctor(episodes: Sequence[Record], practitioners: Mapping[str, str], today: date) -> Doctor | None:
    contracts = [one for one in episodes if systems.FAMILY_DOCTOR in services(one.body) and in_force(one.body, today)]
    if not contracts:
        return None
    last = max(contracts, key=lambda one: (one.body.get("period", {}).get("start", ""), one.source.id))
    manager = last.body.get("careManager", {})
    id_ = reference_id(manager)
    name = practitioners.get(id_) or manager.get("display", "")
    since = day(last.body.get("period", {}).get("start"))
    return Doctor(id_, name, last.source.organisation_name, since, last.source)


def _programmes(episodes: Sequence[Record], today: date) -> tuple[Programme, ...]:
    found: dict[str, Programme] = {}
    for one in episodes:
        for concept in one.body.get("type", ()):
            system, code = coding(concept, systems.SERVICE)
            if code.endswith("-management") and in_force(one.body, today) and code not in found:
                since = day(one.body.get("period", {}).get("start"))
                found[code] = Programme(code, shown(concept, system, code), since, one.source)
    return tuple(found[code] for code in sorted(found))


def allergy_state(records: Sequence[Record], allergies: Sequence[Allergy]) -> AllergyState:
    """Whether there are allergies, it is known that there are none, or nobody has written anything down."""
    if allergies:
        return "recorded"
    return "no_known" if any(no_known_allergy(one.body) for one in records) else "none_recorded"


# SNOMED CT 716186003 (no known allergy) and its children for drugs, food and environment
_NO_KNOWN = frozenset({"716186003", "409137002", "429625007", "428607008", "no-known-allergy"})


def no_known_allergy(body: Mapping[str, Any]) -> bool:
    """Whether an AllergyIntolerance says that the person has none."""
    return code_of(body.get("code")) in _NO_KNOWN
