"""XML, patches and parts of any resource: nothing is lost, nothing else is touched, whatever arrives."""

from __future__ import annotations

import copy
import json
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthbrain.errors import Invalid, Malformed, TooLarge
from healthbrain.fhir import definitions, dump, parse, validate
from healthbrain.fhir.definitions import TypeChoice
from healthbrain.fhir.fhirpath import compile
from healthbrain.fhir.patch import apply_fhirpath_patch, apply_json_patch, json_patch
from healthbrain.fhir.patch.elements import Place, Twin, keys
from healthbrain.fhir.primitives import is_primitive
from healthbrain.fhir.summary import Part, part
from healthbrain.fhir.xml import from_xml, to_xml
from tests.engine.test_fhir_properties import TREES, mutate, places, written
from tests.engine.test_fhir_suites import lines
from tests.fhir_samples import BUNDLE, CONDITION, OBSERVATION, PATIENT

SAMPLES = [PATIENT, OBSERVATION, CONDITION, BUNDLE]


def digits(resource: Any) -> Any:
    """A resource with its numbers as the text they are written with."""
    return json.loads(dump(resource), parse_float=str, parse_int=str)


def examples(suites: Path, step: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """The official examples, or every so many of them."""
    with tarfile.open(suites / "fhir-r4-examples.tar.gz") as archive:
        members = [member for member in archive if member.isfile() and member.name.endswith(".json")]
        for member in members[::step]:
            yield Path(member.name).stem, parse(archive.extractfile(member).read())  # type: ignore[union-attr]  # a file


# --- XML

NARRATIVES = st.sampled_from(['<div xmlns="http://www.w3.org/1999/xhtml">张<br/> &lt;\r\n<b>x</b></div>'])
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=12)
TEXTS = STRINGS.map(lambda text: "".join(c for c in text if c >= " " or c in "\t\r\n")).filter(bool)
DECIMALS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "unsignedInt": st.integers(0, 2**31 - 1),
    "positiveInt": st.integers(1, 2**31 - 1),
    "decimal": DECIMALS.map(lambda text: parse(f'{{"v":{text}}}')["v"]),
    "string": TEXTS,
    "markdown": TEXTS,
    "base64Binary": st.sampled_from(["aGk=", "aG\nk="]),
    "xhtml": NARRATIVES,
}
WORDS = st.from_regex(r"[a-z]{1,5}", fullmatch=True)


@st.composite
def resources(draw: st.DrawFn, type_: str = "", depth: int = 0) -> dict[str, Any]:
    """Any resource of the right shape; codes and references need not mean anything."""
    name = type_ or draw(st.sampled_from(definitions().types))
    found: dict[str, Any] = {"resourceType": name}
    _fill(found, name, draw, depth)
    return found


def _fill(found: dict[str, Any], type_: str, draw: st.DrawFn, depth: int) -> None:
    elements = list(definitions().type(type_).elements.values())
    for element in draw(st.lists(st.sampled_from(elements), max_size=4, unique_by=lambda e: e.name)):
        key, choice = draw(st.sampled_from(list(element.keys().items())))
        if is_primitive(choice.code):
            places = [_primitive(choice, key, draw, depth) for _ in range(draw(st.integers(1, 3)))]
            if not element.repeats:
                places = places[:1]
            bare = key in ("id", "url", "div") and type_ != "Meta"  # attributes and narratives have no companion
            for name, values in ((key, [p[0] for p in places]), ("_" + key, [p[1] for p in places])):
                if any(value is not None for value in values) and not (bare and name != key):
                    found[name] = values if element.repeats else values[0]
        elif depth < 4:
            values = [_complex(choice, draw, depth) for _ in range(draw(st.integers(1, 2)))]
            found[key] = values if element.repeats else values[0]


def _primitive(choice: TypeChoice, key: str, draw: st.DrawFn, depth: int) -> tuple[Any, Any]:
    value = draw(VALUES.get(choice.code, WORDS))
    extra = draw(st.sampled_from([None, None, None, "id", "only"])) if depth < 4 else None
    if extra is None or key in ("id", "url", "div"):
        return value, None
    more = {"extension": [{"url": "u", "valueString": draw(TEXTS)}]} if extra == "only" else {"id": draw(WORDS)}
    return (None if extra == "only" else value), more


