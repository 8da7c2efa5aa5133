"""The walk over a whole instance: what every element is checked for, with or without a profile.

Extensions against their definitions and the places they may stand, codes against their code systems, bindings of R4
that the structural validation leaves open, and the profiles that resources inside declare.
"""

from __future__ import annotations

from collections.abc import Iterator

from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath import Unanswerable, Unreadable, compile
from healthbrain.fhir.fhirpath.budget import Budget, Exhausted
from healthbrain.fhir.fhirpath.model import ancestors
from healthbrain.fhir.profile.codings import check_code
from healthbrain.fhir.profile.conformance import Conformance
from healthbrain.fhir.profile.derivation import CORE, Unusable
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.known import type_of
from healthbrain.fhir.profile.parts import BindingRule, Context, Profile
from healthbrain.fhir.profile.special import check_special
from healthbrain.fhir.profile.texts import ElementIds, check_text


def check_elements(item: Item, checker: Conformance) -> None:
    """Check everything inside a resource."""
    ids = ElementIds(checker.report)
    for one in walk(item):
        checker.work.spend()
        ids.see(one)
        check_text(one, checker.report)
        if one.type == "Extension":
            _extension(one, checker)
        else:
            check_code(one, checker.work.terminology.systems, checker.report)
        _binding(one, checker)
        if isinstance(one.value, dict) and "resourceType" in one.value:
            declared_profiles(one, checker)
            check_special(one, checker)


def declared_profiles(item: Item, checker: Conformance) -> None:
    """Check a resource against the profiles its meta names."""
    for meta in item.children("meta"):
        for one in meta.children("profile"):
            if isinstance(one.value, str):
                _declared(item, one, checker)


def walk(item: Item) -> Iterator[Item]:
    """The element and everything inside it, in document order."""
    yield item
    for child in item.all_children():
        yield from walk(child)


def _declared(item: Item, named: Item, checker: Conformance) -> None:
    canonical: str = named.value
    if not type_of(canonical):
        try:
            found = checker.work.profiles.find(canonical)
            reason = "it is not known here" if found is None else ""
        except Unusable as problem:
            reason = problem.message
        if reason:
            text = f"the resource was not checked against this profile: {reason}"
            checker.report.add("warning", "not-found", named.place, text)
            return
    checker.conform(item, canonical)


def _binding(item: Item, checker: Conformance) -> None:
    """Bindings of R4's own elements: required ones were checked where R4 lists the codes."""
    binding = item.element.binding if item.element else None
    if binding is None or binding.strength not in ("required", "extensible"):
        return
    if binding.strength == "required" and definitions().codes(binding.value_set):
        return
    checker.work.terminology.check(item, BindingRule(binding.strength, binding.value_set), checker.report)


def _extension(item: Item, checker: Conformance) -> None:
    """An extension: known, used where it may be, and as its definition wants it."""
    url = item.value.get("url") if isinstance(item.value, dict) else None
    if not isinstance(url, str) or ":" not in url:
        return  # parts of a complex extension have names only, which its definition checks
    modifying = item.place[1] == "modifierExtension"
    try:
        profile = checker.work.profiles.find(url)
    except Unusable as problem:
        checker.report.unchecked(url, item.place, f"the extension {url} was not checked: {problem.message}")
        return
    if profile is None or profile.type != "Extension":
        text = f"the extension {url} is not known here and was not checked"
        if modifying:
            checker.report.error(
                "not-found", item.place, f"{text}; a modifier that is not understood changes the meaning"
            )
        elif url.startswith(CORE):
            checker.report.add("warning", "not-found", item.place, text)
        else:
            checker.report.unchecked(url, item.place, text)
        return
    if modifying != profile.modifier:
        other = "modifierExtension" if profile.modifier else "extension"
        checker.report.error("structure", item.place, f"the extension {url} belongs in {other}")
    if profile.contexts and not any(_stands(item, one, checker.work.budget) for one in profile.contexts):
        allowed = ", ".join(one.expression for one in profile.contexts)
        checker.report.error("structure", item.place, f"the extension {url} may be used on {allowed} only")
    _context_rules(item, profile, checker)
    checker.follow(item, profile)


def _context_rules(item: Item, profile: Profile, checker: Conformance) -> None:
    owner = item.owner
    if owner is not None and checker.work.rules:
        for rule in profile.context_rules:
            rule.check(owner.node, item.place, owner.around.scope, checker.report, checker.work.budget)


def _stands(item: Item, context: Context, budget: Budget) -> bool:
    """Whether the element that holds an extension is one its definition allows."""
    owner = item.owner
    if owner is None:
        return True
    if context.kind == "extension":
        holder = owner.value.get("url") if isinstance(owner.value, dict) and owner.type == "Extension" else None
        return holder == context.expression
    if context.kind == "fhirpath":
        return _selected(owner, context.expression, budget)
    wanted = context.expression
    if wanted.startswith(CORE):
        wanted = wanted.removeprefix(CORE).partition("#")[2] or wanted.removeprefix(CORE)
    return wanted == "Element" or wanted in _names(owner)  # "Element" is anywhere, resources included


def _names(owner: Item) -> set[str]:
    """Everything an element can be called in a context: its type, what that derives from, its paths."""
    found = set(ancestors(owner.type))
    path, above = "", owner
    while above.owner is not None and above.element is not None:
        name = above.element.name
        path = f"{name}.{path}" if path else name
        above = above.owner
        choice = f"{name}[x]"
        for type_ in ancestors(above.type):
            found |= {f"{type_}.{path}", f"{type_}.{path.replace(name, choice, 1)}"}
        if isinstance(above.value, dict) and "resourceType" in above.value:
            break
    return found


def _selected(owner: Item, expression: str, budget: Budget) -> bool:
    try:
        if budget.spent:
            raise Exhausted
        found = compile(expression, published=True, limited=True).items(owner.around.resource, budget=budget)
    except Exhausted:  # too much work is no finding about where it stands
        return True
    except (Unanswerable, Unreadable):
        return False
    mine = owner.value if isinstance(owner.value, dict) else owner.extra
    return any(getattr(one, "value", None) is mine or getattr(one, "extra", None) is mine for one in found)
