"""Partner platforms (平台对接): what is agreed with each, and how much and how fast was answered, by day and interface (HUB-EX-15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.errors import Incorrect, NotFound
from healthbrain.runtime import partners
from healthbrain.runtime.partners import INTERFACES, Day, Partner, Passed
from healthbrain.web.charts import Chart, Series
from healthbrain.web.export import csv_response
from healthbrain.web.language import N_, Language
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_DAYS = 30
LEVELS = {"upper": N_("Upper level"), "sibling": N_("Sibling"), "lower": N_("Lower level")}
NAMES = {
    "read": N_("Read"), "search": N_("Search"), "write": N_("Write"), "view": N_("Run views"), "export": N_("Export"),
    "operation": N_("Operations"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PartnerLine:
    """A partner with what passed in the period."""

    code: str
    name: str
    level: str
    asks_as: str
    document: str
    contact: str
    term: str
    covers: str
    in_force: bool
    figures: Sequence[str]  # requests, refused, errors, bytes, p50, p95


@dataclass(frozen=True, slots=True)
class PartnersPage:
    """Context of partners.html."""

    partners: Sequence[PartnerLine]
    days: Sequence[Sequence[str]]
    volume: Chart
    delay: Chart
    may_change: bool
    organisations: Sequence[tuple[str, str]]
    levels: Sequence[tuple[str, str]]
    interfaces: Sequence[tuple[str, str]]
    today: str
    year_on: str


async def partners_page(visit: Visit) -> Response:
    """Agreements, volume and delay of the last days; the days as CSV."""
    said, today = visit.language, visit.at.date()
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        tree = await visit.platform.tree(connection)
        own = tree.subtree(visit.who.organisation)
        known = [one for one in await partners.partners(connection) if one.organisation in own]
        shown = {one.key: one for one in known}
        days = [
            one for one in await partners.traffic(connection, today - timedelta(days=_DAYS)) if one.partner in shown
        ]
    head = [said.say(text) for text in (
        N_("Day"), N_("Partner"), N_("Interface"), N_("Requests"), N_("Refused"), N_("Errors"), N_("Bytes"),
        N_("Median delay (ms)"), N_("P95 delay (ms)"),
    )]  # fmt: skip
    if visit.query.get("format") == "csv":
        rows = [
            [one.day.isoformat(), shown[one.partner].code, one.interface, one.passed.requests, one.passed.refused,
             one.passed.errors, one.passed.bytes, _tenth(one.passed.percentile(0.5)), _tenth(one.passed.percentile(0.95))]
            for one in days
        ]  # fmt: skip
        return csv_response("partners.csv", head, rows)
    page = PartnersPage(
        partners=[_line(said, visit, one, tree.name(one.organisation), days) for one in known],
        days=[
            [said.day(one.day), shown[one.partner].name, one.interface, *_figures(said, one.passed)]
            for one in days[:200]
        ],
        volume=_chart(said, "volume", said.say(N_("Requests by day")), known, days, delay=False),
        delay=_chart(said, "delay", said.say(N_("P95 delay by day")), known, days, delay=True),
        may_change=visit.may("administer", "administration"),
        organisations=[(node.code, node.name) for node in tree if node.key in own and node.kind != "quarantine"],
        levels=[(key, said.say(text)) for key, text in LEVELS.items()],
        interfaces=[(key, said.say(NAMES[key])) for key in INTERFACES],
        today=today.isoformat(),
        year_on=(today + timedelta(days=365)).isoformat(),
    )
    crumbs = [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Partner platforms")))]
    return show(visit, "partners.html", page, crumbs=crumbs)


async def change(visit: Visit) -> Response:
    """Make, change or end an agreement."""
    form = await visit.form()
    async with visit.platform.pool.connection() as connection, connection.transaction():
        own = await visit.administered(connection)
        code = _text(form, "code")
        if _text(form, "wish") == "end":
            known = next((one for one in await partners.partners(connection) if one.code == code), None)
            if known is None or known.organisation not in own:
                raise NotFound("there is no such partner")
            await partners.end_partner(connection, code, by=visit.who.account, at=visit.at)
        else:
            node = (await visit.platform.tree(connection)).by_code(_text(form, "organisation"))
            if node is None or node.key not in own:
                raise Incorrect("choose the organisation whose token or application asks")
            await partners.put_partner(connection, _asked(form, node.key), by=visit.who.account, at=visit.at)
        detail = f"{_text(form, 'wish') or 'put'} {_text(form, 'document')[:100]}".strip()
        await audit.record(connection, [visit.event("U", "partner", code, detail=detail, interaction="partner")])
    return RedirectResponse("/partners", 303)


def _asked(form: FormData, organisation: int) -> Partner:
    try:
        term = (date.fromisoformat(_text(form, "from")), date.fromisoformat(_text(form, "until")))
        rate = int(_text(form, "rate"))
    except ValueError:
        raise Incorrect("days are written 2026-12-31, the rate is a whole number") from None
    if not 0 < rate <= 1_000_000:
        raise Incorrect("the rate is 1 to 1000000 requests in a minute")
    return Partner(
        0, _text(form, "code"), _text(form, "name"), _text(form, "level"), organisation, _text(form, "account"),
        _text(form, "client"), _text(form, "document"), _text(form, "contact"),
        [str(one) for one in form.getlist("interface")], _words(form, "types"), _words(form, "views"), *term, rate,
    )  # fmt: skip


def _line(said: Language, visit: Visit, one: Partner, organisation: str, days: Sequence[Day]) -> PartnerLine:
    whole = Passed()
    for day in days:
        if day.partner == one.key:
            whole = whole.plus(day.passed)
    interfaces = "、".join(said.say(NAMES[name]) for name in one.interfaces)
    return PartnerLine(
        one.code, one.name, said.say(LEVELS[one.level]), " / ".join(x for x in (organisation, one.client or one.account) if x),
        one.document, one.contact, f"{said.day(one.from_day)} – {said.day(one.until_day)}",
        f"{interfaces} · {' '.join(one.types)} · {' '.join(one.views) or '—'} · {one.per_minute}/min",
        one.in_force(visit.at), _figures(said, whole),
    )  # fmt: skip


def _figures(said: Language, passed: Passed) -> list[str]:
    return [
        *(said.number(value) for value in (passed.requests, passed.refused, passed.errors, passed.bytes)),
        *(said.number(passed.percentile(share), 1) for share in (0.5, 0.95)),
    ]


def _chart(
    said: Language, key: str, title: str, known: Sequence[Partner], days: Sequence[Day], *, delay: bool
) -> Chart:
    all_days = sorted({one.day for one in days})
    series = []
    for partner in known:
        values: list[float | None] = []
        for day in all_days:
            whole = Passed()
            for one in days:
                if one.partner == partner.key and one.day == day:
                    whole = whole.plus(one.passed)
            values.append(whole.percentile(0.95) if delay else whole.requests)
        series.append(Series(partner.name, values, "line" if delay else "bar"))
    return Chart(
        key, title, [said.short_day(day) for day in all_days], series, unit="ms" if delay else "", digits=1 if delay else 0,
        category_label=said.say(N_("Day")), low=True, csv="/partners?format=csv",
    )  # fmt: skip


def _tenth(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()


def _words(form: FormData, name: str) -> list[str]:
    return _text(form, name).replace(",", " ").split()
