"""The district's directory as FHIR: Organization, Location, Practitioner and PractitionerRole, sent by the commission."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from json.encoder import encode_basestring as _text

from healthbrain.terms import systems
from healthbrain.twin import bundles
from healthbrain.twin.bundles import Entry
from healthbrain.twin.institutions import Institution, Staff
from healthbrain.twin.outgoing import Outgoing
from healthbrain.twin.places import towns

SENDER = "QP00"
_TOWNS = {town.code: town.name for town in towns()}


def organisation(institution: Institution) -> Entry:
    """An institution as an Organization."""
    parent = f',"partOf":{{"reference":"Organization/org-{institution.parent}"}}' if institution.parent else ""
    body = (
        f'{{"resourceType":"Organization","id":"{institution.fhir_id}",'
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
        f'"gender":"{"male" if member.sex == "M" else "female"}","qualification":[{{"code":{{"text":{_text(member.title)}}}}}]}}'
    )
    return "Practitioner", member.fhir_id, body


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


def messages(institutions: Sequence[Institution], staff: Sequence[Staff], at: datetime) -> Iterator[Outgoing]:
    """The directory in bundles of moderate size, before anything else is sent."""
    entries = [organisation(one) for one in institutions]
    for member in staff:
        entries += [practitioner(member), role(member)]
    for number, start in enumerate(range(0, len(entries), 200)):
        part = entries[start : start + 200]
        sent = at + timedelta(seconds=number)
        yield Outgoing(SENDER, "fhir", sent, bundles.bundle(part, sent), "directory", len(part))
