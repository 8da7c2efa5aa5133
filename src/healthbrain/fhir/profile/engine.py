"""$validate: everything that can be said about a resource without storing it.

In this order: the structure, R4's invariants, extensions, codes and bindings of every element, the profiles it and
the resources inside it declare, the profiles the caller asks for. Where something could not be checked an issue of
severity information or warning says so; silence means it was checked and is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from healthbrain.errors import Issue
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.findings import SINGLE, Enough
from healthbrain.fhir.profile.brought import Brought
from healthbrain.fhir.profile.conformance import Conformance
from healthbrain.fhir.profile.derivation import Lookup, Unusable
from healthbrain.fhir.profile.elements import check_elements
from healthbrain.fhir.profile.invariants import survey
from healthbrain.fhir.profile.items import Item, Resolve, top_item
from healthbrain.fhir.profile.known import Profiles, type_of
from healthbrain.fhir.profile.report import Report
from healthbrain.fhir.profile.terminology import MemberOf, Terminology
from healthbrain.fhir.profile.work import Work
from healthbrain.fhir.validation import validate

Mode = Literal["create", "update", "delete", "profile"]

_SHAPE = frozenset(["structure", "value"])  # findings after which FHIRPath rules would speak about something else


class Unfinished(Exception):
    """Quick work has not ended; nothing is known yet."""


def validate_resource(
    resource: dict[str, Any],
    *,
    profiles: Sequence[str] = (),
    lookup: Lookup | None = None,
    value_sets: Lookup | None = None,
    code_systems: Lookup | None = None,
    questionnaires: Lookup | None = None,
    member_of: MemberOf | None = None,
    resolve: Resolve | None = None,
    mode: Mode | None = None,
    at: datetime | None = None,
    quick: bool = False,
) -> list[Issue]:
    """What is wrong with a resource, or could not be checked; [] when all was checked and is right.

    `profiles` are checked besides those of meta.profile. `lookup(canonical)` gives a StructureDefinition and
    `value_sets(canonical)` and `code_systems(url)` a ValueSet and a CodeSystem that are not R4's own,
    `questionnaires(canonical)` the Questionnaire of a response, `member_of(system, code, value_set)` whether a code is in
    a value set nobody else can list (None when that is not known; system None for a bare code), `resolve(reference)` a
    resource that is neither contained nor in the Bundle. None of them does I/O. `mode` is that of $validate: an update
    needs an id. `at` is what now() says in rules; without it they are not checked. `quick` work that has not ended after some
    hundredths of a second raises Unfinished.

    >>> validate_resource({"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
    ...     profiles=["http://hl7.org/fhir/StructureDefinition/bp"])[-1].expression
    'Observation.component'
    """
    found = validate(resource)
    type_ = resource.get("resourceType")
    if not isinstance(type_, str) or not definitions().is_resource(type_):
        return found
    report = Report(found)
    beside = Brought(resource).beside
    work = Work(
        Profiles(beside("StructureDefinition", lookup)),
        Terminology(member_of, beside("ValueSet", value_sets), beside("CodeSystem", code_systems)),
        rules=not any(one.code in _SHAPE for one in found),
        questionnaires=beside("Questionnaire", questionnaires),
        quick=quick,
    )
    checker = Conformance(work, report)
    item = top_item(resource, type_, resolve, _functions(checker), at)
    with suppress(Enough):
        _check(item, checker, profiles, mode)
    if quick and work.unfinished:
        raise Unfinished
    if work.exhausted:
        text = "checking ended early: the resource and its profiles ask for too many checks; send smaller parts"
        report.add("warning", "too-costly", None, text)
    return report.finished()


def as_operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """The OperationOutcome of $validate; when nothing was found it says so."""
    found = [issue.as_fhir() for issue in issues]
    if not any(issue.severity in ("error", "fatal") for issue in issues):
        text = "no errors found" if not issues else "no errors found; see what else there is to say"
        found.insert(0, {"severity": "information", "code": "informational", "diagnostics": text})
    return {"resourceType": "OperationOutcome", "issue": found}


def _check(item: Item, checker: Conformance, profiles: Sequence[str], mode: Mode | None) -> None:
    report = checker.report
    if mode == "update" and "id" not in item.value:
        report.error("required", (item.place, "id", SINGLE), "is missing; an update names the resource by its id")
    if checker.work.rules:
        survey(item.value, report, warnings=True, functions=item.around.scope.functions)
    else:
        text = "invariants and other FHIRPath rules were not checked: the structure is wrong; mend that first"
        report.unchecked("rules", item.place, text)
    check_elements(item, checker)
    for canonical in profiles:
        _asked(item, canonical, checker)


def _asked(item: Item, canonical: str, checker: Conformance) -> None:
    """A profile the caller names must be known."""
    if not type_of(canonical):
        try:
            reason = "" if checker.work.profiles.find(canonical) else "it is not known here"
        except Unusable as problem:
            reason = problem.message
        if reason:
            checker.report.error("not-found", item.place, f"the profile {canonical} cannot be used: {reason}")
            return
    checker.conform(item, canonical)


def _functions(checker: Conformance) -> dict[str, Any]:
    """What FHIRPath rules may ask."""

    def member(value: Any, value_set: list[Any]) -> bool | None:
        return checker.work.terminology.member(value, str(value_set))

    def conforms(value: Any, canonical: Any) -> bool | None:
        kind = value.get("resourceType") if isinstance(value, dict) else None
        if not isinstance(kind, str) or checker.work.profiles.usable(str(canonical)) is None:
            return None
        return checker.fits(top_item(value, kind, None, _functions(checker)), str(canonical))

    return {"memberOf": member, "conformsTo": conforms}
