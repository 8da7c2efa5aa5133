"""The entries of a Bundle, read: what each wants done to what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from healthbrain.errors import (
    HealthBrainError,
    Incorrect,
    Issue,
    Unsupported,
)
from healthbrain.fhir import definitions
from healthbrain.scope import Action
from healthbrain.store.metas import read_labelling
from healthbrain.store.patching import Patch, read_patch
from healthbrain.store.values import NOTHING, Stored

ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
# Operations that a transaction takes as entries: those that only read, and those that change labels.
READING_OPERATIONS = frozenset(
    {"$validate", "$everything", "$meta", "$lastn", "$stats", "$graphql", "$evaluate-measure"}
)
LABELLING = frozenset({"$meta-add", "$meta-delete"})
_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')


@dataclass(slots=True)
class Entry:
    """One interaction of a bundle."""

    number: int
    method: str
    type: str
    id: str
    query: list[tuple[str, str]]
    resource: dict[str, Any] | None
    full_url: str
    if_match: int | None
    if_none_exist: list[tuple[str, str]]
    rest: str = ""  # what follows the type or id in the url of a GET
    within: tuple[str, str] | None = None  # the compartment that a GET searches
    types: tuple[str, ...] = ()  # of a search over several types
    existing: Stored | None = None  # a conditional create found this: nothing to do
    patch: Patch | None = None  # of a PATCH; its resource is what comes out
    operation: str = ""  # that reads; whoever took the bundle in answers it

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.number}]"

    @property
    def action(self) -> Action:
        return _action(self.method, self.id)

    @property
    def target(self) -> str:
        return f"{self.type}/{self.id}"


def read_all(raw: Sequence[Any]) -> list[Entry]:
    """All entries, or one Invalid with everything that is wrong with them."""
    entries, errors = [], []
    for number, one in enumerate(raw):
        try:
            entries.append(read_entry(number, one))
        except HealthBrainError as error:
            errors.append((number, error))
    if len(errors) == 1:
        raise errors[0][1]
    if errors:
        issues = [Issue("error", "invalid", f"Bundle.entry[{number}]", error.message) for number, error in errors]
        raise Incorrect(f"{len(issues)} entries of the Bundle are wrong; the first: {issues[0].text}", issues=issues)
    return entries


def read_entry(number: int, raw: Any) -> Entry:
    place = f"Bundle.entry[{number}]"
    request = raw.get("request") if isinstance(raw, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise Incorrect(f"{place}.request: method and url are needed")
    method = request.get("method")
    if method not in ORDER:
        raise Incorrect(f"{place}.request.method: is one of GET, HEAD, POST, PUT, PATCH, DELETE")
    resource = raw.get("resource")
    if operation := operation_of(request["url"]):
        return _read_operation(number, method, operation, raw)
    if method in {"POST", "PUT"} and not isinstance(resource, dict):
        raise Incorrect(f"{place}.resource: is needed for {method}")
    entry = Entry(
        number=number,
        method=method,
        type="",
        id="",
        query=[],
        resource=resource if method in {"POST", "PUT"} else None,
        full_url=raw.get("fullUrl", "") if isinstance(raw.get("fullUrl", ""), str) else "",
        if_match=NOTHING
        if method == "PUT" and request.get("ifNoneMatch") == "*"
        else _if_match(request.get("ifMatch"), place),
        if_none_exist=query_of(str(request.get("ifNoneExist", "")).lstrip("?")),
        patch=read_patch(resource, place) if method == "PATCH" else None,
    )
    _read_url(entry, request["url"])
    return entry


def operation_of(url: str) -> str:
    """The operation an address calls, such as $validate; ''."""
    if "$" not in url:
        return ""
    last = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last if last.startswith("$") else ""


def operations_in(raw: Any) -> frozenset[int]:
    """The entries, by their place, that call an operation and do not change labels."""
    found = set()
    for number, one in enumerate(raw if isinstance(raw, list) else ()):
        request = one.get("request") if isinstance(one, dict) else None
        url = request.get("url") if isinstance(request, dict) else None
        if isinstance(url, str) and operation_of(url) not in {"", *LABELLING}:
            found.add(number)
    return frozenset(found)


def _read_operation(number: int, method: str, name: str, raw: dict[str, Any]) -> Entry:
    """An operation stands among the reads; one that changes labels among the patches."""
    place, request = f"Bundle.entry[{number}]", raw["request"]
    entry = Entry(number, "GET", "", "", [], None, "", None, [], operation=name)
    if name in READING_OPERATIONS and method in {"GET", "HEAD", "POST"}:
        return entry
    if name not in LABELLING or method != "POST":
        raise Unsupported(
            f"{place}.request.url: this operation is not offered as an entry; of a transaction those can be entries that only"
            " read, and $meta-add and $meta-delete"
        )
    entry.method, entry.operation = "PATCH", ""
    entry.type, entry.id, rest = _target(request["url"].partition("?")[0])
    entry.patch = read_labelling(name, raw.get("resource"), place)
    entry.if_match = _if_match(request.get("ifMatch"), place)
    if entry.type not in definitions().types or not entry.id or rest != name:
        raise Incorrect(f"{place}.request.url: {name} goes to Type/id/{name}")
    return entry


def actions_of(method: str, url: str) -> list[tuple[Action, str]]:
    """What an entry with this method and url wants to do with which types. Raises Incorrect when it cannot be told."""
    path, _, query = url.partition("?")
    if operation := operation_of(path):
        type_ = _target(path)[0]
        return [("write", type_), ("read", type_)] if operation in LABELLING and type_ in definitions().types else []
    if method in {"GET", "HEAD"} and (types := _several(path, query_of(query))):
        return [("search", name) for name in types if name in definitions().types]
    type_, id_, rest = _target(path)
    if method not in ORDER or type_ not in definitions().types:
        raise Incorrect("the method or the type is none of FHIR R4")
    if method in {"GET", "HEAD"} and rest in definitions().types:
        type_, id_ = rest, ""
    return [(_action(method, "" if id_ == "_history" else id_), type_)]


def _action(method: str, id_: str) -> Action:
    if method in {"GET", "HEAD"}:
        return "read" if id_ else "search"
    return "delete" if method == "DELETE" else "write"


def _several(path: str, query: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The types that `?_type=a,b` searches; () when the path names one."""
    if path.strip("/"):
        return ()
    return tuple(name for key, value in query if key == "_type" for name in value.split(",") if name)


