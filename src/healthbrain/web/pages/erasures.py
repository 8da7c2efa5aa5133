"""Erasing a person (个人信息删除) by the administrator: look at the plan, confirm it with ground, reason and code.

Two steps: the first shows what would go and what the law wants kept; the second needs the code of exactly that plan. Only
numbers are shown, never who the person is. PIPL art. 47; docs/how-to/erase-a-person.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from healthbrain import identity
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError
from healthbrain.runtime import erasure
from healthbrain.runtime.erasure import Plan, Tombstone, Wish
from healthbrain.runtime.retention import GROUNDS
from healthbrain.scope import Scope
from healthbrain.web import wording
from healthbrain.web.language import N_, Language
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_HOLDS = {
    "outpatient": N_("Outpatient records"),
    "inpatient": N_("Inpatient records"),
    "vaccination": N_("Vaccination records"),
}


@dataclass(frozen=True, slots=True)
class HoldLine:
    """A period of keeping that still runs."""

    kind: str
    until: str
    records: str
    rule: str


@dataclass(frozen=True, slots=True)
class PlanCard:
    """What would go."""

    person: str
    records: str
    resources: Sequence[tuple[str, str]]
    shared: str
    holds: Sequence[HoldLine]
    code: str


@dataclass(frozen=True, slots=True)
class DoneLine:
    """An erasure that was done."""

    number: str
    time: str
    person: str
    ground: str
    reason: str
    who: str
    resources: str
    lake: str
    open: bool


@dataclass(frozen=True, slots=True)
class ErasuresPage:
    """Context of erasures.html."""

    asked: str
    error: str
    plan: PlanCard | None
    grounds: Sequence[tuple[str, str]]
    chosen: Wish
    done: Sequence[DoneLine]


async def erasures(visit: Visit, *, error: str = "", wish: Wish | None = None, status: int = 200) -> Response:
    """The plan for a person when one is asked for, and what was erased."""
    said, asked = visit.language, visit.query.get("person", "").strip()
    planned = None
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "administer", "administration")
        if asked:
            try:
                await _within(scope, connection, asked)
                planned = await erasure.plan(visit.platform, connection, asked)
            except HealthBrainError as problem:
                error = error or wording.tell(said, problem.message)
        stones = await erasure.tombstones(connection)
    if planned:
        visit.note("R", "Person", planned.person, detail="plan of an erasure")
    page = ErasuresPage(
        asked,
        error,
        _card(said, planned) if planned else None,
        [(key, zh if said.chinese else en) for key, (zh, en, _) in GROUNDS.items()],
        wish or Wish("", "", ""),
        [_line(said, one) for one in stones],
    )
    toast = Toast(said.say(N_("The person is erased."))) if visit.query.get("said") == "erased" else None
    crumbs = [
        Crumb(said.say(N_("Home")), "/"),
        Crumb(said.say(N_("Administration")), "/admin"),
        Crumb(said.say(N_("Erasure of persons"))),
    ]
    return show(visit, "erasures.html", page, crumbs=crumbs, toast=toast, status=status)


async def erase(visit: Visit) -> Response:
    """Do what the plan said; the code must be that of the plan as it is now."""
    form = {key: str(value).strip() for key, value in (await visit.form()).items()}
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "administer", "administration")
        await _within(scope, connection, form.get("typed", ""))
    wish = Wish(form.get("ground", ""), form.get("reason", ""), form.get("code", ""), form.get("custodian", ""))
    try:
        if form.get("typed", "") != visit.query.get("person", ""):
            return await erasures(
                visit, error=visit.language.say(N_("Type the number of the person to confirm.")), wish=wish, status=400
            )
        await erasure.erase(visit.platform, form["typed"], wish, visit.who, address=visit.address)
    except HealthBrainError as problem:
        return await erasures(visit, error=wording.tell(visit.language, problem.message), wish=wish, status=400)
    return RedirectResponse("/admin/erasures?said=erased", 303)


async def _within(scope: Scope, connection: Connection, person: str) -> None:
    """Raises Forbidden when a record of the person belongs to an institution that is none of the administrator's."""
    if scope.organisations is not None:
        owners = {owner for _, owner in await identity.patient_ids(connection, person)}
        if not owners <= set(scope.organisations):
            raise Forbidden(
                "this person has records outside your jurisdiction; an administrator above both can erase them"
            )


def _card(said: Language, plan: Plan) -> PlanCard:
    return PlanCard(
        plan.person,
        said.number(plan.records),
        [(type_, said.number(count)) for type_, count in plan.resources.items()],
        said.number(plan.shared),
        [
            HoldLine(said.say(_HOLDS[one.kind]), said.day(one.until), said.number(one.records), one.rule)
            for one in plan.holds
        ],
        plan.code,
    )


def _line(said: Language, one: Tombstone) -> DoneLine:
    zh, en, _ = GROUNDS.get(one.ground, (one.ground, one.ground, False))
    lake = said.time(one.lake_done_at) if one.lake_done_at else said.time(one.due_at)
    return DoneLine(
        str(one.id), said.time(one.at), one.person, zh if said.chinese else en, one.reason, one.who,
        said.number(sum(one.counts.get("resources", {}).values())), lake, one.lake_done_at is None,
    )  # fmt: skip
