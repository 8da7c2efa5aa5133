"""The store's pure parts: hashes, folding, ranges, cursors, what lives in which column."""

from __future__ import annotations

import contextlib
import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.errors import Fault, Incorrect
from healthbrain.fhir import definitions, extract
from healthbrain.fhir.values import Number
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Position, bodies, cursors, keys, patient_key
from healthbrain.store.drafts import identical
from healthbrain.store.moments import amount, moment
from healthbrain.store.question import Sort, read_question, split, unescape
from healthbrain.store.rows import bounds, fold, index_rows
from healthbrain.store.types import MAIN_CODE, MAIN_DATE, UNIONS, type_index
from healthbrain.store.visibility import visible


def test_hashes_on_disk_never_change():
    """Whoever changes one of these makes every stored index row worthless."""
    assert patient_key("1") == 1907910104591473142
    assert keys.resource_key("Patient", "1").hex() == "1a7a4221af8d99f6364760ae125263dc"
    assert uuid.UUID(bytes=keys.resource_key("Patient", "1")) == keys.resource_uuid("Patient", "1")
    assert keys.number(keys.coded(7, "http://loinc.org", "8480-6")[0]) == keys.code_alone(7, "8480-6")
    assert keys.number(keys.coded(7, "http://loinc.org", "8480-6")[1]) == keys.code_in_system(
        7, "http://loinc.org", "8480-6"
    )
    assert keys.handle("Patient", "1") == patient_key("1")
    assert [keys.number(token) for token in keys.coded(7, "http://loinc.org", "8480-6")] == [
        6735935826400908242,
        6219635146069739310,
        -7959834020527990325,
    ]
    assert keys.number(keys.referred(7, "Patient", "1")) == -7586957366457908883
    assert keys.number(keys.present(7)) == 1883254514902260989
    assert keys.number(keys.form(7, "uri", "u")) == -5525309328684053333
    assert keys.name_hash("mg") == 8333223247047002555


@given(st.text("abc123-.", min_size=1, max_size=20), st.integers(1, 3000))
def test_a_reference_token_is_the_handle_under_the_parameters_mask(id_, parameter):
    token = keys.number(keys.referred(parameter, "Patient", id_))
    assert token ^ keys.signed(keys.reference_mask(parameter)) == patient_key(id_)


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("MÜLLER", "muller"),
        ("Ｍüller", "muller"),
        ("  A \t b ", "a b"),
        ("张　三", "张 三"),
        ("Straße", "strasse"),
        ("Å", "a"),
        ("ﬁ", "fi"),
    ],
)
def test_strings_are_compared_without_case_accents_and_width(written, folded):
    assert fold(written) == folded
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (Number("p", 5.35, 5.45, 5.4), (5.4, 5.4)),  # a quantity of 5.4
        (Number("p", 4.995, 5.005, 5.0), (5.0, 5.0)),  # of 5.00
        (Number("p", -0.5, 0.5, 0.0), (0.0, 0.0)),
        (Number("p", 4.5, 10.5, 7.5), (4.5, 10.5)),  # a Range 5..10
        (Number("p", 4.5, 14.5, 9.5), (4.5, 14.5)),  # a Range 5..14: ten wide, and still no point
        (Number("p", 4.95, 5.95, 5.45), (4.95, 5.95)),  # 5.0..5.9
        (Number("p", -math.inf, 5.5, 5.0), (-math.inf, 5.0)),  # less than 5
        (Number("p", 4.5, math.inf, 5.0), (5.0, math.inf)),
    ],
)
def test_a_single_number_is_a_point_and_a_range_a_range(number, expected):
    assert bounds(number) == expected


@given(st.integers(-(10**6), 10**6), st.integers(0, 4), st.integers(1, 10**4))
def test_no_range_is_taken_for_a_point_and_no_point_for_a_range(units, digits, width):
    unit = 10.0**-digits
    low, high = units * unit, (units + width) * unit
    assert bounds(Number("p", low - unit / 2, high + unit / 2, (low + high) / 2)) == (low - unit / 2, high + unit / 2)
    assert bounds(Number("p", low - unit / 2, low + unit / 2, low)) == (low, low)


def test_main_dates_and_codes_are_parameters_of_their_type():
    for table, kind in ((MAIN_DATE, "date"), (MAIN_CODE, "token")):
        for type_, code in table.items():
            assert definitions().search_parameters(type_)[code].type == kind, (type_, code)


def test_a_main_date_is_a_single_element():
    """Its range stands in two columns; an element that repeats would not fit (a Timing's outer limits do)."""
    for type_, code in MAIN_DATE.items():
        for path in definitions().search_parameters(type_)[code].paths:
            assert all(step[0] == "one" for step in path.steps), (type_, code, path)


def test_unions_name_parameters_of_one_kind():
    for (type_, code), parts in UNIONS.items():
        known = definitions().search_parameters(type_)
        assert {known[part].type for part in parts} == {known[code].type}


