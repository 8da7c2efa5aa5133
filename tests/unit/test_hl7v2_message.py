"""Parsing, charsets and escapes of HL7 v2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.errors import Malformed
from healthbrain.exchange.hl7v2 import parse
from healthbrain.exchange.hl7v2.escape import STANDARD, Separators, escape, unescape
from healthbrain.exchange.hl7v2.files import messages_in

HEAD = "MSH|^~\\&|HIS|QP001|HB|QP00|20261122110000||ADT^A01|C1|P|2.5"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_end_with_cr_lf_or_both(end: str) -> None:
    message = parse((HEAD + end + "PID|1||M1^^^QP001^MR~X^^^^NI" + end).encode())
    assert [segment.name for segment in message.segments] == ["MSH", "PID"]
    pid = message.first("PID")
    assert pid is not None
    assert [value.first(1) for value in pid.values(3)] == ["M1", "X"]
    assert pid.values(3)[1].part(5).place == "PID-3[2].5"
    assert message.type == "ADT^A01"
    assert (message.application, message.facility, message.control_id) == ("HIS", "QP001", "C1")


def test_fields_of_msh_are_numbered_as_in_the_standard() -> None:
    header = parse(HEAD).header
    assert header.raw(1) == "|"
    assert header.raw(2) == "^~\\&"
    assert header.text(12) == "2.5"


def test_a_message_brings_its_own_separators() -> None:
    message = parse("MSH$%*!@$HIS$QP001$$$$$ADT%A01$C1$P$2.5\rPID$1$$M1%%%QP001%MR*X%a@b%c\r")
    pid = message.first("PID")
    assert pid is not None
    assert pid.values(3)[1].part(2).part(2).text == "b"
    assert message.type == "ADT^A01"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"PID|1\r", "MSH"),
        (b"MSH", "MSH"),
        (b"MSH|^^~\\|HIS\r", "MSH-2"),
        (b"MSHA^~\\&AHIS\r", "MSH-1"),
        ((HEAD + "\rOBX|1|TX|A||one\ntwo lines\r").replace("\r", "\n").encode(), "segment 3"),
        ((HEAD + "\rMSH|^~\\&|B\r").encode(), "second MSH"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_its_place(raw: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        parse(raw)


def test_a_line_feed_inside_a_value_is_kept_when_cr_ends_segments() -> None:
    message = parse(HEAD + "\rOBX|1|TX|A||one\ntwo\rOBX|2|TX|B||three\r")
    first = message.first("OBX")
    assert first is not None
    assert first.text(5) == "one\ntwo"


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("UNICODE UTF-8", "utf-8"), ("UTF-8", "utf-8"), ("GB 18030-2000", "gb18030"), ("", "gb18030"), ("", "utf-8")],
)
def test_chinese_text_is_read_in_the_character_set_it_was_sent(declared: str, codec: str) -> None:
    raw = f"{HEAD}||||||{declared}\rPID|1||M1||欧阳^修|\r".encode(codec)
    message = parse(raw)
    pid = message.first("PID")
    assert pid is not None
    assert (pid.text(5, 1), pid.text(5, 2)) == ("欧阳", "修")
    assert message.charset == codec


def test_a_chinese_character_whose_second_byte_is_a_separator_stays_whole() -> None:
    character = "\u6b5c"
    tricky = next(chr(c) for c in range(0x4E00, 0x9FA5) if len(e := chr(c).encode("gb18030")) == 2 and e[1:] == b"|")
    assert character  # any Han text will do beside the tricky one
    raw = f"{HEAD}||||||GB 18030-2000\rPID|1||M1||{tricky}{character}|\r".encode("gb18030")
    pid = parse(raw).first("PID")
    assert pid is not None
    assert pid.text(5) == tricky + character


def test_a_byte_order_mark_is_not_part_of_the_message() -> None:
    assert parse(b"\xef\xbb\xbf" + HEAD.encode()).control_id == "C1"


@pytest.mark.parametrize(
    ("declared", "text"),
    [("UNICODE UTF-8", "张".encode("gb18030")), ("ASCII", "张".encode()), ("KLINGON", b"x")],
)
def test_a_declared_character_set_that_does_not_fit_is_refused(declared: str, text: bytes) -> None:
    with pytest.raises(Malformed, match="MSH-18"):
        parse(f"{HEAD}||||||{declared}\rPID|1||M1||".encode() + text + b"\r")


def test_the_registered_character_set_counts_when_the_message_says_nothing() -> None:
    raw = f"{HEAD}\rPID|1||M1||é\r".encode("iso8859-1")
    pid = parse(raw, registered="8859/1").first("PID")
    assert pid is not None
    assert pid.text(5) == "é"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two", "one\ntwo"),
        (r"\H\loud\N\ ", "loud "),
        (r"\X41E4BDA0\ ", "A你 "),
        (r"\XZZ\ ", r"\XZZ\ "),
        (r"50\% off", r"50\% off"),
        (r"C:\temp\new", r"C:\temp\new"),
        (r"a\.sp2\b\.sk3\c", "a\n\nb   c"),
        ("plain", "plain"),
        ("\\", "\\"),
        (r"\E\F\E\ ", r"\F\ "),
    ],
)
def test_escape_sequences_mean_what_the_standard_says(sent: str, meant: str) -> None:
    assert unescape(sent) == meant


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))
def test_what_is_escaped_can_be_read_back(text: str) -> None:
    for marks in (STANDARD, Separators("$", "%", "*", "!", "@")):
        assert unescape(escape(text, marks), marks) == text


@given(
    st.lists(
        st.lists(
            st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Z"]), max_size=8), min_size=1, max_size=8
        ),
        max_size=6,
    )
)
def test_nothing_is_lost_between_text_and_segments(fields: list[list[str]]) -> None:
    lines = ["|".join(["ZZ1", *(escape(field) for field in row)]) for row in fields]
    message = parse("\r".join([HEAD, *lines]) + "\r")
    assert message.text == "\r".join([HEAD, *lines]) + "\r"
    for segment, row in zip(message.segments[1:], fields, strict=True):
        for number, field in enumerate(row, 1):
            assert unescape(segment.raw(number)) == field


def test_a_null_value_reads_as_empty() -> None:
    pid = parse(HEAD + '\rPID|1||M1||""^x|""\r').first("PID")
    assert pid is not None
    assert pid.text(5) == ""
    assert pid.text(5, 2) == "x"
    assert pid.values(6) == []


def test_a_batch_file_gives_its_messages() -> None:
    raw = f"FHS|^~\\&|a\rBHS|^~\\&|a\r{HEAD}\rPID|1\r{HEAD}\rPID|2\rBTS|2\rFTS|1\r".encode()
    found = list(messages_in(raw))
    assert len(found) == 2
    assert all(parse(one).segments[-1].name == "PID" for one in found)
