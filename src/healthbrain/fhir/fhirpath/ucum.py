"""UCUM: reading unit codes, comparing and converting them exactly.

Rule source: The Unified Code for Units of Measure, chapters 2 (grammar), 3 and 4. A code becomes a fraction times
powers of base units, so that `mmol/L` and `umol/mL` are recognised as the same without rounding. Temperatures
(Cel, [degF], [degRe]) and logarithmic units (pH, Np, B ...) lie on scales that are not ratios: they convert as a
whole, never inside a product. The case-sensitive codes (c/s) are the ones FHIR uses and the only ones read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache

from healthbrain.errors import Incorrect
from healthbrain.fhir.fhirpath.ucum_scales import METRIC_SCALES, SCALES, Scale
from healthbrain.fhir.fhirpath.ucum_units import (
    ARBITRARY,
    BASE,
    BINARY_PREFIXES,
    METRIC_ARBITRARY,
    PREFIXES,
    SAME_ARBITRARY,
    UNITS,
)

Powers = tuple[tuple[str, int], ...]  # (symbol, exponent), sorted by symbol, no zero exponents

_LONGEST = 200  # characters of a unit; the longest in use have about 40
_LARGEST_EXPONENT = 99
_EXACT = Context(prec=34)
_SYMBOL = re.compile(r"(?:\[[^\[\]\s]*\]|[^\s\[\](){}./+\-0-9\"]|10\*|10\^)+")
_DIGITS = re.compile(r"\d+")
_EXPONENT = re.compile(r"[+-]?\d+")


class UnknownUnit(Incorrect):
    """The text is not a UCUM unit."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as `factor` times powers of base units; `symbols` are the powers as it was written."""

    factor: Fraction
    dimension: Powers
    symbols: Powers = ()
    scale: Scale | None = field(default=None, compare=False)

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """The product (sign 1) or the quotient (sign -1)."""
        if self.scale or other.scale:
            raise UnknownUnit("a unit on a non-ratio scale such as Cel cannot be part of a product")
        return Unit(
            self.factor * other.factor**sign,
            _merged(self.dimension, other.dimension, sign),
            _merged(self.symbols, other.symbols, sign),
        )

    def power(self, exponent: int) -> Unit:
        """The unit raised to a whole power."""
        if exponent == 1:
            return self
        if abs(exponent) > _LARGEST_EXPONENT or self.scale:
            raise UnknownUnit("the exponent is out of range")
        return Unit(
            self.factor**exponent,
            tuple((s, e * exponent) for s, e in self.dimension if exponent),
            tuple((s, e * exponent) for s, e in self.symbols if exponent),
        )


_ONE = Unit(Fraction(1), ())


@lru_cache(maxsize=4096)
def unit(code: str) -> Unit:
    """The unit that `code` names. Raises UnknownUnit when it is not UCUM."""
    if not code or len(code) > _LONGEST:
        raise UnknownUnit("a unit has 1 to 200 characters")
    reader = _Reader(code)
    try:
        found = reader.main()
    except RecursionError:
        raise UnknownUnit("the unit is nested too deep") from None
    if any(abs(exponent) > _LARGEST_EXPONENT for _, exponent in found.dimension):
        raise UnknownUnit("an exponent is out of range")
    if reader.at < len(code):
        raise UnknownUnit(f"the unit cannot be read from character {reader.at + 1} on")
    return found


def valid(code: str) -> bool:
    """Whether `code` is a UCUM unit."""
    try:
        unit(code)
    except UnknownUnit:
        return False
    return True


def commensurable(one: str, other: str) -> bool:
    """Whether values of both units can be compared; false when either is not UCUM."""
    try:
        return unit(one).dimension == unit(other).dimension
    except UnknownUnit:
        return False


def convert(value: Decimal, source: str, target: str) -> Decimal | None:
    """`value` of unit `source` in unit `target`; None when they measure different things or are not UCUM."""
    try:
        one, other = unit(source), unit(target)
    except UnknownUnit:
        return None
    if one.dimension != other.dimension:
        return None
    if one.scale is None and other.scale is None:
        return decimal(Fraction(value) * one.factor / other.factor)
    try:
        proper = one.scale.to_proper(value) if one.scale else value
        scaled = decimal(Fraction(proper) * one.factor / other.factor)
        return other.scale.from_proper(scaled) if other.scale else scaled
    except (ArithmeticError, ValueError):
        return None


def canonical(value: Decimal, code: str) -> tuple[Decimal, str] | None:
    """`value` in base units, with their code; equal for equal quantities. None when `code` is not UCUM."""
    try:
        found = unit(code)
    except UnknownUnit:
        return None
    base = text_of(found.dimension)
    try:
        proper = found.scale.to_proper(value) if found.scale else value
    except (ArithmeticError, ValueError):
        return None
    return decimal(Fraction(proper) * found.factor), base


def product(one: str, other: str, sign: int = 1) -> str | None:
    """The code of the product (or quotient) of two units; None when it has none."""
    try:
        return text_of(unit(one).times(unit(other), sign).symbols)
    except UnknownUnit:
        return None


def text_of(powers: Powers) -> str:
    """The code that says these powers: `kg.m/s2`, `1` when there are none."""
    above = ".".join(_power_text(symbol, exponent) for symbol, exponent in powers if exponent > 0)
    below = "".join("/" + _power_text(symbol, -exponent) for symbol, exponent in powers if exponent < 0)
    return (above + below) or "1"