def test_the_patient_column_is_the_subject_and_others_are_compartment_tokens():
    index = type_index("Observation")
    assert index.patient_params == {"subject", "patient"}
    by_patient = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Device/d"}, "performer": [{"reference": "Patient/p"}],
    }  # fmt: skip
    rows = index_rows(index, "o", extract(by_patient))
    assert rows.patient is None
    assert keys.referred(0, "Patient", "p") in rows.tokens
    rows = index_rows(index, "o", extract(by_patient | {"subject": {"reference": "Patient/q"}}))
    assert rows.patient == patient_key("q")


def test_several_main_codes_are_told_from_one():
    def code_of(*codes: str) -> int | None:
        made = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"code": code} for code in codes]},
        }
        return index_rows(type_index("Observation"), "o", extract(made)).code

    assert code_of("a") == code_of("a", "a") not in {None, 0}
    assert code_of("a", "b") == 0
    assert code_of() is None


@given(st.binary(max_size=3000))
def test_bodies_come_back_as_they_were(body):
    assert bodies.decompress(bodies.compress(body)) == body


def test_a_body_of_an_unknown_dictionary_says_so():
    import zstandard

    other = zstandard.train_dictionary(2048, [f"sample {n} of something".encode() * 3 for n in range(500)], dict_id=77)
    with pytest.raises(Fault, match="77"):
        bodies.decompress(zstandard.ZstdCompressor(dict_data=other).compress(b"sample 3 of something"))


@given(
    st.lists(st.one_of(st.integers(), st.text(), st.none()).filter(lambda v: not isinstance(v, int) or abs(v) < 2**62))
)
def test_a_cursor_works_for_its_question_only(place):
    text = cursors.write(["Patient", [["name", "x"]]], place)
    assert cursors.read(text, ["Patient", [["name", "x"]]]) == place
    with pytest.raises(Incorrect):
        cursors.read(text, ["Patient", [["name", "y"]]])


@given(st.text(max_size=40))
def test_a_made_up_cursor_is_refused(text):
    with pytest.raises(Incorrect):
        cursors.read(text, ["Patient"])


@given(st.lists(st.text("a,\\|$b", max_size=6), min_size=1, max_size=4))
def test_escaped_values_come_apart_as_they_were_put_together(values):
    escaped = [v.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$") for v in values]
    assert [unescape(part) for part in split(",".join(escaped), ",")] == values


@given(st.text(max_size=30))
def test_whatever_is_typed_as_a_date_or_number_is_read_or_refused(text):
    for read in (moment, amount):
        with contextlib.suppress(Incorrect):
            read(text, "here")


def test_prefixes_and_precision_are_read():
    assert (moment("ge2026-02", "").prefix, moment("2026-02", "").high.month) == ("ge", 3)
    assert moment("2026-02-01T08:00:00 08:00", "").low.hour == 0, "an unescaped + arrives as a blank"
    assert (amount("lt5.40", "").value, round(amount("5.40", "").low, 3)) == (5.4, 5.395)


def test_result_parameters_are_told_from_criteria():
    asked = read_question(
        [("name", "a,b"), ("_count", "5000"), ("_sort", "-date"), ("_format", "json"), ("_cursor", "x"), ("code", "")]
    )
    assert [c.values for c in asked.criteria] == [("a", "b")]
    assert (asked.count, asked.sort, asked.cursor) == (1000, (Sort("date", descending=True),), "x")


def test_identical_means_to_the_last_digit():
    from healthbrain.fhir import parse

    assert identical({"a": 1, "b": [1.5]}, {"b": [1.5], "a": 1})
    assert not identical(parse('{"a": 1.50}'), parse('{"a": 1.5}'))
    assert not identical({"a": True}, {"a": 1})
    assert not identical({"a": [1, 2]}, {"a": [2, 1]})


@pytest.mark.parametrize(
    ("scope", "owner", "patient", "type_", "expected"),
    [
        (EVERYTHING, 1, None, "Patient", True),
        (Scope((1,), ()), 1, None, "Basic", True),
        (Scope((2,), ()), 1, 7, "Patient", False),
        (Scope((2,), (7,)), 1, 7, "Patient", True),
        (Scope((2,), (7,)), 1, None, "Basic", False),
        (Scope((), ()), 1, None, "Organization", True),
        (Scope((), None), 1, 7, "Observation", True),
        (Scope((), None), 1, None, "Basic", False),
        (Scope(None, ()), 1, None, "Basic", True),
    ],
)
def test_a_scope_opens_by_owner_patient_or_open_type(scope, owner, patient, type_, expected):
    assert visible(scope, owner, patient, type_) is expected


def test_a_position_is_text_and_back():
    assert Position.parse("1.2.3") == Position(1, 2, 3)
