"""What a Subscription asks for: R4's own form, or a topic in the form of the R5 backport for R4 (version 1.1).

Everything is checked when the resource is written, so that its sender is told at once. Where notifications may be sent
is the operator's decision (HB_SUBSCRIPTION_HOSTS): otherwise a subscription could make the platform call anything in
its own network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from healthbrain.errors import Incorrect, Invalid, Issue, Unsupported
from healthbrain.fhir import definitions

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
TOPIC = "urn:healthbrain:topic:"  # + type: every change of resources of that type
TOPIC_FORM = "http://hl7.org/fhir/4.3/StructureDefinition/extension-SubscriptionTopic."
_TOPIC_FORMS = (TOPIC_FORM, "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic.")
_HEADER = re.compile(r"([A-Za-z0-9-]{1,100}):[ \t]*([\x20-\x7e]{0,2000})")
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
_TIMEOUT, _LONGEST_TIMEOUT = 15, 60  # seconds
_MOST_AT_ONCE = 100

Content = Literal["empty", "id-only", "full-resource"]


@dataclass(frozen=True, slots=True)
class Trigger:
    """Changes of one type that a topic tells of; `query` must find the resource."""

    type: str
    kinds: tuple[str, ...] = ("create", "update")
    query: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription, read."""

    channel: Literal["rest-hook", "websocket"]
    topic: str  # '' = R4's own form
    triggers: tuple[Trigger, ...]
    filters: tuple[str, ...]  # Type?query; all of a type must find the resource
    content: Content
    endpoint: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    heartbeat: int = 0  # seconds; 0 = none
    timeout: int = _TIMEOUT
    most: int = 20  # events in one notification

    def as_json(self) -> dict[str, Any]:
        """As the table keeps it."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> Wanted:
        """What `as_json` made."""
        triggers = tuple(Trigger(one["type"], tuple(one["kinds"]), one["query"]) for one in kept["triggers"])
        headers = tuple((name, value) for name, value in kept["headers"])
        return cls(**{**kept, "triggers": triggers, "headers": headers, "filters": tuple(kept["filters"])})

    def queries(self, trigger: Trigger) -> tuple[tuple[str, str], ...]:
        """The search that a changed resource must be found by."""
        parts = [trigger.query]
        parts += [one.partition("?")[2] for one in self.filters if one.partition("?")[0] == trigger.type]
        return tuple(pair for part in parts for pair in parse_qsl(part, keep_blank_values=True))


def read_subscription(resource: dict[str, Any], triggers: Sequence[Trigger], hosts: str) -> Wanted:
    """What a Subscription asks for. `triggers` are those of the topic it names, () for R4's own form.

    Raises Invalid or Unsupported.
    """
    criteria, channel = str(resource.get("criteria", "")), resource.get("channel", {})
    topic = criteria if triggers else ""
    kind = channel.get("type")
    if kind not in ("rest-hook", "websocket"):
        raise Unsupported("Subscription.channel.type is rest-hook or websocket here")
    payload = str(channel.get("payload", ""))
    if payload and payload.partition(";")[0].strip() not in ("application/fhir+json", "application/json"):
        raise Unsupported("Subscription.channel.payload is application/fhir+json here")
    extensions = channel.get("extension", ())
    heartbeat = _number(extensions, "heartbeat-period", 0)
    return Wanted(
        channel=kind,
        topic=topic,
        triggers=tuple(triggers) or (_plain(criteria),),
        filters=tuple(_filters(resource)),
        content=_content(channel, payload, bool(topic)),
        endpoint=_endpoint(channel, hosts) if kind == "rest-hook" else "",
        headers=tuple(_header(one) for one in channel.get("header", ())),
        heartbeat=max(heartbeat, 10) if heartbeat else 0,
        timeout=min(_number(extensions, "timeout", _TIMEOUT) or _TIMEOUT, _LONGEST_TIMEOUT),
        most=min(_number(extensions, "max-count", 20) or 20, _MOST_AT_ONCE),
    )


def is_topic(criteria: str) -> bool:
    """Whether `criteria` names a topic instead of being a search."""
    return "://" in criteria.partition("?")[0] or criteria.startswith("urn:")


def built_in(url: str) -> tuple[Trigger, ...]:
    """The topic that every resource type has; () for another url."""
    type_ = url.removeprefix(TOPIC) if url.startswith(TOPIC) else ""
    return (Trigger(type_, ("create", "update", "delete")),) if definitions().is_resource(type_) else ()


def read_topic(basic: dict[str, Any]) -> tuple[str, tuple[Trigger, ...]]:
    """Url and triggers of a SubscriptionTopic in its R4 form, a Basic. Raises Unsupported for triggers of other kinds."""
    url, triggers = "", []
    for extension in basic.get("extension", ()):
        name = _topic_part(extension)
        if name == "url":
            url = str(extension.get("valueUri", ""))
        elif name == "resourceTrigger":
            triggers.append(_trigger(extension))
        elif name == "eventTrigger":
            raise Unsupported("topics with eventTrigger are not offered; use resourceTrigger")
    return url, tuple(triggers)


def _trigger(extension: dict[str, Any]) -> Trigger:
    type_, kinds, query = "", [], ""
    for part in extension.get("extension", ()):
        match part.get("url"):
            case "resource":
                type_ = str(part.get("valueUri", "")).rpartition("/")[2]
            case "supportedInteraction":
                kinds.append(str(part.get("valueCode", "")))
            case "queryCriteria":
                inner = {one.get("url"): one for one in part.get("extension", ())}
                if "previous" in inner:
                    raise Unsupported("topics with queryCriteria.previous are not offered")
                query = str(inner.get("current", {}).get("valueString", "")).rpartition("?")[2]
            case "fhirPathCriteria":
                raise Unsupported("topics with fhirPathCriteria are not offered; use queryCriteria")
    if not definitions().is_resource(type_):
        raise Invalid("the topic has a resourceTrigger without a resource type of R4")
    return Trigger(type_, tuple(kinds) or ("create", "update", "delete"), query)


def _topic_part(extension: dict[str, Any]) -> str:
    url = str(extension.get("url", ""))
    return next((url.removeprefix(form) for form in _TOPIC_FORMS if url.startswith(form)), "")


def _plain(criteria: str) -> Trigger:
    type_, _, query = criteria.partition("?")
    if not definitions().is_resource(type_):
        raise _invalid(
            "Subscription.criteria", "criteria is a search such as Observation?code=x, or the url of a topic"
        )
    return Trigger(type_, ("create", "update"), query)


def _filters(resource: dict[str, Any]) -> list[str]:
    found = []
    for one in resource.get("_criteria", {}).get("extension", ()):
        if one.get("url") == f"{BACKPORT}filter-criteria":
            value = str(one.get("valueString", ""))
            if not definitions().is_resource(value.partition("?")[0]) or "?" not in value:
                raise _invalid("Subscription.criteria", "a filter criteria is written Type?search")
            found.append(value)
    return found


def _content(channel: dict[str, Any], payload: str, topic: bool) -> Content:
    for one in channel.get("_payload", {}).get("extension", ()):
        if one.get("url") == f"{BACKPORT}payload-content":
            match one.get("valueCode"):
                case "empty" | "id-only" | "full-resource" as content:
                    return content  # type: ignore[no-any-return]  # one of the three
            raise _invalid("Subscription.channel.payload", "the payload content is empty, id-only or full-resource")
    return "full-resource" if payload and not topic else "empty"


def _endpoint(channel: dict[str, Any], hosts: str) -> str:
    endpoint = str(channel.get("endpoint", ""))
    check_endpoint(endpoint, hosts)
    return endpoint


def check_endpoint(endpoint: str, hosts: str) -> None:
    """Raises Invalid unless the operator allows notifications to go there."""
    where = "Subscription.channel.endpoint"
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _invalid(where, "the endpoint is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise _invalid(where, "a rest-hook needs an endpoint with http or https, without user name")
    allowed = {one.strip().lower() for one in hosts.split(",") if one.strip()}
    port = port or (443 if parts.scheme == "https" else 80)
    if host.lower() not in allowed and f"{host.lower()}:{port}" not in allowed:
        raise _invalid(
            where, "notifications may not go to this host; the operator lists hosts in HB_SUBSCRIPTION_HOSTS"
        )


def _header(written: Any) -> tuple[str, str]:
    match = _HEADER.fullmatch(str(written))
    if match is None or match[1].lower() in _OURS:
        raise _invalid(
            "Subscription.channel.header", "a header is written 'Name: value', in ASCII, and is not one of HTTP's own"
        )
    return match[1], match[2]


def _number(extensions: Sequence[dict[str, Any]], name: str, usual: int) -> int:
    for one in extensions:
        if one.get("url") == f"{BACKPORT}{name}":
            value = next((value for key, value in one.items() if key.startswith("value")), None)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise _invalid("Subscription.channel", f"{name} is a whole number")
            return value
    return usual


def _invalid(where: str, text: str) -> Incorrect:
    return Invalid(f"{where}: {text}", issues=[Issue("error", "value", where, text)])
