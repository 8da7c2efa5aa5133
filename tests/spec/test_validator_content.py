"""Validator cases about content: codes, extensions, bundles, questionnaires and their answers, definitions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.spec.test_validator_cases import (
    UCUM,
    Case,
    bundle,
    case,
    code_system,
    concept_map,
    extended,
    observation,
    patient,
    questionnaire,
    urn,
    value_set,
    verify,
)

from healthbrain.fhir.profile import validate_resource

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"


def marital(**coding: Any) -> Json:
    return patient(maritalStatus={"coding": [{"system": MARITAL, **coding}]})


def other(**coding: Any) -> Json:
    return observation(bodySite={"coding": [coding]})


COLOURS = {
    "resourceType": "CodeSystem", "url": "urn:colours", "version": "2", "status": "active", "content": "complete",
    "concept": [
        {"code": "red", "display": "Red", "designation": [{"language": "zh", "value": "红"}],
         "concept": [{"code": "crimson", "display": "Crimson"}]},
        {"code": "old", "property": [{"code": "status", "valueCode": "retired"}]},
        {"code": "any", "property": [{"code": "notSelectable", "valueBoolean": True}]},
    ],
}  # fmt: skip
PART = {**COLOURS, "url": "urn:part", "content": "fragment"}
PROPS = {**COLOURS, "url": "urn:props", "property": [{"code": "hue", "type": "string"}]}

CODES = [
    case("gender outside its value set", patient(gender="m"), "error code-invalid Patient.gender"),
    case("code of an extensible binding", marital(code="M", display="Married")),
    case(
        "display that is another's",
        marital(code="M", display="Divorced"),
        "warning code-invalid Patient.maritalStatus.coding[0].display",
    ),
    case("display in other case and spaces", marital(code="M", display="  married"), lacks=("warning code",)),
    case("display in another language", marital(code="M", display="已婚"), lacks=("warning code",)),
    case(
        "code the system does not have", marital(code="Q"), "warning code-invalid Patient.maritalStatus.coding[0].code"
    ),
    case(
        "code of another system where one is preferred",
        patient(maritalStatus={"coding": [{"system": "urn:x", "code": "y"}]}),
        "warning code-invalid Patient.maritalStatus",
        "information not-found Patient.maritalStatus.coding[0].code",
    ),
    case(
        "text only where a code is preferred",
        patient(maritalStatus={"text": "x"}),
        "warning code-invalid Patient.maritalStatus",
    ),
    case(
        "one coding of the value set is enough",
        patient(maritalStatus={"coding": [{"system": "urn:colours", "code": "red"}, {"system": MARITAL, "code": "M"}]}),
        lacks=("warning code",),
    ),
    case("code without system", other(code="x"), "warning code-invalid Observation.bodySite.coding[0]"),
    case(
        "system that is a value set",
        other(system="http://hl7.org/fhir/ValueSet/observation-codes", code="x"),
        "error code-invalid Observation.bodySite.coding[0].system",
    ),
    case(
        "system that is relative",
        other(system="loinc", code="x"),
        "error code-invalid Observation.bodySite.coding[0].system",
    ),
    case(
        "system nobody has",
        other(system="urn:nobody", code="x"),
        "information not-found Observation.bodySite.coding[0].code",
    ),
    case(
        "code of FHIR's own system",
        other(system="http://hl7.org/fhir/administrative-gender", code="man"),
        "error code-invalid Observation.bodySite.coding[0].code",
    ),
    case(
        "impossible LOINC code",
        other(system="http://loinc.org", code="8480-7"),
        "error code-invalid Observation.bodySite.coding[0].code",
    ),
    case(
        "code of a stored system",
        other(system="urn:colours", code="crimson", display="CRIMSON"),
        lacks=("warning code",),
    ),
    case(
        "code a stored system lacks",
        other(system="urn:colours", code="blue"),
        "error code-invalid Observation.bodySite.coding[0].code",
    ),
    case(
        "designation of a stored system", other(system="urn:colours", code="red", display="红"), lacks=("warning code",)
    ),
    case(
        "display a stored system does not have",
        other(system="urn:colours", code="red", display="绿"),
        "warning code-invalid Observation.bodySite.coding[0].display",
    ),
    case(
        "inactive code",
        other(system="urn:colours", code="old"),
        "warning business-rule Observation.bodySite.coding[0].code",
    ),
    case(
        "abstract code",
        other(system="urn:colours", code="any"),
        "warning business-rule Observation.bodySite.coding[0].code",
    ),
    case(
        "another version of the system",
        other(system="urn:colours", code="red", version="1"),
        "warning not-found Observation.bodySite.coding[0].version",
    ),
    case(
        "code a part of a system lacks",
        other(system="urn:part", code="blue"),
        "information not-found Observation.bodySite.coding[0].code",
    ),
    case(
        "UCUM unit", observation(valueQuantity={"value": 1, "system": UCUM, "code": "mm[Hg]"}), lacks=("warning code",)
    ),
    case(
        "no UCUM unit",
        observation(valueQuantity={"value": 1, "system": UCUM, "code": "mmHg"}),
        "warning code-invalid Observation.value.ofType(Quantity).code",
    ),
    case(
        "unit code without system",
        observation(valueQuantity={"value": 1, "code": "mm[Hg]"}),
        "error invariant Observation.value.ofType(Quantity)",
    ),
    case("UCUM as a coding", other(system=UCUM, code="mmHg"), "error code-invalid Observation.bodySite.coding[0].code"),
    case(
        "required Coding outside its value set",
        patient(link=[{"other": {"reference": "Patient/b"}, "type": "kin"}]),
        "error code-invalid Patient.link[0].type",
    ),
]

EXTENSIONS = [
    case(
        "unknown extension",
        extended({"url": "urn:x", "valueString": "y"}),
        "information not-found Patient.extension[0]",
    ),
    case(
        "unknown modifier extension",
        patient(modifierExtension=[{"url": "urn:x", "valueString": "y"}]),
        "error not-found Patient.modifierExtension[0]",
    ),
    case(
        "unknown extension of HL7",
        extended({"url": CORE + "no-such", "valueString": "y"}),
        "warning not-found Patient.extension[0]",
    ),
    case(
        "extension with value and extensions",
        extended({"url": "urn:x", "valueString": "y", "extension": [{"url": "z", "valueString": "y"}]}),
        "error invariant Patient.extension[0]",
    ),
    case("extension with neither", extended({"url": "urn:x"}), "error invariant Patient.extension[0]"),
    case("extension where it may be", extended({"url": CORE + "patient-birthPlace", "valueAddress": {"city": "x"}})),
    case(
        "extension where it may not be",
        observation(extension=[{"url": CORE + "patient-birthPlace", "valueAddress": {"city": "x"}}]),
        "error structure Observation.extension[0]",
    ),
    case(
        "extension with a value of another type",
        extended({"url": CORE + "patient-birthPlace", "valueString": "x"}),
        "error structure Patient.extension[0].value.ofType(string)",
    ),
    case(
        "extension that occurs too often",
        extended({"url": CORE + "patient-birthPlace", "extension": [{"url": "x", "valueString": "y"}]}),
        "error structure Patient.extension[0].extension",
        "error required Patient.extension[0].value",
    ),
    case(
        "extension in a modifier's place",
        patient(modifierExtension=[{"url": CORE + "patient-birthPlace", "valueAddress": {"city": "x"}}]),
        "error structure Patient.modifierExtension[0]",
    ),
]

PATIENT = {"resourceType": "Patient", "id": "p"}
COMPOSITION = {
    "resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"}, "date": "2024", "title": "x",
    "author": [{"reference": "Patient/p"}],
}  # fmt: skip
WHEN = {"identifier": {"system": "urn:x", "value": "1"}, "timestamp": "2024-01-31T10:00:00Z"}


def at(number: int, resource: Json) -> Json:
    return {"fullUrl": urn(number), "resource": resource}


def http(resource: Json) -> Json:
    return {"fullUrl": f"http://a/fhir/{resource['resourceType']}/{resource['id']}", "resource": resource}


BUNDLES = [
    case("bundle of the right form", bundle("collection", at(1, PATIENT))),
    case("bdl-1: total of a collection", bundle("collection", at(1, PATIENT), total=1), "error invariant Bundle"),
    case(
        "bdl-3: request in a collection",
        bundle("collection", {**at(1, PATIENT), "request": {"method": "GET", "url": "Patient"}}),
        "error invariant Bundle",
    ),
    case("bdl-3: transaction without requests", bundle("transaction", at(1, PATIENT)), "error invariant Bundle"),
    case(
        "bdl-5: empty entry",
        bundle("collection", {"link": [{"relation": "self", "url": "http://a"}]}),
        "error invariant Bundle.entry[0]",
    ),
    case(
        "bdl-7: fullUrl twice",
        bundle("collection", at(1, PATIENT), at(1, {**PATIENT, "id": "q"})),
        "error invariant Bundle",
    ),
    case(
        "bdl-8: versioned fullUrl",
        bundle("collection", {"fullUrl": "http://a/Patient/p/_history/1", "resource": PATIENT}),
        "error invariant Bundle.entry[0]",
    ),
    case(
        "bdl-9: document without identifier",
        bundle("document", http(COMPOSITION), http(PATIENT), timestamp=WHEN["timestamp"]),
        "error invariant Bundle",
    ),
    case(
        "bdl-10: document without date",
        bundle("document", http(COMPOSITION), http(PATIENT), identifier={"value": "1", "system": "urn:x"}),
        "error invariant Bundle",
    ),
    case(
        "bdl-11: document that begins with a patient",
        bundle("document", http(PATIENT), **WHEN),
        "error invariant Bundle",
    ),
    case("bdl-12: message without header", bundle("message", http(PATIENT)), "error invariant Bundle"),
    case(
        "document that lacks what it speaks of",
        bundle("document", http(COMPOSITION), **WHEN),
        "error not-found Bundle.entry[0].resource.author[0].reference",
    ),
    case(
        "urn that is no entry",
        bundle("collection", at(1, observation(subject={"reference": urn(2)}))),
        "error not-found Bundle.entry[0].resource.subject.reference",
    ),
    case(
        "urn of an entry of another type",
        bundle(
            "collection", at(1, observation(subject={"reference": urn(2)})), at(2, {"resourceType": "Practitioner"})
        ),
        "error value Bundle.entry[0].resource.subject.reference",
    ),
    case("urn of an entry", bundle("collection", at(1, observation(subject={"reference": urn(2)})), at(2, PATIENT))),
    case(
        "relative fullUrl",
        bundle("collection", {"fullUrl": "Patient/p", "resource": PATIENT}),
        "error value Bundle.entry[0].fullUrl",
    ),
    case(
        "fullUrl of another id",
        bundle("collection", {"fullUrl": "http://a/Patient/q", "resource": PATIENT}),
        "warning value Bundle.entry[0].fullUrl",
    ),
    case(
        "parameter with value and resource",
        {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y", "resource": PATIENT}]},
        "error invariant Parameters.parameter[0]",
    ),
    case(
        "parameter without a name",
        {"resourceType": "Parameters", "parameter": [{"valueString": "y"}]},
        "error required Parameters.parameter[0].name",
    ),
]


def sure(**more: Any) -> Json:
    return {"linkId": "1", "type": "boolean", **more}


QUESTIONNAIRES = [
    case("que-2: linkId twice", questionnaire(sure(), sure()), "error invariant Questionnaire"),
    case(
        "que-1: group without items",
        questionnaire({"linkId": "1", "type": "group"}),
        "error invariant Questionnaire.item[0]",
    ),
    case(
        "que-4: options beside a value set",
        questionnaire(
            {"linkId": "1", "type": "choice", "answerValueSet": "urn:x", "answerOption": [{"valueString": "a"}]}
        ),
        "error invariant Questionnaire.item[0]",
    ),
    case(
        "condition on a question that is not there",
        questionnaire(sure(enableWhen=[{"question": "9", "operator": "exists", "answerBoolean": True}])),
        "error not-found Questionnaire.item[0].enableWhen[0].question",
    ),
    case(
        "condition with an answer of another type",
        questionnaire(sure(), sure(linkId="2", enableWhen=[{"question": "1", "operator": "=", "answerInteger": 1}])),
        "error value Questionnaire.item[1].enableWhen[0].answer",
    ),
    case(
        "initial value of another type",
        questionnaire(sure(initial=[{"valueString": "x"}])),
        "error value Questionnaire.item[0].initial[0].value",
    ),
]

FORM = questionnaire(
    sure(required=True),
    {"linkId": "2", "type": "choice", "answerOption": [{"valueCoding": {"system": "urn:colours", "code": "red"}}]},
    {"linkId": "3", "type": "integer", "required": True,
     "enableWhen": [{"question": "1", "operator": "=", "answerBoolean": True}]},
    {"linkId": "4", "type": "group", "repeats": True, "item": [{"linkId": "4.1", "type": "string", "maxLength": 3}]},
    {"linkId": "5", "type": "decimal", "enableWhen": [{"question": "3", "operator": ">", "answerInteger": 5}]},
    url="urn:form",
)  # fmt: skip


def answered(*items: Json, status: str = "completed") -> Json:
    return {"resourceType": "QuestionnaireResponse", "status": status, "questionnaire": "urn:form", "item": list(items)}


def answer(link: str, **value: Any) -> Json:
    return {"linkId": link, "answer": [value]}


YES, NO = answer("1", valueBoolean=True), answer("1", valueBoolean=False)
ANSWERS = [
    case("answers as asked", answered(YES, answer("3", valueInteger=6), answer("5", valueDecimal=1.5))),
    case(
        "required answer missing",
        answered(answer("3", valueInteger=1)),
        "error required QuestionnaireResponse.item",
        "error business-rule QuestionnaireResponse.item[0]",
    ),
    case(
        "required answer missing while in progress",
        answered(answer("4.1", valueString="x"), status="in-progress"),
        "error structure QuestionnaireResponse.item[0].linkId",
    ),
    case("answer required by another", answered(YES), "error required QuestionnaireResponse.item"),
    case("answer not required by another", answered(NO)),
    case(
        "answer that is not enabled",
        answered(NO, answer("3", valueInteger=1)),
        "error business-rule QuestionnaireResponse.item[1]",
    ),
    case(
        "answer not enabled by an order",
        answered(YES, answer("3", valueInteger=5), answer("5", valueDecimal=1.5)),
        "error business-rule QuestionnaireResponse.item[2]",
    ),
    case(
        "answer of another type",
        answered(answer("1", valueString="yes")),
        "error value QuestionnaireResponse.item[0].answer[0].value",
    ),
    case(
        "answer that is no option",
        answered(NO, answer("2", valueCoding={"system": "urn:colours", "code": "crimson"})),
        "error code-invalid QuestionnaireResponse.item[1].answer[0].value",
    ),
    case("answer that is an option", answered(NO, answer("2", valueCoding={"system": "urn:colours", "code": "red"}))),
    case(
        "answer to no question",
        answered(NO, answer("9", valueString="x")),
        "error not-found QuestionnaireResponse.item[1].linkId",
    ),
    case(
        "answers out of order",
        answered(answer("2", valueCoding={"system": "urn:colours", "code": "red"}), NO),
        "error structure QuestionnaireResponse.item[1]",
    ),
    case(
        "two answers to one question",
        answered({"linkId": "1", "answer": [{"valueBoolean": False}, {"valueBoolean": False}]}),
        "error structure QuestionnaireResponse.item[0].answer",
    ),
    case("a question twice", answered(NO, NO), "error structure QuestionnaireResponse.item[1]"),
    case("a group that repeats", answered(NO, *({"linkId": "4", "item": [answer("4.1", valueString="abc")]},) * 2)),
    case(
        "a group with an answer",
        answered(NO, answer("4", valueString="x")),
        "error structure QuestionnaireResponse.item[1].answer",
    ),
    case(
        "an answer that is too long",
        answered(NO, {"linkId": "4", "item": [answer("4.1", valueString="abcd")]}),
        "error too-long QuestionnaireResponse.item[1].item[0].answer[0].value",
    ),
    case(
        "a questionnaire nobody has",
        {**answered(NO), "questionnaire": "urn:other"},
        "warning not-found QuestionnaireResponse.questionnaire",
    ),
]


def profile(**more: Any) -> Json:
    return {
        "resourceType": "StructureDefinition", "url": "urn:p", "name": "P", "status": "active", "kind": "resource",
        "abstract": False, "type": "Patient", "baseDefinition": CORE + "Patient", "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]}, **more,
    }  # fmt: skip


def parameter(expression: str) -> Json:
    return {
        "resourceType": "SearchParameter", "url": "urn:s", "name": "S", "status": "active", "description": "x", "code": "s",
        "base": ["Patient"], "type": "string", "expression": expression,
    }  # fmt: skip


RULE = {"key": "a-1", "severity": "error", "human": "x", "expression": "name.where("}
DEFINITIONS = [
    case("profile that can be used", profile()),
    case("profile on a base nobody has", profile(baseDefinition="urn:nobody"), "error business-rule StructureDefinition"),
    case("profile on itself", profile(baseDefinition="urn:p"), "error business-rule StructureDefinition"),
    case("profile whose rule cannot be read",
         profile(differential={"element": [{"id": "Patient", "path": "Patient", "constraint": [RULE]}]}),
         "error invalid StructureDefinition.differential.element[0].constraint[0].expression"),
    case("search parameter that can be used", parameter("Patient.name.family")),
    case("search parameter that cannot be read", parameter("Patient.name..family"), "error invalid SearchParameter.expression"),
    case("csd-1: code twice", code_system(concept=[{"code": "a"}, {"code": "a"}]), "error invariant CodeSystem"),
    case("vsd-1: include of nothing", value_set(compose={"include": [{"version": "1"}]}),
         "error invariant ValueSet.compose.include[0]"),
    case("vsd-2: concept without system", value_set(compose={"include": [{"valueSet": ["urn:x"], "concept": [{"code": "a"}]}]}),
         "error invariant ValueSet.compose.include[0]"),
    case("vsd-3: concept beside filter",
         value_set(compose={"include": [{"system": "urn:x", "concept": [{"code": "a"}],
                                         "filter": [{"property": "concept", "op": "is-a", "value": "a"}]}]}),
         "error invariant ValueSet.compose.include[0]"),
    case("cmd-1: no equivalence to nothing",
         concept_map(group=[{"element": [{"code": "a", "target": [{"code": "b", "equivalence": "narrower"}]}]}]),
         "error invariant ConceptMap.group[0].element[0].target[0]"),
]  # fmt: skip


COLOUR = "ConceptMap.group[0].element[0]"
IDENTITY = {"equivalence": "equal"}


def mapped(code: str, other_: str, **group: Any) -> Json:
    sides = {"source": "urn:colours", "target": "urn:part", **group}
    return concept_map(group=[{**sides, "element": [{"code": code, "target": [{**IDENTITY, "code": other_}]}]}])


def included(**include: Any) -> Json:
    return value_set(compose={"include": [{"system": "urn:colours", **include}]})


INCLUDE = "ValueSet.compose.include[0]"
LISTS = [
    case("value set of codes its system has", included(concept=[{"code": "red"}, {"code": "crimson"}]), lacks=("error", "warning code")),
    case("value set of a code its system lacks", included(concept=[{"code": "red"}, {"code": "green"}]),
         f"warning code-invalid {INCLUDE}.concept[1].code"),
    case("value set that excludes a code its system lacks",
         value_set(compose={"include": [{"system": "urn:colours"}], "exclude": [{"system": "urn:colours", "concept": [{"code": "x"}]}]}),
         "warning code-invalid ValueSet.compose.exclude[0].concept[0].code"),
    case("value set with another name of a code", included(concept=[{"code": "red", "display": "Crimson lake"}]), lacks=("warning code",)),
    case("value set of a code a part lacks", included(system="urn:part", concept=[{"code": "green"}]),
         f"information not-found {INCLUDE}.concept[0].code", lacks=("warning code",)),
    case("value set over a system nobody has", included(system="urn:nobody", concept=[{"code": "x"}, {"code": "y"}]),
         f"information not-found {INCLUDE}.concept[0].code", lacks=("error",)),
    case("value set with a LOINC code that cannot be", included(system="http://loinc.org", concept=[{"code": "8480-7"}]),
         f"error code-invalid {INCLUDE}.concept[0].code"),
    case("value set of a code R4's system lacks", included(system="http://hl7.org/fhir/administrative-gender", concept=[{"code": "m"}]),
         f"warning code-invalid {INCLUDE}.concept[0].code"),
    case("value set in another version of its system", included(version="1", concept=[{"code": "red"}]),
         f"warning not-found {INCLUDE}.version"),
    case("value set in the version at hand", included(version="2", concept=[{"code": "red"}]), lacks=("warning not-found",)),
    case("value set over a value set for a system", included(system="http://hl7.org/fhir/ValueSet/administrative-gender"),
         f"error code-invalid {INCLUDE}.system"),
    case("filter by a code", included(filter=[{"property": "concept", "op": "is-a", "value": "red"}]), lacks=("warning code",)),
    case("filter by a code the system lacks", included(filter=[{"property": "concept", "op": "is-a", "value": "green"}]),
         f"warning code-invalid {INCLUDE}.filter[0].value"),
    case("filter by what every system has", included(filter=[{"property": "status", "op": "=", "value": "retired"}]), lacks=("warning code",)),
    case("filter by a declared property", included(system="urn:props", filter=[{"property": "hue", "op": "=", "value": "1"}]),
         lacks=("warning code",)),
    case("filter by a property nobody declares", included(system="urn:props", filter=[{"property": "weight", "op": "=", "value": "1"}]),
         f"warning code-invalid {INCLUDE}.filter[0].property"),
    case("expansion with a code the system lacks",
         value_set(expansion={"timestamp": "2026-01-01", "contains": [{"system": "urn:colours", "code": "red",
                                                                       "contains": [{"system": "urn:colours", "code": "x"}]}]}),
         "warning code-invalid ValueSet.expansion.contains[0].contains[0].code"),
    case("map of codes both sides have", mapped("red", "crimson"), lacks=("error", "warning code")),
    case("map from a code its system lacks", mapped("green", "red"), f"error code-invalid {COLOUR}.code"),
    case("map to a code its system lacks", mapped("red", "green", target="urn:colours"), f"error code-invalid {COLOUR}.target[0].code"),
    case("map to a code a part lacks", mapped("red", "green"), f"information not-found {COLOUR}.target[0].code", lacks=("error",)),
    case("map from a code of a growing system", mapped("ZZ", "red", source=MARITAL), f"warning code-invalid {COLOUR}.code", lacks=("error",)),
    case("map without systems", concept_map(group=[{"element": [{"code": "x", "target": [{**IDENTITY, "code": "y"}]}]}]), lacks=("error",)),
    case("map from another version", mapped("red", "red", sourceVersion="9"), "warning not-found ConceptMap.group[0].sourceVersion"),
    case("map of what is not mapped to a code its system lacks",
         concept_map(group=[{"target": "urn:colours", "element": [{"code": "x"}], "unmapped": {"mode": "fixed", "code": "green"}}]),
         "error code-invalid ConceptMap.group[0].unmapped.code"),
    case("map between value sets for systems", mapped("a", "b", source="http://hl7.org/fhir/ValueSet/x"),
         "error code-invalid ConceptMap.group[0].source"),
    case("property that is declared", code_system(property=[{"code": "hue", "type": "integer"}],
                                                  concept=[{"code": "a", "property": [{"code": "hue", "valueInteger": 1}]}]),
         lacks=("error", "warning code")),
    case("property that is not declared", code_system(concept=[{"code": "a", "property": [{"code": "hue", "valueInteger": 1}]}]),
         "warning code-invalid CodeSystem.concept[0].property[0].code"),
    case("property of every system", code_system(concept=[{"code": "a", "property": [{"code": "inactive", "valueBoolean": True}]}]),
         lacks=("warning code",)),
    case("property of another type", code_system(property=[{"code": "hue", "type": "integer"}],
                                                 concept=[{"code": "b", "concept": [{"code": "a", "property": [{"code": "hue", "valueString": "1"}]}]}]),
         "error value CodeSystem.concept[0].concept[0].property[0]"),
    case("supplement of a code its system lacks",
         code_system(content="supplement", supplements="urn:colours|2", concept=[{"code": "red"}, {"code": "green"}]),
         "error code-invalid CodeSystem.concept[1].code"),
    case("value set beside its system in a Bundle",
         bundle("collection",
                at(1, code_system(url="urn:beside", concept=[{"code": "a"}])),
                at(2, value_set(compose={"include": [{"system": "urn:beside", "concept": [{"code": "a"}, {"code": "b"}]}]}))),
         "warning code-invalid Bundle.entry[1].resource.compose.include[0].concept[1].code"),
]  # fmt: skip


def vital(code: str, **more: Any) -> Json:
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    return observation(
        category=[{"coding": [category]}], code={"coding": [{"system": "http://loinc.org", "code": code}]},
        subject={"reference": "Patient/p"}, effectiveDateTime="2024-01-31", **more,
    )  # fmt: skip


def declared(name: str, resource: Json) -> Json:
    return {**resource, "meta": {"profile": [CORE + name]}}


def amount(unit: str) -> Json:
    return {"value": 70, "unit": unit, "system": UCUM, "code": unit}


WEIGHT = vital("29463-7", valueQuantity=amount("kg"))
VITAL_SIGNS = [
    case("body weight", declared("bodyweight", WEIGHT)),
    case(
        "body weight in other units",
        declared("bodyweight", vital("29463-7", valueQuantity=amount("m"))),
        "error code-invalid Observation.value.ofType(Quantity).code",
    ),
    case(
        "body weight under another code",
        declared("bodyweight", vital("8302-2", valueQuantity=amount("kg"))),
        "error required Observation.code.coding",
    ),
    case(
        "body weight without patient",
        declared("bodyweight", {k: v for k, v in WEIGHT.items() if k != "subject"}),
        "error required Observation.subject",
    ),
    case(
        "body weight without category",
        declared("bodyweight", {k: v for k, v in WEIGHT.items() if k != "category"}),
        "error required Observation.category",
        "error required Observation.category",
    ),
    case("profile of another type", declared("bodyweight", patient()), "error structure Patient"),
    case("profile nobody has", declared("no-such", patient()), "warning not-found Patient.meta.profile[0]"),
]

CASES = [*CODES, *EXTENSIONS, *BUNDLES, *QUESTIONNAIRES, *ANSWERS, *DEFINITIONS, *LISTS, *VITAL_SIGNS]


def found(one: Case) -> list[str]:
    issues = validate_resource(
        one.resource,
        code_systems={"urn:colours": COLOURS, "urn:part": PART, "urn:props": PROPS}.get,
        questionnaires={"urn:form": FORM}.get,
    )
    return [f"{issue.severity} {issue.code} {issue.expression}" for issue in issues]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.title)
def test_a_case_gives_the_findings_it_must(one: Case) -> None:
    verify(one, found(one))


MANY = patient(contact=[{"name": {"family": f"f{number}"}} for number in range(2000)])


@pytest.mark.parametrize(
    "expression",
    [
        "descendants().all(%resource.descendants().all(%resource.descendants().exists()))",
        "descendants().where(%resource = %resource).exists()",
        "descendants() ~ descendants()",
        "repeat($this | children()).exists()",
        "descendants().distinct().exists()",
        "descendants().aggregate($total & $this.toString() & $total, '').exists()",
    ],
)
def test_a_rule_that_would_run_without_end_is_ended_and_told(expression: str) -> None:
    rule = {"key": "e-1", "severity": "error", "human": "x", "expression": expression}
    known = profile(differential={"element": [{"id": "Patient", "path": "Patient", "constraint": [rule]}]})
    issues = validate_resource(MANY, profiles=["urn:p"], lookup={"urn:p": known}.get)
    assert ("warning", "too-costly", "Patient") in {(one.severity, one.code, one.expression) for one in issues}
