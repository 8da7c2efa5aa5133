"""The life cycle of a data set on its page of the catalogue: where it is, every step with its evidence, the steps that come next.

Everybody who sees the catalogue sees the life cycle. Steps are taken by administrators who look after the whole platform, because a
data set holds rows of all its organisations. HUB-EX-10, HUB-EX-22.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, get_args

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.lake import library
from healthbrain.lake.library import View
from healthbrain.lake.stored import library_id
from healthbrain.runtime import datasets
from healthbrain.runtime.datasets import Act, Life, Step, Who
from healthbrain.web.language import N_, Language
from healthbrain.web.visit import Visit

_CHINA = timezone(timedelta(hours=8))
STATES = {
    "": N_("Not managed yet"), "collected": N_("Collected"), "cleaned": N_("Cleaned"), "proposed": N_("Waits for approval"),
    "published": N_("Published"), "opened": N_("Opened to subscribers"), "withdrawn": N_("Withdrawn"),
    "archived": N_("Archived"), "destroyed": N_("Destroyed"),
}  # fmt: skip
_LOOKS = {"published": "ok", "opened": "ok", "proposed": "warn", "withdrawn": "bad", "destroyed": "bad"}
ACTS: Mapping[str, str] = {
    "collect": N_("Record collection"), "clean": N_("Record cleaning"), "propose": N_("Propose publication"),
    "return": N_("Return the proposal"), "publish": N_("Approve and publish"), "subscribe": N_("Open to a subscriber"),
    "end": N_("End a subscription"), "withdraw": N_("Withdraw the data set"), "archive": N_("Archive"), "destroy": N_("Destroy"),
}  # fmt: skip
KINDS = {"organisation": N_("Organisation"), "token": N_("Token"), "application": N_("Application")}
_DANGEROUS = ("withdraw", "destroy")


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step in the timeline."""

    act: str
    state: str
    at: str
    by: str
    reason: str
    facts: Sequence[tuple[str, str]]
    link: str
    link_text: str


@dataclass(frozen=True, slots=True)
class SubscriptionLine:
    """One subscription."""

    id: int
    kind: str
    subscriber: str
    purpose: str
    until: str
    state: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Button:
    """A step that may come next."""

    act: str
    text: str
    dangerous: bool


@dataclass(frozen=True, slots=True)
class LifePanel:
    """Context of dataset_life.html."""

    url: str
    export: str
    state: str
    look: str
    reading: str
    steps: Sequence[StepLine]
    subscriptions: Sequence[SubscriptionLine]
    buttons: Sequence[Button]
    kinds: Sequence[tuple[str, str]]
    may_end: bool


async def act(visit: Visit) -> Response:
    """Take a step."""
    form = await visit.form()
    view = library.find(visit.request.path_params["library"], visit.request.path_params["view"])
    wish = _text(form, "act")
    if wish not in get_args(Act):
        raise Incorrect("there is no such step")
    who = Who(visit.who.account, visit.at, _text(form, "reason"))
    async with visit.platform.pool.connection() as connection, connection.transaction():
        await visit.decide(connection, "administer", "administration")
        if not await may_act(visit, connection):
            raise Forbidden("steps of a data set are taken by administrators of the whole platform")
        await _take(visit, connection, view, wish, who, form)
        event = visit.event("U", "ViewDefinition", library_id(view), detail=f"life cycle: {wish}", interaction=wish)
        await audit.record(connection, [event])
    return RedirectResponse(f"/catalogue/{view.library}/{view.name}#life", 303)


async def may_act(visit: Visit, connection: Connection) -> bool:
    """Whether the visitor takes steps: an administrator whose organisations are all there are."""
    if not visit.may("administer", "administration"):
        return False
    return (await visit.platform.tree(connection)).covers_all(visit.who.organisation)


async def _take(visit: Visit, connection: Connection, view: View, wish: str, who: Who, form: FormData) -> None:
    match wish:
        case "collect":
            await datasets.collect(connection, view, await visit.platform.tree(connection), who)
        case "clean":
            await datasets.clean(connection, view, who)
        case "propose":
            await datasets.propose(
                connection, view, who, version=_text(form, "version"), conditions=_text(form, "conditions"),
                by_subscription=_text(form, "mode") != "open",
            )  # fmt: skip
        case "publish":
            await datasets.publish(connection, view, who)
        case "subscribe":
            tree = await visit.platform.tree(connection)
            await datasets.subscribe(
                connection, view, tree, who, kind=_text(form, "kind"), subscriber=_text(form, "subscriber"),
                until=_end_of(_text(form, "until")),
            )  # fmt: skip
        case "end":
            number = _text(form, "subscription")
            await datasets.end(connection, view, int(number) if number.isdigit() and len(number) < 10 else 0, who)
        case "withdraw":
            await datasets.withdraw(connection, view, who)
        case "destroy":
            await datasets.destroy(visit.platform, connection, view, who)
        case "return" | "archive":
            await datasets.turn(connection, view, wish, who)


