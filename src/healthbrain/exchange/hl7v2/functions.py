"""The closed set of functions a table may name. A new one is code; everything else is a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from healthbrain.exchange.hl7v2 import charges, concepts, dates, identifiers, people, results
from healthbrain.exchange.hl7v2.work import Call

FUNCTIONS: Mapping[str, Callable[[Call], Any]] = {
    **charges.FUNCTIONS,
    **concepts.FUNCTIONS,
    **dates.FUNCTIONS,
    **identifiers.FUNCTIONS,
    **people.FUNCTIONS,
    **results.FUNCTIONS,
}
