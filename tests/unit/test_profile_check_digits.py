"""Codes of LOINC and SNOMED CT that cannot exist are told without their content; those that may exist are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.fhir.profile import validate_resource
from healthbrain.fhir.profile.check_digits import LOINC, SNOMED, impossible, luhn, verhoeff


@pytest.mark.parametrize(
    "code", ["8480-6", "14771-0", "85354-9", "29463-7", "718-7", "LA6576-8", "LP7795-0", "MTHU000998"]
)
def test_codes_of_loinc(code: str) -> None:
    assert impossible(LOINC, code) is False


@pytest.mark.parametrize("code", ["8480-5", "84806", "8480-66", "abc", "", "８480-6", "8480 -6", "-6", "12345678-0"])
def test_what_cannot_be_a_code_of_loinc(code: str) -> None:
    assert impossible(LOINC, code) is True


@pytest.mark.parametrize(
    "code",
    ["73211009", "404684003", "900000000000003001", "284196006 |烧伤|: 116676008 = 80247002", "73211009|糖尿病|", "421720008 |spray|+ 7946007 |drug|"],
    ids=str,
)  # fmt: skip
def test_codes_and_expressions_of_snomed_ct(code: str) -> None:
    assert impossible(SNOMED, code) is False


@pytest.mark.parametrize(
    ("code", "why"),
    [("73211008", "check digit"), ("73211090", "partition"), ("T-15460", "no number"), ("12345", "too short"),
     ("1234567890123456789", "too long"), ("073211009", "begins with zero"), ("754786011", "a description's id")],
)  # fmt: skip
def test_what_cannot_be_a_code_of_snomed_ct(code: str, why: str) -> None:
    assert impossible(SNOMED, code) is True, why


def test_of_other_systems_nothing_is_said() -> None:
    assert impossible("urn:own", "8480-5") is None


@given(st.text("0123456789", min_size=1, max_size=7), st.integers(0, 8))
def test_a_single_changed_digit_is_noticed_by_mod_10(number: str, place: int) -> None:
    place %= len(number)
    changed = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
    assert luhn(number) != luhn(changed)


@given(st.text("0123456789", min_size=6, max_size=17), st.integers(0, 20))
def test_one_check_digit_of_verhoeff_fits_and_swapped_neighbours_are_noticed(number: str, place: int) -> None:
    (digit,) = [one for one in "0123456789" if verhoeff(number + one)]
    whole = number + digit
    place %= len(whole) - 1
    swapped = whole[:place] + whole[place + 1] + whole[place] + whole[place + 2 :]
    assert verhoeff(swapped) is (swapped == whole)


def test_validation_places_them() -> None:
    coded = {"coding": [{"system": LOINC, "code": "8480-5"}, {"system": SNOMED, "code": "73211009"}]}
    issues = validate_resource({"resourceType": "Observation", "status": "final", "code": coded})
    wrong = [one for one in issues if one.severity == "error"]
    assert [(one.code, one.expression) for one in wrong] == [("code-invalid", "Observation.code.coding[0].code")]
    assert "8480" not in wrong[0].text
