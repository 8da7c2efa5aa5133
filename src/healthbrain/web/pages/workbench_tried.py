"""A definition tried out on the screen: preview by step, examples, sample members, each as far as the visitor may see people."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError
from healthbrain.lake import Lake
from healthbrain.measure import workbench
from healthbrain.measure.suppression import THRESHOLD
from healthbrain.measure.workbench import Case, Outcome, Step, drafts
from healthbrain.measure.workbench.drafts import Own
from healthbrain.portrait.masking import mask_number
from healthbrain.web import wording
from healthbrain.web.language import Language
from healthbrain.web.pages import cockpit, figures
from healthbrain.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Tried:
    """What trying the definition out gave."""

    steps: Sequence[Step] = ()
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    sample: Sequence[tuple[str, str, bool]] = ()
    error: str = ""
    done: bool = False
    per: float = 100  # the result is the quotient times this
    share: bool = True


async def tried(visit: Visit, connection: Connection, own: Own, *, people: bool) -> Tried:
    """Preview, examples and (with permission) sample members of the newest version."""
    version = own.versions[0]
    if not version.text:
        return Tried()
    lake = Lake(visit.platform.settings.lake)
    kept = await drafts.cases(connection, own)
    try:
        one = workbench.definition_from(version.text)
        steps = await asyncio.to_thread(workbench.steps, lake, one, visit.at) if one.population else []
        found = await asyncio.to_thread(workbench.run_cases, lake, one, [case for _, case in kept], visit.at)
        members = await asyncio.to_thread(workbench.sample, lake, one, visit.at) if people and one.members else []
    except HealthBrainError as error:
        return Tried(error=wording.tell(visit.language, error.message))
    if members:
        ids = [one.subject for one in members]
        visit.note("R", "Patient", detail=f"{len(ids)} sample members of {own.id}")
    return Tried(
        steps, {id_: outcome for (id_, _), outcome in zip(kept, found, strict=True)},
        [(mask_number(one.subject), one.town, one.numerator) for one in members], done=True,
        per=one.per if one.denominator else 100, share=one.denominator is None or one.unit == "%",
    )  # fmt: skip


def step_line(said: Language, one: Step, found: Tried, people: bool) -> list[str]:
    """A period in words; counts that are too few for this reader are hidden with all others of the period."""
    counts = (one.initial, one.excluded, one.denominator, one.numerator)
    if not people and any(0 < count < THRESHOLD for count in (*counts, one.denominator - one.numerator)):
        return [figures.period_text(said, one.period), "*", "*", "*", "*", "*"]
    result = f"{found.per * one.numerator / one.denominator:,.{1 if found.share else 2}f}" if one.denominator else "—"
    return [
        figures.period_text(said, one.period), *(said.number(count) for count in counts),
        f"{result}%" if found.share and one.denominator else result,
    ]  # fmt: skip


async def add_case(visit: Visit, connection: Connection, own: Own, fields: Mapping[str, str]) -> None:
    subject, text = fields.get("subject", "").strip(), fields.get("resources", "").strip()
    if subject:
        if not await cockpit.sees_people(visit, connection):
            raise Forbidden("your purpose of use shows numbers only; state another purpose to see rows")
        visit.note("R", "Patient", detail=f"known person as an example of {own.id}")
    resources = workbench.case_resources(text) if text and not subject else ()
    case = Case(
        fields.get("name", "").strip(), fields.get("expected", ""), fields.get("when", "").strip(), subject, resources
    )
    await drafts.add_case(connection, own, case, visit.who.account, visit.at)
