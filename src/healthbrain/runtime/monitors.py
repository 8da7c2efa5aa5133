"""Judging monitors in the background: each saved question with a threshold is asked as its owner, with what the owner may see now.

An owner whose account is closed, or who may no longer see figures, is not asked for; the monitor says so. Nothing that the
owner could not see on opening the question is written down. Each judging leaves a trace in the audit log, as the owner's.
"""

from __future__ import annotations

import logging
from datetime import datetime

from healthbrain import access, audit, identity
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError
from healthbrain.lake import Lake
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure import analysis
from healthbrain.measure.analysis import Reader, monitors
from healthbrain.measure.analysis.monitors import Due, Judged
from healthbrain.measure.published import Reach
from healthbrain.runtime.platform import Platform
from healthbrain.scope import Action, Principal, Scope

log = logging.getLogger("healthbrain.worker")
AT_ONCE = 20  # monitors of one turn


async def judge_due(platform: Platform, published: str = "") -> int:
    """Judge the monitors whose turn it is; how many there were. `published` says what the measures were computed from."""
    lake, at = Lake(platform.settings.lake), platform.clock()
    position = f"{lake.state().position} {published}".strip()
    if not position:
        return 0
    day = at.astimezone(LOCAL).date()
    async with platform.pool.connection() as connection:
        await monitors.end_unwatched(connection, at)
        waiting = await monitors.due(connection, position, day, at, AT_ONCE)
    for one in waiting:
        found = await _judged(platform, lake, one, at)
        async with platform.pool.connection() as connection:
            await monitors.keep(connection, one, found, position, day, at)
    if waiting:
        log.info("%d monitors judged as of lake position %s", len(waiting), position)
    return len(waiting)


async def _judged(platform: Platform, lake: Lake, one: Due, at: datetime) -> Judged:
    """What judging one monitor found; a failure is told in words and never keeps the others from being judged."""
    try:
        asked = analysis.question_of(one.question)
        async with platform.pool.connection() as connection:
            who = await _owner(connection, one.owner, at)
            platform.audit.note(
                audit.Event.of(who, at, "E", "indicator", str(one.id), detail="monitor judged", interaction="monitor")
            )
            figures = await access.decide(connection, who, "read", "indicator", at, patients_of=identity.patients_of)
            if analysis.source_of(asked.source).published:
                reach = await _reach(connection, who, figures, at)
                answered = await analysis.answer_published(connection, asked, reach)
                return monitors.judge(answered.table, at.astimezone(LOCAL).date())
            reader = Reader(figures.organisations, await _sees(connection, who, asked, at))
        answered = await analysis.answer(lake, asked, reader, at)
        return monitors.judge(answered.table, at.astimezone(LOCAL).date())
    except HealthBrainError as error:
        return Judged("failed", 0, why=error.message)


async def _owner(connection: Connection, owner: str, at: datetime) -> Principal:
    """The owner, with the role's usual purpose. Raises Forbidden, NotFound."""
    account = await access.account(connection, owner)
    if not account.usable(at):
        raise Forbidden("the account of this monitor's owner is closed")
    return Principal(
        account.name, account.display, account.role, account.organisation, access.default_purpose(account.role),
        account.person, account.practitioner,
    )  # fmt: skip


async def _sees(connection: Connection, who: Principal, asked: analysis.Question, at: datetime) -> bool:
    """Whether the owner may see who is behind the figures of a view."""
    type_ = analysis.source_of(asked.source).view.resource
    return await _identified(connection, who, "search", type_, at)


async def _reach(connection: Connection, who: Principal, figures: Scope, at: datetime) -> Reach:
    """Whose published figures the owner sees, as on the cockpit."""
    own = (await access.organisations(connection)).nearest(who.organisation, "institution")
    whole = figures.organisations is None or own is None
    people = await _identified(connection, who, "read", "Patient", at)
    return Reach(whole, str(own) if own is not None else "", people)


async def _identified(connection: Connection, who: Principal, action: Action, type_: str, at: datetime) -> bool:
    try:
        scope = await access.decide(connection, who, action, type_, at, patients_of=identity.patients_of)
    except Forbidden:
        return False
    return scope.identified