def _complex(choice: TypeChoice, draw: st.DrawFn, depth: int) -> dict[str, Any]:
    if choice.code == "Resource":
        return draw(resources(depth=depth + 1))
    found: dict[str, Any] = {}
    _fill(found, choice.shape, draw, depth + 1)
    return found or {"extension": [{"url": "u", "valueCode": "x"}]}


@settings(max_examples=250, deadline=None)
@given(resources())
def test_any_resource_survives_xml(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    raw = to_xml(resource)
    again = from_xml(raw)
    assert digits(again) == digits(resource)
    assert to_xml(again) == raw
    assert resource == before


@pytest.mark.suite
def test_every_official_example_survives_xml(suites: Path) -> None:
    count = 0
    for name, resource in examples(suites):
        assert digits(from_xml(to_xml(resource))) == digits(resource), name
        count += 1
    assert count == 367


@pytest.mark.suite
@pytest.mark.parametrize("file", ["synthea-100-patients.ndjson.gz", "smart-bulk-10-patients.ndjson.gz"])
def test_samples_of_real_systems_survive_xml(suites: Path, file: str) -> None:
    for count, line in enumerate(lines(suites / file)):
        if count % 7 == 0:  # the Synthea lines are whole lives
            resource = parse(line)
            assert digits(from_xml(to_xml(resource))) == digits(resource)


def _settled(node: Any) -> Any:
    """Without arrays of nulls: XML cannot tell them from none."""
    if isinstance(node, dict):
        return {key: _settled(value) for key, value in node.items() if not _nulls(value)}
    return [_settled(value) for value in node] if isinstance(node, list) else node


def _nulls(value: Any) -> bool:
    return isinstance(value, list) and all(item is None for item in value)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_mutated_resource_is_written_when_valid_and_else_located(
    resource: dict[str, Any], data: st.DataObject
) -> None:
    mutant = copy.deepcopy(resource)
    for _ in range(data.draw(st.integers(1, 3))):
        if places(mutant):
            mutate(mutant, data.draw)
    if not validate(mutant):
        assert from_xml(to_xml(mutant)) == _settled(mutant)
        return
    with suppress(Invalid):
        to_xml(mutant)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([to_xml(sample) for sample in SAMPLES]), st.data())
def test_any_bytes_are_read_as_a_resource_or_refused(raw: bytes, data: st.DataObject) -> None:
    pieces = [
        b"",
        b"<",
        b">",
        b'"',
        b"&",
        b"/",
        b"]]>",
        b"<!DOCTYPE a>",
        b"<name>",
        b"</name>",
        b"<a/>",
        b"&#0;",
        b"\xff",
    ]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = start + data.draw(st.integers(0, 20))
        raw = raw[:start] + data.draw(st.sampled_from(pieces) | st.binary(max_size=4)) + raw[end:]
    with suppress(Malformed, Invalid):
        found = from_xml(raw)
        assert definitions().is_resource(found["resourceType"])
        validate(found)
        parse(dump(found))


# --- JSON Patch

OBJECTS = st.dictionaries(st.from_regex(r"[a-z~/0-9-]{0,3}", fullmatch=True), TREES, max_size=4).map(
    lambda tree: parse(written(tree))
)


def pointer(way: tuple[Any, ...]) -> str:
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in way)


def run(document: Any, *operations: dict[str, Any]) -> Any:
    return json_patch.apply(copy.deepcopy(document), list(operations))


