"""create, update, delete, transaction and batch: every change goes through the delivery ledger.

So what a system sent is kept as it came, a refusal is listed on the arrivals page with its reason, and the change, its
ledger row and its audit event are one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import orjson

from healthbrain import exchange
from healthbrain.access import Gate, permitted
from healthbrain.api import entries, media
from healthbrain.api.answer import Answer, of_version, outcome
from healthbrain.api.asides import Route, answered, asides, performed
from healthbrain.api.call import Call
from healthbrain.api.current import Operate, ScopedStore, changing, observe
from healthbrain.api.lending import ask, lend
from healthbrain.api.platform import Platform
from healthbrain.api.witness import Witness
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError, Incorrect, Malformed
from healthbrain.exchange import Arrival, Interaction, Limits, Receipt, Terms
from healthbrain.fhir import dump, parse
from healthbrain.scope import Action, Principal, Scope
from healthbrain.store import NOTHING, WriteContext, Written, operations_in

NOWHERE = Scope((), ())


class Writing:
    """The changing interactions."""

    def __init__(self, platform: Platform, gate: Gate, route: Route) -> None:
        self._platform = platform
        self._gate = gate
        self._route = route  # of single requests, for the entries of a batch that are some
        self._store = ScopedStore()
        self._sources: dict[int, int] = {}

    async def create(self, call: Call, type_: str) -> Answer:
        """POST /Type, with If-None-Exist a conditional create"""
        call.trace.interaction, call.trace.action = "create", "C"
        scope = await self._scope(call, "write", type_)
        condition = call.header(b"if-none-exist").partition("?")[2] or call.header(b"if-none-exist")
        interaction = Interaction("POST", type_, if_none_exist=condition)
        return await self.change(call, interaction, await self._resource(call), scope)

    async def update(self, call: Call, type_: str, id_: str) -> Answer:
        """PUT /Type/id, with If-Match only over the version the client has seen, with If-None-Match: * only if it is new"""
        call.trace.interaction, call.trace.action, call.trace.id = "update", "U", id_
        scope = await self._scope(call, "write", type_)
        expected = NOTHING if call.header(b"if-none-match") == "*" else call.if_match()
        interaction = Interaction("PUT", type_, id_, if_match=expected)
        return await self.change(call, interaction, await self._resource(call), scope)

    async def update_matching(self, call: Call, type_: str) -> Answer:
        """PUT /Type?query"""
        call.trace.interaction, call.trace.action = "update", "U"
        scope = await self._scope(call, "write", type_)
        interaction = Interaction("PUT", type_, if_match=call.if_match(), condition=self._condition(call))
        return await self.change(call, interaction, await self._resource(call), scope)

    async def patch(self, call: Call, type_: str, id_: str) -> Answer:
        """PATCH /Type/id with a JSON Patch or FHIRPath Patch; with If-Match only of the version the client has seen"""
        call.trace.interaction, call.trace.action, call.trace.id = "patch", "U", id_
        scope = await self._scope(call, "write", type_)
        media.check_patch_type(call)
        interaction = Interaction("PATCH", type_, id_, if_match=call.if_match())
        return await self.change(call, interaction, await call.body(), scope)

    async def patch_matching(self, call: Call, type_: str) -> Answer:
        """PATCH /Type?query"""
        call.trace.interaction, call.trace.action = "patch", "U"
        scope = await self._scope(call, "write", type_)
        media.check_patch_type(call)
        interaction = Interaction("PATCH", type_, if_match=call.if_match(), condition=self._condition(call))
        return await self.change(call, interaction, await call.body(), scope)

    async def delete(self, call: Call, type_: str, id_: str) -> Answer:
        """DELETE /Type/id"""
        call.trace.interaction, call.trace.action, call.trace.id = "delete", "D", id_
        scope = await self._scope(call, "delete", type_)
        return await self.change(call, Interaction("DELETE", type_, id_, if_match=call.if_match()), b"", scope)

    async def delete_matching(self, call: Call, type_: str) -> Answer:
        """DELETE /Type?query"""
        call.trace.interaction, call.trace.action = "delete", "D"
        scope = await self._scope(call, "delete", type_)
        return await self.change(call, Interaction("DELETE", type_, condition=self._condition(call)), b"", scope)

    async def bundle(self, call: Call) -> Answer:
        """POST / with a transaction or a batch"""
        call.trace.interaction, call.trace.action, call.trace.type = "transaction", "E", "Bundle"
        media.check_resource_type(call)
        raw = await call.body()
        try:
            sent = await _glance(raw)
        except Malformed as unreadable:
            raise await self._refused(call, raw, unreadable) from None
        kind = sent.get("type")
        if sent.get("resourceType") != "Bundle" or kind not in ("transaction", "batch"):
            wrong = Incorrect("POST to the base takes a Bundle of type transaction or batch")
            raise await self._refused(call, raw, wrong)
        call.trace.interaction = str(kind)
        elsewhere = asides(sent.get("entry")) if kind == "batch" else frozenset()
        operations = operations_in(sent.get("entry")) if kind == "transaction" else frozenset()
        actions = list(dict.fromkeys(entries.asked(sent.get("entry"), elsewhere)))
        reads = bool(operations) or any(action in entries.READING for action, _ in actions)
        scope = await self._transaction_scope(call, actions) if kind == "transaction" else NOWHERE
        reach = await entries.reach_of(self._gate, call, actions)
        witness = Witness(call, at_once=kind == "transaction" and not reads)
        operate = partial(self._operate, call, sent["entry"]) if operations else None
        if (actions or elsewhere or operations) and not reach.changes:
            response = await self._read_bundle(call, sent, scope, witness, reach, elsewhere, operate)
        else:
            receipt = await self._receive(call, raw, None, scope, witness, reach, elsewhere, operate)
            if receipt.state == "duplicate":
                return _again(receipt)
            response = receipt.response
        for number in sorted(elsewhere):
            place = f"Bundle.entry[{number}]"
            response["entry"][number] = await answered(call, sent["entry"][number], place, self._route)
        if reads:
            call.trace.patients |= entries.patients_in(response)
            entries.located(response, sent["entry"], call.base, operations)
        if kind == "batch":
            entries.note_refusals(call.trace, response)
        entries.preferred(response, witness.seen, call.prefers("return"))
        return Answer(200, dump(response))

    async def _read_bundle(
        self,
        call: Call,
        sent: dict[str, Any],
        scope: Scope,
        witness: Witness,
        reach: entries.Reach,
        elsewhere: frozenset[int],
        operate: Operate | None,
    ) -> dict[str, Any]:
        """A bundle that changes nothing is no arrival."""
        context = WriteContext(call.who.organisation, call.at)
        with changing(scope, witness, reach, elsewhere, operate):
            async with lend(self._platform.pool) as connection:
                return await self._store.bundle(connection, sent, context)

    async def _operate(self, call: Call, sent: Sequence[Any], connection: Connection, number: int) -> dict[str, Any]:
        """An operation in a transaction, which sees what the other entries changed."""
        return await performed(call, sent[number], f"Bundle.entry[{number}]", self._route, connection)

    # -- what they share

    @cached_property
    def _ledger(self) -> exchange.Ledger:
        """The doors' way into the store; made at the first change, when the pool is open."""
        return exchange.Ledger(
            self._platform.pool,
            self._store,
            self._platform.observers,
            singles=self._platform.singles,
            beside=[observe],
        )

    async def change(self, call: Call, interaction: Interaction, raw: bytes, scope: Scope) -> Answer:
        """One change as the body says it, within a scope that was decided for it."""
        witness = Witness(call)
        receipt = await self._receive(call, raw, interaction, scope, witness)
        if receipt.state == "duplicate":
            return _again(receipt)
        if not witness.seen:
            return await self._found(call, receipt)
        return self._written(call, interaction, witness.seen[0])

    def _written(self, call: Call, interaction: Interaction, written: Written) -> Answer:
        if interaction.method == "DELETE":
            return of_version(204, None, written.version, written.updated) if written.version else Answer(204)
        status = 201 if written.created else 200
        location = f"{call.base}/{written.type}/{written.id}/_history/{written.version}"
        body = self._body(call, written)
        return of_version(status, body, written.version, written.updated, location)

    def _body(self, call: Call, written: Written) -> bytes | None:
        wanted = call.prefers("return")
        if wanted == "minimal":
            return None
        if wanted == "OperationOutcome":
            done = "created" if written.created else "updated" if written.changed else "unchanged"
            return dump(outcome("information", "informational", f"{written.type}/{written.id}: {done}"))
        return dump(written.resource) if written.resource is not None else None

    async def _found(self, call: Call, receipt: Receipt) -> Answer:
        """A conditional create whose resource is here already: that one is the answer."""
        response = receipt.response if isinstance(receipt.response, dict) else {}
        type_, id_, _, version = str(response.get("location", "")).split("/")
        scope = await self._gate.decide(call.who, "read", type_, call.at)
        read = self._platform.store.vread
        stored = await ask(self._platform.readers, lambda c: read(c, type_, id_, int(version), scope=scope))
        call.trace.id = id_
        if stored.patient is not None:
            call.trace.patients.add(stored.patient)
        body = None if call.prefers("return") == "minimal" else stored.body
        location = f"{call.base}/{response['location']}"
        return of_version(200, body, stored.version, stored.updated, location)

    async def _receive(
        self,
        call: Call,
        raw: bytes,
        interaction: Interaction | None,
        scope: Scope,
        witness: Witness,
        reach: entries.Reach | None = None,
        elsewhere: frozenset[int] = frozenset(),
        operate: Operate | None = None,
    ) -> Receipt:
        arrival = await self._arrival(call, raw, interaction, scope, reach)
        with changing(scope, witness, reach, elsewhere, operate):
            terms = Terms(scope, witness.foresee) if interaction else None
            receipt = await self._ledger.receive(arrival, at=call.at, terms=terms)
        if receipt.error is not None:
            call.trace.id = interaction.id if interaction else None
            raise at_home(receipt.error, interaction.type) if interaction else receipt.error
        if receipt.written and not witness.seen:  # it took the express lane
            witness.accept(receipt.written)
        if receipt.state == "duplicate":
            call.trace.written = False  # what the witness wrote, if it came to that, was rolled back
        return receipt

    async def _refused(self, call: Call, raw: bytes, error: HealthBrainError) -> HealthBrainError:
        """List something on the arrivals page that is no bundle; returns the error to raise."""
        await self._ledger.refuse(await self._arrival(call, raw, None, NOWHERE, None), error, at=call.at)
        return error

    async def _arrival(
        self, call: Call, raw: bytes, interaction: Interaction | None, scope: Scope, reach: entries.Reach | None
    ) -> Arrival:
        return Arrival(
            door="fhir",
            source=await self._source(call.who),
            raw=raw,
            received_at=call.at,
            content_type=call.header(b"content-type"),
            control_id=call.header(b"idempotency-key")[:200] or None,
            message_type=interaction.type if interaction else "Bundle",
            interaction=interaction,
            author=call.who.account,
            limits=None if call.who.grant is None else _limits(scope, reach),
        )

    async def _source(self, who: Principal) -> int:
        """The source a principal speaks for: its token's, else its organisation's own FHIR door."""
        if who.source is not None:
            return who.source
        known = self._sources.get(who.organisation)
        if known is None:
            organisation = (await self._gate.tree(who.organisation))[who.organisation]
            code = f"fhir-{organisation.code}"
            async with lend(self._platform.pool) as connection:
                source = await exchange.source_by_code(connection, code) or await exchange.put_source(
                    connection, code=code, name=organisation.name, organisation=organisation.key,
                    organisation_code=organisation.code, door="fhir", at=self._platform.clock(),
                )  # fmt: skip
            known = self._sources[who.organisation] = source.key
        return known

    async def _scope(self, call: Call, action: Action, type_: str) -> Scope:
        call.trace.type = type_
        return await self._gate.decide(call.who, action, type_, call.at)

    async def _transaction_scope(self, call: Call, asked: Sequence[tuple[Action, str]]) -> Scope:
        """What all changes together may touch. Every entry must be permitted; changes narrow the scope to theirs."""
        for action, type_ in asked:
            permitted(call.who, action, type_)
        changes = [one for one in asked if one[0] not in entries.READING]
        scopes = [await self._gate.decide(call.who, action, type_, call.at) for action, type_ in changes or asked]
        if not all(scope.identified for scope in scopes):
            raise Forbidden("you see figures, not single residents; declare a purpose of use that allows it first")
        return min(scopes, key=_breadth, default=NOWHERE)

    async def _resource(self, call: Call) -> bytes:
        media.check_resource_type(call)
        return await call.body()

    def _condition(self, call: Call) -> str:
        query = call.query_string.decode("ascii", "replace")
        if not query:
            raise Incorrect("without an id this needs a search query that says which resource is meant")
        return query


