"""Every sentence a sender or a user can be told is found in the sources and has a Chinese text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from tests.texts_in_sources import Found, texts

import healthbrain
from healthbrain.errors import HealthBrainError
from healthbrain.exchange.hl7v2.message import parse as parse_hl7
from healthbrain.exchange.hl7v2.translate import translate
from healthbrain.exchange.ledger import Entry, reason
from healthbrain.exchange.sender import Sender
from healthbrain.fhir import parse, validate
from healthbrain.fhir.primitives import primitives
from healthbrain.twin import faults
from healthbrain.web import language, wording

ROOT = Path(healthbrain.__file__).parent
ROOMS = ("access", "audit", "exchange", "fhir", "identity", "portrait", "store", "web")
# answers of interfaces that no screen shows: $validate, applications' sign-in, bulk export, subscriptions
NOT_ON_SCREENS = (
    "fhir/profile/",
    "fhir/fhirpath/",
    "fhir/compile/",
    "fhir/patch/",
    "exchange/bulkdata/",
    "exchange/notify/",
    "access/smart/",
)
# of the store a sender meets what is said while writing; a search is answered to who asked it, over the interface
STORE = re.compile(r"store/(bundles|drafts|entries|patching|reading|references|types|writing)\.py:")
# sentences made where the collector cannot follow; the runs below produce them
PASSED_ON = re.compile(r"\b(text|wrong|wish|message|issues\[0\]\.text)$|^one\.get\(")
ZH, EN = language.language("zh-CN"), language.language("en")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def _on_screens() -> list[Found]:
    found = [one for room in ROOMS for one in texts(ROOT, room)]
    return [
        one
        for one in found
        if not one.where.startswith(NOT_ON_SCREENS) and (not one.where.startswith("store/") or STORE.match(one.where))
    ]


def _said(template: str) -> bool:
    return bool(re.search(r"[a-z]{2}", template.replace("{}", "")))


def test_every_text_of_an_issue_or_error_has_a_chinese_translation() -> None:
    missing = {
        f"{one.where}: {one.template}"
        for one in _on_screens()
        if one.template and _said(one.template) and not wording.told_as(one.template)
    }
    assert not missing, "add to locale/refusals.po:\n" + "\n".join(sorted(missing))


def test_the_collector_sees_every_text_but_those_passed_on() -> None:
    found = _on_screens()
    assert len({one.template for one in found}) > 180
    blind = {f"{one.where}: {one.source}" for one in found if one.template is None and not PASSED_ON.search(one.source)}
    assert not blind


def test_a_translation_uses_every_value_once() -> None:
    for template, translation in wording.texts().items():
        gaps = template.count("{}")
        used = sorted(int(number) for number in re.findall(r"\{(\d+)\}", translation))
        assert used == list(range(gaps)), template


def test_what_is_wrong_with_a_primitive_is_told_in_chinese() -> None:
    for one in primitives().values():
        assert CHINESE.search(wording.tell(ZH, one.rule)), one.rule


def _reason(*issues: object, error: HealthBrainError | None = None) -> str:
    return reason(
        Entry(
            source=1, door="fhir", received_at=AT, settled_at=AT, state="refused", digest=b"", size=0,
            issues=tuple(issues), error=error,  # type: ignore[arg-type]  # issues of the tests
        )
    )  # fmt: skip


def _is_told(text: str) -> None:
    told = wording.tell(ZH, text)
    assert CHINESE.search(told), text
    english = re.findall(r"[a-z]{3,}(?: [a-z]{2,}){2,}", told)  # three plain words in a row
    assert not english, (text, told)
    assert wording.tell(EN, text) == text


OBSERVATION = (
    b'{"resourceType":"Encounter","id":"e1","status":"finished","class":{"system":'
    b'"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"subject":{"reference":"Patient/p1"},'
    b'"period":{"start":"2026-03-01T08:00:00+08:00"},"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">'
    + "门诊".encode()
    + b'</div>"}}'
)
MESSAGE = (
    "MSH|^~\\&|HIS|QP01|HB|QP00|20260301080000||ADT^A04|7|P|2.5.1|||||CHN|UTF-8\rEVN|A04|20260301080000\r"
    "PID|1||100^^^QP01^MR||张^伟||19800102|M\rPV1|1|O|||||||||||||||||V1\r"
).encode()


@pytest.mark.parametrize("name", sorted(faults.FHIR))
def test_the_twins_faulty_resources_are_refused_in_chinese(name: str) -> None:
    raw = faults.FHIR[name](OBSERVATION)
    try:
        issues = validate(parse(raw))
    except HealthBrainError as error:
        _is_told(_reason(*error.issues, error=error))
        return
    for issue in issues:
        _is_told(_reason(issue))


@pytest.mark.parametrize("name", sorted(faults.HL7))
def test_the_twins_faulty_messages_are_refused_in_chinese(name: str) -> None:
    raw = faults.HL7[name](MESSAGE)
    assert raw != MESSAGE
    sender = Sender(namespace="QP01", organisation="QP01", charset="", code_set="", zone="+08:00")
    try:
        made = translate(parse_hl7(raw, registered=""), sender, at=AT)
    except HealthBrainError as error:
        _is_told(_reason(*error.issues, error=error))
        return
    assert made.issues
    for issue in made.issues:
        if issue.severity == "error":
            _is_told(_reason(issue))


def test_resources_broken_at_random_are_refused_in_chinese() -> None:
    rng = Random(20260301)
    values = [None, [], {}, [None], "", " x", 1, -1.5, True, "2026-02-30", {"a": 1}, [{}], "é<"]
    whole = parse(OBSERVATION)
    told = set()
    for _ in range(400):
        broken = parse(OBSERVATION)
        key = rng.choice(
            [
                "status",
                "class",
                "subject",
                "period",
                "text",
                "id",
                "contained",
                "meta",
                "_status",
                "length",
                "type",
                "odd",
            ]
        )
        broken[key] = rng.choice(values)
        if rng.random() < 0.5:
            inner = rng.choice(["subject", "period", "text", "class"])
            broken[inner] = {
                **whole[inner],
                rng.choice(["reference", "start", "div", "status", "code", "end", "display"]): rng.choice(values),
            }
        for issue in validate(broken):
            told.add(issue.text)
    assert len(told) > 25
    for text in told:
        _is_told(text)


def test_a_refusal_is_told_with_its_place_and_values() -> None:
    assert wording.tell(ZH, "Encounter.period.start: lies in the future; correct it at the source and send again") == (
        "Encounter.period.start：时间在未来；请在来源系统更正后重新发送"
    )
    assert (
        wording.tell(ZH, "PID-3: required for Patient.identifier; send it")
        == "PID-3：Patient.identifier 必填；请补充后发送"
    )
    assert wording.tell(ZH, "line 3: Patient: is missing; Patient must have it").startswith("第 3 行：Patient：缺失")
    refused = wording.tell(ZH, "the role leader may not read Patient for the purpose HOPERAT")
    assert refused.startswith("角色“区领导”")
    assert "HOPERAT" not in refused


def test_an_unknown_text_is_shown_as_it_is() -> None:
    assert wording.tell(ZH, "something new: nobody wrote this before") == "something new: nobody wrote this before"
    assert wording.tell(ZH, "") == ""


def test_a_search_in_chinese_finds_the_english_reasons() -> None:
    assert wording.patterns(EN, "100%_") == ["%100\\%\\_%"]
    found = wording.patterns(ZH, "时间在未来")
    assert "%lies in the future; correct it at the source and send again%" in found
    assert "% has no such element; remove it or use an extension%" in wording.patterns(ZH, "没有这个元素")
