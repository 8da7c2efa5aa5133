"""Store observer: a Subscription is read, checked and remembered in the transaction that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, Invalid, Issue
from healthbrain.exchange.notify import table
from healthbrain.exchange.notify.wanted import Trigger, Wanted, built_in, is_topic, read_subscription, read_topic
from healthbrain.scope import Scope
from healthbrain.store import Store, WriteContext, Written
from healthbrain.store.streaming import check_filter

_TOPICS = "http://hl7.org/fhir/fhir-types|SubscriptionTopic"
_MOST_TOPICS = "1000"


class Keeper:
    """Keeps subscriptions; `hosts` is where notifications may go (HB_SUBSCRIPTION_HOSTS)."""

    def __init__(self, hosts: str) -> None:
        self._hosts = hosts

    async def __call__(self, connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
        """Called by the store. Raises Invalid or Unsupported for what cannot be done."""
        if context.author == table.AUTHOR:
            return  # our own note of its state
        for one in written:
            if one.type != "Subscription" or not one.changed:
                continue
            if one.deleted or one.resource is None:
                await connection.execute("delete from subscription where rid = %s", (one.rid,))
                continue
            wanted = await self._read(connection, one.resource, context.scope)
            state: table.State = "off" if one.resource.get("status") == "off" else "requested"
            rules = context.scope.rules
            await table.put(connection, one.rid, one.id, context.owner, rules, wanted, state, context.at)

    async def _read(self, connection: Connection, resource: dict[str, Any], scope: Scope) -> Wanted:
        criteria = str(resource.get("criteria", ""))
        triggers = await self._topic(connection, criteria, scope) if is_topic(criteria) else ()
        wanted = read_subscription(resource, triggers, self._hosts)
        for trigger in wanted.triggers:
            try:
                await check_filter(connection, trigger.type, wanted.queries(trigger))
            except Incorrect as error:
                place = "Subscription.criteria"
                issue = Issue("error", "value", place, error.message)
                raise Invalid(f"{place}: {error.message}", issues=[issue]) from None
        return wanted

    async def _topic(self, connection: Connection, url: str, scope: Scope) -> tuple[Trigger, ...]:
        if found := built_in(url):
            return found
        query = [("code", _TOPICS), ("_count", _MOST_TOPICS)]
        page = await Store().search(connection, "Basic", query, scope=scope)
        for one in page.matches:
            name, triggers = read_topic(one.resource)
            if name == url and triggers:
                return triggers
        text = (
            "there is no such topic here; a topic is a Basic with code SubscriptionTopic, or urn:healthbrain:topic:Type"
        )
        raise Invalid(
            f"Subscription.criteria: {text}", issues=[Issue("error", "not-found", "Subscription.criteria", text)]
        )
