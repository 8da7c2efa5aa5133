"""Checking elements against the parts of a profile.

Rule source: R4 profiling, ElementDefinition. What R4 asks of every resource is checked elsewhere; here only what a
profile asks beyond it. Work is bounded: a profile that leads in circles is entered once per element, and a validation
ends when it has looked at too many elements.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath.model import is_a
from healthbrain.fhir.findings import SINGLE
from healthbrain.fhir.profile.derivation import Unusable
from healthbrain.fhir.profile.exact import at_least, at_most, meets
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.known import type_of
from healthbrain.fhir.profile.parts import MANY, Part, Profile, TypeRule
from healthbrain.fhir.profile.report import Mismatch, Question, Report
from healthbrain.fhir.profile.slices import Slices
from healthbrain.fhir.profile.work import Work


class Conformance:
    """Checks items against profiles and notes in a report what does not fit."""

    def __init__(self, work: Work, report: Report) -> None:
        self.work = work
        self.report = report
        self._slices = Slices(self)

    def conform(self, item: Item, canonical: str) -> None:
        """Check an element against a profile by its url. Unknown profiles are noted as not checked."""
        name = type_of(canonical)
        if name:
            if not is_a(item.type, name):
                self.report.error("structure", item.place, f"must be of type {name}")
            return
        try:
            profile = self.work.profiles.find(canonical)
        except Unusable as problem:
            text = f"conformance to {canonical} was not checked: {problem.message}"
            self.report.unchecked(canonical, item.place, text)
            return
        if profile is None:
            text = f"conformance to {canonical} was not checked: the profile is not known here"
            self.report.unchecked(canonical, item.place, text)
            return
        self.follow(item, profile)

    def follow(self, item: Item, profile: Profile) -> None:
        """Check an element against a profile."""
        if not is_a(item.type, profile.type):
            text = f"must be of type {profile.type} to conform to the profile {profile.url}"
            self.report.error("structure", item.place, text)
            return
        here = id(item.value), profile.url
        if here in self.work.within:
            return
        self.work.within.add(here)
        try:
            self.part(item, profile.root, profile)
        finally:
            self.work.within.discard(here)

    def fits(self, item: Item, canonical: str) -> bool:
        """Whether an element conforms to a profile."""
        try:
            Conformance(self.work, Question()).conform(item, canonical)
        except Mismatch:
            return False
        return True

    def knows(self, canonical: str) -> bool:
        """Whether a profile can be checked against."""
        return bool(type_of(canonical)) or self.work.profiles.usable(canonical) is not None

    def part(self, item: Item, part: Part, profile: Profile) -> None:
        """Check one element against its part of a profile."""
        self.work.spend()
        if part.types is not None:
            self._types(item, part.types, profile)
        self._content(item, part, profile)
        if part.binding is not None:
            self.work.terminology.check(item, part.binding, self.report, profile.url)
        if self.work.rules:
            for rule in part.rules.values():
                rule.check(item.node, item.place, item.around.scope, self.report, self.work.budget)
        self._children(item, part, profile)

    def _children(self, item: Item, part: Part, profile: Profile) -> None:
        """What a part asks inside an element; one with the content of another (contentReference) is as that."""
        for child in part.children.values():
            self.group(item, item.children(child.name), child, profile)
        if part.like and (model := profile.at(part.like)) is not None:
            self._children(item, model, profile)

    def group(self, owner: Item, items: list[Item], part: Part, profile: Profile) -> None:
        """Check all elements of one name, or of one slice, in their owner."""
        self._count(owner, items, part, profile)
        for item in items:
            self.part(item, part, profile)
        if part.slices:
            self._slices.check(owner, items, part, profile)

    def _count(self, owner: Item, items: list[Item], part: Part, profile: Profile) -> None:
        what = f"slice {part.slice} " if part.slice else ""
        place = (owner.place, part.name, SINGLE)
        if part.min is not None and len(items) < part.min:
            how = "is missing" if part.min == 1 else f"needs at least {part.min} items"
            self.report.error("required", place, f"{what}{how} (profile {profile.url})")
        if part.max is not None and part.max < MANY and len(items) > part.max:
            how = "is not allowed" if part.max == 0 else f"has more than {part.max} item{'s' * (part.max > 1)}"
            self.report.error("structure", place, f"{what}{how} (profile {profile.url})")

    def _content(self, item: Item, part: Part, profile: Profile) -> None:
        origin = f"(profile {profile.url})"
        if part.exact is not None and not meets(item.value, part.exact):
            text = "must be the value that is fixed for it" if part.exact.fixed else "does not fit the required pattern"
            self.report.error("value", item.place, f"{text} {origin}")
        if part.max_length is not None and isinstance(item.value, str) and len(item.value) > part.max_length:
            self.report.error("too-long", item.place, f"is longer than {part.max_length} characters {origin}")
        if part.least is not None and not at_least(item, part.least):
            self.report.error("value", item.place, f"is below the least value allowed {origin}")
        if part.greatest is not None and not at_most(item, part.greatest):
            self.report.error("value", item.place, f"is above the greatest value allowed {origin}")

    def _types(self, item: Item, types: tuple[TypeRule, ...], profile: Profile) -> None:
        mine = [one for one in types if _is_of(item.type, one.code)]
        if not mine:
            wish = " or ".join(one.code for one in types)
            self.report.error("structure", item.place, f"must be of type {wish} (profile {profile.url})")
            return
        profiles = tuple(url for one in mine for url in one.profiles)
        if all(one.profiles for one in mine) and not any(_is_own_url(item, url) for url in profiles):
            self._any_of(item, profiles, profile)
        targets = tuple(url for one in mine for url in one.targets)
        if targets and item.type == "Reference":
            self._target(item, targets, profile)

    def _any_of(self, item: Item, profiles: tuple[str, ...], profile: Profile) -> None:
        unknown = [url for url in profiles if not self.knows(url)]
        if len(profiles) == 1:
            self.conform(item, profiles[0])
        elif not any(self.fits(item, url) for url in profiles if url not in unknown):
            if unknown:
                self.conform(item, unknown[0])  # notes that it is not known here
                return
            text = f"conforms to none of {', '.join(profiles)} (profile {profile.url})"
            self.report.error("structure", item.place, text)

    def _target(self, item: Item, targets: tuple[str, ...], profile: Profile) -> None:
        """A reference: its target has an allowed type, and conforms to the profile that is asked of it."""
        found = item.resolved()
        kind = found.type if found is not None else _kind(item.value)
        if not kind:
            return
        urls = [url for url in targets if self._could_be(kind, url)]
        if not urls:
            self.report.error("value", item.place, f"must point to {_names(targets)} (profile {profile.url})")
        elif any(type_of(url) for url in urls):
            return
        elif found is None:
            text = f"whether the target conforms to {_names(urls)} was not checked: it is not at hand"
            self.report.unchecked(f"target of {_names(urls)}", item.place, text)
        else:
            self._any_of(found, tuple(urls), profile)

    def _could_be(self, kind: str, canonical: str) -> bool:
        name = type_of(canonical)
        if name:
            return is_a(kind, name)
        profile = self.work.profiles.usable(canonical)
        return profile is None or profile.type == kind


def _is_of(type_: str, wanted: str) -> bool:
    """Nested elements are BackboneElements by name of their definition."""
    return is_a(type_, wanted) or wanted in ("BackboneElement", "Element")


def _is_own_url(item: Item, canonical: str) -> bool:
    """Whether an extension is checked against this definition anyway, by its own url."""
    url = item.value.get("url") if item.type == "Extension" and isinstance(item.value, dict) else None
    return url is not None and url == canonical.partition("|")[0]


def _kind(value: Any) -> str:
    """The type a reference names."""
    if not isinstance(value, dict):
        return ""
    text = value.get("reference")
    found = reference.read(text).type if isinstance(text, str) else ""
    kind = found or value.get("type")
    return kind if isinstance(kind, str) and definitions().is_resource(kind) else ""


def _names(canonicals: list[str] | tuple[str, ...]) -> str:
    return " or ".join(type_of(one) or one for one in canonicals)
