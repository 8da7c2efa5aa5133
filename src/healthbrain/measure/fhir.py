"""Measures as FHIR: definitions as Measure, figures as MeasureReport, and both the other way.

Out: a Measure names title, source, scoring, improvement, populations with their expressions, and stratifiers; expressions speak of
the columns of our tables in a language that is written like FHIRPath and is none, so they carry a label of their own, and the steps
that make these tables are in a contained Library in our own form, so that another HealthBrain takes the whole. A figure becomes a MeasureReport of type summary, with members
subject-list.

In: a Measure with such a Library, or one whose criteria are such expressions (or FHIRPath that is also one) over a table of ours
that the extension `measure-table` names; anything else is refused with the list of what cannot be expressed. A MeasureReport of an institution
is read as values to be entered.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml

from healthbrain.errors import Incorrect
from healthbrain.measure.definition import Definition, Population
from healthbrain.measure.load import definition_of, text_of
from healthbrain.measure.queries import Figure, ShownMember

CANONICAL = "urn:healthbrain:measure:"
TABLE = "urn:healthbrain:ext:measure-table"
_YAML = "text/x-yaml"
_LANGUAGE = "text/x-healthbrain-expression"  # lake.expression: columns, not paths
_TAKEN = frozenset({_LANGUAGE, "text/fhirpath"})  # what others wrote before there was a label, or for many engines
_POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
_SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"
_IMPROVEMENT = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation"
_KINDS = {"proportion": "proportion", "rate": "ratio", "ratio": "ratio", "index": "ratio", "count": "cohort"}
_NOTATION = {"up": "increase", "down": "decrease"}
# a population's part -> FHIR's name of it
_PARTS = {
    "where": "initial-population",
    "exclude": "denominator-exclusion",
    "exception": "denominator-exception",
    "numerator": "numerator",
    "numerator_exclude": "numerator-exclusion",
    "observe": "measure-observation",
}
_EMPTY = {"exclude": "false", "exception": "false", "numerator_exclude": "false", "observe": ""}


def as_measure(one: Definition, text: str = "") -> dict[str, Any]:
    """A definition as a Measure; `text` is the YAML of one that is not built in."""
    resource: dict[str, Any] = {
        "resourceType": "Measure",
        "id": one.id,
        "url": CANONICAL + one.id,
        "version": one.version,
        "name": one.id.replace("-", "_"),
        "title": one.title["zh"],
        "subtitle": one.title.get("en", one.title["zh"]),
        "status": "active",
        "description": one.formula["zh"],
        "rationale": one.reading.get("zh", "") or None,
        "scoring": _concept(_SCORING, _KINDS.get(one.kind, "continuous-variable")),
        "relatedArtifact": [{"type": "citation", "citation": f"{one.source.document} {one.source.clause}"}],
    }
    if one.direction in _NOTATION:
        resource["improvementNotation"] = _concept(_IMPROVEMENT, _NOTATION[one.direction])
    if text := text or text_of(one.id):
        content = base64.b64encode(text.encode()).decode()
        resource["contained"] = [{
            "resourceType": "Library", "id": "definition", "status": "active",
            "type": _concept("http://terminology.hl7.org/CodeSystem/library-type", "logic-library"),
            "content": [{"contentType": _YAML, "data": content}],
        }]  # fmt: skip
        resource["library"] = ["#definition"]
    if one.population is not None:
        group: dict[str, Any] = {"population": list(_populations(one.population, one))}
        if one.stratifiers:
            group["stratifier"] = [
                {
                    "code": {"text": stratifier.id},
                    "description": stratifier.title["zh"],
                    "criteria": _criteria(stratifier.value),
                }
                for stratifier in one.stratifiers
            ]
        resource["group"] = [group]
    return {key: value for key, value in resource.items() if value is not None}


def from_measure(resource: Mapping[str, Any]) -> Definition:
    """The definition that a Measure says. Raises Incorrect with everything in it that cannot be expressed."""
    return definition_of(text_from_measure(resource), "Measure")


def text_from_measure(resource: Mapping[str, Any], number: str = "") -> str:
    """The same as YAML in our form, under another number when one is given. Raises Incorrect."""
    if text := carried_text(resource):
        definition_of(text, "Measure.contained")
        return re.sub(r"(?m)^id:.*$", f"id: {number}", text, count=1) if number else text
    if faults := list(_inexpressible(resource)):
        raise Incorrect(f"this Measure cannot be computed here: {'; '.join(faults)}")
    group = resource["group"][0]
    parts = {part["code"]["coding"][0]["code"]: part["criteria"]["expression"] for part in group["population"]}
    table = next(one["valueString"] for one in resource["extension"] if one.get("url") == TABLE)
    ours = {ours: parts[theirs] for ours, theirs in _PARTS.items() if theirs in parts}
    scoring = resource["scoring"]["coding"][0]["code"]
    title = str(resource.get("title") or resource.get("name") or resource["id"])
    improves = [coding.get("code") for coding in resource.get("improvementNotation", {}).get("coding", ())]
    said = {
        "id": number or resource["id"],
        "version": str(resource.get("version", "1")),
        "title": {"zh": title, "en": str(resource.get("subtitle") or title)},
        "formula": {"zh": str(resource.get("description") or title), "en": str(resource.get("description") or title)},
        "source": {"document": str(resource.get("publisher") or resource.get("url") or title), "clause": "Measure"},
        "kind": {"proportion": "proportion", "ratio": "ratio", "cohort": "count", "continuous-variable": "mean"}[scoring],
        "unit": "%" if scoring == "proportion" else "1",
        "direction": "up" if "increase" in improves else "down" if "decrease" in improves else "none",
        "period": "month",
        "periods": "12",
        "population": {"from": table, "subject": "person", "town": "town", "institution": "_owner", **ours},
        "stratifiers": {
            str(one.get("code", {}).get("text", f"s{number}")): {
                "title": {"zh": str(one.get("description") or number), "en": str(one.get("description") or number)},
                "value": one["criteria"]["expression"],
            }
            for number, one in enumerate(group.get("stratifier", ()))
        },
    }  # fmt: skip
    return yaml.safe_dump(said, allow_unicode=True, sort_keys=False)


def claims_our_form(resource: Mapping[str, Any]) -> bool:
    """Whether a Measure says that it is meant for a platform like this one."""
    libraries = [content for one in resource.get("contained", ()) for content in one.get("content", ())]
    return any(one.get("url") == TABLE for one in resource.get("extension", ())) or any(
        content.get("contentType") == _YAML for content in libraries
    )


def carried_text(resource: Mapping[str, Any]) -> str:
    """The YAML that a Measure of ours carries; '' when it carries none. Raises Incorrect when it cannot be read."""
    for contained in resource.get("contained", ()):
        for content in contained.get("content", ()):
            if content.get("contentType") == _YAML and "data" in content:
                try:
                    return base64.b64decode(content["data"]).decode("utf-8")
                except ValueError:
                    raise Incorrect("the definition that the Measure carries cannot be read") from None
    return ""


def as_report(
    one: Definition,
    figure: Figure,
    strata: Sequence[Figure] = (),
    *,
    at: datetime,
    members: Sequence[ShownMember] | None = None,
    reporter: str = "",
) -> dict[str, Any]:
    """A figure as a MeasureReport; with members a subject-list, the list in a contained List per population."""
    resource: dict[str, Any] = {
        "resourceType": "MeasureReport",
        "status": "complete" if figure.complete else "pending",
        "type": "summary" if members is None else "subject-list",
        "measure": f"{CANONICAL}{one.id}|{figure.version}",
        "date": at.isoformat(),
        "period": {"start": figure.start.isoformat(), "end": figure.to.isoformat()},
        **({"subject": {"reference": reporter}} if reporter and members is None else {}),
        "reporter": {"reference": reporter}
        if reporter
        else {"display": "district" if figure.level == "district" else f"{figure.level} {figure.key}"},
        "group": [_group(one, figure)],
    }
    by: dict[str, list[Figure]] = {}
    for part in strata:
        by.setdefault(part.stratifier, []).append(part)
    if by:
        resource["group"][0]["stratifier"] = [
            {
                "code": [{"text": id_}],
                "stratum": [{"value": {"text": part.stratum or "?"}, **_group(one, part)} for part in parts],
            }
            for id_, parts in by.items()
        ]
    if members is not None:
        inside = [member.subject for member in members if member.numerator]
        lists = [("initial-population", [member.subject for member in members]), ("numerator", inside)]
        resource["contained"] = [_list(name, subjects) for name, subjects in lists]
        named = {name for name, _ in lists}
        for population in resource["group"][0]["population"]:
            code = population["code"]["coding"][0]["code"]
            if code in named:
                population["subjectResults"] = {"reference": f"#{code}"}
    return resource


def values_of(report: Mapping[str, Any]) -> tuple[str, str, str, float | None, float | None, float | None]:
    """Measure id, first and last day, numerator, denominator and value of a MeasureReport. Raises Incorrect."""
    measure = str(report.get("measure", "")).partition("|")[0]
    if not measure.startswith(CANONICAL):
        raise Incorrect(f"MeasureReport.measure must name a measure of this platform: {CANONICAL} and its number")
    period, groups = report.get("period", {}), report.get("group", ())
    if len(groups) != 1 or "start" not in period or "end" not in period:
        raise Incorrect("a MeasureReport that is taken as a value has one group and a period with start and end")
    counts = {
        coding.get("code"): population.get("count")
        for population in groups[0].get("population", ())
        for coding in population.get("code", {}).get("coding", ())
    }
    score = groups[0].get("measureScore", {}).get("value")
    value = None if score is None else float(score)
    return (
        measure.removeprefix(CANONICAL),
        period["start"],
        period["end"],
        _number(counts.get("numerator")),
        _number(counts.get("denominator")),
        value,
    )


def _inexpressible(resource: Mapping[str, Any]) -> Iterable[str]:
    if not any(one.get("url") == TABLE for one in resource.get("extension", ())):
        yield f"no extension {TABLE} says over which table the criteria speak"
    if "id" not in resource:
        yield "Measure.id is missing"
    groups = resource.get("group", ())
    if len(groups) != 1:
        yield f"it has {len(groups)} groups, one can be computed"
    codes = [coding.get("code") for coding in resource.get("scoring", {}).get("coding", ())]
    if not set(codes) & {"proportion", "ratio", "cohort", "continuous-variable"}:
        yield "its scoring is none of proportion, ratio, cohort, continuous-variable"
    for group in groups:
        for part in (*group.get("population", ()), *group.get("stratifier", ())):
            named = [coding.get("code") for coding in part.get("code", {}).get("coding", ())]
            language = part.get("criteria", {}).get("language")
            if language not in _TAKEN:
                yield f"the criteria of {named[0] if named else 'a stratifier'} are in {language or 'no language'}, only {_LANGUAGE} and text/fhirpath can be computed"
            if named and named[0] not in {*_PARTS.values(), "denominator"}:
                yield f"the population {named[0]} is not supported"
        for part in group.get("stratifier", ()):
            if part.get("component"):
                yield "a stratifier of several components is not supported"


def _populations(population: Population, one: Definition) -> Iterable[dict[str, Any]]:
    for part, code in _PARTS.items():
        expression = getattr(population, part)
        if expression != _EMPTY.get(part):
            yield {"code": _concept(_POPULATION, code), "criteria": _criteria(expression)}
    if one.denominator is not None or one.kind in {"proportion", "rate", "ratio"}:
        where = one.denominator.where if one.denominator else population.where
        yield {"code": _concept(_POPULATION, "denominator"), "criteria": _criteria(where)}


def _group(one: Definition, figure: Figure) -> dict[str, Any]:
    counts = [("numerator", figure.numerator), ("denominator", figure.denominator)]
    found: dict[str, Any] = {
        "population": [
            {"code": _concept(_POPULATION, "initial-population")},
            *(
                {"code": _concept(_POPULATION, code), "count": round(number)}
                for code, number in counts
                if number is not None and float(number).is_integer()
            ),
        ]
    }
    if figure.value is not None:
        found["measureScore"] = {"value": round(figure.value, 6), "unit": one.unit}
    elif figure.suppressed:
        found["measureScore"] = {
            "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
        }
    return found


def _list(name: str, subjects: Sequence[str]) -> dict[str, Any]:
    entries = [{"item": {"identifier": {"system": "urn:healthbrain:person", "value": subject}}} for subject in subjects]
    return {
        "resourceType": "List",
        "id": name,
        "status": "current",
        "mode": "snapshot",
        **({"entry": entries} if entries else {}),
    }


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _criteria(expression: str) -> dict[str, str]:
    return {"language": _LANGUAGE, "expression": expression}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
