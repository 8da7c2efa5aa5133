"""Reading and writing FHIR JSON."""

from __future__ import annotations

import copy
import pickle

import pytest

from healthbrain.errors import Malformed
from healthbrain.fhir import Decimal, dump, parse


@pytest.mark.parametrize(
    "number",
    [
        "72.50",
        "1e3",
        "1E+2",
        "-0.0",
        "-0",
        "0.10",
        "12345678901234567890",
        "3.14159265358979323846",
        "1e400",
        "7.2",
        "5",
    ],
)
def test_a_number_comes_back_as_it_was_written(number: str) -> None:
    raw = f'{{"value":{number}}}'.encode()
    assert dump(parse(raw)) == raw


def test_an_exact_number_is_a_float_that_survives_copying_and_pickling() -> None:
    value = parse('{"value": 72.50}')["value"]
    assert value == 72.5
    assert isinstance(value, float)
    assert str(value) == "72.50"
    assert str(copy.deepcopy(value)) == "72.50"
    assert str(pickle.loads(pickle.dumps(value))) == "72.50"
    assert dump({"value": Decimal("1.0")}) == b'{"value":1.0}'


def test_a_number_that_loses_nothing_is_an_ordinary_one() -> None:
    assert type(parse('{"value": 7.2, "text": "a\\/b"}')["value"]) is float


def test_white_space_and_escapes_are_no_reason_to_fail() -> None:
    assert parse(b'{\n  "a" : [ 1 , 2 ],\t"b" : "\\u5f20\\u4f1f"\r\n}') == {"a": [1, 2], "b": "张伟"}


def test_a_byte_order_mark_is_tolerated() -> None:
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}
    assert parse("\ufeff" + '{"a":1}') == {"a": 1}


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"a": 1,\n "b": nope}', "line 2, column 7"),
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"a": NaN}', "line 1, column 7"),
        (b'{"a": Infinity}', "line 1, column 7"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b'{"a": 01}', "line 1, column"),
        (b'{"a":\n"\xff"}', "line 2, column 2: not UTF-8"),
        (b'{"a": "\\ud800"}', "line 1, column"),
        (b"[1]", "line 1, column 1"),
        (b'"text"', "line 1, column 1"),
        ('{"姓名": "张伟}', "line 1, column"),
        (b'{"a":1,"a":2}', "(a)"),
        (b'{"x":{"a":1,"b":2,"a":2}}', "(a)"),
        (b'{"a":"\\u0022","a":"1"}', "(a)"),
        (b'{"a":1e400', "line 1, column 11"),
        (b'{"a":1e400,"b":NaN}', "NaN"),
        (b'{"a":1e400,"b":"\\ud800"}', "half a character"),
        (b'{"a":1e400,"b":"\xff"}', "line 1, column 17: not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(raw: bytes | str, where: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(raw)
    assert where in caught.value.message


def test_a_duplicate_name_that_could_be_data_is_not_repeated() -> None:
    with pytest.raises(Malformed) as caught:
        parse('{"张伟":1,"张伟":2}')
    assert "张伟" not in caught.value.message


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_ends_at_64(open_: str, close: str) -> None:
    levels = open_.count("[") + open_.count("{")

    def nested(depth: int) -> str:
        return '{"a":' + open_ * (depth // levels) + "1" + close * (depth // levels) + "}"

    parse(nested(62))
    for depth in (66, 300, 990, 1020, 5000, 200_000):
        with pytest.raises(Malformed, match="deeper than 64"):
            parse(nested(depth))


def test_brackets_inside_strings_are_not_nesting() -> None:
    text = "[{" * 500
    assert parse(dump({"a": text}))["a"] == text
    assert parse(dump({"a": "]" * 100, "b": [{"c": ["["]}]}))["b"] == [{"c": ["["]}]
