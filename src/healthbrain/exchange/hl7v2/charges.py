"""Charges: the amount of FT1, signed by what kind of transaction it is, and the id of a charge.

FT1-6 (HL7 table 0017) says whether money is asked for (CG) or given back (CD); other kinds (payments, adjustments) are no charges and make no
ChargeItem. A price without a currency is in yuan: hospitals here settle in nothing else (docs/spec-readings.md).
"""

from __future__ import annotations

from typing import Any

from healthbrain.exchange.hl7v2.results import number
from healthbrain.exchange.hl7v2.tables import field_ref
from healthbrain.exchange.hl7v2.work import Call
from healthbrain.fhir.codec import Decimal

_YUAN = "CNY"
_CREDIT = "CD"


def charge_id(call: Call) -> Any:
    """The id from the sender's own number of the transaction, else from the message and the position in it."""
    if call.values and (sent := call.values[0].first(1)):
        return call.work.sender.resource_id("chg", "charge", sent)
    control = call.work.message.control_id
    return (
        call.work.sender.resource_id("chg", "message", control, str(call.draft.segment.occurrence)) if control else None
    )


def amount(call: Call) -> Any:
    """The money of a line: the extended amount, else unit price times quantity (`argument` names both fields)."""
    found, currency = _money(call)
    if found is None:
        call.work.issue("error", "value", call.expected, "a charge has an amount, such as 12.50; send it")
        return None
    kind = call.field(field_ref("FT1-6"))
    if kind and kind[0].first(1) == _CREDIT and found > 0:
        found = -found
    return {"value": found, "currency": currency or _YUAN}


def plain_quantity(call: Call) -> Any:
    """A number of units that have no name."""
    found = number(call.values[0].first(1)) if call.values else None
    return None if found is None else {"value": found}


def _money(call: Call) -> tuple[int | float | Decimal | None, str]:
    if call.values and (sent := call.values[0].part(1)).text:
        return number(sent.part(1).text), sent.part(2).text
    price, quantity = (call.field(field_ref(name)) for name in call.argument.split())
    if not price:
        return None, ""
    each = price[0].part(1)
    one, times = number(each.part(1).text), number(quantity[0].first(1)) if quantity else 1
    if one is None or times is None:
        return None, ""
    return number(f"{round(float(one) * float(times), 2):.2f}"), each.part(2).text


FUNCTIONS = {"amount": amount, "charge_id": charge_id, "plain_quantity": plain_quantity}
