"""Supervision (督办): notices to units whose indicators are behind, answered, reviewed and closed (OPS-57).

Public: `issue`, `withdraw`, `act`, `escalate` change; `task`, `tasks`, `history`, `attachment`, `inbox` read; `states`
is the table of who may do what when.
"""

from healthbrain.measure.supervision.states import MOVES, STATES, UNDER_WAY, WAITS_FOR_UNIT, Move, Side, State, moves
from healthbrain.measure.supervision.tasks import (
    LARGEST_FILE,
    UNDO,
    Attachment,
    Inbox,
    Notice,
    Step,
    Task,
    act,
    attachment,
    escalate,
    history,
    inbox,
    issue,
    task,
    tasks,
    withdraw,
)

__all__ = [
    "LARGEST_FILE",
    "MOVES",
    "STATES",
    "UNDER_WAY",
    "UNDO",
    "WAITS_FOR_UNIT",
    "Attachment",
    "Inbox",
    "Move",
    "Notice",
    "Side",
    "State",
    "Step",
    "Task",
    "act",
    "attachment",
    "escalate",
    "history",
    "inbox",
    "issue",
    "moves",
    "task",
    "tasks",
    "withdraw",
]
