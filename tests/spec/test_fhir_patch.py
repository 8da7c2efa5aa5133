"""JSON Patch and FHIRPath Patch: tables of what each operation does, and of what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.fhir_samples import PATIENT

from healthbrain.errors import HealthBrainError, Invalid, Malformed, TooLarge, http_status
from healthbrain.fhir import dump, parse, validate
from healthbrain.fhir.patch import apply_fhirpath_patch, apply_json_patch
from healthbrain.fhir.patch.json_patch import equal

SECRET = "张伟-310118"  # a patient's value: it must never stand in a message

SMALL: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": "张", "given": ["一", "二"]}, {"text": "x"}],
    "active": True,
}


def with_(**changes: Any) -> dict[str, Any]:
    """SMALL with other elements; `...` removes one."""
    return {key: value for key, value in {**SMALL, **changes}.items() if value is not ...}


# --- JSON Patch

JSON_PATCHES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "nothing": ([], SMALL),
    "add a member": ([{"op": "add", "path": "/gender", "value": "male"}], with_(gender="male")),
    "add replaces a member": ([{"op": "add", "path": "/active", "value": False}], with_(active=False)),
    "add into an array": (
        [{"op": "add", "path": "/name/1", "value": {"text": "y"}}],
        with_(name=[SMALL["name"][0], {"text": "y"}, {"text": "x"}]),
    ),
    "add at the end": (
        [{"op": "add", "path": "/name/2", "value": {"text": "y"}}],
        with_(name=[*SMALL["name"], {"text": "y"}]),
    ),
    "add behind the end": (
        [{"op": "add", "path": "/name/-", "value": {"text": "y"}}],
        with_(name=[*SMALL["name"], {"text": "y"}]),
    ),
    "remove a member": ([{"op": "remove", "path": "/active"}], with_(active=...)),
    "remove an item": ([{"op": "remove", "path": "/name/0"}], with_(name=[{"text": "x"}])),
    "remove all items, then the array is gone": (
        [{"op": "remove", "path": "/name/1"}, {"op": "remove", "path": "/name/0"}],
        with_(name=...),
    ),
    "remove all members, then the object is gone": (
        [{"op": "remove", "path": "/name/1/text"}],
        with_(name=[SMALL["name"][0]]),
    ),
    "replace": (
        [{"op": "replace", "path": "/name/0/given/1", "value": "三"}],
        with_(name=[{"family": "张", "given": ["一", "三"]}, {"text": "x"}]),
    ),
    "replace the document": (
        [{"op": "replace", "path": "", "value": {"resourceType": "Patient", "id": "p"}}],
        {"resourceType": "Patient", "id": "p"},
    ),
    "move": (
        [{"op": "move", "from": "/name/1", "path": "/name/0"}],
        with_(name=[{"text": "x"}, SMALL["name"][0]]),
    ),
    "move to where it is": ([{"op": "move", "from": "/name/1", "path": "/name/1"}], SMALL),
    "copy": (
        [{"op": "copy", "from": "/name/0/family", "path": "/name/1/family"}],
        with_(name=[SMALL["name"][0], {"text": "x", "family": "张"}]),
    ),
    "a copy is its own": (
        [
            {"op": "copy", "from": "/name/1", "path": "/name/-"},
            {"op": "replace", "path": "/name/2/text", "value": "y"},
        ],
        with_(name=[*SMALL["name"], {"text": "y"}]),
    ),
    "test": ([{"op": "test", "path": "/name/0", "value": {"given": ["一", "二"], "family": "张"}}], SMALL),
    "members that mean nothing": ([{"op": "remove", "path": "/active", "reason": "x"}], with_(active=...)),
    "escapes": (
        [
            {"op": "add", "path": "/a~1b~01", "value": 1},
            {"op": "test", "path": "/a~1b~01", "value": 1},
            {"op": "move", "from": "/a~1b~01", "path": "/x"},
        ],
        with_(x=1),
    ),
}


@pytest.mark.parametrize(("operations", "after"), JSON_PATCHES.values(), ids=JSON_PATCHES)
def test_a_json_patch_makes_this_of_it(operations: list[dict[str, Any]], after: dict[str, Any]) -> None:
    before, given = copy.deepcopy(SMALL), copy.deepcopy(operations)
    assert apply_json_patch(SMALL, operations) == after
    assert before == SMALL
    assert given == operations


NO_JSON_PATCH: list[tuple[Any, str]] = [
    ({"op": "add"}, "array"),
    ([1], "operation 0"),
    ([{"path": "/x"}], "'op'"),
    ([{"op": ["add"], "path": "/x"}], "'op'"),
    ([{"op": "delete", "path": "/x"}], "'op'"),
    ([{"op": "remove"}], "'path'"),
    ([{"op": "remove", "path": 1}], "'path'"),
    ([{"op": "remove", "path": "active"}], "'path'"),
    ([{"op": "remove", "path": "/a~2"}], "'path'"),
    ([{"op": "add", "path": "/x"}], "'value'"),
    ([{"op": "replace", "path": "/x"}], "'value'"),
    ([{"op": "test", "path": "/x"}], "'value'"),
    ([{"op": "move", "path": "/x"}], "'from'"),
    ([{"op": "copy", "path": "/x", "from": "x"}], "'from'"),
    ([{"op": "remove", "path": "/active"}, {"op": "move", "from": "/name", "path": "/name/0/x"}], "operation 1"),
]


@pytest.mark.parametrize(("operations", "says"), NO_JSON_PATCH)
def test_what_is_no_json_patch_is_malformed(operations: Any, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        apply_json_patch(SMALL, operations)


UNFIT_JSON: list[tuple[dict[str, Any], str]] = [
    ({"op": "remove", "path": "/gender"}, "/gender.*no such member"),
    ({"op": "remove", "path": ""}, "whole document"),
    ({"op": "replace", "path": "/gender", "value": "male"}, "no such member"),
    ({"op": "add", "path": "/contact/name", "value": {}}, r"part 1 of the pointer"),
    ({"op": "add", "path": "/name/3", "value": {}}, "2 items"),
    ({"op": "add", "path": "/name/00", "value": {}}, "leading zeros"),
    ({"op": "add", "path": "/name/+1", "value": {}}, "index"),
    ({"op": "add", "path": "/name/１", "value": {}}, "index"),
    ({"op": "add", "path": "/name/text", "value": {}}, "index"),
    ({"op": "add", "path": "/active/x", "value": {}}, "neither object nor array"),
    ({"op": "remove", "path": "/name/-"}, "index"),
    ({"op": "remove", "path": "/name/2"}, "beyond"),
    ({"op": "copy", "from": "/gender", "path": "/x"}, "'from': "),
    ({"op": "move", "from": "/name/7", "path": "/x"}, "'from': "),
    ({"op": "test", "path": "/active", "value": 1}, "not the one tested"),
    ({"op": "test", "path": "/gender", "value": None}, "no such member"),
    ({"op": "test", "path": "/name/0/family", "value": SECRET}, "operation 0"),
    ({"op": "add", "path": f"/{SECRET}/x", "value": SECRET}, "operation 0"),
    ({"op": "replace", "path": "/id", "value": "q"}, "keeps its type and id"),
    ({"op": "remove", "path": "/id"}, "keeps its type and id"),
    ({"op": "add", "path": "/resourceType", "value": "Group"}, "keeps its type and id"),
    ({"op": "add", "path": "", "value": [1]}, "JSON object"),
]


@pytest.mark.parametrize(("operation", "says"), UNFIT_JSON)
def test_a_json_patch_that_does_not_fit_changes_nothing(operation: dict[str, Any], says: str) -> None:
    before = copy.deepcopy(SMALL)
    with pytest.raises(Invalid, match=says) as refused:
        apply_json_patch(SMALL, [operation])
    assert before == SMALL
    assert http_status(refused.value) == 422
    assert SECRET not in refused.value.message


def test_a_failed_test_is_said_to_be_a_conflict() -> None:
    with pytest.raises(Invalid) as refused:
        apply_json_patch(SMALL, [{"op": "test", "path": "/active", "value": False}])
    assert [issue.code for issue in refused.value.issues] == ["conflict"]


EQUAL: list[tuple[str, str, bool]] = [
    ("1", "1.0", True),
    ("72.50", "72.5", True),
    ("1e400", "10e399", True),
    ("1e400", "1e401", False),
    ("3.14159265358979323846", "3.14159265358979323847", False),
    ("1e99999999999999999999", "1e99999999999999999999", True),
    ("true", "1", False),
    ("false", "0", False),
    ("null", "false", False),
    ('"1"', "1", False),
    ('{"a":1,"b":2}', '{"b":2,"a":1}', True),
    ('{"a":1}', '{"a":1,"b":null}', False),
    ("[1,2]", "[2,1]", False),
    ("[1]", "[1,1]", False),
    ("[true]", "[1]", False),
    ("{}", "[]", False),
]


@pytest.mark.parametrize(("one", "other", "same"), EQUAL)
def test_json_values_are_equal_by_what_they_mean(one: str, other: str, same: bool) -> None:
    left, right = parse(f'{{"v":{one}}}')["v"], parse(f'{{"v":{other}}}')["v"]
    assert equal(left, right) is same
    assert equal(right, left) is same


def test_digits_survive_a_patch() -> None:
    resource = parse('{"resourceType":"Observation","valueQuantity":{"value":72.50}}')
    patch = parse('{"p":[{"op":"copy","from":"/valueQuantity","path":"/x"},{"op":"add","path":"/y","value":1.0}]}')["p"]
    assert dump(apply_json_patch(resource, patch)).count(b"72.50") == 2
    assert b'"y":1.0' in dump(apply_json_patch(resource, patch))


def test_a_patch_cannot_be_used_to_grow_a_resource_without_end() -> None:
    doubling = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 40
    with pytest.raises((TooLarge, Invalid)):
        apply_json_patch(SMALL, doubling)
    wide = [{"op": "add", "path": "/a", "value": list(range(1000))}, {"op": "add", "path": "/b", "value": []}]
    wide += [{"op": "copy", "from": "/a", "path": "/b/-"}, {"op": "copy", "from": "/b", "path": "/a/-"}] * 30
    with pytest.raises((TooLarge, Invalid)):
        apply_json_patch(SMALL, wide)
    with pytest.raises(TooLarge):
        apply_json_patch(SMALL, [{"op": "test", "path": "/active", "value": True}] * 1001)
    with pytest.raises(TooLarge):
        apply_json_patch(SMALL, [{"op": "add", "path": "/x", "value": list(range(2000))}] * 600)


# --- FHIRPath Patch


def operation(type: str, path: str, **parts: Any) -> dict[str, Any]:
    """An operation; numbers, the name and a value (`valueX` or the parts of an anonymous type) as keywords."""
    found: list[dict[str, Any]] = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}]
    value: dict[str, Any] = {"name": "value"}
    for name, content in parts.items():
        if name == "name":
            found.append({"name": "name", "valueString": content})
        elif name in ("index", "source", "destination"):
            found.append({"name": name, "valueInteger": content})
        else:
            value[name] = content
    return {"name": "operation", "part": [*found, value] if len(value) > 1 else found}


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    """The resource after the operations; neither is changed."""
    parameters: dict[str, Any] = {"resourceType": "Parameters"}
    if operations:
        parameters["parameter"] = list(operations)
    before = copy.deepcopy((resource, parameters))
    after = apply_fhirpath_patch(resource, parameters)
    assert (resource, parameters) == before
    assert apply_fhirpath_patch(resource, parameters) == after
    return after


def ids(*values: str) -> list[dict[str, Any]]:
    return [{"system": "http://example.org", "value": value} for value in values]


def part(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


BORN = {"birthDate": "1920-01-01"}
CONTACT = {"contact": [{"name": {"text": "a name"}, "gender": "male"}]}
THREE = {"identifier": ids("1", "2", "3")}
FOUR = {"identifier": ids("1", "2", "3", "4")}
EXTENDED = {"gender": "male", "_gender": {"extension": [{"url": "u", "valueCode": "x"}]}}
GIVEN = {"name": [{"given": ["a", "b"], "_given": [None, {"id": "g"}]}]}
CONTAINED = {"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}

# what a Patient holds, the operations, what it holds then
FHIRPATH_PATCHES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = {
    "nothing": (BORN, [], BORN),
    "replace a primitive": (
        BORN,
        [operation("replace", "Patient.birthDate", valueDate="1930-01-01")],
        {"birthDate": "1930-01-01"},
    ),
    "delete a primitive": (BORN, [operation("delete", "Patient.birthDate")], {}),
    "delete what is not there": (BORN, [operation("delete", "Patient.gender")], BORN),
    "add a primitive": (
        {},
        [operation("add", "Patient", name="birthDate", valueDate="1930-01-01")],
        {"birthDate": "1930-01-01"},
    ),
    "replace a nested primitive": (
        CONTACT,
        [
            operation("replace", "Patient.contact[0].gender", valueCode="female"),
            operation("replace", "Patient.contact[0].name.text", valueString="the name"),
        ],
        {"contact": [{"name": {"text": "the name"}, "gender": "female"}]},
    ),
    "delete a nested primitive": (
        CONTACT,
        [operation("delete", "Patient.contact[0].gender")],
        {"contact": [{"name": {"text": "a name"}}]},
    ),
    "what a deletion leaves empty goes too": (
        CONTACT,
        [operation("delete", "Patient.contact[0].name.text")],
        {"contact": [{"gender": "male"}]},
    ),
    "add a nested primitive": (
        {"contact": [{"name": {"text": "a name"}}]},
        [operation("add", "Patient.contact[0]", name="gender", valueCode="male")],
        CONTACT,
    ),
    "add a complex element": (
        {},
        [operation("add", "Patient", name="maritalStatus", valueCodeableConcept={"text": "married"})],
        {"maritalStatus": {"text": "married"}},
    ),
    "replace a complex element": (
        {"maritalStatus": {"id": "1", "text": "married"}},
        [operation("replace", "Patient.maritalStatus", valueCodeableConcept={"id": "2", "text": "not married"})],
        {"maritalStatus": {"id": "2", "text": "not married"}},
    ),
    "delete a complex element": ({"maritalStatus": {"text": "x"}}, [operation("delete", "Patient.maritalStatus")], {}),
    "add an element of anonymous type": (
        {},
        [operation("add", "Patient", name="contact", part=[part("name", valueHumanName={"text": "a name"})])],
        {"contact": [{"name": {"text": "a name"}}]},
    ),
    "an anonymous type with lists, parts and extensions on primitives": (
        {},
        [
            operation(
                "add",
                "Patient",
                name="contact",
                part=[
                    part("telecom", valueContactPoint={"value": "1"}),
                    part("gender", valueCode="male", _valueCode={"id": "x"}),
                    part("telecom", valueContactPoint={"value": "2"}),
                    part("relationship", part=[part("text", valueString="friend")]),
                    part("extension", part=[part("url", valueUri="u"), part("value", valueDecimal=1)]),
                ],
            )
        ],
        {
            "contact": [
                {
                    "telecom": [{"value": "1"}, {"value": "2"}],
                    "gender": "male",
                    "_gender": {"id": "x"},
                    "relationship": [{"text": "friend"}],
                    "extension": [{"url": "u", "valueDecimal": 1}],
                }
            ]
        },
    ),
    "delete an element of anonymous type": (CONTACT, [operation("delete", "Patient.contact[0]")], {}),
    "the contents of a list": (
        {"identifier": ids("1", "2")},
        [
            operation("replace", "Patient.identifier[0].value", valueString="2"),
            operation("replace", "Patient.identifier[1].value", valueString="1"),
        ],
        {"identifier": ids("2", "1")},
    ),
    "add to a list": (
        {"identifier": ids("1")},
        [operation("add", "Patient", name="identifier", valueIdentifier=ids("2")[0])],
        {"identifier": ids("1", "2")},
    ),
    "insert at the end": (
        {"identifier": ids("1", "2")},
        [operation("insert", "Patient.identifier", index=2, valueIdentifier=ids("3")[0])],
        THREE,
    ),
    "insert in between": (
        {"identifier": ids("1", "3")},
        [operation("insert", "Patient.identifier", index=1, valueIdentifier=ids("2")[0])],
        THREE,
    ),
    "insert at the beginning": (
        {"identifier": ids("2", "3")},
        [operation("insert", "Patient.identifier", index=0, valueIdentifier=ids("1")[0])],
        THREE,
    ),
    "insert into a list that is not there": (
        {},
        [operation("insert", "Patient.identifier", index=0, valueIdentifier=ids("1")[0])],
        {"identifier": ids("1")},
    ),
    "insert a primitive between extended ones": (
        GIVEN,
        [operation("insert", "Patient.name[0].given", index=1, valueString="c")],
        {"name": [{"given": ["a", "c", "b"], "_given": [None, None, {"id": "g"}]}]},
    ),
    "delete the first": (THREE, [operation("delete", "Patient.identifier[0]")], {"identifier": ids("2", "3")}),
    "delete the second": (THREE, [operation("delete", "Patient.identifier[1]")], {"identifier": ids("1", "3")}),
    "delete the last": (THREE, [operation("delete", "Patient.identifier.last()")], {"identifier": ids("1", "2")}),
    "delete one by what it holds": (
        THREE,
        [operation("delete", "Patient.identifier.where(value = '2')")],
        {"identifier": ids("1", "3")},
    ),
    "delete the last of a list": ({"identifier": ids("1")}, [operation("delete", "Patient.identifier[0]")], {}),
    "delete a primitive of a list with its extension": (
        GIVEN,
        [operation("delete", "Patient.name.given[1]")],
        {"name": [{"given": ["a"]}]},
    ),
    "delete a primitive by its value": (
        GIVEN,
        [operation("delete", "Patient.name.given.where($this = 'a')")],
        {"name": [{"given": ["b"], "_given": [{"id": "g"}]}]},
    ),
    "move to the second place": (
        FOUR,
        [operation("move", "Patient.identifier", source=3, destination=1)],
        {"identifier": ids("1", "4", "2", "3")},
    ),
    "move to the first place": (
        FOUR,
        [operation("move", "Patient.identifier", source=3, destination=0)],
        {"identifier": ids("4", "1", "2", "3")},
    ),
    "move by one": (
        FOUR,
        [operation("move", "Patient.identifier", source=3, destination=2)],
        {"identifier": ids("1", "2", "4", "3")},
    ),
    "move to the last place": (
        FOUR,
        [operation("move", "Patient.identifier", source=0, destination=3)],
        {"identifier": ids("2", "3", "4", "1")},
    ),
    "several moves": (
        FOUR,
        [operation("move", "Patient.identifier", source=3, destination=at) for at in range(3)],
        {"identifier": ids("4", "3", "2", "1")},
    ),
    "move a primitive with its extension": (
        GIVEN,
        [operation("move", "Patient.name.given", source=1, destination=0)],
        {"name": [{"given": ["b", "a"], "_given": [{"id": "g"}, None]}]},
    ),
    "replace a choice by another type": (
        {"deceasedBoolean": True, "_deceasedBoolean": {"id": "x"}},
        [operation("replace", "Patient.deceased", valueDateTime="2026")],
        {"deceasedDateTime": "2026"},
    ),
    "add a choice": ({}, [operation("add", "Patient", name="deceased", valueBoolean=True)], {"deceasedBoolean": True}),
    "add a choice by its name in the standard": (
        {},
        [operation("add", "Patient", name="deceased[x]", valueDateTime="2026")],
        {"deceasedDateTime": "2026"},
    ),
    "add a choice by its name in JSON": (
        {},
        [operation("add", "Patient", name="deceasedBoolean", valueBoolean=False)],
        {"deceasedBoolean": False},
    ),
    "a related primitive": (
        {"identifier": [{"period": {"start": "2020"}}]},
        [operation("add", "Patient.identifier.period", name="end", valueDate="2021-12-01")],
        {"identifier": [{"period": {"start": "2020", "end": "2021-12-01"}}]},
    ),
    "a narrative as a string": (
        {"text": PATIENT["text"]},
        [operation("replace", "Patient.text.div", valueString="<div xmlns='http://www.w3.org/1999/xhtml'>x</div>")],
        {"text": {**PATIENT["text"], "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"}},
    ),
    "replace drops the old extension": (
        EXTENDED,
        [operation("replace", "Patient.gender", valueCode="other")],
        {"gender": "other"},
    ),
    "replace a value and bring an extension": (
        BORN,
        [operation("replace", "Patient.birthDate", valueDate="1930", _valueDate={"id": "b"})],
        {"birthDate": "1930", "_birthDate": {"id": "b"}},
    ),
    "an extension added to a primitive": (
        {"gender": "male"},
        [
            operation(
                "add",
                "Patient.gender",
                name="extension",
                part=[part("url", valueUri="u"), part("value", valueCode="x")],
            )
        ],
        EXTENDED,
    ),
    "an extension of a primitive replaced": (
        EXTENDED,
        [operation("replace", "Patient.gender.extension[0].value", valueString="y")],
        {"gender": "male", "_gender": {"extension": [{"url": "u", "valueString": "y"}]}},
    ),
    "an extension of a primitive deleted": (
        EXTENDED,
        [operation("delete", "Patient.gender.extension('u')")],
        {"gender": "male"},
    ),
    "a primitive with nothing but an extension": (
        {"_gender": EXTENDED["_gender"]},
        [operation("delete", "Patient.gender.extension[0]")],
        {},
    ),
    "a contained resource added": (
        {},
        [operation("add", "Patient", name="contained", resource=CONTAINED["contained"][0])],
        CONTAINED,
    ),
    "within a contained resource": (
        CONTAINED,
        [operation("replace", "Patient.contained[0].name", valueString="y")],
        {"contained": [{"resourceType": "Organization", "id": "o", "name": "y"}]},
    ),
    "an operation sees what those before it did": (
        {},
        [
            operation("add", "Patient", name="name", valueHumanName={"text": "x"}),
            operation("add", "Patient.name[0]", name="given", valueString="y"),
            operation("add", "Patient.name.where(text = 'x')", name="given", valueString="z"),
            operation("delete", "Patient.name.given[0]"),
        ],
        {"name": [{"text": "x", "given": ["z"]}]},
    ),
}


@pytest.mark.parametrize(("before", "operations", "after"), FHIRPATH_PATCHES.values(), ids=FHIRPATH_PATCHES)
def test_a_fhirpath_patch_makes_this_of_it(
    before: dict[str, Any], operations: list[dict[str, Any]], after: dict[str, Any]
) -> None:
    assert patched({"resourceType": "Patient", **before}, *operations) == {"resourceType": "Patient", **after}


def test_entries_of_a_bundle_can_be_patched() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}]}
    after = patched(bundle, operation("replace", "Bundle.entry[0].resource.gender", valueCode="other"))
    assert after["entry"][0]["resource"] == {**PATIENT, "gender": "other"}
    whole = patched(bundle, operation("replace", "Bundle.entry[0].resource", resource={"resourceType": "Patient"}))
    assert whole["entry"] == [{"resource": {"resourceType": "Patient"}}]


def test_a_quantity_stands_for_what_derives_from_it() -> None:
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/p"}}
    after = patched(condition, operation("add", "Condition", name="onset", valueAge={"value": 3, "code": "a"}))
    assert after["onsetAge"] == {"value": 3, "code": "a"}


FULL: dict[str, Any] = {"resourceType": "Patient", "id": "p", **THREE, **GIVEN, **EXTENDED, **CONTACT}

# operation, code of the finding ('' when any will do), a part of the message
UNFIT_FHIRPATH: list[tuple[dict[str, Any], str]] = [
    (operation("add", "Patient.maritalStatus", name="text", valueString=SECRET), "no element"),
    (operation("add", "Patient.identifier", name="value", valueString=SECRET), "3 elements"),
    (operation("add", "Patient.identifier[0]", name="value", valueString=SECRET), "use replace"),
    (operation("add", "Patient", name="gender", valueCode="male"), "use replace"),
    (operation("add", "Patient", name="colour", valueCode="male"), "no element of the given name"),
    (operation("add", "Patient", name="active", valueString="true"), "takes boolean, not string"),
    (operation("add", "Patient", name="name", valueIdentifier={"value": "x"}), "takes HumanName, not Identifier"),
    (operation("add", "Patient", name="deceased", valueString="x"), "takes boolean or dateTime, not string"),
    (operation("add", "Patient", name="active", part=[part("x", valueCode="y")]), "not in parts"),
    (operation("add", "Patient", name="contact", part=[part("colour", valueCode="y")]), "no element of the given name"),
    (
        operation(
            "add", "Patient", name="contact", part=[part("gender", valueCode="y"), part("gender", valueCode="y")]
        ),
        "given twice",
    ),
    (operation("add", "Patient", name="contact", part=[part("gender")]), "no value"),
    (operation("add", "Patient", name="active", resource={"resourceType": "Patient"}), "holds no resource"),
    (operation("add", "Patient.gender", name="text", valueString="x"), "no element of the given name"),
    (operation("insert", "Patient.identifier", index=4, valueIdentifier={"value": "x"}), "0 to 3"),
    (operation("insert", "Patient.identifier", index=-1, valueIdentifier={"value": "x"}), "0 to 3"),
    (operation("insert", "Patient.gender", index=0, valueCode="x"), "does not repeat"),
    (operation("insert", "Patient.birthDate", index=0, valueDate="2020"), "does not repeat"),
    (
        operation("insert", "Patient.identifier.where(value = '1')", index=0, valueIdentifier={"value": "x"}),
        "whole list",
    ),
    (operation("insert", "Patient.identifier.where(value = '9')", index=0, valueIdentifier={"value": "x"}), "no list"),
    (
        operation("insert", "Patient.identifier | Patient.name", index=0, valueIdentifier={"value": "x"}),
        "several lists",
    ),
    (operation("delete", "Patient.identifier"), "3 elements"),
    (operation("delete", "Patient"), "resource itself"),
    (operation("delete", "Patient.birthdate"), "operation 0"),
    (operation("delete", "Observation.status"), "operation 0"),
    (operation("delete", "Patient.identifier.count()"), "not values made from them"),
    (operation("delete", "Patient.gender & 'x'"), "not values made from them"),
    (operation("delete", "text.div.foo"), "operation 0"),
    (operation("delete", "1"), "not values made from them"),
    (operation("replace", "Patient.birthDate", valueDate="2020"), "no element to replace"),
    (operation("replace", "Patient.identifier", valueIdentifier={"value": "x"}), "3 elements"),
    (operation("replace", "Patient", resource={"resourceType": "Patient"}), "resource itself"),
    (operation("replace", "Patient.gender", valueBoolean=True), "takes code, not boolean"),
    (operation("replace", "Patient.id", valueId="q"), "keeps its type and id"),
    (operation("delete", "Patient.id"), "keeps its type and id"),
    (operation("move", "Patient.identifier", source=3, destination=0), "'source' must be from 0 to 2"),
    (operation("move", "Patient.identifier", source=0, destination=3), "'destination' must be from 0 to 2"),
    (operation("move", "Patient.gender", source=0, destination=0), "does not repeat"),
]


@pytest.mark.parametrize(("wrong", "says"), UNFIT_FHIRPATH)
def test_a_fhirpath_patch_that_does_not_fit_is_refused(wrong: dict[str, Any], says: str) -> None:
    before = copy.deepcopy(FULL)
    with pytest.raises(Invalid, match=says) as refused:
        apply_fhirpath_patch(FULL, {"resourceType": "Parameters", "parameter": [wrong]})
    assert before == FULL
    assert http_status(refused.value) == 422
    assert SECRET not in refused.value.message


def without(name: str, base: dict[str, Any]) -> dict[str, Any]:
    return {**base, "part": [one for one in base["part"] if one["name"] != name]}


ADD = operation("add", "Patient", name="active", valueBoolean=True)
NO_FHIRPATH_PATCH: list[tuple[Any, str]] = [
    ({"resourceType": "Patient"}, "Parameters"),
    ([ADD, {**ADD, "name": "change"}], "parameter 1"),
    ([without("type", ADD)], "'type'"),
    ([without("path", ADD)], "'path'"),
    ([without("name", ADD)], "'name'"),
    ([without("value", ADD)], "'value'"),
    ([operation("insert", "Patient.name", valueHumanName={"text": "x"})], "'index'"),
    ([operation("move", "Patient.name", source=1)], "'destination'"),
    ([operation("remove", "Patient.name")], "'type' must be one of"),
    ([{**ADD, "part": [*ADD["part"], ADD["part"][0]]}], "twice"),
    ([{**ADD, "part": [*ADD["part"], part("why", valueString="x")]}], "name it does not know"),
    ([{**ADD, "part": [part("type", valueCode="delete"), part("path", valueInteger=1)]}], "valueString"),
    ([operation("delete", "Patient.name[")], "operation 0.*line 1"),
]


@pytest.mark.parametrize(("parameters", "says"), NO_FHIRPATH_PATCH)
def test_what_is_no_fhirpath_patch_is_malformed(parameters: Any, says: str) -> None:
    if isinstance(parameters, list):
        parameters = {"resourceType": "Parameters", "parameter": parameters}
    with pytest.raises(Malformed, match=says):
        apply_fhirpath_patch(SMALL, parameters)


def test_a_patch_that_is_not_valid_parameters_is_refused_with_its_findings() -> None:
    with pytest.raises(Invalid) as refused:
        apply_fhirpath_patch(SMALL, {"resourceType": "Parameters", "parameter": [{"part": []}]})
    assert {issue.expression for issue in refused.value.issues} >= {"Parameters.parameter[0].name"}


def test_many_operations_are_too_many() -> None:
    with pytest.raises(TooLarge):
        apply_fhirpath_patch(SMALL, {"resourceType": "Parameters", "parameter": [ADD] * 201})


def test_only_resources_are_patched() -> None:
    with pytest.raises(HealthBrainError):
        apply_fhirpath_patch({"resourceType": "Nothing"}, {"resourceType": "Parameters", "parameter": [ADD]})


def test_all_operations_hold_or_none() -> None:
    before = copy.deepcopy(SMALL)
    with pytest.raises(Invalid, match="operation 1"):
        patched(SMALL, operation("delete", "Patient.active"), operation("replace", "Patient.gender", valueCode="male"))
    assert before == SMALL


def test_what_was_valid_stays_valid_when_patched_rightly() -> None:
    after = patched(
        PATIENT,
        operation("delete", "Patient.name[0].given[0]"),
        operation("replace", "Patient.gender", valueCode="female"),
        operation("add", "Patient", name="telecom", valueContactPoint={"system": "phone", "value": "1"}),
    )
    assert validate(after) == []
