"""The states of a supervision task (督办件) and who may move it from one to another: a table, read by the engine and the screens.

Follows the closed loop of the catalogue's OPS-57 (通报, 督办, 反馈, 审核, 办结): the commission issues a notice, the unit signs for it and answers, the
commission closes it or sends it back. A notice can be withdrawn only before it is sent. What is overdue is escalated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["queued", "open", "accepted", "answered", "returned", "closed", "withdrawn"]
Side = Literal["commission", "unit", "system"]
ActionName = Literal[
    "issue", "withdraw", "accept", "answer", "return", "close", "reopen", "extend", "remind", "comment", "escalate"
]

STATES: tuple[State, ...] = ("queued", "open", "accepted", "answered", "returned", "closed", "withdrawn")
UNDER_WAY: tuple[State, ...] = ("open", "accepted", "answered", "returned")
WAITS_FOR_UNIT: tuple[State, ...] = ("open", "accepted", "returned")


@dataclass(frozen=True, slots=True)
class Move:
    """One row: this side may do this in these states. `to` None leaves the state as it is."""

    action: ActionName
    side: Side
    states: tuple[State, ...]
    to: State | None = None
    text: bool = False  # a reason or answer must be given
    due: bool = False  # a new date may be set


MOVES: tuple[Move, ...] = (
    Move("withdraw", "commission", ("queued",), "withdrawn"),
    Move("accept", "unit", ("open",), "accepted"),
    Move("answer", "unit", ("open", "accepted", "returned"), "answered", text=True),
    Move("return", "commission", ("answered",), "returned", text=True, due=True),
    Move("close", "commission", UNDER_WAY, "closed", text=True),
    Move("reopen", "commission", ("closed",), "returned", text=True, due=True),
    Move("extend", "commission", WAITS_FOR_UNIT, None, text=True, due=True),
    Move("remind", "commission", WAITS_FOR_UNIT, None),
    Move("comment", "commission", (*UNDER_WAY, "closed"), None, text=True),
    Move("comment", "unit", (*UNDER_WAY, "closed"), None, text=True),
    Move("escalate", "system", WAITS_FOR_UNIT, None),
)

# days past the date -> level: 1 reminds the unit and whoever issued it, 2 goes to the leader as well
ESCALATIONS: tuple[tuple[int, int], ...] = ((1, 1), (7, 2))


def moves(state: State, side: Side) -> tuple[Move, ...]:
    """What this side may do now."""
    return tuple(one for one in MOVES if one.side == side and state in one.states)


def move(action: str, state: State, side: Side) -> Move | None:
    """The row for it; None when it is not allowed."""
    return next((one for one in moves(state, side) if one.action == action), None)


def level_after(days_late: int) -> int:
    """How far a task is escalated that is so many days past its date."""
    return max((level for days, level in ESCALATIONS if days_late >= days), default=0)
