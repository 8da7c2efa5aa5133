"""`_summary` and `_elements`: what stays of a resource, by table."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.fhir_samples import OBSERVATION, PATIENT

from healthbrain.errors import Incorrect
from healthbrain.fhir import dump, parse, validate
from healthbrain.fhir.summary import SUBSETTED, Part, cut, part, wanted

WHOLE: dict[str, Any] = {
    **OBSERVATION,
    "id": "o",
    "meta": {"versionId": "1", "tag": [{"code": "mine"}]},
    "implicitRules": "urn:rules",
    "language": "zh",
    "text": PATIENT["text"],
    "extension": [{"url": "u", "valueCode": "x"}],
    "modifierExtension": [{"url": "u", "valueCode": "x"}],
    "effectiveDateTime": "2026-01",
    "_effectiveDateTime": {"id": "e"},
    "note": [{"text": "x"}],
    "referenceRange": [{"text": "x"}],
}
PARTS: list[tuple[str, str, set[str]]] = [
    # _summary, _elements, what stays beside resourceType, id and meta
    ("true", "", {
        "implicitRules", "modifierExtension", "status", "code", "subject", "effectiveDateTime", "_effectiveDateTime",
        "valueQuantity", "component",
    }),
    ("text", "", {"implicitRules", "modifierExtension", "text", "status", "code"}),
    ("data", "", WHOLE.keys() - {"resourceType", "id", "meta", "text"}),
    ("", "note", {"implicitRules", "modifierExtension", "status", "code", "note"}),
    ("", "subject,note", {"implicitRules", "modifierExtension", "status", "code", "subject", "note"}),
    ("", "Observation.note", {"implicitRules", "modifierExtension", "status", "code", "note"}),
    ("", " note.text ,", {"implicitRules", "modifierExtension", "status", "code", "note"}),
    ("", "value", {"implicitRules", "modifierExtension", "status", "code", "valueQuantity"}),
    ("", "valueQuantity", {"implicitRules", "modifierExtension", "status", "code", "valueQuantity"}),
    ("", "effective", {"implicitRules", "modifierExtension", "status", "code", "effectiveDateTime", "_effectiveDateTime"}),
    ("", "id", {"implicitRules", "modifierExtension", "status", "code"}),
    ("", "nothing", {"implicitRules", "modifierExtension", "status", "code"}),
    ("true", "note", {"implicitRules", "modifierExtension", "status", "code", "note"}),
]  # fmt: skip


@pytest.mark.parametrize(("summary", "elements", "stays"), PARTS)
def test_this_stays_of_a_resource(summary: str, elements: str, stays: set[str]) -> None:
    before = copy.deepcopy(WHOLE)
    what = wanted(summary, elements)
    assert what is not None
    found = part(WHOLE, what)
    assert before == WHOLE
    assert found.keys() == stays | {"resourceType", "id", "meta"}
    assert {key: WHOLE[key] for key in stays} == {key: found[key] for key in stays}
    assert found["meta"] == {"versionId": "1", "tag": [{"code": "mine"}, SUBSETTED]}
    assert validate(found) == []


@pytest.mark.parametrize(("summary", "elements"), [("", ""), ("false", ""), ("count", ""), ("", " , ")])
def test_whole_resources_are_wanted(summary: str, elements: str) -> None:
    assert wanted(summary, elements) is None


@pytest.mark.parametrize("summary", ["True", "elements", "all", " "])
def test_other_summaries_are_refused(summary: str) -> None:
    with pytest.raises(Incorrect):
        wanted(summary, "")


def summary_of(resource: dict[str, Any]) -> dict[str, Any]:
    found = part(resource, Part("true"))
    del found["meta"]
    return found


def test_a_summary_goes_into_nested_elements_and_data_types() -> None:
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [
            {
                "attachment": {"contentType": "text/plain", "data": "aGk=", "title": "x"},
                "format": {"code": "x", "extension": [{"url": "u", "valueCode": "y"}]},
            }
        ],
        "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/1"}}],
    }
    assert summary_of(document) == {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "title": "x"}, "format": {"code": "x"}}],
        "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/1"}}],
    }


def test_a_summary_leaves_out_what_is_not_marked_at_any_depth() -> None:
    study = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": "Patient/p"},
        "series": [{"uid": "1", "modality": {"code": "CT"}, "instance": [{"uid": "2", "sopClass": {"code": "x"}}]}],
    }
    assert summary_of(study)["series"] == [{"uid": "1", "modality": {"code": "CT"}}]


def test_an_element_is_never_emptied() -> None:
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"data": "aGk="}}],
        "type": {"extension": [{"url": "urn:absent", "valueCode": "unknown"}]},
        "context": {"event": [{"text": "marked, but nothing in it is"}]},
    }
    assert summary_of(document) == document


def test_a_resource_within_is_summarised_as_what_it_is() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": WHOLE, "fullUrl": "urn:x"}]}
    assert summary_of(bundle)["entry"][0]["resource"].keys() == {
        *(PARTS[0][2]), "resourceType", "id", "meta",
    }  # fmt: skip


def test_contained_resources_stay_when_something_that_stays_refers_to_them() -> None:
    contained = [
        {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "#o"}},
        {"resourceType": "Organization", "id": "o", "name": "x"},
        {"resourceType": "Organization", "id": "left-out", "name": "x"},
    ]
    resource = {**OBSERVATION, "contained": contained, "subject": {"reference": "#p"}}
    assert part(resource, Part("true"))["contained"] == contained[:2]
    assert "contained" not in part(resource, Part("text"))
    assert part(resource, Part("elements", frozenset({"contained"})))["contained"] == contained


def test_the_mark_is_set_once() -> None:
    once = part(OBSERVATION, Part("data"))
    assert part(once, Part("data")) == once
    assert once["meta"] == {"tag": [SUBSETTED]}


def test_json_is_cut_to_json_with_its_digits() -> None:
    raw = dump({**OBSERVATION, "valueQuantity": parse('{"value":72.50}'), "note": [{"text": "x"}]})
    found = cut(raw, Part("true"))
    assert b"72.50" in found
    assert b"note" not in found
