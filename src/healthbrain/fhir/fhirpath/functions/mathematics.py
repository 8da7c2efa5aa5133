"""Math functions. Rule source: FHIRPath N1 and 3.0, Math. What has no real result is empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException

from healthbrain.fhir.fhirpath.frame import Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.singletons import exact, integer, number
from healthbrain.fhir.fhirpath.values import Collection, Long

TABLE = Table()
_WORK = Context(prec=50, rounding=ROUND_HALF_UP, Emax=999, Emin=-999)
_RESULT = Context(prec=28, rounding=ROUND_HALF_UP, Emax=999, Emin=-999)


def _plain(items: Collection, name: str) -> int | Decimal | None:
    found = number(items, f"{name}()")
    if isinstance(found, Quantity):
        raise Unanswerable(f"{name}() takes a plain number, not a quantity")
    return found


@TABLE.plain("abs")
def _abs(items: Collection, frame: Frame) -> Collection:
    found = number(items, "abs()")
    if found is None:
        return []
    if isinstance(found, Quantity):
        return [replace(found, value=abs(found.value))]
    result = exact(_absolute(found))
    return [] if result is None else [result]


def _absolute(number: int | Decimal) -> int | Decimal:
    if isinstance(number, Decimal):
        return abs(number)
    return Long(abs(number)) if isinstance(number, Long) else abs(number)


def _to_whole(name: str, rounding: str) -> None:
    @TABLE.plain(name)
    def _call(items: Collection, frame: Frame) -> Collection:
        found = number(items, f"{name}()")
        if found is None or isinstance(found, int):
            return [] if found is None else [found]
        if isinstance(found, Quantity):
            return [replace(found, value=found.value.to_integral_value(rounding))]
        result = exact(int(found.to_integral_value(rounding)))
        return [] if result is None else [result]


_to_whole("ceiling", ROUND_CEILING)
_to_whole("floor", ROUND_FLOOR)
_to_whole("truncate", "ROUND_DOWN")


@TABLE.plain("round", 0, 1)
def _round(items: Collection, frame: Frame, precision: Collection | None = None) -> Collection:
    found = number(items, "round()")
    digits = 0 if precision is None else integer(precision, "the precision of round()")
    if found is None or digits is None:
        return []
    if digits < 0:
        raise Unanswerable("the precision of round() is 0 or more")
    value = found.value if isinstance(found, Quantity) else Decimal(found)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > digits:
        value = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _WORK)
    return [replace(found, value=value) if isinstance(found, Quantity) else value]


def _real(name: str, answer: Callable[[Decimal], Decimal]) -> None:
    """Declare a function from Decimal to Decimal; empty where it has no real value."""

    @TABLE.plain(name)
    def _call(items: Collection, frame: Frame) -> Collection:
        found = _plain(items, name)
        return [] if found is None else _result(lambda: answer(Decimal(found)))


def _result(calculate: Callable[[], Decimal]) -> Collection:
    try:
        found = _RESULT.plus(calculate())
    except DecimalException:
        return []
    kept = exact(found)
    return [] if kept is None else [kept]


_real("exp", _WORK.exp)
_real("ln", _WORK.ln)
_real("sqrt", _WORK.sqrt)


@TABLE.plain("log", 1)
def _log(items: Collection, frame: Frame, base: Collection) -> Collection:
    found, of = _plain(items, "log"), _plain(base, "log")
    if found is None or of is None:
        return []
    if found <= 0 or of <= 0:
        raise Unanswerable("log() takes numbers above 0")
    return _result(lambda: _WORK.divide(_WORK.ln(Decimal(found)), _WORK.ln(Decimal(of))))


@TABLE.plain("power", 1)
def _power(items: Collection, frame: Frame, exponent: Collection) -> Collection:
    found, to = _plain(items, "power"), _plain(exponent, "power")
    if found is None or to is None:
        return []
    result = _result(lambda: _WORK.power(Decimal(found), Decimal(to)) if to else Decimal(1))
    if result and isinstance(found, int) and isinstance(to, int) and to >= 0:
        whole = exact(Long(result[0]) if isinstance(found, Long) else int(result[0]))
        return [] if whole is None else [whole]
    return result
