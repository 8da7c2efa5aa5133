"""FHIR XML and the JSON it stands for: a table of what is said how, and of what is refused where."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.fhir_samples import BUNDLE, CONDITION, OBSERVATION, PATIENT

from healthbrain.errors import Incorrect, Invalid, Malformed, TooLarge
from healthbrain.fhir import dump, parse
from healthbrain.fhir.xml import from_xml, reading, to_xml

FHIR = 'xmlns="http://hl7.org/fhir"'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
SECRET = "张伟-310118"  # a patient's value: it must never stand in a message

# what stands in a Patient in XML, and in JSON; both ways
SAID = {
    "a boolean": ('<active value="true"/>', '"active":true'),
    "false": ('<active value="false"/>', '"active":false'),
    "an integer": ('<multipleBirthInteger value="-2"/>', '"multipleBirthInteger":-2'),
    "a choice": ('<deceasedDateTime value="2026-01"/>', '"deceasedDateTime":"2026-01"'),
    "an array of one": ('<name><family value="张"/></name>', '"name":[{"family":"张"}]'),
    "an array of primitives": (
        '<name><given value="a"/><given value="b"/></name>',
        '"name":[{"given":["a","b"]}]',
    ),
    "the order of the standard": (
        '<id value="p"/><active value="true"/><gender value="male"/>',
        '"gender":"male","active":true,"id":"p"',
    ),
    "the id of a resource and of an element": (
        '<id value="p"/><name id="n"><text value="x"/></name>',
        '"id":"p","name":[{"id":"n","text":"x"}]',
    ),
    "a primitive with an id": (
        '<birthDate id="b" value="1960-05"/>',
        '"birthDate":"1960-05","_birthDate":{"id":"b"}',
    ),
    "a primitive with an extension": (
        '<gender value="male"><extension url="u"><valueCode value="x"/></extension></gender>',
        '"gender":"male","_gender":{"extension":[{"url":"u","valueCode":"x"}]}',
    ),
    "a primitive without value": (
        '<gender><extension url="u"><valueCode value="x"/></extension></gender>',
        '"_gender":{"extension":[{"url":"u","valueCode":"x"}]}',
    ),
    "an array of primitives, one extended": (
        '<name><given value="a"/><given value="b"><extension url="u"><valueString value="x"/></extension></given>'
        '<given value="c"/></name>',
        '"name":[{"given":["a","b","c"],"_given":[null,{"extension":[{"url":"u","valueString":"x"}]},null]}]',
    ),
    "an array of primitives, one without value": (
        '<name><given value="a"/><given><extension url="u"><valueString value="x"/></extension></given></name>',
        '"name":[{"given":["a",null],"_given":[null,{"extension":[{"url":"u","valueString":"x"}]}]}]',
    ),
    "an array of primitives, none with value": (
        '<name><given><extension url="u"><valueString value="x"/></extension></given></name>',
        '"name":[{"_given":[{"extension":[{"url":"u","valueString":"x"}]}]}]',
    ),
    "extensions in an extension": (
        '<extension url="u"><extension url="v"><valueDecimal value="72.50"/></extension></extension>',
        '"extension":[{"url":"u","extension":[{"url":"v","valueDecimal":72.50}]}]',
    ),
    "a decimal with an exponent": (
        '<extension url="u"><valueDecimal value="1E+400"/></extension>',
        '"extension":[{"url":"u","valueDecimal":1E+400}]',
    ),
    "a very exact decimal": (
        '<extension url="u"><valueDecimal value="3.14159265358979323846"/></extension>',
        '"extension":[{"url":"u","valueDecimal":3.14159265358979323846}]',
    ),
    "a decimal without point": (
        '<extension url="u"><valueDecimal value="-0"/></extension>',
        '"extension":[{"url":"u","valueDecimal":-0}]',
    ),
    "special characters": (
        '<name><text value=" a&lt;b>&amp;&quot;c\'&#9;&#10;&#13;\U0001f600\u3000"/></name>',
        '"name":[{"text":" a<b>&\\"c\'\\t\\n\\r\U0001f600\u3000"}]',
    ),
    "a narrative": (
        f'<text><status value="generated"/>{DIV}张伟<br/><b class="x" >&gt; &#233; &amp;lt;</b><!-- kept --></div></text>',
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">张伟<br/>'
        '<b class=\\"x\\" >&gt; &#233; &amp;lt;</b><!-- kept --></div>"}',
    ),
    "contained resources": (
        '<contained><Patient><id value="c"/></Patient></contained><contained><Basic><code><text value="x"/></code>'
        "</Basic></contained>",
        '"contained":[{"resourceType":"Patient","id":"c"},{"resourceType":"Basic","code":{"text":"x"}}]',
    ),
}


@pytest.mark.parametrize(("xml", "json"), SAID.values(), ids=SAID)
def test_xml_and_json_say_the_same(xml: str, json: str) -> None:
    document = f'<?xml version="1.0" encoding="UTF-8"?><Patient {FHIR}>{xml}</Patient>'.encode()
    resource = parse(f'{{"resourceType":"Patient",{json}}}')
    assert to_xml(resource) == document
    assert from_xml(document) == resource
    assert sorted(dump(from_xml(document))) == sorted(dump(resource))  # digits too, which == does not compare


def test_a_resource_without_elements_is_one() -> None:
    assert from_xml(to_xml({"resourceType": "Patient"})) == {"resourceType": "Patient"}


@pytest.mark.parametrize("resource", [PATIENT, OBSERVATION, CONDITION, BUNDLE], ids=lambda r: r["resourceType"])
def test_a_resource_survives_xml(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    assert from_xml(to_xml(resource)) == resource == before


def test_resources_stand_in_bundles_and_parameters() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}]}
    assert b"<entry><resource><Patient><id" in to_xml(bundle)
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "x", "part": [{"name": "y", "resource": bundle}]}],
    }
    assert from_xml(to_xml(parameters)) == parameters


# one thing written in ways that do not matter: all mean the same
ALIKE = {
    "white space between elements": f'\n<Patient {FHIR}>\r\n\t<name>\n  <given value="a"/>\n</name>  </Patient>\n',
    "comments and instructions": f'<!-- x --><?p q?><Patient {FHIR}><!--y--><name><given value="a"><!--z--></given>'
    "<?p q?></name></Patient><!-- x -->",
    "start and end tags": f"<Patient {FHIR}><name><given value='a'></given></name></Patient>",
    "a prefix": '<f:Patient xmlns:f="http://hl7.org/fhir"><f:name><f:given value="a"/></f:name></f:Patient>',
    "a schema location": f'<Patient {FHIR} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="a b"><name><given value="a"/></name></Patient>',
    "a reference to a character": f'<Patient {FHIR}><name><given value="&#x61;"/></name></Patient>',
    "a byte order mark": f'\ufeff<Patient {FHIR}><name><given value="a"/></name></Patient>',
    "a declaration": f'<?xml version="1.0" encoding="utf-8" standalone="yes"?><Patient {FHIR}><name><given value="a"/>'
    "</name></Patient>",
}


@pytest.mark.parametrize("text", ALIKE.values(), ids=ALIKE)
def test_what_does_not_matter_is_not_seen(text: str) -> None:
    assert from_xml(text.encode()) == {"resourceType": "Patient", "name": [{"given": ["a"]}]}


def test_space_around_a_value_is_dropped_where_the_type_has_none() -> None:
    xml = f'<Patient {FHIR}><active value=" true "/><name><text value=" a "/></name><gender value="male\n"/></Patient>'
    assert from_xml(xml.encode()) == {
        "resourceType": "Patient",
        "active": True,
        "name": [{"text": " a "}],
        "gender": "male",
    }


@pytest.mark.parametrize(
    "text",
    [
        '<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="empty"/>'
        '<h:div><h:p title="a&quot;" xml:lang="zh">x&amp;<h:br/></h:p></h:div></text></Patient>',
        '<f:Patient xmlns:f="http://hl7.org/fhir"><f:text xmlns="urn:x"><f:status value="empty" xmlns=""/><h:div xmlns=""'
        ' xmlns:h="http://www.w3.org/1999/xhtml"><h:p title="a&quot;" xml:lang="zh">x&amp;<h:br/></h:p></h:div></f:text>'
        "</f:Patient>",
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml"><f:text><f:status value="empty"/>'
        '<div><p title="a&quot;" xml:lang="zh">x&amp;<br/></p></div></f:text></f:Patient>',
    ],
)
def test_a_narrative_that_leans_on_its_surroundings_is_made_to_stand_alone(text: str) -> None:
    div = f'{DIV}<p title="a&quot;" xml:lang="zh">x&amp;<br></br></p></div>'
    assert from_xml(text.encode())["text"] == {"status": "empty", "div": div}


def test_a_narrative_after_a_byte_order_mark_and_a_prefix_is_kept_byte_for_byte() -> None:
    text = f'<text><status value="empty"/>{DIV}<b >张</b ><![CDATA[<]]></div ></text>'
    raw = f'\ufeff<!-- 张 --><Patient {FHIR} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{text}</Patient>'
    assert from_xml(raw.encode())["text"]["div"] == f"{DIV}<b >张</b ><![CDATA[<]]></div >"


MALFORMED = {
    "nothing": b"",
    "JSON": b'{"resourceType":"Patient"}',
    "an open element": f"<Patient {FHIR}><name>".encode(),
    "two roots": f"<Patient {FHIR}/><Patient {FHIR}/>".encode(),
    "a DOCTYPE": f"<!DOCTYPE Patient><Patient {FHIR}/>".encode(),
    "an entity": f'<!DOCTYPE p [<!ENTITY a "b">]><Patient {FHIR}><id value="&a;"/></Patient>'.encode(),
    "a file asked for": f'<!DOCTYPE p SYSTEM "file:///etc/passwd"><Patient {FHIR}/>'.encode(),
    "an HTML entity": f'<Patient {FHIR}><text><status value="empty"/>{DIV}&nbsp;</div></text></Patient>'.encode(),
    "an unbound prefix": b"<f:Patient/>",
    "UTF-16": f"<Patient {FHIR}/>".encode("utf-16"),
    "another charset": f'<?xml version="1.0" encoding="GB18030"?><Patient {FHIR}/>'.encode(),
    "bytes that are not UTF-8": f"<Patient {FHIR}><id value='张'/></Patient>".encode("gb18030"),
    "a control character": f'<Patient {FHIR}><id value="&#1;"/></Patient>'.encode(),
    "too deep": f"<Patient {FHIR}>{'<extension>' * 40}".encode(),
    "too deep in resources": f"<Bundle {FHIR}>{'<entry><resource><Bundle>' * 40}".encode(),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_read_is_refused_with_its_line(raw: bytes) -> None:
    with pytest.raises(Malformed, match=r"^line \d+"):
        from_xml(raw)


def test_the_limit_of_depth_is_that_of_json() -> None:
    inner: dict[str, Any] = {"url": "u", "valueCode": "x"}
    for _ in range(30):
        inner = {"url": "u", "extension": [inner]}
    resource = {"resourceType": "Basic", "extension": [inner]}
    assert from_xml(to_xml(resource)) == parse(dump(resource))
    deeper = {"resourceType": "Basic", "extension": [{"url": "u", "extension": [inner]}]}
    with pytest.raises(Malformed):
        parse(dump(deeper))
    with pytest.raises(Invalid, match="deeper"):
        to_xml(deeper)
    xml = to_xml(resource).replace(b'<extension url="u">', b'<extension url="u"><extension url="u">', 1)
    with pytest.raises(Malformed, match="deeper"):
        from_xml(xml)


def test_the_limit_of_size_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SIZE", 10)
    with pytest.raises(TooLarge):
        from_xml(f"<Patient {FHIR}/>".encode())


# what stands in a Patient, and the element it is refused at
INVALID = {
    "an unknown element": ("<colour value='x'/>", "Patient"),
    "an unknown element deep down": ("<name/><name><x/></name>", "Patient.name[0]"),
    "a foreign element": ("<x xmlns='urn:x'/>", "Patient"),
    "an element of no namespace": ("<active xmlns='' value='true'/>", "Patient"),
    "an unknown attribute": ("<active value='true' colour='x'/>", "Patient.active"),
    "an attribute of another namespace": ("<active xmlns:x='urn:x' value='true' x:y='z'/>", "Patient.active"),
    "a type attribute": (
        "<active xmlns:x='http://www.w3.org/2001/XMLSchema-instance' value='true' x:type='y'/>",
        "Patient.active",
    ),
    "a value of a complex element": ("<name value='x'/>", "Patient.name[0]"),
    "text": (f"<name>{SECRET}</name>", "Patient.name[0]"),
    "text in a primitive": (f"<active>{SECRET}</active>", "Patient.active"),
    "a wrong boolean": (f"<active value='{SECRET}'/>", "Patient.active"),
    "a boolean as a digit": ("<active value='1'/>", "Patient.active"),
    "a wrong integer": (f"<multipleBirthInteger value='{SECRET}'/>", "Patient.multipleBirth.ofType(integer)"),
    "an integer with a point": ("<multipleBirthInteger value='1.0'/>", "Patient.multipleBirth.ofType(integer)"),
    "two signs": ("<multipleBirthInteger value='+-1'/>", "Patient.multipleBirth.ofType(integer)"),
    "a wrong decimal": (
        "<extension url='u'><valueDecimal value='.5'/></extension>",
        "Patient.extension[0].value.ofType(decimal)",
    ),
    "a decimal in other digits": (
        "<extension url='u'><valueDecimal value='１'/></extension>",
        "Patient.extension[0].value.ofType(decimal)",
    ),
    "an empty value": ("<name><given value='a'/><given value=''/></name>", "Patient.name[0].given[1]"),
    "an empty attribute": ("<name id=''/>", "Patient.name[0]"),
    "an empty element": ("<name><given value='a'/></name><name></name>", "Patient.name[1]"),
    "an empty primitive": ("<active/>", "Patient.active"),
    "an element twice": ("<active value='true'/><active value='true'/>", "Patient"),
    "a choice twice": ("<deceasedBoolean value='true'/><deceasedDateTime value='2026'/>", "Patient"),
    "another order": ("<gender value='male'/><active value='true'/>", "Patient"),
    "an array in two places": ("<name id='a'><text value='x'/></name><gender value='male'/><name/>", "Patient"),
    "an id as an element": ("<name><id value='x'/></name>", "Patient.name[0]"),
    "a child in a primitive": ("<active value='true'><name/></active>", "Patient.active"),
    "nothing contained": ("<contained/>", "Patient.contained[0]"),
    "two in one contained": ("<contained><Patient/><Patient/></contained>", "Patient.contained[0]"),
    "no resource contained": ("<contained><HumanName/></contained>", "Patient.contained[0]"),
    "a narrative of no namespace": ("<text><status value='empty'/><div/></text>", "Patient.text"),
    "a narrative with other things": (
        "<text><status value='empty'/><h:div xmlns:h='http://www.w3.org/1999/xhtml'><svg xmlns='urn:svg'/></h:div></text>",
        "Patient.text.div",
    ),
    "a resource type in an attribute": ("<contained><Patient id='x'/></contained>", "Patient.contained[0]"),
}


@pytest.mark.parametrize(("xml", "where"), INVALID.values(), ids=INVALID)
def test_what_is_no_fhir_is_refused_at_its_element_and_line(xml: str, where: str) -> None:
    with pytest.raises(Invalid, match=r"^line 2, column \d+: ") as refused:
        from_xml(f"<Patient {FHIR}>\n{xml}</Patient>".encode())
    assert [issue.expression for issue in refused.value.issues] == [where]
    assert "line 2" in refused.value.issues[0].text
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    "root", ["<Patient/>", f"<Nothing {FHIR}/>", f"<HumanName {FHIR}/>", '<Patient xmlns="urn:x"/>']
)
def test_the_outermost_element_must_be_a_resource(root: str) -> None:
    with pytest.raises(Invalid, match="outermost"):
        from_xml(root.encode())


# changes to a Patient that XML cannot say, and where
UNWRITABLE: list[tuple[dict[str, Any], str]] = [
    ({"colour": "x"}, "Patient.colour"),
    ({"active": "true"}, "Patient.active"),
    ({"active": None}, "Patient.active"),
    ({"multipleBirthInteger": True}, "Patient.multipleBirth.ofType(integer)"),
    ({"extension": [{"url": "u", "valueDecimal": float("nan")}]}, "Patient.extension[0].value.ofType(decimal)"),
    ({"extension": [{"url": "", "valueString": "x"}]}, "Patient.extension[0].url"),
    ({"name": {"text": "x"}}, "Patient.name"),
    ({"name": []}, "Patient.name"),
    ({"name": [{}]}, "Patient.name[0]"),
    ({"name": [{"given": ["a", None]}]}, "Patient.name[0].given[1]"),
    ({"name": [{"given": ["a"], "_given": [None, {"id": "x"}]}]}, "Patient.name[0].given"),
    ({"name": [{"given": ["a", ""]}]}, "Patient.name[0].given[1]"),
    ({"name": [{"text": "\x01"}]}, "Patient.name[0].text"),
    ({"name": [{"text": "\ud800"}]}, "Patient.name[0].text"),
    ({"name": [{"id": "\x01", "text": "x"}]}, "Patient.name[0].id"),
    ({"_gender": {"colour": "x"}}, "Patient.gender.colour"),
    ({"_gender": []}, "Patient.gender"),
    ({"_name": [{"id": "x"}]}, "Patient"),
    ({"deceasedBoolean": True, "deceasedDateTime": "2026"}, "Patient.deceased"),
    ({"contained": [{"resourceType": "Nothing"}]}, "Patient.contained[0]"),
    ({"contained": [{"resourceType": "Patient", "active": 1}]}, "Patient.contained[0].active"),
    ({"text": {"status": "empty", "div": "<div>x</div>"}}, "Patient.text.div"),
    ({"text": {"status": "empty", "div": f"{DIV}x</div></text><active/><text>"}}, "Patient.text.div"),
    ({"text": {"status": "empty", "div": f"<!DOCTYPE div>{DIV}x</div>"}}, "Patient.text.div"),
    ({"text": {"status": "empty", "div": f"<?xml version='1.0'?>{DIV}x</div>"}}, "Patient.text.div"),
    ({"text": {"status": "empty", "div": f"{DIV}&nbsp;</div>"}}, "Patient.text.div"),
]


@pytest.mark.parametrize(("content", "where"), UNWRITABLE)
def test_what_xml_cannot_say_is_refused_at_its_element(content: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as refused:
        to_xml({"resourceType": "Patient", **content})
    assert [issue.expression for issue in refused.value.issues] == [where]


@pytest.mark.parametrize("resource", [{}, {"resourceType": "Nothing"}, {"resourceType": ["Patient"]}])
def test_only_resources_are_written(resource: dict[str, Any]) -> None:
    with pytest.raises(Incorrect):
        to_xml(resource)


def test_comments_of_an_earlier_release_are_left_out() -> None:
    resource = {
        "resourceType": "Patient",
        "fhir_comments": ["a"],
        "name": [{"fhir_comments": ["b"], "text": "x"}],
        "gender": "male",
        "_gender": {"fhir_comments": ["c"]},
    }
    assert from_xml(to_xml(resource)) == {"resourceType": "Patient", "name": [{"text": "x"}], "gender": "male"}
