"""The encounters of a person over all institutions, newest first, a page at a time.

The cursor is the start and id of the last event shown, so that a page stays right when new events arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from healthbrain.errors import Incorrect
from healthbrain.portrait.facts import OLD, Record, coding, moment, reference_id, shown
from healthbrain.portrait.values import Event, Timeline
from healthbrain.terms import systems

PAGE = 20


def timeline(
    encounters: Sequence[Record],
    conditions: Sequence[Record],
    *,
    kind: str | None = None,
    organisation: int | None = None,
    cursor: str | None = None,
    count: int = PAGE,
) -> Timeline:
    """The events after `cursor`, of one kind or institution if asked. Raises Incorrect for a cursor that is not ours."""
    diagnoses = _diagnoses(conditions)
    events = [_event(one, diagnoses) for one in encounters if one.valid]
    kinds = Counter((one.kind, one.display) for one in events)
    places = Counter((one.source.organisation, one.source.organisation_name) for one in events)
    chosen = [
        one
        for one in events
        if (kind is None or one.kind == kind) and (organisation is None or one.source.organisation == organisation)
    ]
    chosen.sort(key=_place, reverse=True)
    if cursor:
        before = _read(cursor)
        chosen = [one for one in chosen if _place(one) < before]
    page = tuple(chosen[:count])
    return Timeline(
        events=page,
        next=_write(page[-1]) if len(chosen) > count else None,
        kinds=tuple((code, display, n) for (code, display), n in kinds.most_common()),
        organisations=tuple((key, name, n) for (key, name), n in places.most_common()),
    )


def _event(one: Record, diagnoses: Mapping[str, Sequence[str]]) -> Event:
    body = one.body
    type_ = next(iter(body.get("type", ())), None)
    system, code = coding(type_, systems.SERVICE)
    class_ = body.get("class", {})
    period = body.get("period", {})
    stated = [shown(reason, *coding(reason, systems.ICD10)) for reason in body.get("reasonCode", ())]
    people = [part.get("individual", {}).get("display", "") for part in body.get("participant", ())]
    return Event(
        kind=code or class_.get("code", ""),
        display=shown(type_, system, code) or class_.get("display", "") or class_.get("code", ""),
        start=moment(period.get("start")),
        end=moment(period.get("end")),
        department=shown(body.get("serviceType"), *coding(body.get("serviceType"), systems.DEPARTMENT)),
        practitioner=next((name for name in people if name), ""),
        diagnoses=tuple(dict.fromkeys([*diagnoses.get(one.source.id, ()), *stated])),
        source=one.source,
    )


def _diagnoses(conditions: Sequence[Record]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in sorted(conditions, key=lambda one: one.source.id):
        encounter = reference_id(one.body.get("encounter"))
        if encounter and one.valid:
            concept = one.body.get("code")
            found.setdefault(encounter, []).append(shown(concept, *coding(concept, systems.ICD10)))
    return found


def _place(event: Event) -> tuple[datetime, str]:
    return event.start or OLD, event.source.id


def _write(event: Event) -> str:
    return f"{(event.start or OLD).isoformat()}~{event.source.id}"


def _read(cursor: str) -> tuple[datetime, str]:
    start, _, id_ = cursor.partition("~")
    try:
        return datetime.fromisoformat(start), id_
    except ValueError:
        raise Incorrect("the timeline's cursor is not one of ours; start from the first page") from None
