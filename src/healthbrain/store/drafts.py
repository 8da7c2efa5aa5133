"""Writes on their way into the database: read, validated, indexed and put in order, before anything is locked."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.errors import Incorrect, Invalid, Issue
from healthbrain.fhir import extract
from healthbrain.fhir.profile import objections
from healthbrain.store import keys
from healthbrain.store.rows import Rows, index_rows
from healthbrain.store.types import TypeIndex, type_index
from healthbrain.store.values import Write

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Current:
    """The version that a write finds in the database."""

    rid: int
    version: int
    deleted: bool
    owner: int
    patient: int | None
    updated: datetime
    body: bytes


@dataclass(slots=True)
class Draft:
    """A write on its way into the database."""

    write: Write
    place: str  # where it stands in what was sent, for messages
    index: TypeIndex
    id: str
    key: bytes
    content: dict[str, Any] | None  # without the meta that the server sets
    current: Current | None = None
    resource: dict[str, Any] | None = None  # as it will be kept
    rows: Rows | None = None
    body: bytes = b""
    rid: int = 0
    version: int = 0
    patient: int | None = None

    @property
    def exists(self) -> bool:
        return self.current is not None and not self.current.deleted


def draft_of(wanted: Write, place: str) -> Draft:
    """A wish, read: Incorrect when its type, id and resource do not fit together."""
    index = type_index(wanted.type)
    sent = wanted.resource
    id_ = wanted.id or (str(uuid.uuid4()) if wanted.kind == "create" else "")
    where = place or f"{wanted.type}/{id_}"
    if not _ID.fullmatch(id_):
        raise Incorrect(f"{place or wanted.type}: an id is 1 to 64 letters, digits, '-' or '.'")
    if wanted.kind == "delete":
        return Draft(wanted, where, index, id_, keys.resource_key(wanted.type, id_), None)
    if sent is None:
        raise Incorrect(f"{where}: a resource is needed to {wanted.kind}")
    if sent.get("resourceType") != wanted.type:
        raise Incorrect(f"{where}: the resource is not of type {wanted.type}")
    if wanted.kind != "create" and sent.get("id", id_) != id_:
        raise Incorrect(f"{where}: the id inside the resource differs from the id it is addressed by")
    return Draft(wanted, where, index, id_, keys.resource_key(wanted.type, id_), content_of(sent, id_))


def content_of(sent: Mapping[str, Any], id_: str) -> dict[str, Any]:
    """What was sent, in the order we keep it, without what only the server says."""
    content: dict[str, Any] = {"resourceType": sent["resourceType"], "id": id_, **sent}
    content["id"] = id_
    meta = content.pop("meta", None)
    if isinstance(meta, dict):
        meta = {name: value for name, value in meta.items() if name not in {"versionId", "lastUpdated"}}
    if meta:
        content["meta"] = meta
    return content


def check(drafts: Sequence[Draft], *, validated: bool, invariants: bool) -> None:
    """Validate (with R4's invariants or without) and index; raises one Invalid for all of them."""
    issues: list[Issue] = []
    for draft in drafts:
        content = draft.content
        if content is None:
            continue
        if not validated:
            errors = objections(content, draft.write.type, invariants=invariants)
            if errors:
                issues += located(errors, draft.write.type, draft.place)
                continue
        draft.rows = index_rows(draft.index, draft.id, extract(content))
    if issues:
        what = "1 error" if len(issues) == 1 else f"{len(issues)} errors"
        raise Invalid(f"{what} against FHIR R4; the first: {issues[0].expression}: {issues[0].text}", issues=issues)


def located(issues: Sequence[Issue], type_: str, place: str) -> list[Issue]:
    """The same issues with their place in the bundle before them."""
    if not place.startswith("Bundle."):
        return list(issues)
    return [
        Issue(i.severity, i.code, place + i.expression.removeprefix(type_) if i.expression else place, i.text)
        for i in issues
    ]


def waves(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """Groups in which every resource appears once, in the order of its writes."""
    if len({d.key for d in drafts}) == len(drafts):
        return [list(drafts)] if drafts else []
    waves: list[list[Draft]] = []
    turn: dict[bytes, int] = {}
    for draft in drafts:
        nth = turn.get(draft.key, 0)
        turn[draft.key] = nth + 1
        if nth == len(waves):
            waves.append([])
        waves[nth].append(draft)
    return waves


def merged(current: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(current)
    for name, value in sent.items():
        known = result.get(name)
        result[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def identical(one: Any, other: Any) -> bool:
    """Whether two contents are the same to the last digit of every number; the order of names does not matter."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)
