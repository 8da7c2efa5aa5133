"""The invariants of R4 on an instance: rules of its resource type, its elements and their data types.

Each type has a plan, made when first met: its rules, with the elements that make them worth evaluating (triggers.py),
and the elements through which more rules are reached. One walk over the instance follows the plans. What the
structural validation decides (rules.STRUCTURAL) is left to it. Every rule is evaluated on its own element, with
%resource the nearest resource and %rootResource the one that contains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from healthbrain.errors import Issue
from healthbrain.fhir.definitions import Definitions, Element, Invariant, definitions
from healthbrain.fhir.fhirpath import Node
from healthbrain.fhir.findings import SINGLE, Enough, Place
from healthbrain.fhir.primitives import is_primitive
from healthbrain.fhir.profile.ground import Functions, Scope
from healthbrain.fhir.profile.report import Report
from healthbrain.fhir.profile.rules import STRUCTURAL, Rule, rule
from healthbrain.fhir.profile.triggers import triggers

_NONE: Functions = {}
_NARRATIVE = "dom-6"


def check_invariants(resource: dict[str, Any], *, warnings: bool = True, functions: Functions = _NONE) -> list[Issue]:
    """The invariants of R4 that a resource breaks; [] when it keeps them all.

    It should have passed `validate`, which decides ele-1, ext-1, txt-1 and txt-2. `warnings` asks for rules of that
    severity too (such as dom-6, a narrative is best practice). `functions` are those rules may call, such as resolve.

    >>> [i.text for i in check_invariants({"resourceType": "Bundle", "type": "batch", "total": 1})]
    ['bdl-1: total only when a search or history']
    """
    report = Report()
    with suppress(Enough):
        survey(resource, report, warnings=warnings, functions=functions)
    return report.finished()


def survey(resource: dict[str, Any], report: Report, *, warnings: bool, functions: Functions) -> None:
    """Note every invariant that a resource breaks."""
    name = resource.get("resourceType")
    if definitions().is_resource(name):
        place = (None, str(name), SINGLE)
        _plans(warnings).plan(str(name)).walk(resource, place, Scope(resource, resource, functions), report)


class _Trigger:
    """A rule with the JSON keys that decide whether it must be evaluated."""

    __slots__ = ("_key", "_needs", "_prefix", "_rule", "_settled")

    def __init__(
        self, found: Rule, needs: tuple[tuple[str, ...], ...], settled: tuple[str, ...], prefix: tuple[str, str]
    ) -> None:
        self._rule = found
        self._needs = needs
        self._settled = settled
        self._key, self._prefix = prefix

    def check(self, value: dict[str, Any], type_: str, place: Place, scope: Scope, report: Report) -> None:
        """Note it when the object breaks the rule."""
        if self._key and not str(value.get(self._key)).startswith(self._prefix):
            return
        for keys in self._needs:
            for key in keys:
                if key in value:
                    break
            else:
                return
        for key in self._settled:
            if value.get(key):
                return
        self._rule.check(Node(value, type_), place, scope, report)


class _Plan:
    """What to do with an object of one type."""

    __slots__ = ("parts", "triggers", "type")

    def __init__(self, type_: str) -> None:
        self.type = type_
        self.triggers: tuple[_Trigger, ...] = ()
        self.parts: dict[str, _Part] = {}

    def walk(self, value: Any, place: Place, scope: Scope, report: Report) -> None:
        """Check the object and all that is in it."""
        if type(value) is not dict:
            return
        for trigger in self.triggers:
            trigger.check(value, self.type, place, scope, report)
        parts = self.parts
        for key in value:
            part = parts.get(key)
            if part is not None:
                part.walk(value[key], place, scope, report)


class _Part:
    """What to do with an element: rules of the element itself, then the plan of its type."""

    __slots__ = ("_contained", "_label", "_plan", "_plans", "_rules", "_type")

    def __init__(self, label: str, type_: str, rules: tuple[Rule, ...], plan: _Plan | None, plans: _Plans) -> None:
        self._label = label
        self._type = type_
        self._rules = rules
        self._plan = plan
        self._plans = plans
        self._contained = label == "contained"

    def walk(self, value: Any, place: Place, scope: Scope, report: Report) -> None:
        if value.__class__ is list:
            for index, item in enumerate(value):
                self._one(item, (place, self._label, index), scope, report)
        else:
            self._one(value, (place, self._label, SINGLE), scope, report)

    def _one(self, item: Any, place: Place, scope: Scope, report: Report) -> None:
        if item is None:
            return
        for found in self._rules:
            found.check(Node(item, self._type), place, scope, report)
        if self._plan is not None:
            self._plan.walk(item, place, scope, report)
        elif self._type == "Resource" and type(item) is dict and definitions().is_resource(item.get("resourceType")):
            root = scope.root if self._contained else item
            plan = self._plans.plan(item["resourceType"], alone=not self._contained)
            plan.walk(item, place, Scope(item, root, scope.functions), report)


class _Plans:
    """The plans of all types. Types refer to each other, so a plan exists before it is filled."""

    def __init__(self, definitions: Definitions, *, warnings: bool) -> None:
        self._definitions = definitions
        self._warnings = warnings
        self._made: dict[tuple[str, bool], _Plan] = {}

    def plan(self, name: str, *, alone: bool = True) -> _Plan:
        """The plan of a type; a contained resource is not `alone` and needs no narrative of its own."""
        found = self._made.get((name, alone))
        if found is None:
            found = self._made[name, alone] = _Plan(name)
            self._fill(found, alone=alone)
        return found

    def _fill(self, plan: _Plan, *, alone: bool) -> None:
        type_ = self._definitions.type(plan.type)
        rules = [one for one in self._wanted(type_.invariants) if alone or one.key != _NARRATIVE]
        plan.triggers = tuple(self._trigger(one, type_.elements) for one in rules)
        for element in type_.elements.values():
            for key, choice in element.keys().items():
                label = f"{element.name}.ofType({choice.code})" if element.choice else element.name
                own = tuple(rule(one) for one in self._wanted(element.invariants))
                if not is_primitive(choice.code):
                    inner = None if choice.code == "Resource" else self.plan(choice.shape)
                    plan.parts[key] = _Part(label, choice.shape, own, inner, self)
                    continue
                if own:
                    plan.parts[key] = _Part(label, choice.code, own, None, self)
                if choice.code != "xhtml":
                    plan.parts[f"_{key}"] = _Part(label, "Element", (), self.plan("Element"), self)

    def _wanted(self, invariants: tuple[Invariant, ...]) -> list[Invariant]:
        return [
            one for one in invariants if one.key not in STRUCTURAL and (self._warnings or one.severity != "warning")
        ]

    def _trigger(self, invariant: Invariant, elements: Mapping[str, Element]) -> _Trigger:
        made = rule(invariant)
        if made.expression is None:
            return _Trigger(made, (), (), ("", ""))
        found = triggers(made.expression.tree)
        needs = [_keys(elements[name], beside=True) for name in found.needs if name in elements]
        settled = [key for name in found.settled if name in elements for key in _keys(elements[name], beside=False)]
        needs.sort(key=len)
        return _Trigger(made, tuple(needs), tuple(settled), found.prefix or ("", ""))


def _keys(element: Element, *, beside: bool) -> tuple[str, ...]:
    """The JSON keys an element can have, the `_` companions of primitives included when asked."""
    found = []
    for key, choice in element.keys().items():
        found.append(key)
        if beside and is_primitive(choice.code):
            found.append(f"_{key}")
    return tuple(found)


@cache
def _plans(warnings: bool) -> _Plans:
    return _Plans(definitions(), warnings=warnings)
