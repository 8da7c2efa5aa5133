"""Validator cases: a resource with one thing wrong (or none), and exactly the errors it must give.

Each case names a resource and what is expected as `severity code place`. All errors must be named; warnings and notes
that are named must be there; `lacks` names findings that must not be there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from healthbrain.errors import Malformed
from healthbrain.fhir import parse
from healthbrain.fhir.profile import validate_resource

Json = dict[str, Any]
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
UCUM = "http://unitsofmeasure.org"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"


class Case(NamedTuple):
    """A resource and what is found in it."""

    title: str
    resource: Json
    expected: tuple[str, ...]
    lacks: tuple[str, ...] = ()


def case(title: str, resource: Json, *expected: str, lacks: tuple[str, ...] = ()) -> Case:
    return Case(title, resource, expected, lacks)


def patient(**more: Any) -> Json:
    return {"resourceType": "Patient", **more}


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def bundle(type_: str, *entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": type_, **({"entry": list(entries)} if entries else {}), **more}


def questionnaire(*items: Json, **more: Any) -> Json:
    return {"resourceType": "Questionnaire", "status": "active", **({"item": list(items)} if items else {}), **more}


def value_set(**more: Any) -> Json:
    return {"resourceType": "ValueSet", "status": "active", **more}


def code_system(**more: Any) -> Json:
    return {"resourceType": "CodeSystem", "status": "active", "content": "complete", **more}


def concept_map(**more: Any) -> Json:
    return {"resourceType": "ConceptMap", "status": "active", **more}


def narrated(div: str) -> Json:
    return patient(text={"status": "generated", "div": div})


def extended(value: Json) -> Json:
    return patient(extension=[value])


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


TYPES = [
    case("no resourceType", {"id": "a"}, "error required Resource.resourceType"),
    case("unknown resourceType", {"resourceType": "Patent"}, "error structure Resource.resourceType"),
    case("resourceType in small letters", {"resourceType": "patient"}, "error structure Resource.resourceType"),
    case("resourceType that is no string", {"resourceType": 1}, "error structure Resource.resourceType"),
    case("abstract type", {"resourceType": "DomainResource"}, "error structure Resource.resourceType"),
    case("data type for a resource", {"resourceType": "HumanName"}, "error structure Resource.resourceType"),
]

JSON = [
    case("unknown element", patient(shoeSize=44), "error structure Patient.shoeSize"),
    case("unknown element deep inside", patient(name=[{"nick": "x"}]), "error structure Patient.name[0].nick"),
    case("element of another type", patient(status="final"), "error structure Patient.status"),
    case("element name in wrong case", patient(birthdate="1980"), "error structure Patient.birthdate"),
    case(
        "resourceType inside a data type",
        patient(name=[{"resourceType": "HumanName", "family": "x"}]),
        "error structure Patient.name[0].resourceType",
    ),
    case("comments of DSTU1", patient(fhir_comments=["x"]), "error structure Patient.fhir_comments"),
    case("number for a string", patient(name=[{"family": 5}]), "error value Patient.name[0].family"),
    case("string for a boolean", patient(active="true"), "error value Patient.active"),
    case("string for a number", observation(valueInteger="5"), "error value Observation.value.ofType(integer)"),
    case(
        "string for a decimal",
        observation(valueQuantity={"value": "5.0"}),
        "error value Observation.value.ofType(Quantity).value",
    ),
    case(
        "boolean for a decimal",
        observation(valueQuantity={"value": True}),
        "error value Observation.value.ofType(Quantity).value",
    ),
    case("decimal for an integer", observation(valueInteger=5.5), "error value Observation.value.ofType(integer)"),
    case("object for an array", patient(name={"family": "x"}), "error structure Patient.name"),
    case("array for an object", patient(maritalStatus=[{"text": "x"}]), "error structure Patient.maritalStatus"),
    case("array for a primitive", patient(gender=["male"]), "error structure Patient.gender"),
    case("primitive for an array", patient(name=[{"given": "x"}]), "error structure Patient.name[0].given"),
    case("primitive for an object", patient(maritalStatus="M"), "error structure Patient.maritalStatus"),
    case("object for a primitive", patient(birthDate={"value": "1980"}), "error value Patient.birthDate"),
    case("primitives in an array of objects", patient(name=["x"]), "error structure Patient.name[0]"),
    case("null", patient(gender=None), "error structure Patient.gender"),
    case("null for an object", patient(maritalStatus=None), "error structure Patient.maritalStatus"),
    case("null in an array of objects", patient(name=[None]), "error structure Patient.name[0]"),
    case(
        "null in an array of primitives",
        patient(name=[{"given": ["x", None]}]),
        "error structure Patient.name[0].given[1]",
    ),
    case(
        "null beside an extension is right",
        patient(name=[{"given": ["x", None], "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "y"}]}]}]),
    ),
    case("empty array", patient(name=[]), "error structure Patient.name"),
    case("empty array of primitives", patient(name=[{"given": []}]), "error structure Patient.name[0].given"),
    case("empty object", patient(maritalStatus={}), "error structure Patient.maritalStatus"),
    case("empty object in an array", patient(name=[{}]), "error structure Patient.name[0]"),
    case("empty string", patient(name=[{"family": ""}]), "error value Patient.name[0].family"),
    case("object with nothing but an id", patient(name=[{"id": "a"}]), "error structure Patient.name[0]"),
    case("white space around a string", patient(name=[{"family": " Li "}]), "warning value Patient.name[0].family"),
    case("string of white space only", patient(name=[{"family": "  "}]), "warning value Patient.name[0].family"),
    case("control character", patient(name=[{"family": "a\u0001"}]), "error value Patient.name[0].family"),
    case("companion of an object", patient(_name=[{"id": "a"}]), "error structure Patient._name"),
    case("companion that is no object", patient(birthDate="1980", _birthDate="x"), "error structure Patient.birthDate"),
    case("empty companion", patient(birthDate="1980", _birthDate={}), "error structure Patient.birthDate"),
    case(
        "companion with an unknown element",
        patient(birthDate="1980", _birthDate={"value": "x"}),
        "error structure Patient.birthDate.value",
    ),
    case(
        "companion arrays of two lengths",
        patient(name=[{"given": ["a", "b"], "_given": [{"id": "x"}]}]),
        "error structure Patient.name[0].given",
    ),
    case("companion of an unknown element", patient(_shoeSize={"id": "a"}), "error structure Patient._shoeSize"),
    case("value twice", observation(valueString="x", valueInteger=1), "error structure Observation.value"),
    case("value of a type it may not have", observation(valueDecimal=1.5), "error structure Observation.valueDecimal"),
    case("choice without its type", observation(value="x"), "error structure Observation.value"),
    case(
        "companion for another type of a choice",
        observation(valueString="x", _valueInteger={"extension": [{"url": "urn:x", "valueCode": "y"}]}),
        "error structure Observation.value",
    ),
]

CARDINALITY = [
    case(
        "required element missing",
        {"resourceType": "Observation", "status": "final"},
        "error required Observation.code",
    ),
    case(
        "several required elements missing",
        {"resourceType": "Observation"},
        "error required Observation.status",
        "error required Observation.code",
    ),
    case(
        "required element inside",
        observation(component=[{"valueString": "x"}]),
        "error required Observation.component[0].code",
    ),
    case(
        "required element two levels inside",
        questionnaire({"linkId": "1", "type": "group", "item": [{"type": "string"}]}),
        "error required Questionnaire.item[0].item[0].linkId",
    ),
    case(
        "required element of a data type",
        patient(link=[{"other": {"reference": "Patient/b"}}]),
        "error required Patient.link[0].type",
    ),
    case(
        "required choice missing",
        {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/a"},
        },
        "error required MedicationRequest.medication",
    ),
    case(
        "required primitive with an extension only is there",
        {
            "resourceType": "Observation",
            "_status": {"extension": [{"url": "urn:x", "valueCode": "y"}]},
            "code": {"text": "x"},
        },
    ),
    case("narrative without status", patient(text={"div": DIV.format("x")}), "error required Patient.text.status"),
    case("extension without url", extended({"valueString": "x"}), "error required Patient.extension[0].url"),
]


def _primitive(title: str, path: str, resource: Json, *, good: bool) -> Case:
    return case(f"{title} {'right' if good else 'wrong'}", resource, *(() if good else (f"error value {path}",)))


def _of(title: str, path: str, make: Any, good: tuple[Any, ...], bad: tuple[Any, ...]) -> list[Case]:
    return [
        _primitive(f"{title} {str(one)[:40]!r} ({number})", path, make(one), good=right)
        for right, values in ((True, good), (False, bad))
        for number, one in enumerate(values)
    ]


PRIMITIVES = [
    *_of(
        "date",
        "Patient.birthDate",
        lambda v: patient(birthDate=v),
        ("1980", "1980-02", "2024-02-29"),
        (
            "80",
            "1980-2",
            "1980-13",
            "1980-00",
            "1980-02-30",
            "2023-02-29",
            "1980-02-01T00:00:00Z",
            "1980/02/01",
            "0000",
            " 1980",
            "1980-02-01 ",
            1980,
            "１９８０",
        ),
    ),
    *_of(
        "dateTime",
        "Observation.effective.ofType(dateTime)",
        lambda v: observation(effectiveDateTime=v),
        ("2024", "2024-01", "2024-01-31", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00.123+08:00"),
        (
            "2024-01-31T10:00:00",
            "2024-01-31T10:00Z",
            "2024-01-31T10Z",
            "2024-01-31T24:00:00Z",
            "2024-01-31 10:00:00Z",
            "2024-01-31T10:00:00+8:00",
            "2024-01-31T10:60:00Z",
            "2024-01-31T10:00:00+15:00",
            "2024-02-30T10:00:00Z",
            "2024-01-31t10:00:00z",
        ),
    ),
    *_of(
        "instant",
        "Observation.issued",
        lambda v: observation(issued=v),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00.5-05:00"),
        ("2024", "2024-01-31", "2024-01-31T10:00:00", "2024-01-31T10:00Z"),
    ),
    *_of(
        "time",
        "Observation.value.ofType(time)",
        lambda v: observation(valueTime=v),
        ("10:00:00", "23:59:59.999"),
        ("10:00", "24:00:00", "10:00:00Z", "1:00:00", "10:61:00"),
    ),
    *_of(
        "id",
        "Patient.id",
        lambda v: patient(id=v),
        ("a", "A.b-1", "x" * 64),
        ("", "x" * 65, "a_b", "a b", "中", "a/b", 5),
    ),
    *_of(
        "code",
        "Patient.communication[0].language.coding[0].code",
        lambda v: patient(communication=[{"language": {"coding": [{"system": "urn:x", "code": v}]}}]),
        ("a", "a b", "甲"),
        (" a", "a ", "a  b", "a\tb", "", 1),
    ),
    *_of(
        "positiveInt",
        "Patient.telecom[0].rank",
        lambda v: patient(telecom=[{"rank": v}]),
        (1, 2147483647),
        (0, -1, 1.5, "1", 2147483648),
    ),
    *_of("unsignedInt", "Bundle.total", lambda v: bundle("searchset", total=v), (0, 5), (-1, 1.0, "0", 2147483648)),
    *_of(
        "integer",
        "Observation.value.ofType(integer)",
        lambda v: observation(valueInteger=v),
        (0, -5, 2147483647, -2147483648),
        (2147483648, 1.0, "1", True),
    ),
    *_of(
        "oid",
        "ActivityDefinition.extension[0].value.ofType(oid)",
        lambda v: {
            "resourceType": "ActivityDefinition",
            "status": "draft",
            "extension": [{"url": "urn:x", "valueOid": v}],
        },
        ("urn:oid:1.2.3", "urn:oid:2.16.156.10011.1.3"),
        ("1.2.3", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1", "urn:oid:1..2", "urn:uuid:1.2"),
    ),
    *_of(
        "uuid",
        "Patient.extension[0].value.ofType(uuid)",
        lambda v: extended({"url": "urn:x", "valueUuid": v}),
        (urn(1),),
        ("00000000-0000-4000-8000-000000000001", "urn:uuid:1", urn(1)[:-1]),
    ),
    *_of(
        "uri",
        "Patient.identifier[0].system",
        lambda v: patient(identifier=[{"system": v, "value": "1"}]),
        ("urn:x", "http://a.b/c?d=e#f", "urn:oid:1.2.3", urn(1).upper().replace("URN:UUID", "urn:uuid")),
        ("http://a b", "", " urn:x", "urn:oid:x", "urn:uuid:x", "a\nb"),
    ),
    *_of(
        "url", "Patient.photo[0].url", lambda v: patient(photo=[{"url": v}]), ("http://a/b.png",), ("http://a /b", "")
    ),
    *_of(
        "canonical",
        "PlanDefinition.library[0]",
        lambda v: {"resourceType": "PlanDefinition", "status": "draft", "library": [v]},
        ("http://a/b", "http://a/b|1.0", "http://a/b|1#x"),
        ("http://a b", ""),
    ),
    *_of(
        "base64",
        "Patient.photo[0].data",
        lambda v: patient(photo=[{"contentType": "image/png", "data": v}]),
        ("aGk=", "aGkh", "aG kh"),
        ("aGk", "aGk=!", "=", "a===", "甲", ""),
    ),
    *_of(
        "decimal",
        "Observation.value.ofType(Quantity).value",
        lambda v: observation(valueQuantity={"value": v}),
        (0, 1.5, -2, 1e10),
        ("1", None.__class__, True)[:1],
    ),
    *_of("markdown", "Questionnaire.description", lambda v: questionnaire(description=v), ("*x*\n- y",), ("", 1)),
    *_of(
        "string", "Patient.name[0].family", lambda v: patient(name=[{"family": v}]), ("李", "a\nb"), ("", 1, "a\u0000b")
    ),
]

NARRATIVE = [
    case(
        "narrative right",
        narrated(DIV.format("<p>x</p><table><tr><td colspan='2'>y</td></tr></table>")),
        lacks=("warning",),
    ),
    *(
        case(f"narrative {title}", narrated(div), "error structure Patient.text.div")
        for title, div in {
            "script": DIV.format("<script>x</script>"),
            "form": DIV.format("<form>x</form>"),
            "input": DIV.format("x<input/>"),
            "iframe": DIV.format("x<iframe src='x'/>"),
            "object": DIV.format("<object>x</object>"),
            "head and body": "<html><body>x</body></html>",
            "style element": DIV.format("<style>p{}</style>x"),
            "link element": DIV.format("x<link href='x'/>"),
            "event attribute": DIV.format("<p onclick='x()'>x</p>"),
            "unknown attribute": DIV.format("<p data-x='1'>x</p>"),
            "javascript link": DIV.format("<a href='javascript:x()'>x</a>"),
            "empty": DIV.format(""),
            "white space only": DIV.format("  <p> </p>"),
            "self-closed": '<div xmlns="http://www.w3.org/1999/xhtml"/>',
            "without namespace": "<div>x</div>",
            "in another namespace": '<div xmlns="urn:x">x</div>',
            "of two divs": DIV.format("x") * 2,
            "unclosed": '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</div>',
            "text around": "x" + DIV.format("x"),
            "plain text": "hello",
            "not a div": '<p xmlns="http://www.w3.org/1999/xhtml">x</p>',
            "html entity": DIV.format("a&nbsp;b"),
            "bare ampersand": DIV.format("a & b"),
            "doctype": '<!DOCTYPE div [<!ENTITY e "x">]>' + DIV.format("&e;"),
            "attribute without quotes": DIV.format("<p class=x>x</p>"),
        }.items()
    ),
    case("numeric entity is right", narrated(DIV.format("a&#160;b &amp; c"))),
    case("image counts as content", narrated(DIV.format('<img src="#a" alt="x"/>'))),
    case("without narrative", patient(), "warning invariant Patient"),
    case(
        "unknown narrative status",
        patient(text={"status": "fine", "div": DIV.format("x")}),
        "error code-invalid Patient.text.status",
    ),
    case("div that is no string", patient(text={"status": "generated", "div": 1}), "error structure Patient.text.div"),
]

ORGANIZATION = {"resourceType": "Organization", "id": "o", "name": "x"}
REFERENCES = [
    case("reference of an allowed type", observation(subject={"reference": "Patient/1"})),
    case(
        "reference of another type",
        observation(subject={"reference": "Practitioner/1"}),
        "error value Observation.subject.reference",
    ),
    case(
        "absolute reference of another type",
        observation(subject={"reference": "http://a/fhir/Practitioner/1"}),
        "error value Observation.subject.reference",
    ),
    case("absolute reference with version", observation(subject={"reference": "http://a/fhir/Patient/1/_history/2"})),
    case(
        "Reference.type of another type",
        observation(subject={"type": "Practitioner", "identifier": {"value": "1"}}),
        "error value Observation.subject.type",
    ),
    case(
        "Reference.type that is none",
        observation(subject={"type": "Human", "display": "x"}),
        "error value Observation.subject.type",
    ),
    case(
        "Reference.type against its reference",
        observation(subject={"type": "Group", "reference": "Patient/1"}),
        "error value Observation.subject.reference",
    ),
    case(
        "reference to an unknown type",
        observation(subject={"reference": "Human/1"}),
        "error value Observation.subject.reference",
    ),
    case(
        "reference that is only an id",
        observation(subject={"reference": "1234"}),
        "error value Observation.subject.reference",
    ),
    case(
        "reference with an id that is none",
        observation(subject={"reference": "Patient/a_b"}),
        "error value Observation.subject.reference",
    ),
    case(
        "reference with white space",
        observation(subject={"reference": "Patient/a b"}),
        "error value Observation.subject.reference",
    ),
    case(
        "malformed urn", observation(subject={"reference": "urn:uuid:1"}), "error value Observation.subject.reference"
    ),
    case("empty reference", observation(subject={}), "error structure Observation.subject"),
    case("display alone is right", observation(subject={"display": "Li"})),
    case(
        "conditional reference outside a transaction",
        observation(subject={"reference": "Patient?name=x"}),
        "error value Observation.subject.reference",
    ),
    case(
        "contained target", observation(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"})
    ),
    case(
        "contained target of another type",
        observation(contained=[ORGANIZATION], subject={"reference": "#o"}),
        "error value Observation.subject.reference",
    ),
    case(
        "contained target is missing",
        observation(subject={"reference": "#p"}),
        "error not-found Observation.subject.reference",
        "error invariant Observation.subject",
    ),
    case(
        "contained target of a canonical is missing",
        {"resourceType": "PlanDefinition", "status": "draft", "library": ["#x"]},
        "error not-found PlanDefinition.library[0]",
    ),
    case(
        "reference to the container",
        patient(contained=[{**ORGANIZATION, "partOf": {"reference": "#"}}], managingOrganization={"reference": "#o"}),
    ),
    case(
        "reference from contained to contained",
        patient(
            contained=[{**ORGANIZATION, "partOf": {"reference": "#q"}}, {**ORGANIZATION, "id": "q"}],
            managingOrganization={"reference": "#o"},
        ),
    ),
]

CONTAINED = [
    case(
        "dom-2: contained within contained",
        patient(
            contained=[{**ORGANIZATION, "contained": [{**ORGANIZATION, "id": "q"}], "partOf": {"reference": "#q"}}],
            managingOrganization={"reference": "#o"},
        ),
        "error invariant Patient.contained[0]",
        "error invariant Patient",
        "error invariant Patient.contained[0].partOf",
    ),
    case("dom-3: contained not referred to", patient(contained=[ORGANIZATION]), "error invariant Patient"),
    case(
        "dom-4: version of a contained resource",
        patient(contained=[{**ORGANIZATION, "meta": {"versionId": "1"}}], managingOrganization={"reference": "#o"}),
        "error invariant Patient",
    ),
    case(
        "dom-4: lastUpdated of a contained resource",
        patient(
            contained=[{**ORGANIZATION, "meta": {"lastUpdated": "2024-01-31T10:00:00Z"}}],
            managingOrganization={"reference": "#o"},
        ),
        "error invariant Patient",
    ),
    case(
        "dom-5: security label of a contained resource",
        patient(
            contained=[{**ORGANIZATION, "meta": {"security": [{"system": "urn:x", "code": "y"}]}}],
            managingOrganization={"reference": "#o"},
        ),
        "error invariant Patient",
    ),
    case(
        "contained without id",
        patient(contained=[{"resourceType": "Organization", "name": "x"}]),
        "error required Patient.contained[0].id",
        "error invariant Patient",
    ),
    case(
        "contained with the id of another",
        patient(contained=[ORGANIZATION, ORGANIZATION], managingOrganization={"reference": "#o"}),
        "error duplicate Patient.contained[1].id",
    ),
    case(
        "contained that is no resource",
        patient(contained=[{"id": "x"}]),
        "error required Patient.contained[0].resourceType",
        "error invariant Patient",
    ),
    case(
        "structure of a contained resource",
        patient(contained=[{**ORGANIZATION, "names": "x"}], managingOrganization={"reference": "#o"}),
        "error structure Patient.contained[0].names",
    ),
    case(
        "an element id twice",
        patient(name=[{"id": "a", "family": "x"}, {"id": "a", "family": "y"}]),
        "error duplicate Patient.name[1].id",
    ),
    case(
        "an element id in two contained resources is right",
        patient(
            contained=[{**ORGANIZATION, "contact": [{"id": "c", "name": {"text": "x"}}]}],
            contact=[{"id": "c", "name": {"text": "y"}}],
            managingOrganization={"reference": "#o"},
        ),
    ),
]

CASES = [*TYPES, *JSON, *CARDINALITY, *PRIMITIVES, *NARRATIVE, *REFERENCES, *CONTAINED]


def found(one: Case) -> list[str]:
    return [f"{issue.severity} {issue.code} {issue.expression}" for issue in validate_resource(one.resource)]


def verify(one: Case, told: list[str]) -> None:
    errors = sorted(line for line in told if line.startswith(("error", "fatal")))
    assert errors == sorted(line for line in one.expected if line.startswith("error")), told
    assert set(one.expected) <= set(told), told
    assert not [line for line in told if line.startswith(one.lacks)] or not one.lacks, told


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.title)
def test_a_case_gives_the_findings_it_must(one: Case) -> None:
    verify(one, found(one))


def test_titles_are_unique() -> None:
    titles = [one.title for one in CASES]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Patient","gender":"male","gender":"male"}',
        b'{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}',
        b'{"resourceType":"Patient","active":true,}',
        b'{"resourceType":"Observation","valueQuantity":{"value":NaN}}',
        b'{"resourceType":"Observation","valueQuantity":{"value":.5}}',
        b'{"resourceType":"Observation","valueQuantity":{"value":05}}',
        b'{"resourceType":"Observation","valueQuantity":{"value":+5}}',
        b"[]",
        b"",
        b"null",
        b'"Patient"',
        b'{"resourceType":"Patient"} x',
        b"\xff\xfe{}",
        b'{"resourceType":"Patient","name":[{"family":"\xff"}]}',
        b'{"resourceType":"Patient" /* x */}',
    ],
    ids=lambda raw: raw.decode("latin-1")[:50],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse(raw)