def _target(path: str) -> tuple[str, str, str]:
    """Type, id and what follows."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    while len(parts) > 1 and parts[0] not in definitions().types:
        parts.pop(0)  # an absolute url: what stands before the type is our own base
    return parts[0], parts[1] if len(parts) > 1 else "", "/".join(parts[2:])


def _read_url(entry: Entry, url: str) -> None:
    path, _, query = url.partition("?")
    entry.type, entry.id, entry.rest = _target(path)
    entry.query = query_of(query)
    if entry.method in {"GET", "HEAD"}:
        if types := _several(path, entry.query):
            entry.types = types
            return
        if entry.id == "_history" and not entry.rest:
            entry.id, entry.rest = "", "_history"
        elif entry.rest in definitions().types and entry.type in definitions().compartments:
            entry.type, entry.within, entry.id, entry.rest = entry.rest, (entry.type, entry.id), "", ""
    if entry.type not in definitions().types:
        raise Incorrect(f"{entry.place}.request.url: does not begin with a resource type of FHIR R4")
    if entry.method == "POST" and (entry.id or entry.query):
        raise Incorrect(f"{entry.place}.request.url: a POST goes to the type alone")
    if entry.method in {"PUT", "PATCH", "DELETE"} and (bool(entry.id) == bool(entry.query) or entry.rest):
        raise Incorrect(f"{entry.place}.request.url: {entry.method} goes to Type/id or to Type?condition")


def query_of(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=False, max_num_fields=100) if text else []


def _if_match(value: Any, place: str) -> int | None:
    if value is None:
        return None
    match = _ETAG.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Incorrect(f'{place}.request.ifMatch: is written W/"version"')
    return int(match[1])
