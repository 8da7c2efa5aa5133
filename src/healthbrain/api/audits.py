"""AuditEvent: the log as FHIR resources, searched by person, account, resource and time (SEC-18)."""

from __future__ import annotations

from datetime import datetime, timedelta

import orjson

from healthbrain import audit
from healthbrain.access import Gate
from healthbrain.api import bundles
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call, Params
from healthbrain.api.lending import ask
from healthbrain.api.platform import Platform
from healthbrain.api.reading import add_form, count_of, instant
from healthbrain.errors import Incorrect
from healthbrain.store import patient_key

_OUTCOMES = {"0": (audit.FINE,), "4": (audit.REFUSED,), "8": (audit.FAILED,), "12": (12,)}
_USUAL = 50


class Audits:
    """Reading the audit log."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    async def read(self, call: Call, id_: str) -> Answer:
        """GET /AuditEvent/id"""
        call.trace.interaction, call.trace.type, call.trace.id = "read", "AuditEvent", id_
        scope = await self._gate.decide(call.who, "read", "AuditEvent", call.at)
        record = await ask(self._platform.readers, lambda connection: audit.read(connection, id_, scope=scope))
        return Answer(200, await self._render(record))

    async def search(self, call: Call) -> Answer:
        """GET /AuditEvent?patient=&date=&agent=&entity=&action=&outcome=&subtype="""
        call.trace.interaction, call.trace.type, call.trace.action = "search-type", "AuditEvent", "E"
        if call.method == "POST":
            await add_form(call)
        scope = await self._gate.decide(call.who, "search", "AuditEvent", call.at)
        query = query_of(call.params, strict=call.prefers("handling") != "lenient")
        count, after = count_of(call, _USUAL) or 1, call.param(bundles.CURSOR)
        records, following = await ask(
            self._platform.readers, lambda c: audit.search(c, query, scope=scope, count=count, after=after)
        )
        bodies = [await self._render(record) for record in records]
        keys = [record.key for record in records]
        return Answer(200, bundles.listing("AuditEvent", keys, bodies, call.base, call.params, following))

    async def _render(self, record: audit.Record) -> bytes:
        tree = await self._gate.tree()
        return orjson.dumps(audit.as_fhir(record, site=tree.name(record.event.organisation)))


def query_of(params: Params, *, strict: bool) -> audit.Query:
    """The search parameters of AuditEvent that are offered. Raises Incorrect for others, unless lenient."""
    found: dict[str, object] = {}
    for key, value in params:
        if key == "patient":
            found["patients"] = tuple(patient_key(part.removeprefix("Patient/")) for part in value.split(","))
        elif key in ("agent", "altid"):
            found["account"] = value.rpartition("|")[2]
        elif key == "entity":
            type_, _, id_ = value.partition("/")
            found["type"], found["id"] = type_, id_
        elif key == "action":
            found["action"] = value.rpartition("|")[2]
        elif key == "subtype":
            found["interaction"] = value.rpartition("|")[2]
        elif key == "outcome":
            found["outcomes"] = tuple(code for part in value.split(",") for code in _OUTCOMES.get(part, (-1,)))
        elif key == "date":
            _add_date(found, value)
        elif strict and key not in ("_count", "_format", "_pretty", "_sort", bundles.CURSOR):
            raise Incorrect(
                "AuditEvent is searched by patient, agent, altid, entity, action, subtype, outcome, date and _count; "
                "send Prefer: handling=lenient to ignore others"
            )
    return audit.Query(**found)  # type: ignore[arg-type]  # each name above is set with its own type


def _add_date(found: dict[str, object], value: str) -> None:
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    start = instant(text, "date")
    end = start + (timedelta(days=1) if len(text) == 10 else timedelta(seconds=1))
    if prefix in ("ge", "eq"):
        found["since"] = _later(found.get("since"), start)
    if prefix in ("gt", "sa"):
        found["since"] = _later(found.get("since"), end)
    if prefix in ("le", "eq"):
        found["until"] = _earlier(found.get("until"), end)
    if prefix in ("lt", "eb"):
        found["until"] = _earlier(found.get("until"), start)
    if prefix not in ("ge", "gt", "le", "lt", "eq", "sa", "eb"):
        raise Incorrect("date takes the prefixes ge, gt, le, lt, eq, sa and eb")


def _later(one: object, other: datetime) -> datetime:
    return max(one, other) if isinstance(one, datetime) else other


def _earlier(one: object, other: datetime) -> datetime:
    return min(one, other) if isinstance(one, datetime) else other
