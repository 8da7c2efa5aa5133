"""Result values: OBX-5 by its type, reference ranges, quantities and doses. Numbers keep every digit that was sent."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from healthbrain.exchange.hl7v2.concepts import _concept
from healthbrain.exchange.hl7v2.dates import read_moment
from healthbrain.exchange.hl7v2.message import Value
from healthbrain.exchange.hl7v2.tables import field_ref
from healthbrain.exchange.hl7v2.work import Call
from healthbrain.fhir.codec import Decimal
from healthbrain.terms import systems

_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?|([+-]?)\.(\d+)")
_COMPARED = re.compile(r"(<=|>=|<|>|≤|≥)\s*(\S+)")
_RANGE = re.compile(r"\s*(-?[\d.]+)\s*(?:-{1,2}|~|～|－|—|–|至)\s*(-?[\d.]+)\s*")
_BOUND = re.compile(r"\s*(<=|>=|<|>|≤|≥)\s*(-?[\d.]+)\s*")
_COMPARATOR = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">="}


def number(text: str) -> int | float | None:
    """The number written in `text`, exact; None when it isn't one."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if match[6] is not None:
        written = f"{'-' if match[5] == '-' else ''}0.{match[6]}"
    else:
        written = ("-" if match[1] == "-" else "") + (match[2].lstrip("0") or "0")
        if match[3]:
            written += f".{match[3]}"
        if match[4]:
            written += f"e{int(match[4])}"
    if written.lstrip("-").isdecimal() and len(written) < 16 and written != "-0":
        return int(written)
    plain = float(written)
    return plain if repr(plain) == written else Decimal(written)


def observation_value(call: Call) -> Any:
    """{value[x]: …} for OBX-5, by OBX-2."""
    segment = call.draft.segment
    values = [value for value in call.values if value.text or value.first(1) or value.first(2)]
    if not values:
        return None
    kind = segment.text(2).upper()
    reader = _READERS.get(kind)
    if reader is None:
        if kind in {"ED", "RP", "NA", "MA"}:
            call.work.issue(
                "warning",
                "not-supported",
                f"{segment.place}-2",
                f"values of type {kind} are not translated; the message is kept",
            )
            return None
        call.work.issue("warning", "code-invalid", f"{segment.place}-2", "not a value type; the value is taken as text")
        reader = _string
    return reader(call, values)


def absent_reason(call: Call) -> Any:
    """Why there is no value, when there is none."""
    if any(key.startswith("value") for key in call.draft.resource):
        return None
    said = "not-performed" if call.draft.segment.text(11) == "X" else "unsupported" if call.values else "unknown"
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return {"coding": [{"system": system, "code": said}]}


def _numeric(call: Call, values: list[Value]) -> dict[str, Any] | None:
    value = values[0]
    said = unicodedata.normalize("NFKC", value.text)
    found = _quantity(call, said)
    if found:
        return {"valueQuantity": found}
    call.work.issue(
        "warning", "value", value.place, "declared a number (NM) but is none; kept as text. Correct OBX-2 at the source"
    )
    return {"valueString": value.text}


def _string(call: Call, values: list[Value]) -> dict[str, Any]:
    text = "\n".join(value.text for value in values)
    if (
        len(values) == 1
        and call.draft.segment.raw(6)
        and (found := _quantity(call, unicodedata.normalize("NFKC", text)))
    ):
        return {"valueQuantity": found}  # a number with a unit, declared as text
    return {"valueString": text}


def _text(_: Call, values: list[Value]) -> dict[str, Any]:
    return {"valueString": "\n".join(value.text for value in values)}


def _coded(call: Call, values: list[Value]) -> dict[str, Any] | None:
    found = _concept(call, values[0])
    return {"valueCodeableConcept": found} if found else None


def _structured(call: Call, values: list[Value]) -> dict[str, Any] | None:
    """SN: comparator ^ number ^ separator ^ number."""
    sign, first, between, second = (values[0].first(n) for n in range(1, 5))
    low, high = number(first), number(second) if second else None
    if low is None:
        call.work.issue(
            "warning", "value", values[0].place, "declared structured numeric (SN) but has no number; kept as text"
        )
        return {"valueString": " ".join(part for part in (sign, first, between, second) if part)}
    if between == "-" and high is not None:
        return {"valueRange": {"low": _measured(call, low), "high": _measured(call, high)}}
    if between in {":", "/"} and high is not None:
        return {"valueRatio": {"numerator": {"value": low}, "denominator": {"value": high}}}
    if between == "+":
        return {"valueString": f"{first}+"}
    measured = _measured(call, low)
    if comparator := _COMPARATOR.get(sign):
        measured = {"value": low, "comparator": comparator, **{k: v for k, v in measured.items() if k != "value"}}
    return {"valueQuantity": measured}


def _dated(call: Call, values: list[Value]) -> dict[str, Any] | None:
    found = read_moment(call, values[0])
    return {"valueDateTime": found.dated} if found else None