@settings(max_examples=200, deadline=None)
@given(OBJECTS, TREES.map(lambda tree: parse(f'{{"v":{written(tree)}}}')["v"]), st.data())
def test_json_patch_keeps_its_laws(document: dict[str, Any], value: Any, data: st.DataObject) -> None:
    ways = places(document)
    way = data.draw(st.sampled_from(ways)) if ways else ("a",)
    at = pointer(way)
    if not ways:
        document = {"a": 1}
    there: Any = document
    for token in way:
        there = there[token]
    assert run(document, {"op": "test", "path": at, "value": there}) == document
    # replace is remove and add; the value is then there
    replaced = run(document, {"op": "replace", "path": at, "value": value})
    assert replaced == run(document, {"op": "remove", "path": at}, {"op": "add", "path": at, "value": value})
    run(replaced, {"op": "test", "path": at, "value": value})
    # what was put back is as it was
    assert run(replaced, {"op": "replace", "path": at, "value": there}) == document
    # move is copy and remove
    moved = run(document, {"op": "move", "from": at, "path": "/zzzz"})
    assert moved == run(document, {"op": "copy", "from": at, "path": "/zzzz"}, {"op": "remove", "path": at})
    assert run(moved, {"op": "move", "from": "/zzzz", "path": at}) == document


POINTERS = st.sampled_from(
    ["", "/name", "/name/0", "/name/-", "/name/0/given/1", "/id", "/x/y", "/gender", "/contact/0"]
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": POINTERS},
    optional={"value": TREES.map(lambda tree: parse(f'{{"v":{written(tree)}}}')["v"]), "from": POINTERS},
)


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATIONS, max_size=5))
def test_any_json_patch_gives_a_new_resource_or_is_refused(operations: list[dict[str, Any]]) -> None:
    before, given_ = copy.deepcopy(PATIENT), copy.deepcopy(operations)
    with suppress(Malformed, Invalid, TooLarge):
        after = apply_json_patch(PATIENT, operations)
        assert after["id"] == PATIENT["id"]
        assert not any(value in ({}, []) for value in after.values())
    assert before == PATIENT
    assert operations == given_


# --- FHIRPath Patch


def path_of(place: Place) -> str:
    """The FHIRPath of a place."""
    if place.around is None:
        return place.type
    element, _ = keys(place.holder)[place.key]
    step = f"`{element.name}`" if element.name in ("div", "contains", "as", "is", "in") else element.name
    return f"{path_of(place.around)}.{step}" + ("" if place.index is None else f"[{place.index}]")


def operation(kind: str, path: str, *parts: dict[str, Any]) -> dict[str, Any]:
    more = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}, *parts]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": more}]}


def all_places(resource: dict[str, Any]) -> list[Place]:
    twin = Twin(resource)
    found = [twin.place(item) for item in compile("descendants()").items(twin.resource)]
    assert None not in [
        place for place, item in zip(found, compile("descendants()").items(twin.resource), strict=True)
        if not (getattr(item, "type", "") == "string" and item.extra is None)  # ids of elements have no place
    ]  # fmt: skip
    return [place for place in found if place is not None]


def unchanged_but(resource: dict[str, Any], place: Place) -> Any:
    """The resource without the element at a place, done by hand on JSON."""
    found = copy.deepcopy(resource)
    way: list[tuple[str, int | None, bool]] = []
    here: Place | None = place
    while here is not None and not here.root:
        way.insert(0, (here.key, here.index, here.primitive))
        here = here.around
    node: Any = found
    for key, index, primitive in way[:-1]:
        node = node["_" + key if primitive else key]
        node = node if index is None else node[index]
    key, index, _ = way[-1]
    for name in (key, "_" + key):
        if index is None:
            node.pop(name, None)
        elif name in node:
            del node[name][index]
    return _pruned(found)


def _pruned(node: Any) -> Any:
    """Without what is empty, as FHIR JSON has it; a primitive without value and companion leaves no gap."""
    if isinstance(node, list):
        return [(_pruned(item) or None) if isinstance(item, dict) else item for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _pruned(value) for key, value in node.items()}
    for key, value in list(found.items()):
        if isinstance(value, list) and not key.startswith("_"):
            extras = found.get("_" + key) or [None] * len(value)
            pairs = [(one, more) for one, more in zip(value, extras, strict=True) if (one, more) != (None, None)]
            found[key], found["_" + key] = [one for one, _ in pairs], [more for _, more in pairs]
    return {key: value for key, value in found.items() if value not in ({}, []) and not _nulls(value)}


