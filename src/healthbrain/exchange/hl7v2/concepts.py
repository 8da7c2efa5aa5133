"""Codes: CWE, CE, ID and IS as FHIR codes, codings and concepts, by the tables in maps/codes.csv and maps/local.

The sender's own code is always kept beside what it is mapped to, so that a later, better map can be applied to what is
already stored.
"""

from __future__ import annotations

import re
from typing import Any

from healthbrain.exchange.hl7v2.message import Value
from healthbrain.exchange.hl7v2.tables import Code, field_ref
from healthbrain.exchange.hl7v2.work import Call
from healthbrain.terms import systems

_ICD10 = re.compile(r"[A-Z]\d{2}(\.[\dxX+*]\w*)?[+*]?", re.ASCII)
_LOINC = re.compile(r"\d{1,5}-\d")
_OID = re.compile(r"(?:urn:oid:)?([012](?:\.(?:0|[1-9]\d*))+)")


def constant(call: Call) -> Any:
    """The argument itself."""
    return call.argument


def constant_boolean(call: Call) -> Any:
    """true or false."""
    return call.argument == "true"


def constant_concept(call: Call) -> Any:
    """A concept written as system|code."""
    system, code = call.argument.split("|")
    return {"coding": [{"system": system, "code": code}]}


def if_present(call: Call) -> Any:
    """The argument, when the field holds something."""
    return call.argument if call.values and call.values[0].text else None


def text(call: Call) -> Any:
    """The first component as text."""
    return call.values[0].first(1) or None if call.values else None


def yes_no(call: Call) -> Any:
    """HL7's Y and N; with `unless=PID-29` only when that field is empty."""
    for word in call.argument.split():
        if word.startswith("unless=") and call.field(field_ref(word.removeprefix("unless="))):
            return None
    return {"Y": True, "N": False}.get(call.values[0].first(1).upper()) if call.values else None


def _lookup(call: Call, value: Value) -> Code | None:
    """The code of `value` in the argument's table, else the table's '*' with a warning, else None."""
    table = call.work.tables.codes[call.argument]
    sent = value.first(1)
    found = table.get(sent) or table.get(sent.upper())
    if found is None and (fallback := table.get("*")):
        call.work.issue(
            "warning", "code-invalid", value.place,
            f"not a code of table '{call.argument}'; taken as '{fallback.target}'. Send a known code, or map it",
        )  # fmt: skip
        return fallback
    return found


def code(call: Call) -> Any:
    """The mapped code; an unknown one is an error unless its table has a '*' row."""
    if not call.values or not call.values[0].first(1):
        return None
    found = _lookup(call, call.values[0])
    if found is None and call.argument not in {"order_status", "medication_status"}:
        call.work.issue("error", "code-invalid", call.values[0].place, f"not a code of table '{call.argument}'")
    return found.target if found else None


def optional_code(call: Call) -> Any:
    """The mapped code, nothing when it is unknown."""
    found = _lookup(call, call.values[0]) if call.values else None
    return found.target if found else None


def coding(call: Call) -> Any:
    """The mapped code as a Coding."""
    if not call.values or not call.values[0].first(1):
        return None
    found = _lookup(call, call.values[0])
    if found is None:
        call.work.issue("error", "code-invalid", call.values[0].place, f"not a code of table '{call.argument}'")
        return None
    return _coding(found)


def coded_concept(call: Call) -> Any:
    """The mapped code as a CodeableConcept, nothing when it is unknown."""
    found = _lookup(call, call.values[0]) if call.values and call.values[0].first(1) else None
    return _concept_of(found) if found else None


def coded_concepts(call: Call) -> Any:
    """Every repetition as a CodeableConcept; unknown ones as text."""
    found = []
    for value in call.values:
        if not (sent := value.first(1)):
            continue
        known = _lookup(call, value)
        one = _concept_of(known) if known else {"text": value.first(2) or sent}
        if one not in found:
            found.append(one)
    return found


def concept(call: Call) -> Any:
    """A CWE as it came: its codings with their systems, and its text. The argument names the sender's own system."""
    return _concept(call, call.values[0]) if call.values else None


