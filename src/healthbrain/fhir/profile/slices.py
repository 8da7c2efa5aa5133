"""Slicing: which slice each item of an element belongs to, and whether the slices are as the profile wants them.

Rule source: R4 profiling, "Slicing" and "Discriminator". An item belongs to the first slice of which it meets every
discriminator. What a discriminator looks at is found in the profile by the same path: in the slice's own parts, in the
fixed values and patterns above them, and in the profiles the slice refers to.
"""

from __future__ import annotations

import re
from typing import Protocol

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath.model import is_a
from healthbrain.fhir.findings import SINGLE
from healthbrain.fhir.profile.exact import meets
from healthbrain.fhir.profile.items import Item, resource_item
from healthbrain.fhir.profile.known import type_of
from healthbrain.fhir.profile.parts import Discriminator, Exact, Part, Profile, Slicing, TypeRule
from healthbrain.fhir.profile.report import Report
from healthbrain.fhir.profile.work import Work

DEFAULT = "@default"
_STEP = re.compile(
    r"(?:extension\('(?P<extension>[^']+)'\)|ofType\((?P<type>\w+)\)|(?P<name>[A-Za-z]\w*(?:\(\))?))(?:\[x\])?"
)
_RESOLVE = "resolve()"

Step = tuple[str, str]  # what it does (member, extension, ofType, resolve) and its argument


class Checker(Protocol):
    """What slices ask of the check against profiles, which they are a part of."""

    work: Work
    report: Report

    def fits(self, item: Item, canonical: str) -> bool:
        """Whether an element conforms to a profile."""

    def knows(self, canonical: str) -> bool:
        """Whether a profile can be checked against."""

    def group(self, owner: Item, items: list[Item], part: Part, profile: Profile) -> None:
        """Check all elements of one slice in their owner."""


