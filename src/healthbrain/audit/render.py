"""Audit records as FHIR R4 AuditEvent resources."""

from __future__ import annotations

from typing import Any

from healthbrain.audit.events import FAILED, FINE
from healthbrain.audit.find import Record

# what FHIR calls REST interactions; everything else we do is an operation of ours
_REST = frozenset(
    {
        "read", "vread", "update", "patch", "delete", "history", "history-instance", "history-type", "history-system",
        "create", "search", "search-type", "search-system", "capabilities", "transaction", "batch", "operation",
    }
)  # fmt: skip
_TYPE = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "RESTful Operation",
}
_APPLICATION = {
    "system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110100", "display": "Application Activity"
}  # fmt: skip
_PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ROLE = "urn:healthbrain:cs:role"
_ACCOUNT = "urn:healthbrain:id:account"
_PATIENT_KEY = "urn:healthbrain:id:patient-key"
_OUTCOME = {FINE: "0", FAILED: "8"}


def as_fhir(record: Record, *, site: str = "") -> dict[str, Any]:
    """The AuditEvent of a record. `site` is the name of the actor's organisation, if known."""
    event = record.event
    resource: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": record.key,
        "type": _TYPE if event.interaction in _REST else _APPLICATION,
        "subtype": [_subtype(event.interaction)] if event.interaction else [],
        "action": event.action,
        "recorded": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": _OUTCOME.get(event.outcome, "4"),
        "outcomeDesc": event.detail,
        "purposeOfEvent": [{"coding": [{"system": _PURPOSE, "code": event.purpose}]}] if event.purpose else [],
        "agent": [_agent(record)],
        "source": {"site": site, "observer": {"display": "HealthBrain"}},
        "entity": _entities(record),
    }
    if not site:
        del resource["source"]["site"]
    return {name: value for name, value in resource.items() if value not in ("", [])}


def _subtype(interaction: str) -> dict[str, str]:
    system = "http://hl7.org/fhir/restful-interaction" if interaction in _REST else "urn:healthbrain:cs:interaction"
    return {"system": system, "code": interaction}


def _agent(record: Record) -> dict[str, Any]:
    event = record.event
    agent: dict[str, Any] = {"requestor": True}
    if event.account:
        agent["who"] = {"identifier": {"system": _ACCOUNT, "value": event.account}}
        agent["altId"] = event.account
    else:
        agent["who"] = {"display": "nobody signed in"}
    if event.role:
        agent["role"] = [{"coding": [{"system": _ROLE, "code": event.role}]}]
    if event.address:
        agent["network"] = {"address": event.address, "type": "2"}
    return agent


def _entities(record: Record) -> list[dict[str, Any]]:
    event = record.event
    entities: list[dict[str, Any]] = []
    if event.type and event.id:
        entities.append({"what": {"reference": f"{event.type}/{event.id}", "type": event.type}})
    elif event.type:
        entities.append({"what": {"type": event.type, "display": event.type}})
    for patient in event.patients:
        entities.append({"what": {"type": "Patient", "identifier": {"system": _PATIENT_KEY, "value": str(patient)}}})
    if event.request:
        detail = [{"type": "request", "valueString": event.request}]
        entities.append({"what": {"display": "request"}, "detail": detail})
    return entities
