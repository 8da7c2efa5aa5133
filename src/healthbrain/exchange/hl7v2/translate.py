"""A parsed HL7 v2 message as FHIR resources, by the tables. Pure: the same message always gives the same resources.

The message is walked once: a segment makes the drafts its message type names for it, and each draft remembers the segments and drafts
in force around it. Then every draft's table is applied, row by row. An error refuses the whole message: half a
visit is worse than a clear refusal. What the tables don't cover is said in one notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.errors import Issue, Unsupported
from healthbrain.exchange.hl7v2.functions import FUNCTIONS
from healthbrain.exchange.hl7v2.message import Message, Segment
from healthbrain.exchange.hl7v2.panels import gather_panels
from healthbrain.exchange.hl7v2.tables import Mode, Row, Tables, tables
from healthbrain.exchange.hl7v2.work import Call, Draft, Work, values_of
from healthbrain.exchange.sender import Sender

# segments that say how the message travelled, not what happened: never reported as untranslated
_ENVELOPE = frozenset({"MSH", "SFT", "UAC", "EVN", "ORC", "MSA", "NK1", "RXR", "PV2", "DSC"})


@dataclass(frozen=True, slots=True)
class Made:
    """One resource of a message. `once` holds elements that only a new resource gets; `mode` is explained in `door`."""

    type: str
    id: str
    resource: dict[str, Any]
    once: dict[str, Any]
    mode: Mode = "merge"


@dataclass(frozen=True, slots=True)
class Translation:
    """What a message says. With an error among the issues it must be refused and `made` is empty."""

    made: tuple[Made, ...]
    issues: tuple[Issue, ...]

    @property
    def refused(self) -> bool:
        """Whether the message must be refused."""
        return any(issue.severity in {"error", "fatal"} for issue in self.issues)


def translate(message: Message, sender: Sender, *, at: datetime, by: Tables | None = None) -> Translation:
    """The resources that `message` from `sender` means, `at` the moment it arrived.

    Raises Unsupported when no table covers its type.
    """
    by = by or tables()
    structure = by.structures.get(message.type)
    if structure is None:
        shown = (
            message.type if message.type.replace("^", "").isalnum() and len(message.type) < 12 else "this message type"
        )
        raise Unsupported(
            f"MSH-9: {shown} is not translated yet; supported are {by.supported()}",
            issues=[
                Issue("error", "not-supported", "MSH-9", f"{shown} is not translated; supported: {by.supported()}")
            ],
        )
    work = Work(message, structure, sender, by, at)
    _walk(work)
    for draft in work.drafts:
        _fill(work, draft)
    _check_needs(work)
    if work.failed:
        return Translation((), tuple(work.issues))
    kept = gather_panels([draft for draft in work.drafts if not draft.skipped], by)
    for draft in kept:  # only now is it known which members were kept
        _fill_members(work, draft)
    return Translation(tuple(_made(kept, structure.modes)), tuple(work.issues))


def _walk(work: Work) -> None:
    depths, parts = work.tables.depths, work.structure.parts
    around: dict[str, Segment] = {}
    parents: dict[str, Draft] = {}
    last: Draft | None = None
    passed: set[str] = set()
    for segment in work.message.segments:
        name = segment.name
        depth = depths.get(name)
        if depth is None:
            passed.add(name)
            continue
        around = {one: held for one, held in around.items() if depths[one] < depth or one in _SIBLINGS.get(name, ())}
        around[name] = segment
        parents = {part: held for part, held in parents.items() if depths[held.segment.name] < depth}
        made = parts.get(name, ())
        if not made and name not in _ENVELOPE:
            passed.add(name)
        for part in made:
            if part == "note":
                if last is not None:
                    _add_note(work, last, segment)
                continue
            kind = work.tables.types.get(part, part)
            last = Draft(part, segment, dict(around), dict(parents), {"resourceType": kind})
            parents[part] = last
            for parent in last.parents.values():
                parent.members.append(last)
            work.drafts.append(last)
    if passed - _ENVELOPE:
        names = ", ".join(sorted(passed - _ENVELOPE))
        work.issue("information", "not-supported", "", f"kept but not translated: segments {names}")


# segments of one group that don't end each other although they lie on one level or come in either order
_SIBLINGS: Mapping[str, tuple[str, ...]] = {
    "PV1": ("NK1", "PD1"),
    "RXR": ("TQ1",),
    "OBX": ("RXR",),
}


def _add_note(work: Work, draft: Draft, segment: Segment) -> None:
    element = work.tables.notes.get(draft.type)
    text = "\n".join(value.text for value in segment.values(3))
    if element is None or not text:
        return
    if element.endswith("[]"):
        draft.resource.setdefault(element[:-2], []).append({"text": text})
    else:
        before = draft.resource.get(element)
        draft.resource[element] = f"{before}\n{text}" if before else text


def _fill(work: Work, draft: Draft) -> None:
    kind = draft.type
    for element, value in work.structure.set.get(kind, {}).items():
        draft.resource.setdefault(element, value)
    for element, value in work.structure.once.get(kind, {}).items():
        draft.once.setdefault(element, value)
    for row in work.tables.resources[draft.part]:
        if draft.skipped:
            return
        if row.function != "members":
            _apply(work, draft, row)


def _fill_members(work: Work, draft: Draft) -> None:
    for row in work.tables.resources[draft.part]:
        if row.function == "members":
            _apply(work, draft, row)


def _apply(work: Work, draft: Draft, row: Row) -> None:
    if row.many:
        if row.rule == "default" and _at(draft.resource, row.path):
            return
    elif row.rule == "once":
        if _at(draft.once, row.path) is not None or _at(draft.resource, row.path) is not None:
            return
    elif _at(draft.resource, row.path) is not None:
        return
    values, matched = [], None
    for ref in row.fields:
        if values := values_of(draft.around, ref):
            matched = ref
            break
    call = Call(values, row.argument, row.fields, draft, work, matched)
    found = FUNCTIONS[row.function](call)
    if found is None or found == []:
        if row.rule == "required" and not any(one.severity == "error" for one in work.issues):
            work.issue("error", "required", call.place, f"required for {draft.type}.{row.element}; send it")
        elif row.rule == "skip":
            draft.skipped = call.place
            draft.resource.pop("id", None)
        return
    _put(draft.once if row.rule == "once" else draft.resource, row, found)


def _put(target: dict[str, Any], row: Row, value: Any) -> None:
    if row.element == "value[x]":
        target.update(value)
        return
    *outer, name = row.path
    for step in outer:
        target = target.setdefault(step, {})
    if row.many:
        target.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    else:
        target[name] = value[0] if isinstance(value, list) else value


def _at(resource: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    if len(path) == 1:
        return resource.get(path[0])
    found: Any = resource
    for step in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _check_needs(work: Work) -> None:
    present = {segment.name for segment in work.message.segments}
    for need in work.structure.needs:
        if any(
            name in present or any(draft.part == name and not draft.skipped for draft in work.drafts)
            for name in need.split("|")
        ):
            continue
        skipped = next((draft for draft in work.drafts if draft.part in need.split("|")), None)
        if skipped is not None:
            work.issue("error", "required", skipped.skipped, f"required for {need.replace('|', ' or ')}; send it")
        elif need.isupper() and len(need) == 3:
            work.issue("error", "required", need, f"a {work.message.type} must hold a segment {need}")
        else:
            makers = " or ".join(s for s, made in work.structure.parts.items() if set(made) & set(need.split("|")))
            work.issue("error", "required", makers, f"a {work.message.type} must hold a segment {makers}")
    _check_merge(work)
    for draft in work.drafts:
        if draft.skipped and draft.part not in work.structure.needs:
            work.issue("information", "incomplete", draft.skipped, f"without this value no {draft.type} is made")


def _check_merge(work: Work) -> None:
    for draft in work.drafts:
        survivor = draft.parents.get("Patient")
        if draft.part == "PriorPatient" and survivor and survivor.id == draft.id:
            work.issue("error", "business-rule", f"{draft.segment.place}-1", "a patient can't be merged into itself")


def _made(drafts: list[Draft], modes: Mapping[str, Mode]) -> list[Made]:
    """One resource per id: what a message says twice (a patient before each group) is said once."""
    found: dict[tuple[str, str], Made] = {}
    for draft in drafts:
        key = (draft.type, draft.id)
        if key in found:
            for element, value in draft.resource.items():
                found[key].resource.setdefault(element, value)
        else:
            found[key] = Made(draft.type, draft.id, draft.resource, draft.once, modes.get(draft.type, "merge"))
    return list(found.values())
