"""The district's directory as FHIR: Organization, Location, Practitioner and PractitionerRole, wards and devices, sent by the commission."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from json.encoder import encode_basestring as _text

from healthbrain.terms import systems
from healthbrain.twin import bundles, resources
from healthbrain.twin.bundles import Entry
from healthbrain.twin.institutions import Institution, Staff
from healthbrain.twin.outgoing import Outgoing
from healthbrain.twin.places import towns

SENDER = "QP00"
# what the national evaluations found: EMR level, interconnection maturity, whether a digital hospital
GRADES = {
    "QPH01": (5, "四级甲等", True), "QPH02": (4, "四级甲等", True), "QPH03": (4, "", False), "QPH04": (3, "", False),
    "QPH05": (4, "三级", False), "QPH06": (3, "", False), "QPH07": (3, "", False), "QPH08": (2, "", False),
}  # fmt: skip
NOT_IN_CLOUD = frozenset({"QPC11", "QPC06", "QPC0601", "QPC0602", "QPC1101"})
WITHOUT_TCM = frozenset({"QPC05", "QPC11"})  # centres one of whose teams has no doctor of Chinese medicine
_TOWNS = {town.code: town.name for town in towns()}


def organisation(institution: Institution) -> Entry:
    """An institution as an Organization."""
    parent = f',"partOf":{{"reference":"Organization/org-{institution.parent}"}}' if institution.parent else ""
    body = (
        f'{{"resourceType":"Organization","id":"{institution.fhir_id}",{_grades(institution)}'
        f'"identifier":[{{"system":"{systems.ORGANISATION}","value":"{institution.code}"}}],"active":true,'
        f'"type":[{bundles.concept(systems.FACILITY_CLASS, institution.facility_class)}],"name":{_text(institution.name)},'
        f'"address":[{{"extension":[{{"url":"{systems.EXT_DIVISION}","valueString":"{institution.division}"}}],'
        f'"city":"上海市","district":"青浦区","state":"上海市","line":[{_text(_TOWNS[institution.division])}]}}]{parent}}}'
    )
    return "Organization", institution.fhir_id, body


def practitioner(member: Staff) -> Entry:
    """A member of staff as a Practitioner."""
    body = (
        f'{{"resourceType":"Practitioner","id":"{member.fhir_id}",'
        f'"identifier":[{{"system":"{systems.PRACTITIONER}","value":"{member.code}"}}],"active":true,'
        f'"name":[{{"text":{_text(member.name.text)},"family":{_text(member.name.family)},"given":[{_text(member.name.given)}]}}],'
        f'"gender":"{"male" if member.sex == "M" else "female"}","qualification":[{{"code":{{{_QUALIFIED[member.role]}"text":{_text(member.title)}}}}}]}}'
    )
    return "Practitioner", member.fhir_id, body


_QUALIFIED = {
    role: f'"coding":[{bundles.coding(systems.QUALIFICATION, code)}],'
    for role, code in (("doctor", "physician"), ("nurse", "nurse"), ("public-health", "physician"))
}


def _grades(institution: Institution) -> str:
    """What the national evaluations say of an institution, as extensions."""
    found = []
    if institution.level:
        found.append(f'{{"url":"{systems.EXT_HOSPITAL_LEVEL}","valueString":"{institution.level}"}}')
    if grades := GRADES.get(institution.code):
        emr, maturity, digital = grades
        found.append(f'{{"url":"{systems.EXT_EMR_LEVEL}","valueInteger":{emr}}}')
        if maturity:
            found.append(f'{{"url":"{systems.EXT_INTERCONNECTION}","valueString":"{maturity}"}}')
        found.append(f'{{"url":"{systems.EXT_DIGITAL_HOSPITAL}","valueBoolean":{str(digital).lower()}}}')
    if institution.facility_class[0] in "BC":
        cloud = str(institution.code not in NOT_IN_CLOUD).lower()
        found.append(f'{{"url":"{systems.EXT_CLOUD}","valueBoolean":{cloud}}}')
    return f'"extension":[{",".join(found)}],' if found else ""


def role(member: Staff) -> Entry:
    """Where a member of staff works, as a PractitionerRole."""
    ident = f"role-{member.code}"
    name = {"doctor": "医师", "nurse": "护士", "public-health": "公共卫生医师"}[member.role]
    body = (
        f'{{"resourceType":"PractitionerRole","id":"{ident}","active":true,'
        f'"practitioner":{{"reference":"Practitioner/{member.fhir_id}","display":{_text(member.name.text)}}},'
        f'"organization":{{"reference":"Organization/org-{member.organisation}"}},"code":[{{"text":"{name}"}}],'
        f'"specialty":[{bundles.concept(systems.DEPARTMENT, member.department)}]}}'
    )
    return "PractitionerRole", ident, body


def team(doctor: Staff, nurse: Staff, tcm: Staff | None) -> Entry:
    """A family-doctor team: a general practitioner, a nurse, and a doctor of Chinese medicine where there is one."""
    ident = f"team-{doctor.code}"
    members = ",".join(
        f'{{"member":{{"reference":"Practitioner/{one.fhir_id}","display":{_text(one.name.text)}}}}}'
        for one in (doctor, nurse, tcm)
        if one
    )
    body = (
        f'{{"resourceType":"CareTeam","id":"{ident}","status":"active","category":[{bundles.concept(systems.SERVICE, systems.FAMILY_DOCTOR)}],'
        f'"name":{_text(f"{doctor.name.text}家庭医生团队")},"participant":[{members}],'
        f'"managingOrganization":[{{"reference":"Organization/org-{doctor.organisation}"}}]}}'
    )
    return "CareTeam", ident, body


def teams(staff: Sequence[Staff]) -> Iterator[Entry]:
    """The family-doctor teams of every community health centre."""
    centres: dict[str, list[Staff]] = {}
    for member in staff:
        if member.organisation.startswith("QPC"):
            centres.setdefault(member.organisation, []).append(member)
    for code, members in centres.items():
        doctors = [one for one in members if (one.department, one.role) == ("02", "doctor")]
        nurses = [one for one in members if one.role == "nurse"]
        tcm = [one for one in members if (one.department, one.role) == ("50", "doctor")]
        for order, doctor in enumerate(doctors):
            without = code in WITHOUT_TCM and order == len(doctors) - 1
            yield team(doctor, nurses[order % len(nurses)], None if without else tcm[order % len(tcm)])


def messages(institutions: Sequence[Institution], staff: Sequence[Staff], at: datetime) -> Iterator[Outgoing]:
    """The directory in bundles of moderate size, before anything else is sent."""
    entries = [organisation(one) for one in institutions]
    for member in staff:
        entries += [practitioner(member), role(member)]
    entries += teams(staff)
    entries += resources.entries(institutions, staff)
    for number, start in enumerate(range(0, len(entries), 200)):
        part = entries[start : start + 200]
        sent = at + timedelta(seconds=number)
        yield Outgoing(SENDER, "fhir", sent, bundles.bundle(part, sent), "directory", len(part))
