"""Subscriptions: whoever wants to know is told when resources change (R4, and topics after the R5 backport).

A Subscription is read when it is written (`Keeper`, a store observer); the background worker follows the change feed
and notes events (`evaluate`), then sends them (`deliver`); a websocket fetches its own. Rules and limits:
docs/reference/bulk-and-subscriptions.md.
"""

from healthbrain.exchange.notify.evaluate import evaluate, feed_position
from healthbrain.exchange.notify.keeping import Keeper
from healthbrain.exchange.notify.notifications import event_bundle, events_bundle, status_of
from healthbrain.exchange.notify.send import Post, deliver, mark_sent, tidy
from healthbrain.exchange.notify.table import (
    Event,
    Subscription,
    bind,
    bound,
    dead_letters,
    events,
    find,
    replay,
)

__all__ = [
    "Event",
    "Keeper",
    "Post",
    "Subscription",
    "bind",
    "bound",
    "dead_letters",
    "deliver",
    "evaluate",
    "event_bundle",
    "events",
    "events_bundle",
    "feed_position",
    "find",
    "mark_sent",
    "replay",
    "status_of",
    "tidy",
]
