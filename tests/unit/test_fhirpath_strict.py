"""Strict mode: mistakes found from the types alone."""

from __future__ import annotations

import pytest

from healthbrain.fhir import definitions
from healthbrain.fhir.fhirpath import Unanswerable, compile


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        ("Patient", "name.given1", "column 6: HumanName has no given1"),
        ("Patient", "Encounter.status", "begins with Encounter, but stands on Patient"),
        ("Observation", "valueQuantity.unit", "Observation has no valueQuantity"),
        ("Observation", "(value as Period).unit", "Period has no unit"),
        ("Observation", "value.ofType(Quantity).units", "Quantity has no units"),
        ("Patient", "children().skip(1)", "skip() needs an order"),
        ("Patient", "descendants()[0]", "an index needs an order"),
        ("Patient", "iif('text', 1, 2)", "is never a Boolean"),
        ("Patient", "contact.where(name.familly.exists())", "HumanName has no familly"),
        ("Patient", "name.select(given | familly)", "HumanName has no familly"),
        ("Patient", "name.first().given.first().length.foo()", "string has no length"),
        ("Patient.contact", "gender.lenght", "code has no lenght"),
        ("Patient", "birthDate.type().nam", None),
        ("Patient", "name.exists(%context.nam.empty())", "Patient has no nam"),
        ("Patient", "iif(active, name, contact.name).familly", "HumanName has no familly"),
        ("Patient", "(name | contact.name).sort(family).first().given.upper().bar", "System.String has no bar"),
    ],
)
def test_what_can_never_work_is_found_without_data(type_: str, text: str, expected: str | None) -> None:
    problems = compile(text).problems(type_)
    if expected is None:
        assert problems == ()
    else:
        assert len(problems) == 1
        assert expected in problems[0].message


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("Bundle", "entry.resource.ofType(Patient).name.family"),
        ("Bundle", "entry.resource.whatever"),
        ("Patient", "contained.name"),
        ("Patient", "managingOrganization.resolve().name"),
        ("Patient", "extension('x').value.code"),
        ("Observation", "value.unit"),
        ("Observation", "value.coding.code"),
        ("Questionnaire", "repeat(item).linkId"),
        ("Patient", "children().where($this is HumanName).sort().first()"),
        ("Patient", "Resource.id | DomainResource.text.status"),
        ("", "anything.at.all"),
    ],
)
def test_what_may_work_is_accepted(type_: str, text: str) -> None:
    assert compile(text).problems(type_) == ()


def test_strict_expressions_refuse_to_run_on_the_wrong_type() -> None:
    strict = compile("name.familly", strict=True)
    with pytest.raises(Unanswerable, match="no familly"):
        strict({"resourceType": "Patient"})
    assert compile("name.familly")({"resourceType": "Patient"}) == []


def test_only_two_of_r4s_own_rules_are_wrong_on_their_type() -> None:
    """cid-0 asks for a name that ChargeItemDefinition lacks; ras-1 stands on a decimal as well as a Range."""
    known = definitions()
    wrong = set()
    for name in known.types:
        found = known.type(name)
        wrong |= {r.key for r in found.invariants if compile(r.expression, published=True).problems(name)}
    assert wrong == {"cid-0"}
