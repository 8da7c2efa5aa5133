"""Names, addresses, telephones and staff: XPN, XAD, XTN and XCN.

Chinese habit differs by hospital: the whole name in PID-5.1, or family and given name apart. A whole name is cut at a
one-character family name, or at a two-character one of the list of compound surnames.
"""

from __future__ import annotations

import re
from typing import Any

from healthbrain.exchange.hl7v2.message import Value
from healthbrain.exchange.hl7v2.work import Call
from healthbrain.terms import systems

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff〇]+")
_DIVISION = re.compile(r"\d{6}|\d{9}|\d{12}")
_MOBILE = re.compile(r"(?:\+?86)?1[3-9]\d{9}")
_NAME_USE = {"L": "official", "D": "usual", "M": "maiden", "N": "nickname", "S": "anonymous", "T": "temp"}
_ADDRESS_USE = {"H": "home", "P": "home", "L": "home", "B": "work", "O": "work", "C": "temp", "BA": "old"}
_SYSTEM = {
    "PH": "phone",
    "CP": "phone",
    "SAT": "phone",
    "FX": "fax",
    "BP": "pager",
    "INTERNET": "email",
    "X.400": "email",
}
_USE = {"PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile"}


def names(call: Call) -> Any:
    """HumanNames with text, family and given."""
    found = [_name(value, call.work.tables.surnames) for value in call.values]
    return [one for one in found if one]


def _name(value: Value, compound: frozenset[str]) -> dict[str, Any] | None:
    family, given, further = value.first(1), value.first(2), value.first(3)
    if not family and not given:
        return None
    if family and not given and _HAN.fullmatch(family) and 2 <= len(family) <= 4:
        cut = 2 if len(family) > 2 and family[:2] in compound else 1
        family, given = family[:cut], family[cut:]
    whole = family + given
    if _HAN.fullmatch(whole) is None:
        whole = " ".join(part for part in (given, further, family) if part)
    name: dict[str, Any] = {}
    if use := _NAME_USE.get(value.first(7)):
        name["use"] = use
    name["text"] = whole
    if family:
        name["family"] = family
    if forenames := [part for part in (given, further) if part]:
        name["given"] = forenames
    if suffix := value.first(4):
        name["suffix"] = [suffix]
    if prefix := value.first(5):
        name["prefix"] = [prefix]
    return name


def addresses(call: Call) -> Any:
    """Addresses; XAD-9 of 6, 9 or 12 digits is the division code."""
    found = [_address(value) for value in call.values]
    return [one for one in found if one]


def _address(value: Value) -> dict[str, Any] | None:
    street, other, city, state, zip_code, country, kind, area, county = (value.first(n) for n in range(1, 10))
    address: dict[str, Any] = {}
    if _DIVISION.fullmatch(county):
        address["extension"] = [{"url": systems.EXT_DIVISION, "valueString": county[:9]}]
        county = ""
    if use := _ADDRESS_USE.get(kind):
        address["use"] = use
    parts = (state, city, area or county, street, other)
    text = ("" if _HAN.search("".join(parts)) else ", ").join(dict.fromkeys(part for part in parts if part))
    if not text and not address:
        return None
    if text:
        address["text"] = text
    if lines := [part for part in (street, other) if part]:
        address["line"] = lines
    for name, part in (
        ("city", city), ("district", area or county), ("state", state), ("postalCode", zip_code), ("country", country),
    ):  # fmt: skip
        if part:
            address[name] = part
    return address


def telecoms(call: Call) -> Any:
    """ContactPoints; the argument is their use when the message doesn't say."""
    found = [_telecom(value, call.argument) for value in call.values]
    return [one for one in found if one]


def _telecom(value: Value, use: str) -> dict[str, Any] | None:
    number, said, equipment, email = value.first(1), value.first(2), value.first(3).upper(), value.first(4)
    if email and (equipment in {"INTERNET", "X.400", ""} or said == "NET"):
        return {"system": "email", "value": email, "use": _USE.get(said, use)}
    if not number:
        area = [value.first(n) for n in (5, 6, 7)]
        number = value.first(12) or "-".join(part for part in area if part)
    if not number:
        return None
    mobile = equipment == "CP" or _MOBILE.fullmatch(re.sub(r"[\s-]", "", number)) is not None
    return {
        "system": _SYSTEM.get(equipment, "phone"),
        "value": number,
        "use": "mobile" if mobile and equipment in {"", "CP", "PH"} else _USE.get(said, use),
    }


def contacts(call: Call) -> Any:
    """Next of kin (NK1) as Patient.contact. A relation is not an identity: nobody is matched by it."""
    found = []
    for segment in call.following("NK1"):
        name = next((one for value in segment.values(2) if (one := _name(value, call.work.tables.surnames))), None)
        phones = [one for value in segment.values(5) if (one := _telecom(value, "home"))]
        relation = segment.text(3, 2) or segment.text(3, 1)
        contact: dict[str, Any] = {"relationship": [{"text": relation}]} if relation else {}
        if name:
            contact["name"] = name
        if phones:
            contact["telecom"] = phones
        if name or phones:
            found.append(contact)
    return found


def practitioner(call: Call) -> Any:
    """A member of staff (XCN) by name and the sender's own staff number."""
    return _staff(call, call.values[0]) if call.values else None


def participants(call: Call) -> Any:
    """Encounter participants; the argument is their part (ATND, REF, ADM)."""
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    found = []
    for value in call.values:
        if staff := _staff(call, value):
            found.append({"type": [{"coding": [{"system": system, "code": call.argument}]}], "individual": staff})
    return found


def performers(call: Call) -> Any:
    """Who gave a vaccine."""
    staff = practitioner(call)
    return [{"actor": staff}] if staff else None


def _staff(call: Call, value: Value) -> dict[str, Any] | None:
    code, family, given = value.first(1), value.first(2), value.first(3)
    han = _HAN.fullmatch(family + given) is not None
    name = (family + given) if han else " ".join(part for part in (given, family) if part)
    found: dict[str, Any] = {}
    if code:
        found["identifier"] = {"system": call.work.sender.system("staff"), "value": code}
    if name:
        found["display"] = name
    return {"type": "Practitioner", **found} if found else None


def locations(call: Call) -> Any:
    """Where in the hospital (PL): department, room, bed, as text."""
    if not call.values:
        return None
    value = call.values[0]
    parts = dict.fromkeys(part for n in (4, 7, 8, 1, 2, 3) if (part := value.first(n)))
    return [{"location": {"display": " ".join(parts)}}] if parts else None


FUNCTIONS = {
    "addresses": addresses,
    "contacts": contacts,
    "locations": locations,
    "names": names,
    "participants": participants,
    "performers": performers,
    "practitioner": practitioner,
    "telecoms": telecoms,
}
