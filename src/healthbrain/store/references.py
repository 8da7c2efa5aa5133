"""References inside a Bundle, pointed at what they will be called once everything is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from healthbrain.errors import (
    Invalid,
    Issue,
)
from healthbrain.fhir import definitions
from healthbrain.store.entries import Entry, query_of
from healthbrain.store.values import Page

Search = Callable[[str, Sequence[tuple[str, str]]], Awaitable[Page]]


async def rewrite_all(entries: Sequence[Entry], names: dict[str, str], search: Search) -> None:
    """Point every reference at what it will be called; Invalid lists those that lead nowhere."""
    conditional: dict[str, str] = {}
    issues: list[Issue] = []
    for entry in entries:
        if entry.resource is None or entry.existing is not None:
            continue
        missing: list[str] = []
        asked: list[str] = []
        resource = rewritten(entry.resource, names, missing, asked)
        if asked:
            for question in dict.fromkeys(asked):
                if question not in conditional and (found := await _referred(question, entry, search, issues)):
                    conditional[question] = found
            resource = rewritten(resource, conditional, [], [])
        entry.resource = resource
        issues += [
            Issue(
                "error",
                "not-found",
                f"{entry.place}.resource",
                "a reference names a urn:uuid that no entry has as fullUrl",
            )
            for _ in missing[:1]
        ]
    if issues:
        raise Invalid(f"{issues[0].expression}: {issues[0].text}", issues=issues)


def rewritten(value: dict[str, Any], names: dict[str, str], missing: list[str], asked: list[str]) -> dict[str, Any]:
    """A copy in which every string that is a fullUrl of the bundle is what that entry will be called.

    References to unknown urn:uuid go to `missing`, conditional ones to `asked`.
    """
    made: dict[str, Any] = {}
    for key, inner in value.items():
        kind = type(inner)
        if kind is str:
            if inner in names:
                inner = names[inner]
            elif key == "reference":
                if inner.startswith("urn:"):
                    if "identifier" not in value:
                        missing.append(inner)
                elif "?" in inner:
                    asked.append(inner)
        elif kind is dict:
            inner = rewritten(inner, names, missing, asked)
        elif kind is list:
            inner = [
                rewritten(one, names, missing, asked) if type(one) is dict
                else names.get(one, one) if type(one) is str
                else one
                for one in inner
            ]  # fmt: skip
        made[key] = inner
    return made


async def _referred(question: str, entry: Entry, search: Search, issues: list[Issue]) -> str | None:
    type_, _, query = question.partition("?")
    place = f"{entry.place}.resource"
    if type_ not in definitions().types:
        issues.append(Issue("error", "value", place, "a conditional reference does not begin with a resource type"))
        return None
    matches = (await search(type_, query_of(query))).matches
    if len(matches) != 1:
        what = "nothing" if not matches else f"more than one {type_}"
        issues.append(Issue("error", "not-found", place, f"a conditional reference finds {what}"))
        return None
    return f"{type_}/{matches[0].id}"
