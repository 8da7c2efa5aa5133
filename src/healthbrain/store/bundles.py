"""Transaction and batch Bundles: many interactions in one request (R4 http, 3.1.0.11).

A transaction happens as a whole or not at all, in the order DELETE, POST, PUT and PATCH, GET; a batch entry happens or fails
for itself. References to other entries (by fullUrl), and conditional references (Patient?identifier=...), are
resolved before writing. Every error names the entry: Bundle.entry[3].
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import psycopg

from healthbrain.database import Connection
from healthbrain.errors import (
    HealthBrainError,
    Incorrect,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unsupported,
    http_status,
    operation_outcome,
)
from healthbrain.scope import Scope
from healthbrain.store import reading, searching
from healthbrain.store.entries import ORDER, Entry, read_all, read_entry
from healthbrain.store.keys import resource_key
from healthbrain.store.metas import Labelling
from healthbrain.store.moments import moment
from healthbrain.store.patching import patched
from healthbrain.store.references import Search, rewrite_all, rewritten
from healthbrain.store.values import Observer, Page, Stored, Write, WriteContext, Written
from healthbrain.store.writing import instant_text, write

LARGEST_BUNDLE = 10_000


async def process(
    connection: Connection,
    bundle: dict[str, Any],
    context: WriteContext,
    *,
    observers: Sequence[Observer] = (),
    largest: int = LARGEST_BUNDLE,
) -> dict[str, Any]:
    """Do what a Bundle asks; the response Bundle has one entry for each. The caller owns the transaction.

    Raises for a transaction the first reason it cannot be done, with every finding as an issue; a batch always answers.
    """
    kind = bundle.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in {"transaction", "batch"}:
        raise Incorrect("a Bundle of type transaction or batch is expected")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise Incorrect("Bundle.entry: is not a list")
    if len(entries) > largest:
        raise TooLarge(
            f"Bundle.entry: {len(entries)} entries are more than the {largest} taken at once; send several bundles"
        )
    if kind == "batch":
        return await _batch(connection, entries, context, observers)
    return _response("transaction-response", await _transaction(connection, entries, context, observers))


async def _transaction(
    connection: Connection, raw: Sequence[Any], context: WriteContext, observers: Sequence[Observer]
) -> list[dict[str, Any]]:
    entries = read_all(raw)
    search = _searcher(connection, context)
    for entry in entries:
        await _resolve_target(entry, search)
    names = _names(entries)
    _refuse_duplicates(entries)
    for entry in sorted((e for e in entries if e.patch is not None), key=lambda e: resource_key(e.type, e.id)):
        await _apply(connection, entry, context)  # in key order, as all rows are locked
    await rewrite_all(entries, names, search)
    doing = sorted(
        (e for e in entries if e.method not in {"GET", "HEAD"} and e.existing is None), key=lambda e: ORDER[e.method]
    )
    writes = [write_of(entry) for entry in doing]
    written = await write(
        connection, writes, context, observers=observers, places=[f"{e.place}.resource" for e in doing]
    )
    answers = {entry.number: _answer_written(entry, one) for entry, one in zip(doing, written, strict=True)}
    for entry in doing:
        if isinstance(entry.patch, Labelling):
            answers[entry.number] = await _labelled(connection, entry, context)
    for entry in entries:
        if entry.existing is not None:
            answers[entry.number] = _answer_existing(entry.existing)
        elif entry.method in {"GET", "HEAD"}:
            answers[entry.number] = await _get(connection, entry, context)
    return [answers[number] for number in range(len(entries))]


async def _batch(
    connection: Connection, raw: Sequence[Any], context: WriteContext, observers: Sequence[Observer]
) -> dict[str, Any]:
    """Each entry under its own savepoint, in the order a transaction would take."""
    answers: dict[int, dict[str, Any]] = {}
    entries: list[Entry] = []
    for number, one in enumerate(raw):
        if number in context.elsewhere:
            answers[number] = {"response": {}}
            continue
        try:
            entries.append(read_entry(number, one))
        except HealthBrainError as error:
            answers[number] = _answer_error(error)
    for entry in sorted(entries, key=lambda e: ORDER[e.method]):
        try:
            async with connection.transaction():
                answers[entry.number] = await _batch_entry(connection, entry, context, observers)
        except HealthBrainError as error:
            answers[entry.number] = _answer_error(error)
        except psycopg.errors.DataError:
            answers[entry.number] = _answer_error(
                Incorrect(f"{entry.place}: holds text or numbers that cannot be stored")
            )
    return _response("batch-response", [answers[number] for number in range(len(raw))])


async def _batch_entry(
    connection: Connection, entry: Entry, context: WriteContext, observers: Sequence[Observer]
) -> dict[str, Any]:
    if entry.method in {"GET", "HEAD"}:
        return await _get(connection, entry, context)
    context = _for_entry(entry, context)
    search = _searcher(connection, context)
    await _resolve_target(entry, search)
    if entry.existing is not None:
        return _answer_existing(entry.existing)
    if entry.patch is not None:
        await _apply(connection, entry, context)
    await rewrite_all([entry], {}, search)
    place = f"{entry.place}.resource"
    (written,) = await write(connection, [write_of(entry)], context, observers=observers, places=[place])
    if isinstance(entry.patch, Labelling):
        return await _labelled(connection, entry, context)
    return _answer_written(entry, written)


def _for_entry(entry: Entry, context: WriteContext) -> WriteContext:
    return context if context.reach is None else replace(context, scope=context.reach(entry.action, entry.type))


def plain_entries(bundle: Mapping[str, Any]) -> list[Entry] | None:
    """The entries of a transaction with their references pointed at each other, if all it does is to create.

    None when something in it is a question to the database, or wrong.
    """
    raw = bundle.get("entry", [])
    if bundle.get("type") != "transaction" or not isinstance(raw, list) or len(raw) > LARGEST_BUNDLE:
        return None
    entries = read_all(raw)
    for entry in entries:
        if entry.method != "POST" or entry.if_none_exist:
            return None
        entry.id = str(uuid.uuid4())
    names = _names(entries)
    _refuse_duplicates(entries)
    questions: list[str] = []
    for entry in entries:
        entry.resource = rewritten(entry.resource or {}, names, questions, questions)
    return None if questions else entries


def _searcher(connection: Connection, context: WriteContext) -> Search:
    async def search(type_: str, query: Sequence[tuple[str, str]]) -> Page:
        return await searching.search(connection, type_, [*query, ("_count", "2")], scope=context.scope)

    return search


# -- what an entry is about


async def _resolve_target(entry: Entry, search: Search) -> None:
    """Turn conditions into ids; give created resources theirs."""
    if entry.method == "POST":
        if entry.if_none_exist:
            entry.existing = await _only_match(entry, entry.if_none_exist, search)
        if entry.existing is not None:
            entry.id = entry.existing.id
        else:
            entry.id = str(uuid.uuid4())
    elif entry.method in {"PUT", "PATCH", "DELETE"} and not entry.id:
        match = await _only_match(entry, entry.query, search)
        own = entry.resource.get("id") if entry.resource else None
        if match is None and entry.method == "PATCH":
            raise NotFound(f"{entry.place}: the condition finds nothing to {entry.method.lower()}")
        if match is not None and own not in {None, match.id}:
            raise Incorrect(f"{entry.place}: the condition finds another resource than the id inside the resource says")
        entry.id = match.id if match else own or str(uuid.uuid4())


async def _only_match(entry: Entry, query: Sequence[tuple[str, str]], search: Search) -> Stored | None:
    matches = (await search(entry.type, query)).matches
    if len(matches) > 1:
        raise PreconditionFailed(f"{entry.place}: the condition finds more than one {entry.type}; make it more precise")
    return matches[0] if matches else None


async def _apply(connection: Connection, entry: Entry, context: WriteContext) -> None:
    """A PATCH becomes the update it stands for, of exactly the version it was applied to."""
    if entry.patch is not None:
        entry.resource, entry.if_match = await patched(
            connection, entry.type, entry.id, entry.patch, context, if_match=entry.if_match, place=entry.place
        )


def _refuse_duplicates(entries: Sequence[Entry]) -> None:
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.method in {"GET", "HEAD"} or entry.existing is not None:
            continue
        if (first := seen.setdefault(entry.target, entry.number)) != entry.number:
            raise Incorrect(
                f"{entry.place}: is about the same resource as Bundle.entry[{first}]; a transaction may name it once"
            )


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """fullUrl -> Type/id of every entry that has a resource."""
    names: dict[str, str] = {}
    for entry in entries:
        if entry.resource is None or not entry.full_url:
            continue
        if entry.full_url in names:
            raise Incorrect(f"{entry.place}.fullUrl: another entry has the same")
        names[entry.full_url] = entry.target
    return names


# -- doing and answering


def write_of(entry: Entry) -> Write:
    """What an entry that changes something wants written."""
    match entry.method:
        case "POST":
            return Write("create", entry.type, entry.id, _named(entry))
        case "PUT" | "PATCH":
            return Write("update", entry.type, entry.id, _named(entry), entry.if_match)
        case _:
            return Write("delete", entry.type, entry.id, None, entry.if_match)


def _named(entry: Entry) -> dict[str, Any]:
    resource = entry.resource or {}
    if entry.method == "PUT" and resource.get("id", entry.id) != entry.id:
        raise Incorrect(f"{entry.place}.resource.id: differs from the id in the url")
    return {**resource, "id": entry.id}


async def _labelled(connection: Connection, entry: Entry, context: WriteContext) -> dict[str, Any]:
    """The answer of $meta-add and $meta-delete: the labels, to whoever may read the resource."""
    scope = context.reach("read", entry.type) if context.reach else context.scope
    found = await reading.read(connection, entry.type, entry.id, scope=scope)
    resource: dict[str, Any] = {"resourceType": "Parameters"}
    resource |= {"parameter": [{"name": "return", "valueMeta": found.resource.get("meta", {})}]}
    return {"resource": resource, "response": _response_part("200 OK", found.version, found.updated)}


async def _get(connection: Connection, entry: Entry, context: WriteContext) -> dict[str, Any]:
    if entry.operation:
        return await context.operate(connection, entry.number) if context.operate else {"response": {}}
    if entry.types:
        reach = context.reach
        scopes = {name: reach("search", name) if reach else context.scope for name in entry.types}
        page = await searching.search(connection, None, entry.query, scope=scopes)
        return {"resource": searchset(page, "", entry.query), "response": {"status": "200 OK"}}
    scope = _for_entry(entry, context).scope
    if entry.rest == "_history":
        return {"resource": await _history(connection, entry, scope), "response": {"status": "200 OK"}}
    if entry.rest.startswith("_history/") and entry.rest[9:].isdigit():
        found = await reading.vread(connection, entry.type, entry.id, int(entry.rest[9:]), scope=scope)
    elif entry.rest or entry.id.startswith("$"):
        raise Unsupported(
            f"{entry.place}.request.url: only read, vread, search, history and operations are offered inside a transaction"
        )
    elif entry.id:
        found = await reading.read(connection, entry.type, entry.id, scope=scope)
    else:
        page = await searching.search(connection, entry.type, entry.query, scope=scope, within=entry.within)
        path = "/".join([*(entry.within or ()), entry.type])
        return {"resource": searchset(page, path, entry.query), "response": {"status": "200 OK"}}
    return {"resource": found.resource, "response": _response_part("200 OK", found.version, found.updated)}


async def _history(connection: Connection, entry: Entry, scope: Scope) -> dict[str, Any]:
    """Versions of a type or of one resource, as a Bundle."""
    asked = dict(entry.query)
    if unknown := set(asked) - {"_since", "_count", "_cursor"}:
        raise Unsupported(
            f"{entry.place}.request.url: a history takes _since and _count, not {', '.join(sorted(unknown))}"
        )
    since = moment(asked["_since"], f"{entry.place}.request.url, _since").low if "_since" in asked else None
    count = asked.get("_count", "50")
    if not count.isascii() or not count.isdigit():
        raise Incorrect(f"{entry.place}.request.url: _count is a whole number")
    page = await reading.history(
        connection,
        entry.type,
        entry.id or None,
        since=since,
        count=int(count[:6]),
        cursor=asked.get("_cursor"),
        scope=scope,
    )
    path = "/".join(filter(None, (entry.type, entry.id, "_history")))
    made: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "link": links(page, path, entry.query)}
    if page.matches:
        made["entry"] = [_version(one) for one in page.matches]
    return made


def _version(one: Stored) -> dict[str, Any]:
    method = "DELETE" if one.deleted else "POST" if one.version == 1 else "PUT"
    status = {"DELETE": "204", "POST": "201", "PUT": "200"}[method]
    url = one.type if method == "POST" else f"{one.type}/{one.id}"
    made = {"request": {"method": method, "url": url}, "response": _response_part(status, one.version, one.updated)}
    return made if one.deleted else {"resource": one.resource, **made}


def links(page: Page, path: str, query: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """self and next, relative to the base: whoever knows its own address makes them whole."""
    rest = [one for one in query if one[0] != "_cursor"]
    made = [("self", query), *([("next", [*rest, ("_cursor", page.next)])] if page.next else [])]
    return [
        {"relation": relation, "url": f"{path}?{urlencode(asked, safe='/:|,$')}" if asked else path}
        for relation, asked in made
    ]


def searchset(page: Page, path: str = "", query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """A page as a Bundle; its links begin at the base, and there are none without a query or path."""
    made: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        made["total"] = page.total
    if path or query:
        made["link"] = links(page, path, query)
    shown = [(one, "match") for one in page.matches] + [(one, "include") for one in page.included]
    if shown:
        made["entry"] = [{"resource": one.resource, "search": {"mode": mode}} for one, mode in shown]
    return made


def _answer_written(entry: Entry, written: Written) -> dict[str, Any]:
    if written.deleted:
        return {
            "response": {"status": "204 No Content"} | ({"etag": f'W/"{written.version}"'} if written.version else {})
        }
    status = "201 Created" if written.created else "200 OK"
    part = _response_part(status, written.version, written.updated)
    part["location"] = f"{written.type}/{written.id}/_history/{written.version}"
    return {"response": part}


def _answer_existing(existing: Stored) -> dict[str, Any]:
    part = _response_part("200 OK", existing.version, existing.updated)
    part["location"] = f"{existing.type}/{existing.id}/_history/{existing.version}"
    return {"response": part}


def _answer_error(error: HealthBrainError) -> dict[str, Any]:
    return {"response": {"status": str(http_status(error)), "outcome": operation_outcome(error)}}


def _response_part(status: str, version: int, updated: datetime) -> dict[str, Any]:
    return {"status": status, "etag": f'W/"{version}"', "lastModified": instant_text(updated)}


def _response(kind: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": entries}
