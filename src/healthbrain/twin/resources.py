"""Beds and equipment of the institutions: wards as Locations with their number of beds, devices with owner and dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring as _text

from healthbrain.terms import systems, tables
from healthbrain.twin.bundles import Entry, concept
from healthbrain.twin.chance import stream, whole
from healthbrain.twin.institutions import Institution, Staff

# devices of an institution: kind, for how many beds one is there, at least so many in a hospital
_PER_BEDS = (("ct", 400, 1), ("mri", 600, 0), ("dr", 300, 1), ("ultrasound", 120, 1), ("ventilator", 60, 1),
             ("dialysis", 80, 0), ("monitor", 40, 2), ("analyser", 400, 1))  # fmt: skip
_OF_A_CENTRE = ("dr", "ultrasound", "analyser", "fridge", "fridge")
_ROLE_CODE = "http://terminology.hl7.org/CodeSystem/location-physical-type"


def entries(institutions: Sequence[Institution], staff: Sequence[Staff]) -> Iterator[Entry]:
    """All wards and devices."""
    departments: dict[str, list[str]] = {}
    for member in staff:
        known = departments.setdefault(member.organisation, [])
        if member.department not in known and member.department not in {"01", "20"}:
            known.append(member.department)
    for institution in institutions:
        if institution.beds:
            yield from _wards(institution, departments[institution.code])
        yield from _devices(institution)


def _wards(institution: Institution, departments: Sequence[str]) -> Iterator[Entry]:
    share, rest = divmod(institution.beds, len(departments))
    for order, department in enumerate(departments):
        ident = f"ward-{institution.code}-{department}"
        called = f"{tables.display(systems.DEPARTMENT, department) or department}病区"
        beds = share + (order < rest)
        yield (
            "Location",
            ident,
            (
                f'{{"resourceType":"Location","id":"{ident}","extension":[{{"url":"{systems.EXT_BEDS}","valueInteger":{beds}}}],'
                f'"identifier":[{{"system":"{systems.local(institution.code, "ward")}","value":"{department}"}}],"status":"active",'
                f'"name":{_text(called)},"mode":"instance","type":[{concept(systems.DEPARTMENT, department)}],'
                f'"physicalType":{{"coding":[{{"system":"{_ROLE_CODE}","code":"wa","display":"Ward"}}]}},'
                f'"managingOrganization":{{"reference":"Organization/{institution.fhir_id}"}}}}'
            ),
        )


def _devices(institution: Institution) -> Iterator[Entry]:
    if institution.facility_class == "B100":
        kinds = list(_OF_A_CENTRE)
    elif institution.beds:
        kinds = [kind for kind, beds, least in _PER_BEDS for _ in range(max(least, institution.beds // beds))]
    else:
        return
    for number, kind in enumerate(kinds, 1):
        yield _device(institution, kind, number)


def _device(institution: Institution, kind: str, number: int) -> Entry:
    ident = f"device-{institution.code}-{number:03d}"
    rng = stream("device", ident)
    made = whole(rng, 2012, 2024)
    month = whole(rng, 1, 12)
    status = "inactive" if made < 2014 and rng.random() < 0.5 else "active"
    body = (
        f'{{"resourceType":"Device","id":"{ident}",'
        f'"identifier":[{{"system":"{systems.local(institution.code, "device")}","value":"{number:05d}"}}],"status":"{status}",'
        f'"manufactureDate":"{made}-{month:02d}-01","expirationDate":"{made + 12}-{month:02d}-01",'
        f'"type":{concept(systems.DEVICE, kind)},"owner":{{"reference":"Organization/{institution.fhir_id}"}}}}'
    )
    return "Device", ident, body
