"""Results that belong together as one observation: systolic and diastolic pressure become a blood pressure panel.

Which codes form a panel is data (maps/panels.json). FHIR's vital-signs profile asks for this form, and measures read it.
"""

from __future__ import annotations

from typing import Any

from healthbrain.exchange.hl7v2.tables import Panel, Tables
from healthbrain.exchange.hl7v2.work import Draft
from healthbrain.exchange.sender import stable_id
from healthbrain.terms import systems

_SHARED = ("status", "subject", "encounter", "effectiveDateTime", "issued", "performer")
_OWN = ("code", "valueQuantity", "valueString", "dataAbsentReason", "interpretation", "referenceRange")


def gather_panels(drafts: list[Draft], tables: Tables) -> list[Draft]:
    """The drafts, with the components of each panel gathered into one Observation in the place of the first."""
    kept = list(drafts)
    for panel in tables.panels:
        wanted = [one for one in drafts if one.type == "Observation" and one.loinc in panel.components]
        groups: dict[tuple[Any, ...], list[Draft]] = {}
        for one in wanted:
            report = one.parents.get("DiagnosticReport")
            moment = one.resource.get("effectiveDateTime")
            groups.setdefault((id(report), one.segment.text(4), moment), []).append(one)
        for group in groups.values():
            for members in _measurements(group, panel):
                _gather(kept, members, panel)
    return kept


def _measurements(members: list[Draft], panel: Panel) -> list[list[Draft]]:
    """Repeated measurements apart: a code that comes again begins the next one."""
    found: list[list[Draft]] = []
    for one in members:
        if not found or any(before.loinc == one.loinc for before in found[-1]):
            found.append([])
        found[-1].append(one)
    return found


def _gather(kept: list[Draft], members: list[Draft], panel: Panel) -> None:
    first = members[0]
    whole = Draft(first.part, first.segment, first.around, first.parents, {"resourceType": "Observation"})
    # every component alone would give the panel the same id: a systolic value sent apart updates the same panel
    whole.resource["id"] = _panel_id(first, panel)
    whole.resource["status"] = _weakest([one.resource["status"] for one in members])
    whole.resource["category"] = [{"coding": [{"system": systems.OBSERVATION_CATEGORY, "code": panel.category}]}]
    whole.resource["code"] = {
        "coding": [{"system": systems.LOINC, "code": panel.loinc, "display": panel.display}],
        "text": panel.text,
    }
    for element in _SHARED[1:]:
        if element in first.resource:
            whole.resource[element] = first.resource[element]
    whole.resource["component"] = [
        {name: one.resource[name] for name in _OWN if name in one.resource} for one in members
    ]
    notes = [note for one in members for note in one.resource.get("note", [])]
    if notes:
        whole.resource["note"] = notes
    whole.loinc = panel.loinc
    kept[kept.index(first)] = whole
    for one in members[1:]:
        kept.remove(one)
    for parent in whole.parents.values():
        parent.members[:] = [whole if one is first else one for one in parent.members if one not in members[1:]]


def _panel_id(first: Draft, panel: Panel) -> str:
    return stable_id("obs", panel.loinc, first.id)


def _weakest(statuses: list[str]) -> str:
    """The status of the whole: as sure as its least sure part."""
    order = ("entered-in-error", "cancelled", "registered", "preliminary", "unknown", "corrected", "amended", "final")
    return min(statuses, key=lambda status: order.index(status) if status in order else 0)
