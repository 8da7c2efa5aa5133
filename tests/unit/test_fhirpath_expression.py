"""Compiling and calling expressions: what goes in, what comes out, where mistakes are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from healthbrain.errors import Incorrect, Malformed
from healthbrain.fhir import definitions, parse
from healthbrain.fhir.fhirpath import Date, Long, Quantity, Unanswerable, Unreadable, compile, evaluate

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "contained": [{"resourceType": "Organization", "id": "o1", "name": "朱家角卫生院"}],
    "name": [{"given": ["伟"], "family": "张"}],
    "contact": [{"name": {"family": "李"}, "relationship": [{"text": "wife"}]}],
    "managingOrganization": {"reference": "#o1"},
    "generalPractitioner": [{"reference": "Practitioner/g1"}, {"reference": "https://a.example/fhir/Organization/x"}],
}


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("", 1, 1, "expected a value, a path or an opening bracket, found the end"),
        ("name.", 1, 6, "expected the name of an element or function"),
        ("name.where(use = 'official'", 1, 28, "expected ',' for the arguments of where()"),
        ("(1 + 2", 1, 7, "expected ')' for the bracket"),
        ("name\n  and\n  or x", 3, 3, "expected a value"),
        ("1 1", 1, 3, "expected an operator or the end"),
        ("'open", 1, 1, "the text is not closed"),
        ("`open", 1, 1, "the text is not closed"),
        ("1 /* open", 1, 3, "the comment is not closed"),
        ("a § b", 1, 3, "begins nothing in FHIRPath"),
        (r"'\q'", 1, 2, "unknown escape"),
        ("@2015-13-01", 1, 1, "no such date"),
        ("@2015-02-30T10:00Z", 1, 1, "no such date"),
        ("@T10:00Z", 1, 8, "a time has no offset"),
        ("@x", 1, 1, "@ begins a date"),
        ("$that", 1, 1, "only $this, $index and $total"),
        ("a.$this", 1, 3, "$this stands at the beginning"),
        ("3000000000", 1, 1, "an Integer is at most 2147483647"),
        ("9223372036854775808L", 1, 1, "a Long is a whole number below 2^63"),
        ("(" * 200 + "1" + ")" * 200, 1, 101, "nested too deep"),
        ("1" + "+1" * 300, 1, 402, "too many operators in a row"),
        ("a" + ".a" * 300, 1, 402, "too many steps"),
        ("a" * 20_001, 1, 1, "longer than 20000 characters"),
        ("% + 1", 1, 3, "expected the name of a variable"),
        ("x is 5", 1, 6, "expected the name of a type"),
    ],
)
def test_a_mistake_in_the_text_is_shown_with_its_place(text: str, line: int, column: int, expected: str) -> None:
    with pytest.raises(Unreadable) as caught:
        compile(text)
    assert expected in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)
    assert isinstance(caught.value, Malformed)


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("name.given + 1", 12, "+ does not go with a FHIR string and an Integer"),
        ("name.single().exists() and contact.name > 1", 41, "have no order"),
        ("true and (1 | 2)", 6, "and takes one Boolean, not 2 items"),
        ("1 + name.foo(3)", 10, "there is no function foo()"),
        ("%nothing", 1, "there is no variable %nothing"),
        ("today()", 1, "pass at="),
        ("(1 | 2).toString()", 9, "takes one item, not 2"),
        ("$total", 1, "within aggregate() only"),
        ("'a'.repeatAll('a')", 5, "does not come to an end"),
        ("1.round(-1)", 3, "0 or more"),
        ("'a'.encode('rot13')", 5, "knows the formats"),
        ("1.log(0)", 3, "above 0"),
        ("name.join(',')", 6, "join() takes a String"),
        ("defineVariable('a').defineVariable('a')", 21, "cannot define a name again"),
        ("-'a'", 1, "takes a number"),
        ("'(x'.matches('(x')", 6, "cannot be read"),
        ("'x'.matches('x', 'g')", 5, "flags"),
        ("@9999-12-31 + 1 day", 13, "between 0001 and 9999"),
        ("conformsTo('http://example.org/profile')", 1, "not connected"),
    ],
)
def test_a_mistake_in_evaluation_is_shown_with_its_place(text: str, column: int, expected: str) -> None:
    with pytest.raises(Unanswerable) as caught:
        evaluate(text, PATIENT)
    assert expected in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)
    assert isinstance(caught.value, Incorrect)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gender as Sex", "there is no type Sex"),
        ("where()", "where() takes 1 arguments, not 0"),
        ("name.ofType(1)", "takes the name of a type"),
        ("exists(1 | 2, 3)", "exists() takes 0 to 1 arguments, not 2"),
    ],
)
def test_types_and_numbers_of_arguments_are_checked_when_compiled(text: str, expected: str) -> None:
    with pytest.raises(Unanswerable, match=expected.replace("(", r"\(").replace(")", r"\)")):
        compile(text)


def test_messages_never_hold_values_of_the_data() -> None:
    secret = {"resourceType": "Patient", "name": [{"text": "张秘密"}, {"text": "李秘密"}], "birthDate": "1961-03-05"}
    for text in ("name.text + 1", "name.single()", "birthDate > 5", "name.text.length()", "name > name", "-birthDate"):
        with pytest.raises(Unanswerable) as caught:
            evaluate(text, secret)
        assert "秘密" not in str(caught.value)
        assert "1961" not in str(caught.value)
    assert "秘密" not in repr(compile("name").items(secret))


def test_an_expression_is_compiled_once() -> None:
    assert compile("name.given") is compile("name.given")


def test_results_are_plain_json_and_system_values() -> None:
    assert evaluate("name", PATIENT) == PATIENT["name"]
    assert evaluate("1 | 'a' | true | 1.50 | @2015 | 5 'mg' | 3L", PATIENT) == [
        1, "a", True, Decimal("1.50"), Date((2015,)), Quantity(Decimal(5), "mg"), Long(3),
    ]  # fmt: skip
    (found,) = compile("name").items(PATIENT)
    assert found.type == "HumanName"


def test_a_result_may_be_changed_without_changing_the_next_one() -> None:
    for text in ("true", "1 = 1", "1 | 2", "{}", "$this"):
        expression = compile(text)
        before = list(expression.items(PATIENT))
        expression.items(PATIENT).append("more")
        expression(PATIENT).append("more")
        assert len(expression.items(PATIENT)) == len(before)


def test_boolean_reads_a_single_item_as_true() -> None:
    assert compile("name").boolean(PATIENT) is True
    assert compile("name.empty()").boolean(PATIENT) is False
    assert compile("birthDate").boolean(PATIENT) is None
    with pytest.raises(Unanswerable, match="the condition takes one Boolean"):
        compile("generalPractitioner").boolean(PATIENT)


def test_an_element_is_evaluated_within_its_resource() -> None:
    rule = compile("name.exists() and %resource.id = 'p1' and %rootResource.type = 'batch' and %context.name.exists()")
    bundle = {"resourceType": "Bundle", "type": "batch"}
    assert rule(PATIENT["contact"][0], type="Patient.contact", resource=PATIENT, root=bundle) == [True]
    assert compile("$this is Element")(PATIENT["contact"][0], type="Patient.contact") == [True]
    assert compile("$this + 1 day")("2026-03-10", type="date") == [Date((2026, 3, 11))]


def test_variables_and_functions_are_passed_in() -> None:
    env = {"limit": 5, "codes": ["a", "b"], "nobody": None, "patient": PATIENT}
    assert evaluate("%limit + 1", None, env=env) == [6]
    assert evaluate("'b' in %codes", None, env=env) == [True]
    assert evaluate("%nobody.exists()", None, env=env) == [False]
    assert evaluate("%patient.name.family", None, env=env) == ["张"]
    assert evaluate("%'limit' = %`limit`", None, env=env) == [True]
    functions = {"twice": lambda items, *rest: items * 2, "plus": lambda items, other: [items[0] + other[0]]}
    assert evaluate("name.family.twice()", PATIENT, functions=functions) == ["张", "张"]
    assert evaluate("1.plus(2)", None, functions=functions) == [3]


def test_references_resolve_inside_first_then_by_the_callers_function() -> None:
    assert evaluate("managingOrganization.resolve().name", PATIENT) == ["朱家角卫生院"]
    assert evaluate("generalPractitioner.resolve() .ofType(Practitioner).id", PATIENT) == ["g1"]
    asked: list[str] = []

    def resolve(url: str) -> dict[str, Any] | None:
        asked.append(url)
        return {"resourceType": "Practitioner", "id": "g1", "active": True} if url == "Practitioner/g1" else None

    assert evaluate("generalPractitioner.resolve().active", PATIENT, functions={"resolve": resolve}) == [True]
    assert asked == ["Practitioner/g1", "https://a.example/fhir/Organization/x"]
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p2", "gender": "female"}},
            {"resource": {"resourceType": "Encounter", "id": "e", "subject": {"reference": "urn:uuid:1"}}},
        ],
    }
    assert evaluate("entry.resource.ofType(Encounter).subject.resolve().gender", bundle) == ["female"]


def test_terminology_and_profiles_are_asked_of_the_caller() -> None:
    functions = {
        "memberOf": lambda value, url: value == "male" and url == "vs",
        "subsumes": lambda one, other: (one, other) == ("a", "b"),
        "conformsTo": lambda element, url: url == "http://example.org/p",
    }
    assert evaluate("'male'.memberOf('vs')", None, functions=functions) == [True]
    assert evaluate("'a'.subsumes('b') and 'b'.subsumedBy('a')", None, functions=functions) == [True]
    assert evaluate("conformsTo('http://example.org/p')", PATIENT, functions=functions) == [True]
    core = "http://hl7.org/fhir/StructureDefinition/"
    assert evaluate(f"conformsTo('{core}Patient') and conformsTo('{core}Person').not()", PATIENT) == [True]


def test_the_time_is_the_callers() -> None:
    at = datetime(2026, 3, 10, 1, 30, 5, 250_000, tzinfo=UTC)
    assert [str(item) for item in evaluate("now() | today()", None, at=at)] == [
        "2026-03-10T01:30:05.250Z",
        "2026-03-10",
    ]
    assert [str(item) for item in evaluate("timeOfDay()", None, at=at)] == ["01:30:05.250"]


def test_trace_goes_to_the_caller() -> None:
    seen: list[tuple[str, list[Any]]] = []
    assert evaluate(
        "name.trace('n', family).count()", PATIENT, trace=lambda name, items: seen.append((name, items))
    ) == [1]
    assert seen == [("n", ["张"])]


def test_choice_elements_are_reached_by_their_short_name_only() -> None:
    observation = {"resourceType": "Observation", "valueString": "ok", "_valueString": {"id": "v"}}
    assert evaluate("value", observation) == ["ok"]
    assert evaluate("value.id", observation) == ["v"]
    assert evaluate("valueString", observation) == []
    assert evaluate("value is string and value is Quantity = false", observation) == [True]
    assert evaluate(
        "value.exists() and value.hasValue().not()", {"resourceType": "Observation", "_valueString": {"extension": []}}
    ) == [True]


def test_repeating_primitives_keep_their_extensions() -> None:
    patient = {
        "resourceType": "Patient",
        "name": [{"given": [None, "伟", "国"], "_given": [{"id": "a"}, None, {"id": "c"}]}],
    }
    assert evaluate("name.given.id", patient) == ["a", "c"]
    assert evaluate("name.given.where(hasValue())", patient) == ["伟", "国"]
    assert evaluate("name.given.count()", patient) == [3]


def test_json_of_no_known_type_can_be_walked() -> None:
    answers = {"item": [{"linkId": "1", "answer": {"valueDecimal": 1.50}}, {"linkId": "2", "extra": {"deep": [1, 2]}}]}
    assert evaluate("item.where(linkId = '2').extra.deep", answers) == [1, 2]
    assert evaluate("item.answer.value is decimal", answers) == [True]
    assert evaluate("descendants().count()", answers) == [9]


def test_decimals_keep_the_digits_they_were_sent_with() -> None:
    observation = parse('{"resourceType": "Observation", "valueQuantity": {"value": 72.50, "code": "kg"}}')
    assert evaluate("value.value.precision()", observation) == [2]
    assert [str(item) for item in evaluate("value.value.lowBoundary(3)", observation)] == ["72.495"]
    large = parse('{"resourceType": "Observation", "valueQuantity": {"value": 1e999999999}}')
    with pytest.raises(Unanswerable, match="out of range"):
        evaluate("value.value.toString()", large)


def test_fhir_years_and_months_are_calendar_durations() -> None:
    age = {
        "resourceType": "Observation",
        "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "a"},
    }
    assert evaluate("value = 1 year", age) == [True]
    assert evaluate("(@2026-03-10 + value).toString()", age) == ["2027-03-10"]


def test_a_quantity_that_is_only_a_bound_compares_with_nothing() -> None:
    bound = {"value": 5, "comparator": "<", "system": "http://unitsofmeasure.org", "code": "mg"}
    assert evaluate("value > 3 'mg'", {"resourceType": "Observation", "valueQuantity": bound}) == []


def test_quantities_of_other_code_systems_compare_with_their_like_only() -> None:
    tablets = {"value": 2, "system": "http://snomed.info/sct", "code": "428673006"}
    dispense = {"resourceType": "MedicationDispense", "quantity": tablets, "daysSupply": {**tablets, "value": 3}}
    assert evaluate("quantity < daysSupply", dispense) == [True]
    assert evaluate("quantity < 5 'mg'", dispense) == []


def test_r4s_own_expressions_may_use_as_on_many_items() -> None:
    text = "descendants().as(canonical)"
    questionnaire = {"resourceType": "Questionnaire", "derivedFrom": ["http://a.example/q"], "status": "active"}
    assert compile(text, published=True)(questionnaire) == ["http://a.example/q"]
    with pytest.raises(Unanswerable, match="as takes one item"):
        compile(text)(questionnaire)
    when = {"operator": "exists", "answerBoolean": True, "question": "1"}
    rule = "operator = 'exists' implies (answer is Boolean)"
    assert compile(rule, published=True)(when, type="Questionnaire.item.enableWhen") == [True]


def test_every_invariant_and_search_parameter_of_r4_compiles() -> None:
    known = definitions()
    texts = {p.expression for t in known.types for p in known.search_parameters(t).values() if p.expression}
    for name in (*known.types, "Element", "Extension", "Quantity", "Reference", "Narrative"):
        texts |= {rule.expression for rule in known.type(name).invariants}
        texts |= {rule.expression for element in known.type(name).elements.values() for rule in element.invariants}
    assert len(texts) > 1_500
    for text in texts:
        compile(text, published=True)


def test_variables_defined_on_a_path_end_with_it() -> None:
    assert evaluate("name.select(defineVariable('n', family).select(given & %n))", PATIENT) == ["伟张"]
    with pytest.raises(Unanswerable, match="%n"):
        evaluate("defineVariable('n').id.exists() and %n.exists()", PATIENT)
    with pytest.raises(Unanswerable, match="%n"):
        evaluate("defineVariable('n').id = %n.id", PATIENT)
    assert evaluate("defineVariable('n', 5).name.where(%n = 5).given[0].select($this & %n.toString())", PATIENT) == [
        "伟5"
    ]


def test_htmlchecks_follow_the_narrative_rules() -> None:
    def narrative(div: str) -> dict[str, Any]:
        return {"resourceType": "Patient", "text": {"status": "generated", "div": div}}

    good = '<div xmlns="http://www.w3.org/1999/xhtml"><b>张伟</b></div>'
    assert evaluate("text.`div`.htmlChecks()", narrative(good)) == [True]
    assert evaluate("text.`div`.htmlChecks()", narrative(good.replace("b>", "script>"))) == [False]
