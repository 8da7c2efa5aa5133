"""The entries of a bundle: what each asks for, how far each may reach, what Prefer adds to its answer.

A transaction is one act, so each of its entries must be permitted; in a batch every entry stands for itself, and one
that is not permitted is answered with 403 while the others are done (R4 http, 3.1.0.11.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.access import Gate
from healthbrain.api.answer import outcome
from healthbrain.api.call import Call, Trace
from healthbrain.errors import Forbidden, HealthBrainError, Incorrect
from healthbrain.fhir import extract, summary
from healthbrain.scope import Action, Scope
from healthbrain.store import Written, actions_of, patient_key, query_of

READING: tuple[Action, ...] = ("read", "search")


@dataclass(frozen=True, slots=True)
class Reach:
    """How far each kind of entry of one bundle may reach."""

    known: Mapping[tuple[Action, str], Scope | HealthBrainError]

    @property
    def changes(self) -> bool:
        """Whether any entry may change something."""
        return any(isinstance(found, Scope) and action not in READING for (action, _), found in self.known.items())

    def __call__(self, action: Action, type_: str) -> Scope:
        """The scope of an entry. Raises why it has none."""
        found = self.known.get((action, type_))
        if found is None:
            raise Forbidden(f"{action} of {type_} was not asked for when this bundle was admitted")
        if isinstance(found, HealthBrainError):
            raise found
        return found


async def reach_of(gate: Gate, call: Call, asked: Iterable[tuple[Action, str]]) -> Reach:
    """Decide for every kind of entry; what is not permitted stays with the entries that ask for it."""
    known: dict[tuple[Action, str], Scope | HealthBrainError] = {}
    for action, type_ in asked:
        try:
            scope = await gate.decide(call.who, action, type_, call.at)
            if not scope.identified:
                raise Forbidden("you see figures, not single residents; declare a purpose of use that allows it first")
            known[action, type_] = scope
        except Forbidden as refusal:
            known[action, type_] = refusal
    return Reach(known)


def asked(entries: Any, elsewhere: Collection[int] = ()) -> Iterable[tuple[Action, str]]:
    """The (action, type) of each entry, as far as it can be read; what cannot is refused later with its place.

    Entries that are answered `elsewhere` are decided there.
    """
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if number in elsewhere:
            continue
        request = entry.get("request") if isinstance(entry, dict) else None
        if isinstance(request, dict):
            try:
                yield from actions_of(str(request.get("method")), str(request.get("url", "")))
            except Incorrect:
                continue


def patients_in(response: Mapping[str, Any]) -> set[int]:
    """The patients whose data a response bundle shows."""
    found: set[int] = set()
    for entry in response.get("entry", ()):
        resource = entry.get("resource")
        if resource is None:
            continue
        if resource["resourceType"] == "Bundle":
            found |= patients_in(resource)
        elif resource["resourceType"] != "OperationOutcome":
            found.update(patient_key(id_) for id_ in extract(resource).patients)
    return found


def located(response: Mapping[str, Any], sent: Sequence[Any], base: str, whole: Collection[int] = ()) -> None:
    """Make whole what a transaction read: links and addresses in bundles, and only the parts that were asked for.

    Entries that are `whole` already are left as they are.
    """
    for number, (entry, raw) in enumerate(zip(response.get("entry", ()), sent, strict=True)):
        found = entry.get("resource") if number not in whole else None
        if found is None or raw["request"]["method"] not in ("GET", "HEAD"):
            continue
        asked = dict(query_of(raw["request"]["url"].partition("?")[2]))
        cut = summary.wanted(asked.get("_summary", ""), asked.get("_elements", ""))
        if "etag" in entry["response"]:  # one resource was read
            entry["resource"] = summary.part(found, cut) if cut else found
            continue
        for link in found.get("link", ()):
            link["url"] = f"{base}/{link['url']}".replace("/?", "?", 1)
        for one in found.get("entry", ()):
            resource = one.get("resource")
            if resource is None:
                one.setdefault("fullUrl", f"{base}/{one['request']['url']}")
                continue
            one["fullUrl"] = f"{base}/{resource['resourceType']}/{resource['id']}"
            if cut and one.get("search", {}).get("mode") == "match":
                one["resource"] = summary.part(resource, cut)


def note_refusals(trace: Trace, response: Mapping[str, Any]) -> None:
    """Write into the audit event how many entries were not permitted; when none was, the whole counts as refused."""
    statuses = [str(entry.get("response", {}).get("status", "")) for entry in response.get("entry", ())]
    forbidden = sum(status.startswith("403") for status in statuses)
    if forbidden:
        trace.detail = "; ".join(part for part in (trace.detail, f"{forbidden} entries forbidden") if part)
        trace.refused = forbidden == len(statuses)


def preferred(response: dict[str, Any], written: Sequence[Written], wanted: str) -> None:
    """Add to each entry's answer what `Prefer: return=` asks for; nothing is the default in a bundle."""
    if wanted not in ("representation", "OperationOutcome"):
        return
    done = {f"{one.type}/{one.id}/_history/{one.version}": one for one in written}
    for entry in response.get("entry", ()):
        one = done.get(entry.get("response", {}).get("location", ""))
        if one is None:
            continue
        if wanted == "representation" and one.resource is not None:
            entry["resource"] = one.resource
        elif wanted == "OperationOutcome":
            what = "created" if one.created else "updated" if one.changed else "unchanged"
            entry["response"]["outcome"] = outcome("information", "informational", f"{one.type}/{one.id}: {what}")