def _limits(scope: Scope, reach: entries.Reach | None) -> Limits:
    """How far an application may reach with what it sends now, for the case that it is tried again."""
    if reach is None:
        return Limits(scope)
    return Limits(scope, {what: one if isinstance(one, Scope) else None for what, one in reach.known.items()})


def _again(receipt: Receipt) -> Answer:
    """The same Idempotency-Key with the same content: acknowledged again, written once."""
    text = f"taken in before as delivery {receipt.original}; nothing was written again"
    return Answer(200, dump(outcome("information", "duplicate", text)))


async def _glance(raw: bytes) -> dict[str, Any]:
    """The bundle, to see what it asks for; its exact reading (every digit, no double names) follows in the ledger.

    Raises Malformed when it is not readable.
    """
    if exchange.begins(raw) == b"<":
        return await exchange.read_fhir(raw)
    try:
        sent = await asyncio.to_thread(orjson.loads, raw) if len(raw) > media.LARGE else orjson.loads(raw)
    except orjson.JSONDecodeError:
        return parse(raw)
    return sent if isinstance(sent, dict) else {}


def _breadth(scope: Scope) -> float:
    if scope.organisations is None:
        return float("inf")
    return len(scope.organisations) + len(scope.patients or ())


def at_home(error: HealthBrainError, type_: str) -> HealthBrainError:
    """The same error located in the resource, not in the bundle of one entry in which it travelled."""
    entry = "Bundle.entry[0]"
    if entry not in error.message and not any(entry in issue.expression for issue in error.issues):
        return error
    issues = [
        replace(
            issue,
            expression=issue.expression.replace(f"{entry}.resource", type_).replace(entry, type_),
            text=issue.text.replace(f"{entry}.resource", type_).replace(entry, type_),
        )
        for issue in error.issues
    ]
    return type(error)(error.message.replace(f"{entry}.resource", type_).replace(entry, type_), issues=issues)
