"""What the screens show of a supervision task: words for states and steps, a row, the steps one may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from healthbrain.access import Tree
from healthbrain.errors import NotFound
from healthbrain.measure.plans import plan
from healthbrain.measure.supervision import Side, State, Task
from healthbrain.web.language import CHINA, N_
from healthbrain.web.pages import figures
from healthbrain.web.visit import Visit

STEPS: Mapping[str, str] = {
    "issue": N_("Notice issued"),
    "withdraw": N_("Withdraw the notice"),
    "accept": N_("Sign for the notice"),
    "answer": N_("Answer"),
    "return": N_("Send back"),
    "close": N_("Close the task"),
    "reopen": N_("Reopen the task"),
    "extend": N_("Give more time"),
    "remind": N_("Remind the unit"),
    "comment": N_("Add a remark"),
    "escalate": N_("Escalated"),
}
HINTS: Mapping[str, str] = {
    "answer": N_("What was found, what has been done, what the result is."),
    "return": N_("What is still missing."),
    "close": N_("What was achieved, or why the task ends."),
    "reopen": N_("Why it is opened again."),
    "extend": N_("Why more time is given."),
    "comment": N_("For both sides to read."),
}
LEVELS: Mapping[int, str] = {
    1: N_("overdue: told to the unit and the commission"),
    2: N_("overdue for a week: told to the leader"),
}


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task as a row."""

    id: int
    title: str
    plan: str
    unit: str
    person: str
    state: State
    due: str
    late: int
    level: int
    issued: str
    url: str


def line(visit: Visit, task: Task, tree: Tree) -> TaskLine:
    """The row of a task."""
    said = visit.language
    return TaskLine(
        id=task.id,
        title=title(visit, task),
        plan=task.plan,
        unit=tree.name(task.organisation),
        person=task.person,
        state=task.state,
        due=said.short_day(task.due),
        late=task.days_late(visit.at.astimezone(CHINA).date()),
        level=task.level if task.days_late(visit.at.astimezone(CHINA).date()) else 0,
        issued=said.time(task.issued_at),
        url=f"/supervision/{task.id}",
    )


def title(visit: Visit, task: Task) -> str:
    """The indicator's name; its number when the plan no longer has it."""
    try:
        indicator = plan(task.plan).indicator(task.indicator)
    except NotFound:
        indicator = None
    return figures.words(visit.language, indicator.title) if indicator else task.indicator


def side(visit: Visit) -> Side | None:
    """Which side the visitor stands on; None for who only reads."""
    if visit.may("administer", "supervision"):
        return "commission"
    return "unit" if visit.may("write", "supervision") else None
