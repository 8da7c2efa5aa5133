"""How the kept rows of a view stand: last run, rows, duration, failure, and the same of the base views it is made of (HUB-EX-06)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healthbrain.lake.library import View
from healthbrain.runtime.warehouse import Made
from healthbrain.web.language import N_, Language
from healthbrain.web.wording import tell


@dataclass(frozen=True, slots=True)
class MadeLine:
    """A kept view."""

    title: str
    id: str
    url: str
    rows: str
    as_of: str
    run: str
    seconds: str
    state: str
    good: bool
    problem: str


@dataclass(frozen=True, slots=True)
class MadePanel:
    """The view first, then what it is made of."""

    lines: Sequence[MadeLine]
    over_views: bool


def made_panel(said: Language, view: View, made: Mapping[str, Made]) -> MadePanel | None:
    """None for a view whose rows are not kept: it is computed when it is asked for."""
    if view.derived is None and view.id not in made:
        return None
    return MadePanel([_line(said, one, made.get(one.id)) for one in (view, *view.bases)], view.derived is not None)


def _line(said: Language, view: View, made: Made | None) -> MadeLine:
    url = f"/catalogue/{view.library}/{view.name}"
    if made is None:
        return MadeLine(
            said.pick(view.title), view.id, url, "—", "—", "—", "—", said.say(N_("not made yet")), False, ""
        )
    state = (
        N_("failed; last good rows") if made.problem else N_("up to date") if made.fresh else N_("older than the lake")
    )
    return MadeLine(
        said.pick(view.title), view.id, url, said.number(made.rows), said.time(made.as_of), said.time(made.tried),
        f"{made.seconds:.2f} s", said.say(state), not made.problem, tell(said, made.problem),
    )  # fmt: skip
