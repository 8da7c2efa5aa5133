"""Small proper resources that several tests alter."""

from __future__ import annotations

from typing import Any

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Patient"], "lastUpdated": "2026-01-05T08:00:00Z"},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">张伟<br/><b>男</b></div>'},
    "extension": [
        {"url": "urn:x", "valueString": "y"},
        {"url": "urn:z", "extension": [{"url": "a", "valueCode": "b"}]},
    ],
    "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "1", "period": {"start": "2020-02-29"}}],
    "active": True,
    "name": [{"family": "张", "given": ["伟", None], "_given": [None, {"extension": [{"url": "u", "valueUri": "v"}]}]}],
    "gender": "male",
    "birthDate": "1960-05",
    "_birthDate": {"id": "b1"},
    "contact": [{"name": {"family": "李"}, "organization": {"reference": "Organization/o1"}}],
    "link": [{"other": {"reference": "Patient/p2"}, "type": "seealso"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-01-05T08:30:00+08:00",
    "valueQuantity": {"value": 120, "unit": "mm[Hg]"},
    "component": [{"code": {"text": "x"}, "valueString": "y"}],
}
CONDITION: dict[str, Any] = {
    "resourceType": "Condition",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "subject": {"reference": "#p"},
    "contained": [{"resourceType": "Patient", "id": "p", "gender": "female"}],
}
BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:00000000-0000-0000-0000-000000000001",
            "resource": PATIENT,
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "fullUrl": "urn:uuid:00000000-0000-0000-0000-000000000002",
            "resource": {
                **OBSERVATION,
                "subject": {"reference": "urn:uuid:00000000-0000-0000-0000-000000000001"},
                "performer": [{"reference": "Practitioner?name=x"}],
            },
            "request": {"method": "POST", "url": "Observation"},
        },
    ],
}
