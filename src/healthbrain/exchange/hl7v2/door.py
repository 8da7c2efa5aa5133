"""Writing a translated message: what a sender says again completes what it said before and never takes it away.

Three ways, named per message type in messages.json. `replace`: a result is what the latest message says. `merge`: an ADT tells
about patient and visit; what it doesn't mention stays. `fill`: a result's or order's copy of the patient only adds
what is missing, because the laboratory's copy is older than the registration desk's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from healthbrain.database import Connection
from healthbrain.exchange.hl7v2.translate import Made
from healthbrain.store import Observer, Store, Write, WriteContext, Written


async def write_translation(
    connection: Connection, store: Store, made: Sequence[Made], context: WriteContext, observers: Sequence[Observer]
) -> list[Written]:
    """Write the resources of one message in the caller's transaction."""
    looked = [one for one in made if one.mode != "replace" or one.once]
    stored = await store.read_many(connection, [(one.type, one.id) for one in looked]) if looked else []
    current = {(one.type, one.id): one.resource for one in stored if not one.deleted}
    writes = []
    for one in made:
        wanted = _wanted(one, current.get((one.type, one.id)))
        if wanted is not None:
            writes.append(wanted)
    return await store.write(connection, writes, context, observers=observers) if writes else []


def _wanted(made: Made, current: Mapping[str, Any] | None) -> Write | None:
    if current is None:
        return Write("merge", made.type, made.id, _filled(made.resource, made.once))
    if made.mode == "replace":
        return Write("update", made.type, made.id, _filled(made.resource, made.once))
    known = current.get("identifier", [])
    sent = made.resource.get("identifier", [])
    if made.mode == "fill":
        missing = {name: value for name, value in made.resource.items() if name not in current}
        systems = {one.get("system") for one in known}
        new = [one for one in sent if one.get("system") not in systems]
        if new and known:
            missing["identifier"] = [*known, *new]
        if not missing:
            return None
        return Write("merge", made.type, made.id, {"resourceType": made.type, "id": made.id, **missing})
    resource = dict(made.resource)
    if sent and known:
        # a system the message speaks about is replaced, the others stay: a visit without the ID card doesn't erase it
        systems = {one.get("system") for one in sent}
        resource["identifier"] = [*sent, *(one for one in known if one.get("system") not in systems)]
    return Write("merge", made.type, made.id, resource)


def _filled(resource: Mapping[str, Any], once: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(resource)
    for name, value in once.items():
        held = found.get(name)
        if held is None:
            found[name] = value
        elif isinstance(held, Mapping) and isinstance(value, Mapping):
            found[name] = _filled(held, value)
    return found
