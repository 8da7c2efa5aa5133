"""Units: what the codes mean, and what is not a unit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.fhir.fhirpath import ucum
from healthbrain.fhir.fhirpath.ucum_units import UNITS

CODES = [line.split()[0] for line in UNITS.strip().splitlines()]
RATIO = [
    "mg",
    "g",
    "kg",
    "mmol/L",
    "umol/mL",
    "mm[Hg]",
    "kPa",
    "cm",
    "m",
    "[in_i]",
    "10*9/L",
    "/uL",
    "mL/min",
    "h",
    "wk",
    "U/L",
    "g%",
    "m[iU]/L",
]


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("4", "g", "mg", "4000"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("37", "Cel", "[degF]", "98.6"),
        ("101.3", "[degF]", "Cel", "38.5"),
        ("0", "Cel", "K", "273.15"),
        ("80", "[degRe]", "Cel", "100"),
        ("1", "[lb_av]", "kg", "0.45359237"),
        ("1", "[foz_us]", "mL", "29.5735295625"),
        ("5.6", "mmol/L", "umol/mL", "5.6"),
        ("7", "%", "1", "0.07"),
        ("48", "mmol/mol", "%", "4.8"),
        ("1", "[iU]/mL", "m[IU]/L", "1000000"),
        ("1", "a", "d", "365.25"),
        ("3", "ug/(kg.min)", "mg/kg/h", "0.18"),
        ("60", "mL/min/{1.73_m2}", "L/h", "3.6"),
        ("1", "kat", "U", "60000000"),
        ("7", "[pH]", "mol/L", "1E-7"),
        ("20", "dB", "B", "2"),
        ("2", "kcal", "kJ", "8.368"),
        ("1", "m/s2", "cm/s2", "100"),
        ("1", "KiBy", "bit", "8192"),
    ],
)
def test_values_convert(value: str, source: str, target: str, expected: str) -> None:
    assert ucum.convert(Decimal(value), source, target) == Decimal(expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [("cm", "cm2"), ("kg", "s"), ("[iU]", "mg"), ("[iU]", "[arb'U]"), ("mmol/L", "mg/dL"), ("Cel", "s")],
)
def test_different_dimensions_do_not_convert(one: str, other: str) -> None:
    assert ucum.convert(Decimal(1), one, other) is None
    assert not ucum.commensurable(one, other)


@pytest.mark.parametrize(
    "code",
    ["", "mmHg", "cc", "µg", "Kg", "KG", "m g", "g//L", "/", "g.", "(g", "g)", "m^2", "10^", "[s]", "day", "year", "0",
     "{open", "{ä}", "cCel.m", "kmin", "m100", "m1000000", "g{a{b}}", "a" * 201, "(" * 150 + "m" + ")" * 150],
)  # fmt: skip
def test_what_is_not_a_unit_is_refused(code: str) -> None:
    if code in ("10^", "m1000000"):
        code += "-"
    assert not ucum.valid(code)
    assert ucum.canonical(Decimal(1), code) is None


@pytest.mark.parametrize("code", CODES)
def test_every_unit_of_the_table_can_be_read(code: str) -> None:
    assert ucum.unit(code).factor > 0


@pytest.mark.parametrize(
    "code", ["m", "g/dL", "10*3/uL", "{score}", "/min", "[HPF]", "mL/(8.h)", "1", "24.h", "m-2", "kg.m/s2"]
)
def test_a_product_with_the_reciprocal_is_one(code: str) -> None:
    inverse = ucum.product("1", code, -1)
    assert inverse is not None
    assert ucum.convert(Decimal(1), ucum.product(code, inverse) or "", "1") == 1


def test_products_are_written_shortest() -> None:
    assert ucum.product("cm", "cm") == "cm2"
    assert ucum.product("m/s", "s") == "m"
    assert ucum.product("g", "m", -1) == "g/m"
    assert ucum.product("1", "s", -1) == "/s"
    assert ucum.product("m", "m", -1) == "1"
    assert ucum.product("Cel", "m") is None


@given(st.sampled_from(RATIO), st.sampled_from(RATIO), st.decimals(-10_000, 10_000, places=4))
def test_converting_there_and_back_changes_nothing(one: str, other: str, value: Decimal) -> None:
    there = ucum.convert(value, one, other)
    assert (there is None) == (not ucum.commensurable(one, other))
    if there is not None:
        back = ucum.convert(there, other, one)
        assert back is not None
        assert abs(back - value) <= abs(value) * Decimal("1e-30")
        assert ucum.canonical(value, one) is not None


@given(st.text(alphabet="mgLsK[]{}()./*^-+0123456789'%abcdekhu ", max_size=30))
def test_any_text_is_a_unit_or_is_refused_in_order(code: str) -> None:
    if ucum.valid(code):
        found = ucum.canonical(Decimal(1), code)
        assert found is None or ucum.valid(found[1])
