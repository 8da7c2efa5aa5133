"""Who and which: identifiers of patients, visits and orders, and the resource ids that follow from them.

A resource id is made from the sender's namespace and its own number, so that whatever is sent again is an update of the
same resource, in whatever order messages arrive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from healthbrain.exchange.hl7v2.tables import field_ref
from healthbrain.exchange.hl7v2.work import Call, Draft
from healthbrain.terms import systems

_NATIONAL = {
    "ID_CARD": systems.ID_CARD,
    "INSURANCE": systems.INSURANCE,
    "HEALTH_CARD": systems.HEALTH_CARD,
    "HEALTH_RECORD": systems.HEALTH_RECORD,
}
_ID_CARD = re.compile(r"[1-9]\d{16}[\dX]")
_ID_ORDER = ("mrn", "other", "HEALTH_CARD", "HEALTH_RECORD", "ID_CARD", "INSURANCE", "passport", "licence", "account")


def tidy(number: str) -> str:
    """A number without full-width forms, blanks and small letters."""
    return "".join(unicodedata.normalize("NFKC", number).split()).upper()


def patient_id(call: Call) -> Any:
    """The Patient's id: from the hospital's own number, else from a national one."""
    numbers = list(_patient_numbers(call))
    for wanted in _ID_ORDER:
        for kind, authority, number in numbers:
            if kind == wanted:
                kind = "mrn" if kind == "other" else kind
                return call.work.sender.resource_id("pat", kind, authority, number)
    return None


def patient_identifiers(call: Call) -> Any:
    """Every identifier of the patient, each in its system."""
    sender = call.work.sender
    found = []
    for kind, authority, number in _patient_numbers(call):
        system = _NATIONAL.get(kind) or sender.system(f"{kind}:{quote(authority, safe='')}" if authority else kind)
        entry: dict[str, Any] = {"system": system, "value": number}
        if kind == "mrn":
            entry = {"type": _typed("MR"), **entry}
        if entry not in found:
            found.append(entry)
    return found


def id_card_in_ssn(call: Call) -> Any:
    """PID-19 when it holds an 18-digit identity number, as Chinese systems use it; anything else stays out."""
    found = []
    for value in call.values:
        number = tidy(value.first(1))
        known = [one.get("value") for one in call.draft.resource.get("identifier", [])]
        if _ID_CARD.fullmatch(number) and number not in known:
            found.append({"system": systems.ID_CARD, "value": number})
    return found


def _patient_numbers(call: Call) -> Iterator[tuple[str, str, str]]:
    """(kind, foreign authority, number) of each repetition. The sender's own authority is ''."""
    table = call.work.tables.codes["identifier"]
    own = {call.work.sender.organisation, call.work.message.facility, ""}
    for value in call.values:
        number = value.first(1)
        if not number:
            continue
        code = table.get(value.first(5).upper()) or table["*"]
        authority = value.first(4)
        if code.target in _NATIONAL:
            yield code.target, "", tidy(number)
        else:
            yield code.target, "" if authority in own else authority, number


def visit_id(call: Call) -> Any:
    """The Encounter's id from the visit number; without one from the patient and the time of admission."""
    patient = call.draft.parents.get("Patient")
    if not call.values or patient is None:
        return None
    number = call.values[0].first(1)
    if str(call.matched) == "PV1-44":
        return call.work.sender.resource_id("enc", "at", patient.id, number)
    return call.work.sender.resource_id("enc", call.argument, number) if number else None


def number_id(call: Call) -> Any:
    """An id from the first number found; the argument is its kind."""
    number = call.values[0].first(1) if call.values else ""
    return call.work.sender.resource_id(_PREFIX[call.argument], call.argument, number) if number else None


def part_number_id(call: Call) -> Any:
    """An id from a number and one more field, for a number that covers several resources (a prescription)."""
    kind, other = call.argument.split()
    number = call.values[0].first(1) if call.values else ""
    second = call.field(field_ref(other))
    if not number:
        return None
    return call.work.sender.resource_id(_PREFIX[kind], kind, number, second[0].first(1) if second else "")


def part_id(call: Call) -> Any:
    """An id from a parent resource and the value of this one (its code, or its text)."""
    parent = _parent(call)
    value = call.values[0] if call.values else None
    what = (value.first(1) or value.first(2)) if value else ""
    if parent is None or not what:
        return None
    return call.work.sender.resource_id(_PREFIX[call.draft.type], parent.id, what)


def report_id(call: Call) -> Any:
    """The DiagnosticReport's id: from the filler's or placer's number, else from the message and the position in it."""
    if call.values and (number := call.values[0].first(1)):
        # one report number may cover several panels, each its own OBR
        code = call.draft.segment.text(4, 1) or call.draft.segment.text(4, 2)
        return call.work.sender.resource_id("rep", call.argument, number, code)
    message, segment = call.work.message, call.draft.segment
    if not message.control_id:
        return None
    return call.work.sender.resource_id("rep", "message", message.control_id, str(segment.occurrence))


