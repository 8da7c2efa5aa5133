"""The FHIR door: a transaction or batch Bundle, or one REST write, as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, Invalid, Issue, operation_outcome
from healthbrain.exchange.plausible import future_facts
from healthbrain.exchange.values import Arrival, Interaction
from healthbrain.fhir import parse
from healthbrain.store import Observer, Store, Write, WriteContext

_LARGE = 256 * 1024


async def write_fhir(
    connection: Connection, store: Store, arrival: Arrival, context: WriteContext, observers: Sequence[Observer]
) -> dict[str, Any]:
    """Write it in the caller's transaction; returns the fields of an Outcome."""
    wanted = arrival.interaction
    body = await _read(arrival.raw) if not wanted or wanted.method != "DELETE" else {}
    if wanted is None:
        if body.get("resourceType") != "Bundle":
            raise Incorrect("only a Bundle can be posted to the base; post a resource to its type, as in /fhir/Patient")
        return await write_bundle(connection, store, body, context, observers)
    if wanted.if_none_exist or wanted.condition:
        return await write_bundle(connection, store, _conditional(wanted, body), context, observers, single=True)
    kind = {"POST": "create", "PUT": "update", "DELETE": "delete"}[wanted.method]
    resource = None if kind == "delete" else body
    if resource is not None and (wrong := future_facts(resource, context.at)):
        raise Invalid(f"{wrong[0].expression}: {wrong[0].text}", issues=wrong)
    if resource is not None and kind == "create":
        resource = {name: value for name, value in resource.items() if name != "id"}
    write = Write(kind, wanted.type, wanted.id, resource, wanted.if_match)  # type: ignore[arg-type]  # one of the three
    (done,) = await store.write(connection, [write], context, observers=observers)
    return {"written": (done,), "response": done.resource, "entries": 1, "changed": int(done.changed)}


async def _read(raw: bytes) -> dict[str, Any]:
    return await asyncio.to_thread(parse, raw) if len(raw) > _LARGE else parse(raw)


async def write_bundle(
    connection: Connection,
    store: Store,
    bundle: dict[str, Any],
    context: WriteContext,
    observers: Sequence[Observer],
    *,
    single: bool = False,
) -> dict[str, Any]:
    """Process a Bundle; returns the fields of an Outcome. `single`: its only entry's answer is the response."""
    asked = bundle.get("entry", [])
    wrong = _implausible(asked, context.at)
    if wrong and bundle.get("type") != "batch":
        found = [issue for n in sorted(wrong) for issue in wrong[n]]
        raise Invalid(f"{found[0].expression}: {found[0].text}", issues=found)
    if wrong:
        kept = {**bundle, "entry": [entry for n, entry in enumerate(asked) if n not in wrong]}
        response = await store.bundle(connection, kept, context, observers=observers)
        for n in sorted(wrong):
            response.setdefault("entry", []).insert(n, _refusal(wrong[n]))
    else:
        response = await store.bundle(connection, bundle, context, observers=observers)
    answers = [entry.get("response", {}) for entry in response.get("entry", [])]
    changed, refused, issues = 0, 0, []
    for n, (entry, answer) in enumerate(zip(asked, answers, strict=False)):
        status = str(answer.get("status", ""))[:1]
        method = entry.get("request", {}).get("method", "GET")
        if status == "2" and method != "GET":
            changed += 1
        elif status in {"4", "5"}:
            refused += 1
            issues += _issues_of(n, answer.get("outcome", {}))
    return {
        "response": answers[0] if single and answers else response,
        "entries": len(asked),
        "changed": changed,
        "refused": refused,
        "issues": tuple(issues),
        "message_at": _timestamp(bundle),
    }


def _implausible(entries: Any, at: datetime) -> dict[int, list[Issue]]:
    """The entries whose resource states facts of the future. What isn't shaped like an entry is the store's to refuse."""
    found = {}
    for n, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and (wrong := future_facts(resource, at, f"Bundle.entry[{n}].resource")):
            found[n] = wrong
    return found


def _refusal(issues: list[Issue]) -> dict[str, Any]:
    outcome = operation_outcome(Invalid(issues[0].text, issues=issues))
    return {"response": {"status": "422 Unprocessable Entity", "outcome": outcome}}


def _conditional(wanted: Interaction, body: Mapping[str, Any]) -> dict[str, Any]:
    """A conditional write is a transaction of one entry."""
    url = f"{wanted.type}?{wanted.condition}" if wanted.condition else wanted.type
    request: dict[str, Any] = {"method": wanted.method, "url": url}
    if wanted.if_none_exist:
        request["ifNoneExist"] = wanted.if_none_exist
    if wanted.if_match is not None:
        request["ifMatch"] = f'W/"{wanted.if_match}"'
    entry: dict[str, Any] = {"request": request}
    if body:
        entry["resource"] = dict(body)
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def _issues_of(n: int, outcome: Mapping[str, Any]) -> list[Issue]:
    found = []
    for one in outcome.get("issue", []):
        place = (one.get("expression") or [""])[0]
        if not place.startswith("Bundle."):
            place = f"Bundle.entry[{n}]"
        found.append(Issue(one["severity"], one["code"], place, one.get("diagnostics", "refused")))
    return found


def _timestamp(bundle: Mapping[str, Any]) -> datetime | None:
    try:
        found = datetime.fromisoformat(bundle["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo else None
