"""XML Patch (RFC 5261, RFC 7351) on resources as they are in FHIR XML."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from healthbrain.errors import Invalid, Malformed, TooLarge, http_status
from healthbrain.fhir.patch import apply_xml_patch, is_xml_patch

SECRET = "张秘密"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>one</p> two <b>three</b></div>'
PERSON: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "text": {"status": "generated", "div": DIV},
    "identifier": [{"system": "urn:a", "value": "1"}, {"system": "urn:b", "value": "2"}],
    "active": True,
    "name": [{"use": "official", "text": SECRET, "given": ["一", "二"]}, {"use": "old", "text": "x"}],
    "gender": "female",
    "birthDate": "1980-01-01",
    "_birthDate": {"id": "b"},
    "multipleBirthInteger": 2,
}
FHIR = 'xmlns="http://hl7.org/fhir"'
PREFIXED = 'xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"'


def patched(operations: str, root: str = f"diff {PREFIXED}") -> dict[str, Any]:
    before = copy.deepcopy(PERSON)
    found = apply_xml_patch(PERSON, f"<{root}>{operations}</{root.split()[0]}>".encode())
    assert before == PERSON
    return found


def changed(**elements: Any) -> dict[str, Any]:
    made = {**PERSON, **elements}
    return {name: value for name, value in made.items() if value is not None}


NAME, OLD = PERSON["name"]
ONE, TWO = PERSON["identifier"]
FIT: list[tuple[str, dict[str, Any]]] = [
    ("", PERSON),
    ('<replace sel="f:Patient/f:birthDate/@value">1990-02-03</replace>', changed(birthDate="1990-02-03")),
    ('<replace sel="/f:Patient/f:gender"><f:gender value="male"/></replace>', changed(gender="male")),
    ('<replace sel="*/f:gender"><gender xmlns="http://hl7.org/fhir" value="male"/></replace>', changed(gender="male")),
    ('<replace sel="Patient/gender/@value">male</replace>', changed(gender="male")),
    ('<remove sel="f:Patient/f:active"/>', changed(active=None)),
    ('<remove sel="f:Patient/f:birthDate/@id"/>', changed(_birthDate=None)),
    ('<remove sel="f:Patient/f:identifier[2]" ws="both"/>', changed(identifier=[ONE])),
    ('<remove sel="f:Patient/f:identifier[f:value/@value=\'1\']"/>', changed(identifier=[TWO])),
    ('<remove sel="f:Patient/f:name[f:use/@value=&quot;old&quot;]"/>', changed(name=[NAME])),
    ('<remove sel="f:Patient/f:birthDate[@id=\'b\'][1]"/>', changed(birthDate=None, _birthDate=None)),
    ('<add sel="f:Patient/f:name[2]"><f:given value="三"/></add>', changed(name=[NAME, {**OLD, "given": ["三"]}])),
    ('<add sel="f:Patient/f:name[1]/f:given[1]" pos="before"><f:given value="零"/></add>',
     changed(name=[{**NAME, "given": ["零", "一", "二"]}, OLD])),
    ('<add sel="f:Patient/f:name[1]/f:given[1]" pos="after"><f:given value="零"/></add>',
     changed(name=[{**NAME, "given": ["一", "零", "二"]}, OLD])),
    ('<add sel="f:Patient/f:identifier[1]" pos="prepend"><f:use value="usual"/></add>',
     changed(identifier=[{"use": "usual", **ONE}, TWO])),
    ('<add sel="f:Patient/f:gender" type="@id">g</add>', changed(_gender={"id": "g"})),
    ('<add sel="f:Patient/f:identifier[2]" pos="after"><f:identifier><f:value value="3"/></f:identifier>'
     '<f:identifier><f:value value="4"/></f:identifier></add>', changed(identifier=[ONE, TWO, {"value": "3"}, {"value": "4"}])),
    ('<replace sel="f:Patient/f:text/h:div/h:p/text()">uno</replace>',
     changed(text={"status": "generated", "div": DIV.replace("one", "uno")})),
    ('<replace sel="f:Patient/f:text/h:div/text()[1]"> and </replace>',
     changed(text={"status": "generated", "div": DIV.replace(" two ", " and ")})),
    ('<remove sel="f:Patient/f:text/h:div/h:p[.=\'one\']"/>',
     changed(text={"status": "generated", "div": DIV.replace("<p>one</p>", "")})),
    ('<add sel="f:Patient/f:text/h:div/h:b" pos="before">and <h:i>x</h:i> y</add>',
     changed(text={"status": "generated", "div": DIV.replace("<b>", "and <i>x</i> y<b>").replace(" two and", " two and")})),
    ('<add sel="f:Patient/f:multipleBirthInteger" pos="after"><f:contact><f:gender value="male"/></f:contact></add>'
     '<remove sel="f:Patient/f:multipleBirthInteger"/>', changed(multipleBirthInteger=None, contact=[{"gender": "male"}])),
]  # fmt: skip


@pytest.mark.parametrize(("operations", "expected"), FIT, ids=range(len(FIT)))
def test_operations_do_what_the_standard_says(operations: str, expected: dict[str, Any]) -> None:
    found = patched(operations)
    if "h:i" in operations:  # how the XML library writes a prefix in the narrative is its own matter
        assert "<h:i" in found["text"]["div"] or "<i" in found["text"]["div"]
        found["text"] = expected["text"]
    assert found == expected


@pytest.mark.parametrize(
    ("root", "operation"),
    [
        (f"p:patch {FHIR} xmlns:p='urn:ietf:rfc:7351'", "<p:replace sel='Patient/gender'><gender value='male'/></p:replace>"),
        ("patch xmlns='urn:ietf:rfc:7351'", "<replace sel='Patient/gender'><gender value='male'/></replace>"),
        ("diff", "<replace sel='Patient/gender'><gender value='male'/></replace>"),
        (f"diff {FHIR}", "<replace sel='Patient/gender'><gender value='male'/></replace>"),
    ],
)  # fmt: skip
def test_namespaces_are_those_of_the_patch_or_of_fhir(root: str, operation: str) -> None:
    raw = f"<{root}>{operation}</{root.split()[0]}>".encode()
    assert apply_xml_patch(PERSON, raw) == changed(gender="male")
    assert is_xml_patch(raw)


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ('<remove sel="f:Patient/f:photo"/>', "leads to nothing"),
        ('<remove sel="f:Patient/f:identifier"/>', "several places"),
        ('<remove sel="f:Patient/f:identifier[3]"/>', "leads to nothing"),
        ('<remove sel="Observation/status"/>', "leads to nothing"),
        ('<remove sel="f:Patient/f:gender/@id"/>', "leads to nothing"),
        ('<remove sel="f:Patient/f:gender/text()"/>', "leads to nothing"),
        ('<remove sel="f:Patient/f:text/h:div/text()[9]"/>', "leads to nothing"),
        ('<remove sel="//f:gender"/>', "path of names"),
        ('<remove sel=""/>', "path of names"),
        ('<remove sel="f:Patient/f:gender/"/>', "path of names"),
        ('<remove sel="count(f:Patient)"/>', "a step of the selector"),
        ('<remove sel="f:Patient/f:name[last()]"/>', "a condition of the selector"),
        ('<remove sel="f:Patient/f:name[1"/>', "a step of the selector"),
        ('<remove sel="q:Patient/f:name"/>', "not declared"),
        ('<remove sel="f:Patient/@q:id"/>', "not declared"),
        ('<remove sel="f:Patient"/>', "whole resource"),
        ('<replace sel="f:Patient"><f:Patient/></replace>', "whole resource"),
        ('<replace sel="f:Patient/f:gender"/>', "by one element"),
        ('<add sel="f:Patient/f:gender/@value">x</add>', "to an element"),
        ('<add sel="f:Patient" pos="before"><f:gender value="male"/></add>', "beside the root"),
        ('<add sel="f:Patient/f:gender" pos="inside"><f:gender value="male"/></add>', "pos is"),
        ('<add sel="f:Patient/f:gender" type="namespace::x">urn:x</add>', "type is"),
        ('<add sel="f:Patient"/>', "nothing to add"),
        ('<add sel="f:Patient"><f:gender value="male"/></add>', "."),  # its place is before the birth date
        ('<add sel="f:Patient"><f:colour value="red"/></add>', "."),
        ('<remove sel="f:Patient/f:active/@value"/>', "."),
        ('<replace sel="f:Patient/f:active/@value">perhaps</replace>', "."),
        ('<replace sel="f:Patient/f:id/@value">q</replace>', "keeps its type and id"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_resource_is_refused(operation: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        patched(operation)
    assert http_status(refused.value) == 422
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"<diff", "cannot be read"),
        (b"\xff\xfe<\x00d\x00", "cannot be read"),
        (b"<Parameters xmlns='http://hl7.org/fhir'/>", "'patch' or 'diff'"),
        (b"<diff><move sel='Patient'/></diff>", "operation 0 of the patch is one of"),
        (b"<diff><remove/></diff>", "needs 'sel'"),
        (b"<diff><remove sel='Patient' href='x'/></diff>", "no others"),
        (b"<!DOCTYPE diff [<!ENTITY a 'x'>]><diff><remove sel='&a;'/></diff>", "DOCTYPE"),
    ],
)
def test_what_is_no_patch_is_malformed(raw: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        apply_xml_patch(PERSON, raw)


def test_a_patch_is_limited() -> None:
    with pytest.raises(TooLarge):
        patched("<remove sel='Patient/active'/>" * 1001)
    with pytest.raises(Invalid, match="path of names"):
        patched(f"<remove sel='{'/'.join(['*'] * 200)}'/>")


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"<a", b"<Parameters xmlns='http://hl7.org/fhir'/>", b"<!DOCTYPE diff><diff/>"]
)
def test_other_content_is_not_taken_for_a_patch(raw: bytes) -> None:
    assert not is_xml_patch(raw)