def decimal(number: Fraction) -> Decimal:
    """A fraction as a Decimal of 34 digits, exact when it has so few."""
    return _EXACT.divide(Decimal(number.numerator), Decimal(number.denominator))


def _power_text(symbol: str, exponent: int) -> str:
    if symbol.isdigit():  # a plain number has no exponent in UCUM
        return str(int(symbol) ** exponent)
    return symbol if exponent == 1 else f"{symbol}{'+' if symbol.startswith('10') else ''}{exponent}"


def _merged(one: Powers, other: Powers, sign: int) -> Powers:
    if not other:
        return one
    powers = dict(one)
    for symbol, exponent in other:
        powers[symbol] = powers.get(symbol, 0) + sign * exponent
    return tuple(sorted((s, e) for s, e in powers.items() if e))


class _Reader:
    """The grammar of UCUM section 2.1 to 2.4, one method a rule."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.at = 0

    def main(self) -> Unit:
        """A product read strictly from left to right; a leading / divides one."""
        if self._next("/"):
            return self.rest(_ONE.times(self.component(), -1))
        return self.rest(self.component())

    def rest(self, found: Unit) -> Unit:
        while self.at < len(self.code):
            if self._next("."):
                found = found.times(self.component())
            elif self._next("/"):
                found = found.times(self.component(), -1)
            else:
                break
        return found

    def component(self) -> Unit:
        if self._next("("):
            found = self.main()
            if not self._next(")"):
                raise UnknownUnit("a bracket is not closed")
            return found
        if self._peek() == "{":
            self._annotation()
            return _ONE
        found = self._symbol_or_factor()
        if self._peek() == "{":
            self._annotation()
        return found

    def _symbol_or_factor(self) -> Unit:
        match = _SYMBOL.match(self.code, self.at)
        if match is None:
            return self._factor()
        self.at = match.end()
        return _simple(match[0]).power(self._exponent())

    def _factor(self) -> Unit:
        match = _DIGITS.match(self.code, self.at)
        if match is None or int(match[0]) == 0:
            raise UnknownUnit(f"there is no unit at character {self.at + 1}")
        self.at = match.end()
        symbols = () if int(match[0]) == 1 else ((match[0], 1),)
        return Unit(Fraction(int(match[0])), (), symbols)

    def _exponent(self) -> int:
        match = _EXPONENT.match(self.code, self.at)
        if match is None:
            return 1
        if len(match[0]) > 3:
            raise UnknownUnit("the exponent is out of range")
        self.at = match.end()
        return int(match[0])

    def _annotation(self) -> None:
        end = self.code.find("}", self.at)
        text = self.code[self.at + 1 : end]
        if end < 0 or "{" in text or not text.isascii() or not text.isprintable():
            raise UnknownUnit("an annotation in braces is not closed or not plain ASCII")
        self.at = end + 1

    def _peek(self) -> str:
        return self.code[self.at : self.at + 1]

    def _next(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self.at += 1
        return True


@cache
def _atoms() -> dict[str, tuple[bool, str, str]]:
    """code -> (metric, value, unit) of every unit that is defined by another."""
    found = {}
    for line in UNITS.strip().splitlines():
        code, *rest = line.split()
        metric = rest[0] == "*"
        value, of = rest[1:] if metric else rest
        found[code] = (metric, value, of)
    return found


_BASE = frozenset(BASE)
_ARBITRARY = frozenset(ARBITRARY.split())


@lru_cache(maxsize=4096)
def _simple(symbol: str) -> Unit:
    """An atom, or a prefix and a metric atom."""
    atom = _atom(symbol)
    if atom is not None:
        return atom
    for length in (1, 2):
        prefix, rest = symbol[:length], symbol[length:]
        power = _prefix(prefix)
        if power is not None and rest and _is_metric(rest):
            atom = _atom(rest)
            if atom is not None:
                return _prefixed(power, atom, symbol)
    raise UnknownUnit("there is no such unit; codes are case-sensitive, as in mmol/L")


def _prefix(text: str) -> Fraction | None:
    if text in PREFIXES:
        return Fraction(10) ** PREFIXES[text]
    return Fraction(2) ** BINARY_PREFIXES[text] if text in BINARY_PREFIXES else None


def _prefixed(power: Fraction, atom: Unit, symbol: str) -> Unit:
    if atom.scale is None:
        return Unit(atom.factor * power, atom.dimension, ((symbol, 1),))
    scale, step = atom.scale, decimal(power)
    moved = Scale(
        scale.unit,
        lambda value: scale.to_proper(value * step),
        lambda value: scale.from_proper(value) / step,
    )
    return Unit(atom.factor, atom.dimension, ((symbol, 1),), moved)


def _is_metric(code: str) -> bool:
    if code in _BASE or code in METRIC_ARBITRARY:
        return True
    if code in SCALES:
        return code in METRIC_SCALES
    return code in _atoms() and _atoms()[code][0]


@cache
def _atom(code: str) -> Unit | None:
    symbols = ((code, 1),)
    if code in _BASE:
        return Unit(Fraction(1), symbols, symbols)
    if code in _ARBITRARY:
        return Unit(Fraction(1), ((SAME_ARBITRARY.get(code, code), 1),), symbols)
    if code in SCALES:
        scale = SCALES[code]
        proper = unit(scale.unit)
        return Unit(proper.factor, proper.dimension, symbols, scale)
    if code not in _atoms():
        return None
    _, value, of = _atoms()[code]
    defined = _ONE if of == "1" else unit(of)
    return Unit(defined.factor * Fraction(value), defined.dimension, symbols)