@pytest.mark.parametrize("resource", SAMPLES, ids=lambda resource: resource["resourceType"])
def test_every_element_can_be_found_deleted_and_replaced_by_its_path(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    found = all_places(resource)
    assert len(found) > 8
    for place in found:
        path = path_of(place)
        twin = Twin(resource)
        (item,) = compile(path).items(twin.resource)
        again = twin.place(item)
        assert again is not None
        assert (again.key, again.index, again.owner) == (place.key, place.index, place.owner)
        if path != f"{resource['resourceType']}.id":
            assert apply_fhirpath_patch(resource, operation("delete", path)) == unchanged_but(resource, place)
        if place.primitive and place.type != "xhtml":
            _replaced_by_itself(resource, place, path)
    assert resource == before


def _replaced_by_itself(resource: dict[str, Any], place: Place, path: str) -> None:
    name = "value" + place.type[0].upper() + place.type[1:]
    value: dict[str, Any] = {"name": "value"}
    for key, content in ((name, place.owner.get(place.key)), ("_" + name, place.owner.get("_" + place.key))):
        content = content[place.index] if place.index is not None and content is not None else content
        if content is not None:
            value[key] = content
    assert apply_fhirpath_patch(resource, operation("replace", path, value)) == resource


@pytest.mark.suite
def test_every_element_of_the_official_examples_has_a_place(suites: Path) -> None:
    count = 0
    for name, resource in examples(suites, step=6):
        found = all_places(resource)
        assert len({(id(place.owner), place.key, place.index) for place in found}) == len(found), name
        count += len(found)
    assert count > 4000


PATHS = st.sampled_from([
    "Patient", "Patient.name", "Patient.name[0]", "Patient.name.given", "Patient.name.given[1]", "Patient.gender", "Patient.contact",
    "Patient.extension.where(url = 'urn:x')", "Patient.extension[1].extension", "Patient.birthDate", "Patient.text.div",
    "Patient.identifier.period.start", "1 + 1", "Patient.nothing", "Patient.descendants()", "name[",
])  # fmt: skip
PIECES = st.sampled_from([
    {"name": "name", "valueString": "given"}, {"name": "name", "valueString": "extension"}, {"name": "index", "valueInteger": 0},
    {"name": "index", "valueInteger": 1}, {"name": "source", "valueInteger": 0}, {"name": "destination", "valueInteger": 1},
    {"name": "value", "valueString": "x"}, {"name": "value", "valueHumanName": {"text": "x"}},
    {"name": "value", "part": [{"name": "url", "valueUri": "u"}, {"name": "value", "valueCode": "x"}]},
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    PATHS,
    st.lists(PIECES, max_size=4, unique_by=lambda piece: str(piece["name"])),
)
def test_any_fhirpath_patch_gives_a_new_resource_or_is_refused(
    kind: str, path: str, parts: list[dict[str, Any]]
) -> None:
    before, parameters = copy.deepcopy(PATIENT), operation(kind, path, *parts)
    given_ = copy.deepcopy(parameters)
    with suppress(Malformed, Invalid):
        after = apply_fhirpath_patch(PATIENT, parameters)
        assert after["id"] == PATIENT["id"]
        assert _pruned(after) == after
    assert before == PATIENT
    assert parameters == given_


# --- parts


@pytest.mark.suite
def test_every_part_of_a_valid_example_is_valid(suites: Path) -> None:
    kinds = [Part("true"), Part("text"), Part("data"), Part("elements", frozenset({"name", "value"}))]
    whole = cut = 0
    for name, resource in examples(suites):
        if validate(resource):
            continue
        before = dump(resource)
        for kind in kinds:
            assert validate(part(resource, kind)) == [], (name, kind)
        assert dump(resource) == before
        whole += len(before)
        cut += len(dump(part(resource, Part("true"))))
    assert cut < whole / 8


@settings(max_examples=150, deadline=None)
@given(resources())
def test_a_part_of_a_part_is_the_same_part(resource: dict[str, Any]) -> None:
    for kind in (Part("true"), Part("text"), Part("data")):
        once = part(resource, kind)
        assert part(once, kind) == once
