"""Validation never crashes, and a rule that is skipped would have held."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fhir_samples import BUNDLE, CONDITION, OBSERVATION, PATIENT

from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath import Node, compile
from healthbrain.fhir.fhirpath.parser import parse as read
from healthbrain.fhir.profile import built_in, validate_resource
from healthbrain.fhir.profile.derivation import derive
from healthbrain.fhir.profile.exact import meets
from healthbrain.fhir.profile.known import Profiles
from healthbrain.fhir.profile.parts import Exact
from healthbrain.fhir.profile.triggers import triggers

CORE = "http://hl7.org/fhir/StructureDefinition/"
SAMPLES = (PATIENT, OBSERVATION, CONDITION, BUNDLE)
NAMES = ["code", "coding", "system", "value", "valueString", "extension", "url", "reference", "meta", "profile", "item"]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["#", "#a", "Patient/1", "urn:a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from places(value[key])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_anything_at_any_place_is_survived(data: st.DataObject) -> None:
    resource = copy.deepcopy(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        owner, key = data.draw(st.sampled_from(list(places(resource))))
        owner[key] = data.draw(json_values)
    asked = data.draw(
        st.sampled_from([CORE + "bp", CORE + "vitalsigns", CORE + "lipidprofile", CORE + "Patient", "urn:a"])
    )
    for issue in validate_resource(resource, profiles=[asked]):
        assert issue.text
        assert issue.severity in ("error", "warning", "information")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_definition_with_anything_in_it_is_survived(data: st.DataObject) -> None:
    definition = copy.deepcopy(
        built_in().structure(data.draw(st.sampled_from([CORE + "bp", CORE + "patient-nationality"])))
    )
    assert definition is not None
    owner, key = data.draw(st.sampled_from(list(places(definition))))
    owner[key] = data.draw(json_values)
    url = "urn:changed"
    validate_resource(copy.deepcopy(OBSERVATION), profiles=[url], lookup={url: definition}.get)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["a", "b", 1, True]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    )
)
def test_every_value_meets_itself_fixed_and_as_a_pattern(value: Any) -> None:
    assert meets(value, Exact(value, fixed=True))
    assert meets(value, Exact(value, fixed=False))
    if isinstance(value, dict):
        assert meets({**value, "more": 1}, Exact(value, fixed=False))
        assert not meets({**value, "more": 1}, Exact(value, fixed=True))


def rules() -> list[tuple[str, str]]:
    """Type and expression of every invariant R4 puts on a type."""
    known = definitions()
    return sorted(
        {
            (name, rule.expression)
            for name in known.type_names
            for rule in known.type(name).invariants
            if known.type(name).base != "DomainResource" or rule.key[:4] != "dom-"
        }
    )


WORDS = ["final", "a", "#a", "2026-01-01", "2025", "http://unitsofmeasure.org", "document", "cancelled"]


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(rules()), st.data())
def test_a_rule_that_triggers_skip_holds(rule: tuple[str, str], data: st.DataObject) -> None:
    type_, expression = rule
    elements = definitions().type(type_).elements
    tree = read(expression)
    found = triggers(tree)
    value: dict[str, Any] = {}
    for name in data.draw(st.sets(st.sampled_from(sorted(elements)), max_size=6)):
        element = elements[name]
        key = data.draw(st.sampled_from(sorted(element.keys())))
        word: Any = data.draw(st.sampled_from(WORDS))
        content = word if element.keys()[key].code[0].islower() else {"id": "x"}
        value[key] = [content] if element.repeats else content
    present = {name for name, element in elements.items() if not element.keys().keys().isdisjoint(value)}
    skipped = any(name in elements and name not in present for name in found.needs)
    skipped |= any(name in present for name in found.settled)
    if found.prefix is not None:
        skipped |= not str(value.get(found.prefix[0])).startswith(found.prefix[1])
    if skipped:
        node = Node(value, type_)
        assert compile(expression, published=True).boolean(node, resource=node, root=node) is not False


@pytest.mark.parametrize("url", built_in().urls)
def test_every_profile_of_r4_can_be_used(url: str) -> None:
    assert Profiles().find(url) is not None


def test_a_derived_profile_leaves_its_base_as_it_was() -> None:
    before = repr(derive(built_in().structure(CORE + "vitalsigns") or {}, built_in().structure))
    Profiles().find(CORE + "bp")
    assert repr(derive(built_in().structure(CORE + "vitalsigns") or {}, built_in().structure)) == before