def observation_id(call: Call) -> Any:
    """The Observation's id: report, code, sub-id (OBX-4), and which one among equals."""
    parent = _parent(call)
    if parent is None or not call.values:
        return None
    segment = call.draft.segment
    code = segment.text(3, 1) or segment.text(3, 2)
    key = (code, segment.text(4))
    before = sum(
        1
        for one in call.work.drafts
        if one.part == call.draft.part
        and one.segment.index < segment.index
        and _parent_of(one, call.argument) is parent
        and (one.segment.text(3, 1) or one.segment.text(3, 2), one.segment.text(4)) == key
    )
    when = "" if parent.type == "DiagnosticReport" else segment.text(14)
    return call.work.sender.resource_id("obs", parent.id, *key, when, str(before)) if code else None


def immunization_id(call: Call) -> Any:
    """The Immunization's id from the filler's number, else from patient, vaccine and day."""
    number, given = (call.field(field_ref(name)) for name in call.argument.split())
    patient = call.draft.parents.get("Patient")
    if number and number[0].first(1):
        return call.work.sender.resource_id("imm", "vaccination", number[0].first(1))
    if patient is None or not given or not call.values:
        return None
    return call.work.sender.resource_id("imm", patient.id, call.values[0].first(1), given[0].first(1)[:8])


def numbers(call: Call) -> Any:
    """The first number found, as an identifier in the sender's own system of the argument's kind."""
    number = call.values[0].first(1) if call.values else ""
    return [{"system": call.work.sender.system(call.argument), "value": number}] if number else None


def typed_numbers(call: Call) -> Any:
    """The same with a type from HL7 table 0203: `order PLAC`, `report FILL`."""
    kind, code = call.argument.split()
    number = call.values[0].first(1) if call.values else ""
    if not number:
        return None
    return [{"type": _typed(code), "system": call.work.sender.system(kind), "value": number}]


def order_reference(call: Call) -> Any:
    """The order a report answers, by its number: the order itself may come later or never."""
    number = call.values[0].first(1) if call.values else ""
    if not number:
        return None
    return [
        {"type": "ServiceRequest", "identifier": {"system": call.work.sender.system(call.argument), "value": number}}
    ]


def reference(call: Call) -> Any:
    """The draft of the argument's kind that is in force here."""
    found = call.draft.parents.get(call.argument)
    return {"reference": f"{found.type}/{found.id}"} if found and found.id else None


def replaced_by(call: Call) -> Any:
    """The patient that replaces this one (ADT^A40)."""
    found = call.draft.parents.get(call.argument)
    if not found or not found.id:
        return None
    return [{"other": {"reference": f"Patient/{found.id}"}, "type": "replaced-by"}]


def members(call: Call) -> Any:
    """References to the drafts that belong to this one."""
    ids = dict.fromkeys(f"{one.type}/{one.id}" for one in call.draft.members if one.id and not one.skipped)
    return [{"reference": one} for one in ids]


def organisation(call: Call) -> Any:
    """The sender's organisation."""
    code = call.work.sender.organisation
    return {"reference": f"Organization/org-{code}"} if code else None


def source_performer(call: Call) -> Any:
    """The sender's organisation as the one who made a result."""
    found = organisation(call)
    return [found] if found else None


def _parent(call: Call) -> Draft | None:
    return _parent_of(call.draft, call.argument)


def _parent_of(draft: Draft, order: str) -> Draft | None:
    for part in order.split():
        found = draft.parents.get(part)
        if found is not None and found.id and not found.skipped:
            return found
    return None


def _typed(code: str) -> dict[str, Any]:
    return {"coding": [{"system": systems.IDENTIFIER_TYPE, "code": code}]}


_PREFIX = {
    "order": "ord",
    "report": "rep",
    "prescription": "med",
    "Condition": "con",
    "AllergyIntolerance": "all",
    "Observation": "obs",
}

FUNCTIONS = {
    "id_card_in_ssn": id_card_in_ssn,
    "immunization_id": immunization_id,
    "members": members,
    "number_id": number_id,
    "numbers": numbers,
    "observation_id": observation_id,
    "order_reference": order_reference,
    "organisation": organisation,
    "part_id": part_id,
    "part_number_id": part_number_id,
    "patient_id": patient_id,
    "patient_identifiers": patient_identifiers,
    "reference": reference,
    "replaced_by": replaced_by,
    "report_id": report_id,
    "source_performer": source_performer,
    "typed_numbers": typed_numbers,
    "visit_id": visit_id,
}