def panel(said: Language, view: View, lived: Life, at: datetime, *, acts: bool, account: str) -> LifePanel:
    """What the page shows of the life cycle."""
    first = lived.steps[0] if lived.steps else None
    mine = first is not None and first.by == account
    hidden = {"end"} | ({"publish"} if mine else set()) | ({"destroy"} if mine else set())
    buttons = [
        Button(one, said.say(ACTS[one]), one in _DANGEROUS) for one in lived.possible() if acts and one not in hidden
    ]
    return LifePanel(
        f"/catalogue/{view.library}/{view.name}/life",
        f"/catalogue/{view.library}/{view.name}?format=life",
        said.say(STATES[lived.state]),
        _LOOKS.get(lived.state, ""),
        said.say(_reading(lived)),
        [_step(said, view, one) for one in lived.steps],
        [
            SubscriptionLine(
                one.id, said.say(KINDS[one.kind]), one.subscriber, one.purpose, said.time(one.until_at),
                said.say(N_("in force") if one.holds(at) else N_("ended")), one.holds(at),
            )
            for one in lived.subscriptions
        ],
        buttons,
        [(key, said.say(text)) for key, text in KINDS.items()],
        acts and "end" in lived.possible(),
    )  # fmt: skip


def as_json(view: View, lived: Life) -> dict[str, Any]:
    """The life cycle for machines."""
    return {
        "dataset": library_id(view), "state": lived.state or None, "bySubscription": lived.by_subscription,
        "steps": [
            {"act": one.act, "state": one.state, "at": one.at, "by": one.by, "reason": one.reason, "evidence": one.evidence}
            for one in lived.steps
        ],
        "subscriptions": [
            {"id": one.id, "kind": one.kind, "subscriber": one.subscriber, "purpose": one.purpose, "until": one.until_at,
             "grantedAt": one.granted_at, "grantedBy": one.granted_by, "endedAt": one.ended_at, "endedBy": one.ended_by}
            for one in lived.subscriptions
        ],
    }  # fmt: skip


def _reading(lived: Life) -> str:
    if not lived.governed:
        return N_("Not published: who may see the records may run the view.")
    if lived.state not in ("published", "opened"):
        return N_("Nobody reads it by its name.")
    if lived.by_subscription:
        return N_("Read by subscription, within what the subscriber may see.")
    return N_("Open: whoever may see the records reads it.")


def _step(said: Language, view: View, one: Step) -> StepLine:
    page = f"/catalogue/{view.library}/{view.name}"
    link, text = {
        "collect": ("/arrivals", said.say(N_("Arrivals"))),
        "clean": (f"{page}#quality", said.say(N_("Quality"))),
        "propose": (f"{page}?format=definition", "ViewDefinition"),
        "publish": (f"{page}?format=definition", "ViewDefinition"),
    }.get(one.act, ("", ""))
    return StepLine(
        said.say(ACTS[one.act]), said.say(STATES[one.state]), said.time(one.at), one.by, one.reason, _facts(said, one), link, text
    )  # fmt: skip


def _facts(said: Language, one: Step) -> list[tuple[str, str]]:
    """The evidence of a step in words."""
    held = one.evidence
    found: list[tuple[str, str]] = []

    def add(label: str, value: object) -> None:
        found.append((said.say(label), said.number(value) if isinstance(value, int) else str(value)))

    if isinstance(held.get("rows"), int):
        add(N_("Rows"), held["rows"])
    for source in held.get("sources", ()):
        words = said.say(N_("%(rows)s rows; deliveries in %(days)s days: %(deliveries)s, refused: %(refused)s")) % {
            "rows": said.number(source["rows"]), "days": held["delivery_days"],
            "deliveries": said.number(source["deliveries"]), "refused": said.number(source["refused"]),
        }  # fmt: skip
        found.append((str(source["organisation"]), words))
    for rule in held.get("rules", ()):
        words = said.say(N_("%(failed)s of %(total)s failed")) % {
            "failed": said.number(rule["failed"]), "total": said.number(rule["total"]),
        }  # fmt: skip
        found.append((rule["title"]["zh" if said.chinese else "en"], words))
    if "rules_version" in held:
        add(N_("Version of the rules"), held["rules_version"][:12])
    if "version" in held:
        add(N_("Version"), held["version"])
        add(N_("Conditions of use"), held["conditions"])
        add(N_("Digest of the definition"), held["schema"][:12])
    if "proposed_by" in held:
        add(N_("Proposed by"), held["proposed_by"])
    if "subscriber" in held:
        add(KINDS[held["kind"]], held["subscriber"])
    if held.get("ended"):
        add(N_("Subscriptions ended"), len(held["ended"]))
    if "copy_removed" in held:
        add(N_("Kept copy"), said.say(N_("removed") if held["copy_removed"] else N_("there was none")))
    return found


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()


def _end_of(day: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(day), time.max, _CHINA).astimezone(UTC)
    except ValueError:
        raise Incorrect("a day is written 2026-12-31") from None
