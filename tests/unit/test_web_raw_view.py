"""Raw messages are readable: fields have names, findings are marked where they stand, nothing is lost in between."""

from __future__ import annotations

from healthbrain.web.language import language
from healthbrain.web.raw_view import MOST_LINES, RawView, raw_view

zh = language("zh-CN")
ADT = "MSH|^~\\&|HIS|QPH01|HUB|QP00|20261117||ADT^A04|1|P|2.5.1||||||{charset}\rPID|1||123^^^QPH01^MR||张^伟||19600501|M\rOBX|1|NM|SBP||154\rOBX|2|NM|DBP||75\r"


def _text(view: RawView) -> str:
    return "\n".join("".join(token.text for token in line.tokens) for line in view.lines)


def test_an_hl7_message_keeps_every_character_of_every_line() -> None:
    raw = ADT.format(charset="UTF-8").encode()
    assert _text(raw_view(zh, raw, "hl7v2", [])) == raw.decode().strip().replace("\r", "\n")


def test_fields_carry_their_number_and_name() -> None:
    view = raw_view(zh, ADT.format(charset="").encode(), "hl7v2", [])
    titles = {token.text: token.title for line in view.lines for token in line.tokens if token.title}
    assert titles["张^伟"] == "PID-5 姓名"
    assert titles["HIS"] == "MSH-3 发送系统"
    assert titles["19600501"] == "PID-7 出生日期"


def test_gb18030_is_read_as_declared() -> None:
    view = raw_view(zh, ADT.format(charset="GB 18030-2000").encode("gb18030"), "hl7v2", [])
    assert "张^伟" in _text(view)
    assert "GB18030" in view.note


def test_a_finding_marks_its_field_in_the_right_segment() -> None:
    view = raw_view(zh, ADT.format(charset="").encode(), "hl7v2", ["OBX[2]-5[1].1"])
    hits = [(n, token.text) for n, line in enumerate(view.lines, 1) for token in line.tokens if "hit" in token.look]
    assert hits == [(4, "75")]
    assert view.anchors == {"OBX[2]-5[1].1": "l4"}


def test_a_finding_about_an_empty_field_is_visible() -> None:
    view = raw_view(zh, b"MSH|^~\\&|A\rPID|1|||\r", "hl7v2", ["PID-3"])
    assert [token.text for token in view.lines[1].tokens if "hit" in token.look] == ["∅"]


def test_json_is_indented_with_numbers_as_written_and_findings_by_path() -> None:
    raw = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","value":72.50}}]}'
    view = raw_view(zh, raw, "fhir", ["Bundle.entry[0].resource.value"])
    assert "72.50" in _text(view)
    hit = next(line for line in view.lines if line.hit)
    assert "72.50" in "".join(token.text for token in hit.tokens)


def test_what_is_no_text_is_shown_as_hexadecimal() -> None:
    view = raw_view(zh, bytes([0, 1, 2, 255, 254]) * 10, "hl7v2", [])
    assert _text(view).startswith("00000000  00 01 02 ff fe")


def test_a_long_message_is_cut_around_its_first_finding() -> None:
    raw = "".join(["MSH|^~\\&|A\r", *(f"OBX|{n}|NM|X||{n}\r" for n in range(1, 1000))]).encode()
    view = raw_view(zh, raw, "hl7v2", ["OBX[900]-5"])
    assert len(view.lines) <= MOST_LINES
    assert any("hit" in token.look and token.text == "900" for line in view.lines for token in line.tokens)
    number = int(view.anchors["OBX[900]-5"][1:])
    assert "OBX|900|" in "".join(token.text for token in view.lines[number - 1].tokens)
    assert view.cut
