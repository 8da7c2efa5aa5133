"""What plan monitoring puts among the cockpit's alerts: the own plan's red and yellow lights, and supervision that waits.

The lights of a whole plan rest on some twenty series; they are remembered for a minute, because the wall and every cockpit ask for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.measure import monitoring, supervision
from healthbrain.measure.monitoring import Light
from healthbrain.measure.plans import Plan, plans
from healthbrain.web.language import N_
from healthbrain.web.pages import figures, plans_view, supervision_view
from healthbrain.web.pages.cockpit_view import Alert, Look
from healthbrain.web.visit import Visit

_REMEMBERED = timedelta(minutes=1)
_lights: dict[tuple[str, str], tuple[datetime, Mapping[Light, int]]] = {}  # database and plan -> when, counts


async def noticed(visit: Visit, connection: Connection, tree: Tree, whole: bool) -> list[Alert]:
    """The alerts of this visitor; none for who does not take part."""
    if not visit.may("search", "supervision"):
        return []
    said, found = visit.language, list[Alert]()
    own = next((one for one in plans() if plans_view.own(tree, one)), None)
    if whole and own is not None:
        counts = await _counts(visit, connection, own)
        if counts["off_track"] or counts["at_risk"]:
            text = said.say(N_("Plan: %(off)s indicators off track, %(risk)s at risk")) % {
                "off": counts["off_track"],
                "risk": counts["at_risk"],
            }
            look: Look = "bad" if counts["off_track"] else "warn"
            found.append(
                Alert(look, "target", text, figures.words(said, own.title), f"/plans/{own.id}", said.say(N_("Look")))
            )
    scope = await visit.decide(connection, "search", "supervision")
    inbox = await supervision.inbox(connection, visit.at, scope.organisations)
    waiting = inbox.to_answer if supervision_view.side(visit) == "unit" else inbox.to_review
    if inbox.overdue or waiting:
        text = said.say(N_("Supervision: %(late)s overdue, %(waiting)s waiting for you")) % {
            "late": inbox.overdue,
            "waiting": waiting,
        }
        late: Look = "bad" if inbox.overdue else "warn"
        found.append(Alert(late, "flag", text, "", "/supervision", said.say(N_("Look"))))
    return found


async def _counts(visit: Visit, connection: Connection, own: Plan) -> Mapping[Light, int]:
    key = (visit.platform.dsn, own.id)
    known = _lights.get(key)
    if known is None or visit.at - known[0] > _REMEMBERED:
        known = (visit.at, (await monitoring.status(connection, own, visit.at)).counts)
        _lights[key] = known
    return known[1]