class Slices:
    """Slicing as one conformance check sees it."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def check(self, owner: Item, items: list[Item], part: Part, profile: Profile) -> None:
        """Assign the items to slices and check each slice."""
        how = part.how
        place = (owner.place, part.name, SINGLE)
        if how is None or not how.discriminators:
            text = f"the slices of this element cannot be told apart and were not checked (profile {profile.url})"
            self._checker.report.unchecked(text, place, text)
            return
        open_: set[str] = set()  # slices that could not be told
        groups: dict[str, list[Item]] = {name: [] for name in part.slices}
        sequence = []
        for item in items:
            name = self._slice_of(item, part, how, profile, open_)
            sequence.append(name)
            if name:
                groups[name].append(item)
        if not open_:
            self._rules(items, sequence, part, how, profile)
        for name, slice_ in part.slices.items():
            if name in open_:
                text = f"slice {name} cannot be told from the others and was not checked (profile {profile.url})"
                self._checker.report.unchecked(text, place, text)
            else:
                self._checker.group(owner, groups[name], slice_, profile)

    def _rules(self, items: list[Item], sequence: list[str], part: Part, how: Slicing, profile: Profile) -> None:
        """Whether items beside the slices are allowed where they stand, and the slices are in order."""
        report, origin = self._checker.report, f"(profile {profile.url})"
        order = list(part.slices)
        latest, outside = -1, False
        for item, name in zip(items, sequence, strict=True):
            if not name:
                outside = True
                refused = part.types is not None and not any(is_a(item.type, one.code) for one in part.types)
                if how.rules == "closed" and not refused:  # a type that is not allowed has been told of
                    report.error("structure", item.place, f"is in none of the slices {', '.join(order)} {origin}")
                continue
            if outside and how.rules == "openAtEnd":
                report.error("structure", item.place, f"slice {name} must come before what is in no slice {origin}")
            if how.ordered and order.index(name) < latest:
                report.error("structure", item.place, f"slice {name} is not in the order {', '.join(order)} {origin}")
            latest = max(latest, order.index(name))

    def _slice_of(self, item: Item, part: Part, how: Slicing, profile: Profile, open_: set[str]) -> str:
        """The name of the slice an item is in, '' for none; notes in `open_` those that cannot be told."""
        for name, slice_ in part.slices.items():
            if name == DEFAULT:
                continue
            answers = [self._meets(item, slice_, one, profile) for one in how.discriminators]
            if False in answers:
                continue
            if None not in answers:
                return name
            open_.add(name)
        return DEFAULT if DEFAULT in part.slices and not open_ else ""

    def _meets(self, item: Item, slice_: Part, by: Discriminator, profile: Profile) -> bool | None:
        """Whether an item has what a discriminator asks of a slice; None when that cannot be told."""
        steps = _steps(by.path)
        if steps is None:
            return None
        found = _items([item], steps)
        wanted = self._parts([slice_], steps, profile)
        match by.kind:
            case "exists":
                return _exists(found, wanted)
            case "type":
                types = {one.code for part in wanted for one in part.types or ()}
                return any(is_a(one.type, type_) for one in found for type_ in types) if types else None
            case "profile":
                urls = self._profiles(wanted)
                return any(self._checker.fits(one, url) for one in found for url in urls) if urls else None
        answers = [self._is(found, part, profile) for part in wanted]
        if False in answers:
            return False
        return True if True in answers else None

    def _is(self, found: list[Item], part: Part, profile: Profile) -> bool | None:
        """Whether one of the elements has the value a part stands for; None when it stands for none.

        That is its fixed value or pattern, or those of the elements inside it, or its value set, or its profile. Other
        demands do not make an element another one; they are checked once it is in the slice.
        """
        if part.exact is not None:
            exact = part.exact
            return any(meets(one.value, exact) for one in found)
        inner = [*part.children.values(), *(one for child in part.children.values() for one in child.slices.values())]
        told = [child for child in inner if (not child.slice or child.min) and self._is([], child, profile) is not None]
        if told:
            return any(all(self._is(one.children(child.name), child, profile) for child in told) for one in found)
        if part.binding is not None and part.binding.strength == "required":
            member, value_set = self._checker.work.terminology.member, part.binding.value_set
            answers = [member(one.value, value_set) for one in found]
            return True if True in answers else None if None in answers else False
        urls = self._profiles([part])
        if urls:
            return any(self._checker.fits(one, url) for one in found for url in urls)
        return None

    def _profiles(self, parts: list[Part]) -> list[str]:
        """The profiles of the types of parts, as far as they are known."""
        return [url for part in parts for one in part.types or () for url in one.profiles if self._checker.knows(url)]

    def _target(self, part: Part) -> Part:
        """The demands on what a reference points to."""
        types = []
        for one in part.types or ():
            for url in one.targets:
                name, profile = type_of(url), self._checker.work.profiles.usable(url)
                types.append(TypeRule(name) if name else TypeRule(profile.type if profile else "", (url,)))
        return Part(_RESOLVE, "Resource", types=tuple(types) or None)

    def _parts(self, parts: list[Part], steps: list[Step], profile: Profile) -> list[Part]:
        """What the profile says at the end of a path that starts at these parts."""
        for kind, argument in steps:
            match kind:
                case "resolve":
                    parts = [self._target(part) for part in parts if part.types]
                case "ofType":
                    parts = [*parts, *(one for part in parts for one in part.slices.values() if one.type == argument)]
                case "extension":
                    inner = self._members(parts, "extension", profile)
                    parts = [one for one in inner if _extension_url(one) == argument]
                case _:
                    parts = self._members(parts, argument, profile)
        return parts

    def _members(self, parts: list[Part], name: str, profile: Profile) -> list[Part]:
        found: list[Part] = []
        for part in parts:
            if name == "url" and (url := _extension_url(part)):
                found.append(Part("url", "uri", exact=Exact(url, fixed=True)))
                continue
            found += self._inside(part, name, profile)
        return found

    def _inside(self, part: Part, name: str, profile: Profile) -> list[Part]:
        """The parts of one element inside a part: its own, those of a pattern, those of profiles of its type."""
        holders = [part]
        if part.like and (model := profile.at(part.like)):
            holders.append(model)
        for one in part.types or ():
            if len(one.profiles) == 1 and (other := self._checker.work.profiles.usable(one.profiles[0])):
                holders.append(other.root)
        found: list[Part] = []
        for holder in holders:
            if child := holder.children.get(name):
                found.append(child)
                found += [one for one in child.slices.values() if one.min or name == "extension"]
            if holder.exact is not None and isinstance(holder.exact.value, dict) and name in holder.exact.value:
                value = holder.exact.value[name]
                values = value if isinstance(value, list) else [value]
                found += [Part(name, "", exact=Exact(one, holder.exact.fixed)) for one in values]
        return found


def _exists(found: list[Item], wanted: list[Part]) -> bool | None:
    if any(part.max == 0 for part in wanted):
        return not found
    return bool(found) if any(part.min for part in wanted) else None


def _extension_url(part: Part) -> str:
    """The url that an extension slice stands for."""
    own = part.children.get("url")
    if own is not None and own.exact is not None:
        return str(own.exact.value)
    for one in part.types or ():
        if one.code == "Extension" and len(one.profiles) == 1:
            return one.profiles[0].partition("|")[0]
    return ""


def _steps(path: str) -> list[Step] | None:
    """The steps of a discriminator's path; None when it is not of the form R4 allows."""
    found: list[Step] = []
    for text in _split(path):
        if text == "$this":
            continue
        match = _STEP.fullmatch(text)
        if match is None or (match["name"] or "").endswith("()") != (match["name"] == _RESOLVE):
            return None
        if match["extension"]:
            found.append(("extension", match["extension"]))
        elif match["type"]:
            found.append(("ofType", match["type"]))
        else:
            found.append(("resolve", "") if match["name"] == _RESOLVE else ("member", match["name"]))
    return found


def _split(path: str) -> list[str]:
    """The path at its dots, those within parentheses apart."""
    return re.findall(r"(?:[^.()]|\([^)]*\))+", path)


def _items(items: list[Item], steps: list[Step]) -> list[Item]:
    """The elements at the end of a path."""
    for kind, argument in steps:
        match kind:
            case "resolve":
                items = [one for item in items if (one := item.resolved() or _stub(item)) is not None]
            case "ofType":
                items = [item for item in items if is_a(item.type, argument)]
            case "extension":
                items = [
                    one
                    for item in items
                    for one in item.children("extension")
                    if isinstance(one.value, dict) and one.value.get("url") == argument
                ]
            case _:
                items = [one for item in items for one in item.children(argument)]
    return items


def _stub(item: Item) -> Item | None:
    """What is known of a resource from the reference to it: its type."""
    text = item.value.get("reference") if isinstance(item.value, dict) else None
    kind = reference.read(text).type if isinstance(text, str) else ""
    if not definitions().is_resource(kind):
        return None
    return resource_item({"resourceType": kind}, (item.place, _RESOLVE, SINGLE), item.around, contained=False)
