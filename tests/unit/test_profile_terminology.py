"""Membership in value sets: R4's own as compiled, ValueSet resources, code systems that are grammars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from healthbrain.errors import Unavailable
from healthbrain.fhir.compile.package import Package
from healthbrain.fhir.compile.terminology import Terminology
from healthbrain.fhir.definitions import write
from healthbrain.fhir.profile import built_in
from healthbrain.fhir.profile.builtin import BuiltIn, load
from healthbrain.fhir.profile.concepts import Systems
from healthbrain.fhir.profile.value_sets import contains

R4 = "http://hl7.org/fhir/ValueSet/"
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
ANIMALS = {
    "url": "urn:animals",
    "content": "complete",
    "concept": [
        {"code": "dog", "concept": [{"code": "poodle", "concept": [{"code": "toy"}]}]},
        {"code": "cat"},
        {"code": "pets", "property": [{"code": "notSelectable", "valueBoolean": True}]},
        {"code": "lynx", "property": [{"code": "subsumedBy", "valueCode": "cat"}]},
    ],
}


def value_set(name: str, *include: dict[str, Any], exclude: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    compose: dict[str, Any] = {"include": list(include)}
    return {"url": f"urn:{name}", "compose": compose | ({"exclude": exclude} if exclude else {})}


def kind(operation: str, value: str) -> dict[str, Any]:
    return {"system": "urn:animals", "filter": [{"property": "concept", "op": operation, "value": value}]}


SETS = [
    value_set("all", {"system": "urn:animals"}),
    value_set("dogs", kind("is-a", "dog")),
    value_set("below-dog", kind("descendent-of", "dog")),
    value_set("no-dogs", kind("is-not-a", "dog")),
    value_set("cats", kind("is-a", "cat")),
    value_set("both", {"valueSet": ["urn:cats"]}, {"system": "urn:plants", "concept": [{"code": "oak"}]}),
    value_set("open", {"system": "urn:animals"}, {"system": "http://snomed.info/sct", "filter": [{"property": "x", "op": "=", "value": "y"}]}),
    value_set("not-toy", kind("is-a", "dog"), exclude=[{"system": "urn:animals", "concept": [{"code": "toy"}]}]),
    value_set("circle", {"valueSet": ["urn:circle"]}),
]  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> BuiltIn:
    kinds = ("StructureDefinition", "ValueSet", "CodeSystem", "SearchParameter", "CompartmentDefinition")
    package = Package({**{one: [] for one in kinds}, "ValueSet": SETS, "CodeSystem": [ANIMALS]})
    terminology = Terminology(package)
    return BuiltIn(
        {"structures": {}, "value_sets": terminology.value_sets(), "code_systems": terminology.code_systems()}
    )


@pytest.mark.parametrize(
    ("name", "system", "code", "expected"),
    [
        ("all", "urn:animals", "toy", True),
        ("all", None, "toy", True),
        ("all", "urn:animals", "oak", False),
        ("all", "urn:animals", "pets", False),
        ("all", "urn:plants", "dog", False),
        ("dogs", "urn:animals", "dog", True),
        ("dogs", "urn:animals", "toy", True),
        ("dogs", "urn:animals", "cat", False),
        ("below-dog", "urn:animals", "dog", False),
        ("below-dog", "urn:animals", "poodle", True),
        ("no-dogs", "urn:animals", "toy", False),
        ("no-dogs", "urn:animals", "cat", True),
        ("cats", "urn:animals", "lynx", True),
        ("both", "urn:animals", "lynx", True),
        ("both", "urn:plants", "oak", True),
        ("both", "urn:plants", "elm", False),
        ("open", "urn:animals", "dog", True),
        ("open", "urn:animals", "elm", False),
        ("open", "http://snomed.info/sct", "1", None),
        ("open", None, "1", None),
        ("not-toy", "urn:animals", "toy", False),
        ("not-toy", "urn:animals", "poodle", True),
        ("circle", "urn:animals", "dog", None),
        ("absent", "urn:animals", "dog", None),
    ],
)
def test_what_a_compiled_value_set_holds(
    compiled: BuiltIn, name: str, system: str | None, code: str, expected: bool | None
) -> None:
    assert compiled.member_of(system, code, f"urn:{name}|1.0") is expected


@pytest.mark.parametrize(
    ("system", "code", "name", "expected"),
    [
        (V3 + "ActCode", "AMB", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", True),
        (V3 + "ActCode", "PLATFORM", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", False),
        (None, "text/plain; charset=utf-8", R4 + "mimetypes", True),
        (None, "plain text", R4 + "mimetypes", False),
        ("urn:ietf:bcp:47", "zh-Hans-CN", R4 + "all-languages", True),
        ("urn:ietf:bcp:47", "中文", R4 + "all-languages", False),
        (None, "CNY", R4 + "currencies", True),
        ("http://unitsofmeasure.org", "mm[Hg]", R4 + "ucum-units", True),
        ("http://unitsofmeasure.org", "mmHg", R4 + "ucum-units", False),
        ("http://unitsofmeasure.org", "mm[Hg]", R4 + "ucum-vitals-common", True),
        ("http://snomed.info/sct", "1", R4 + "body-site", None),
    ],
)
def test_value_sets_of_r4(system: str | None, code: str, name: str, expected: bool | None) -> None:
    assert built_in().member_of(system, code, name) is expected


def test_a_code_to_group_by_is_a_code_of_its_system(compiled: BuiltIn) -> None:
    assert compiled.knows_code("urn:animals", "pets") is True
    assert compiled.knows_code("urn:animals", "plants") is False


def test_codes_are_known_where_r4_lists_the_system() -> None:
    assert built_in().knows_code("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs") is True
    assert built_in().knows_code("http://terminology.hl7.org/CodeSystem/observation-category", "vitals") is False
    assert built_in().knows_code("http://loinc.org", "8480-6") is None


def test_profiles_are_found_by_url_and_r4s_version_only() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/bp"
    assert built_in().structure(url) == built_in().structure(f"{url}|4.0.1") == built_in().structure(f"{url}|4.0")
    assert built_in().structure(f"{url}|5.0.0") is None
    assert len(built_in().urls) > 430


def known(system: str | None, code: str, url: str) -> bool | None:
    return {"urn:yes": True, "urn:no": False}.get(url)


LISTED = {"system": "urn:a", "concept": [{"code": "1"}, {"code": "2"}]}


@pytest.mark.parametrize(
    ("value_set", "system", "code", "expected"),
    [
        ({"compose": {"include": [LISTED]}}, "urn:a", "1", True),
        ({"compose": {"include": [LISTED]}}, None, "1", True),
        ({"compose": {"include": [LISTED]}}, "urn:b", "1", False),
        ({"compose": {"include": [LISTED], "exclude": [{"system": "urn:a", "concept": [{"code": "1"}]}]}}, "urn:a", "1", False),
        ({"compose": {"include": [{"system": "urn:a"}]}}, "urn:a", "1", None),
        ({"compose": {"include": [{"valueSet": ["urn:yes"]}]}}, "urn:a", "1", True),
        ({"compose": {"include": [{"valueSet": ["urn:yes", "urn:no"]}]}}, "urn:a", "1", False),
        ({"compose": {"include": [{"valueSet": ["urn:yes"], **LISTED}]}}, "urn:a", "9", False),
        ({"compose": {"include": [{"valueSet": ["urn:unknown"]}]}}, "urn:a", "1", None),
        ({"compose": {"include": [{"valueSet": ["urn:yes"]}], "exclude": [{"valueSet": ["urn:unknown"]}]}}, "urn:a", "1", None),
        ({"expansion": {"contains": [{"system": "urn:a", "code": "1", "contains": [{"system": "urn:a", "code": "2"}]}]}}, "urn:a", "2", True),
        ({"expansion": {"contains": [{"system": "urn:a", "code": "1"}]}}, "urn:a", "2", False),
        ({"expansion": {"contains": [{"system": "urn:a", "code": "1", "abstract": True}]}}, "urn:a", "1", False),
        ({"expansion": {"total": 5, "contains": [{"system": "urn:a", "code": "1"}]}}, "urn:a", "2", None),
        ({}, "urn:a", "1", None),
    ],
)  # fmt: skip
def test_what_a_value_set_resource_tells(
    value_set: dict[str, Any], system: str | None, code: str, expected: bool | None
) -> None:
    assert contains(value_set, system, code, known, Systems()) is expected


def test_a_missing_damaged_or_older_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "r4-profiles.bin"
    for content in (None, b"no zstd", b""):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unavailable, match=r"healthbrain\.fhir\.compile"):
            load(path)
    write(path, {"format": 0})
    with pytest.raises(Unavailable, match="another version"):
        load(path)
