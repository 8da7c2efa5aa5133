"""The registry of published data services: what each gives, who answers for it, how it is asked and how much it is used (HUB-03)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.measure import services
from healthbrain.measure.services import Service, Use
from healthbrain.web import labels
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_TYPES = {"month": N_("month"), "organisation": N_("organisation"), "choice": N_("choice")}


@dataclass(frozen=True, slots=True)
class ParameterLine:
    """A parameter."""

    name: str
    title: str
    type: str
    usual: str


@dataclass(frozen=True, slots=True)
class ServiceCard:
    """One version of a service."""

    name: str
    anchor: str
    title: str
    description: str
    owner: str
    unit: str
    purposes: str
    a_minute: str
    reads: Sequence[tuple[str, str]]
    calls: str
    refused: str
    callers: str
    mean: str
    last: str
    deprecated: str


@dataclass(frozen=True, slots=True)
class ServicesPage:
    """Context of data_services.html."""

    services: Sequence[ServiceCard]
    parameters: Sequence[ParameterLine]


async def services_page(visit: Visit) -> Response:
    """Every version of every service."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        used = await services.used(connection, visit.at.astimezone(CHINA).date())
    found = services.services()
    parameters = {one.name: one for service in found for one in service.parameters}
    page = ServicesPage(
        [_card(said, one, used.get((one.id, one.version))) for one in found],
        [
            ParameterLine(
                one.name, said.pick(one.title), said.say(_TYPES[one.type]) + (f": {', '.join(one.of)}" if one.of else ""), one.usual or "—"
            )
            for one in parameters.values()
        ],
    )  # fmt: skip
    crumbs = [
        Crumb(said.say(N_("Home")), "/"),
        Crumb(said.say(N_("Data catalogue")), "/catalogue"),
        Crumb(said.say(N_("Data services"))),
    ]
    return show(visit, "data_services.html", page, crumbs=crumbs)


def _card(said: Language, one: Service, use: Use | None) -> ServiceCard:
    reads = [(f"/catalogue/{view.replace('.', '/')}", view) for view in one.reads]
    if one.measure:
        reads = [(f"/measures/{one.measure}", one.measure)]
    mean = use.milliseconds / use.calls if use and use.calls else None
    return ServiceCard(
        one.name, one.name.replace("/", "-"), said.pick(one.title), said.pick(one.description), said.pick(one.owner), said.pick(one.unit),
        ("、" if said.chinese else ", ").join(said.say(labels.PURPOSES[purpose]) for purpose in one.purposes), said.number(one.a_minute), reads,
        said.number(use.calls if use else 0), said.number(use.refused if use else 0), said.number(use.callers if use else 0),
        f"{mean:.0f} ms" if mean is not None else "—", said.day(use.last) if use else "—", _deprecated(said, one),
    )  # fmt: skip


def _deprecated(said: Language, one: Service) -> str:
    old = one.deprecated
    if old is None:
        return ""
    return said.say(N_("Deprecated since %(since)s, answers until %(until)s; call %(instead)s: %(why)s")) % {
        "since": said.day(old.since), "until": said.day(old.until), "instead": old.instead, "why": said.pick(old.why),
    }  # fmt: skip