def _timed(call: Call, values: list[Value]) -> dict[str, Any]:
    text = values[0].text
    match = re.fullmatch(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)?(?:\.\d+)?", text)
    return {"valueTime": f"{match[1]}:{match[2]}:{match[3] or '00'}"} if match else {"valueString": text}


_READERS = {
    "NM": _numeric, "SI": _numeric, "ST": _string, "IS": _string, "ID": _string, "CX": _string, "TX": _text, "FT": _text,
    "CE": _coded, "CWE": _coded, "CNE": _coded, "CF": _coded, "SN": _structured, "TS": _dated, "DT": _dated,
    "DTM": _dated, "TM": _timed, "": _string, "XPN": _text, "XCN": _text, "XAD": _text, "XTN": _text, "HD": _text,
    "EI": _text,
}  # fmt: skip


def _quantity(call: Call, text: str) -> dict[str, Any] | None:
    compared = _COMPARED.fullmatch(text)
    found = number(compared[2] if compared else text)
    if found is None:
        return None
    measured = _measured(call, found)
    if compared:
        return {
            "value": found,
            "comparator": _COMPARATOR[compared[1]],
            **{k: v for k, v in measured.items() if k != "value"},
        }
    return measured


def _measured(call: Call, value: int | float) -> dict[str, Any]:
    """A Quantity with the unit of OBX-6, or of the local code's table when the message gives none."""
    segment = call.draft.segment
    unit, system = segment.text(6), segment.text(6, 3)
    whole = segment.raw(6)
    if whole in call.work.tables.units:  # 10^9/L is often sent without escaping the ^
        unit, system = whole, ""
    if not unit and (known := call.work.local_code(segment.text(3))):
        return _with_unit(value, known.unit, known.unit)
    ucum = call.work.tables.units.get(unicodedata.normalize("NFKC", unit)) or call.work.tables.units.get(unit)
    if ucum is None and system.upper() in {"UCUM", "ISO+"}:
        ucum = unit if system.upper() == "UCUM" else None
    return _with_unit(value, unit, ucum or "")


def _with_unit(value: int | float, unit: str, ucum: str) -> dict[str, Any]:
    found: dict[str, Any] = {"value": value}
    if unit:
        found["unit"] = unit
    if ucum:
        found |= {"system": systems.UCUM, "code": ucum}
    return found


def reference_range(call: Call) -> Any:
    """OBX-7: low and high where they are numbers, always the text as sent."""
    if not call.values:
        return None
    text = call.values[0].text
    plain = unicodedata.normalize("NFKC", text)
    found: dict[str, Any] = {}
    if match := _RANGE.fullmatch(plain):
        low, high = number(match[1]), number(match[2])
        if low is not None and high is not None and low <= high:
            found = {"low": _measured(call, low), "high": _measured(call, high)}
    elif (match := _BOUND.fullmatch(plain)) and (bound := number(match[2])) is not None:
        found = {"high" if _COMPARATOR[match[1]].startswith("<") else "low": _measured(call, bound)}
    return [{**found, "text": text}] if text else None


def quantity(call: Call) -> Any:
    """A number and, from the argument's field, its unit."""
    found = number(call.values[0].first(1)) if call.values else None
    if found is None or found == 999:  # VXU writes 999 for "not recorded"
        return None
    units = call.field(field_ref(call.argument))
    unit = units[0].first(1) if units else ""
    return _with_unit(found, unit, call.work.tables.units.get(unit, ""))


def dose_number(call: Call) -> Any:
    """Which dose of its series: OBX 30973-2 after the vaccine, else RXA-2 when it is above zero."""
    for segment in call.following("OBX"):
        if segment.text(3) == "30973-2" and (said := segment.text(5)).isdecimal() and int(said) > 0:
            return [{"doseNumberPositiveInt": int(said)}]
    said = call.values[0].first(1) if call.values else ""
    return [{"doseNumberPositiveInt": int(said)}] if said.isdecimal() and 0 < int(said) < 99 else None


def dosage(call: Call) -> Any:
    """How to take a medicine: RXO-7 as text, else dose, unit, route and frequency as they came."""
    text = " ".join(said for value in call.values if (said := value.first(2) or value.first(1)))
    around = call.draft.around
    rxo = around.get("RXO")
    if not text and rxo:
        order = around.get("ORC")
        parts = (rxo.text(2), rxo.text(4, 2) or rxo.text(4), order.text(7, 2) if order else "")
        text = " ".join(part for part in parts if part)
    return [{"text": text}] if text else None


def dispense_quantity(call: Call) -> Any:
    """RXO-11 with its unit, RXO-12."""
    found = number(call.values[0].first(1)) if call.values else None
    rxo = call.draft.around.get("RXO")
    return _with_unit(found, (rxo.text(12, 2) or rxo.text(12)) if rxo else "", "") if found is not None else None


FUNCTIONS = {
    "absent_reason": absent_reason,
    "dispense_quantity": dispense_quantity,
    "dosage": dosage,
    "dose_number": dose_number,
    "observation_value": observation_value,
    "quantity": quantity,
    "reference_range": reference_range,
}