def _concept(call: Call, value: Value, default: str = "") -> dict[str, Any] | None:
    codings = []
    for offset in (0, 3):
        sent, display, system = (value.first(offset + n) for n in (1, 2, 3))
        if sent:
            one = {"system": _system(call, system) or default or call.work.sender.system(call.argument), "code": sent}
            if display:
                one["display"] = display
            codings.append(one)
    said = value.first(9) or value.first(2) or value.first(5)
    if not codings and not said:
        return None
    found: dict[str, Any] = {"coding": codings} if codings else {}
    if said or codings:
        found["text"] = said or codings[0]["code"]
    return found


def _system(call: Call, name: str) -> str:
    """The URI of a coding system by its HL7 name, OID or URI; '' for the sender's own."""
    if known := call.work.tables.codes["system"].get(name.upper()):
        return _URI.get(known.target, known.target)
    if oid := _OID.fullmatch(name):
        return f"urn:oid:{oid[1]}"
    return name if name.startswith(("http://", "https://", "urn:")) and " " not in name else ""


def diagnosis(call: Call) -> Any:
    """A diagnosis: ICD-10 when it says so or looks like it; DG1-4 is the hospital's own wording."""
    if not call.values:
        return None
    value = call.values[0]
    shaped = _ICD10.fullmatch(value.first(1)) is not None and value.first(3) in {"", "L"}
    found = _concept(call, value, systems.ICD10 if shaped else "")
    wording = call.draft.segment.text(4)
    if found and wording:
        found["text"] = wording
    return found


def observation_code(call: Call) -> Any:
    """What was measured or ordered: LOINC (sent or mapped) first, the sender's own code beside it."""
    if not call.values:
        return None
    value = call.values[0]
    found = _concept(call, value)
    if found is None or "coding" not in found:
        return found
    loinc = next((one for one in found["coding"] if one["system"] == systems.LOINC), None)
    if loinc is None and (mapped := _mapped(call, value)):
        loinc = mapped
        found["coding"].insert(0, mapped)
    if loinc:
        call.draft.loinc = str(loinc["code"])
        if not _LOINC.fullmatch(call.draft.loinc):
            call.work.issue(
                "warning", "code-invalid", f"{value.place}.1", "declared as LOINC but not shaped like a LOINC code"
            )
    return found


def _mapped(call: Call, value: Value) -> dict[str, Any] | None:
    own = value.first(1)
    known = call.work.local_code(own)
    if known and known.loinc:
        return {"system": systems.LOINC, "code": known.loinc, "display": known.display}
    if call.work.sender.code_set or not value.first(3):
        call.work.issue(
            "warning", "code-invalid", f"{value.place}.1",
            "local code not mapped to LOINC; kept as it came. Add it to the source's code table to make it comparable",
        )  # fmt: skip
    return None


def observation_category(call: Call) -> Any:
    """Vital sign by its code, else the argument."""
    known = call.work.tables.codes["vital"].get(_loinc_of(call))
    named = known.target if known else call.argument
    return [{"coding": [{"system": systems.OBSERVATION_CATEGORY, "code": named}]}]


def _loinc_of(call: Call) -> str:
    if not call.values:
        return ""
    value = call.values[0]
    known = call.work.local_code(value.first(1))
    return known.loinc if known and known.loinc else value.first(1)


def reactions(call: Call) -> Any:
    """AL1-5, each repetition a manifestation."""
    shown = [{"text": said} for value in call.values if (said := value.text)]
    return [{"manifestation": shown}] if shown else None


def _coding(found: Code) -> dict[str, Any]:
    one = {"system": found.system, "code": found.target}
    return {**one, "display": found.display} if found.display else one


def _concept_of(found: Code) -> dict[str, Any]:
    return {"coding": [_coding(found)], **({"text": found.display} if found.display else {})}


_URI: dict[str, str] = {
    name: getattr(systems, name)
    for name in ("ICD10", "ICD9CM3", "LOINC", "UCUM", "VACCINE", "DRUG", "DEPARTMENT", "SERVICE", "FINDING", "FEE")
}

FUNCTIONS = {
    "code": code,
    "coded_concept": coded_concept,
    "coded_concepts": coded_concepts,
    "coding": coding,
    "concept": concept,
    "constant": constant,
    "constant_boolean": constant_boolean,
    "constant_concept": constant_concept,
    "diagnosis": diagnosis,
    "if_present": if_present,
    "observation_category": observation_category,
    "observation_code": observation_code,
    "optional_code": optional_code,
    "reactions": reactions,
    "text": text,
    "yes_no": yes_no,
}
