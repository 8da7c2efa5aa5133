"""The six hubs of the health brain (健康大脑六大枢纽): state, inventory, interfaces (HUB-00)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from healthbrain.runtime.hubs import Hub, Words, hubs
from healthbrain.web.language import N_, Language
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit


@dataclass(frozen=True, slots=True)
class HubCard:
    """One hub as it is shown."""

    id: str
    title: str
    works: bool
    note: str
    holdings: Sequence[tuple[str, str]]
    interfaces: Sequence[str]


@dataclass(frozen=True, slots=True)
class HubsPage:
    """Context of hubs.html."""

    hubs: Sequence[HubCard]


async def six_hubs(visit: Visit) -> Response:
    """The hubs of this deployment now."""
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        found = await hubs(visit.platform, connection)
    said = visit.language
    page = HubsPage([_card(said, hub) for hub in found])
    crumbs = [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Six hubs")))]
    return show(visit, "hubs.html", page, crumbs=crumbs)


def _card(said: Language, hub: Hub) -> HubCard:
    def words(text: Words) -> str:
        return text.zh if said.chinese else text.en

    def shown(value: int | str) -> str:
        if isinstance(value, int):
            return said.number(value)
        with suppress(ValueError):
            return said.time(datetime.fromisoformat(value))
        return value

    holdings = [(words(h.label), shown(h.value)) for h in hub.holdings]
    calls = [interface.call for interface in hub.interfaces]
    return HubCard(hub.id, words(hub.title), hub.state == "works", words(hub.note), holdings, calls)
