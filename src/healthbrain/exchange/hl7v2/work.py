"""What a translation in progress knows: the drafts made so far, what was found wrong, and where each value stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healthbrain.errors import Issue, Severity
from healthbrain.exchange.hl7v2.message import Message, Segment, Value
from healthbrain.exchange.hl7v2.tables import FieldRef, LocalCode, Structure, Tables
from healthbrain.exchange.sender import Sender


@dataclass(slots=True, eq=False)
class Draft:
    """A resource in the making, with the segments it was made from."""

    part: str  # name of its table; the resource type except for PriorPatient
    segment: Segment  # the one that made it
    around: Mapping[str, Segment]  # the segments in force when it was made
    parents: Mapping[str, Draft]  # the drafts in force when it was made, by part
    resource: dict[str, Any]
    once: dict[str, Any] = field(default_factory=dict)  # elements for a new resource only
    members: list[Draft] = field(default_factory=list)
    loinc: str = ""  # mapped code of an observation
    skipped: str = ""  # place of the value without which it can't be made

    @property
    def id(self) -> str:
        """Its logical id, '' while unknown."""
        found = self.resource.get("id", "")
        return str(found)

    @property
    def type(self) -> str:
        """Its resource type."""
        return str(self.resource["resourceType"])


@dataclass(slots=True)
class Work:
    """One translation."""

    message: Message
    structure: Structure
    sender: Sender
    tables: Tables
    at: datetime
    drafts: list[Draft] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)

    def issue(self, severity: Severity, code: str, place: str, text: str) -> None:
        """Note something about the value at `place`."""
        found = Issue(severity, code, place, text)
        if found not in self.issues:
            self.issues.append(found)

    @property
    def failed(self) -> bool:
        """Whether something was found for which the message must be refused."""
        return any(issue.severity in {"error", "fatal"} for issue in self.issues)

    def local_code(self, code: str) -> LocalCode | None:
        """What the sender's own code means."""
        return self.tables.local.get(self.sender.code_set, {}).get(code)


@dataclass(frozen=True, slots=True)
class Call:
    """What a table function is given."""

    values: list[Value]
    argument: str
    fields: tuple[FieldRef, ...]
    draft: Draft
    work: Work
    matched: FieldRef | None = None  # which of the fields held the values

    @property
    def place(self) -> str:
        """Where the value stands, or would stand."""
        if self.values:
            return self.values[0].place
        return self.expected

    @property
    def expected(self) -> str:
        """Where the value was looked for first."""
        if not self.fields:
            return self.draft.segment.place
        ref = self.fields[0]
        segment = self.draft.around.get(ref.segment)
        return f"{segment.place if segment else ref.segment}-{ref.number}"

    def field(self, ref: FieldRef) -> list[Value]:
        """The repetitions of another field in force for this draft."""
        return values_of(self.draft.around, ref)

    def following(self, name: str) -> Iterator[Segment]:
        """The segments called `name` between the draft's own segment and the next of its kind."""
        own = self.draft.segment
        for segment in self.work.message.segments[own.index :]:
            if segment.name == own.name:
                return
            if segment.name == name:
                yield segment


def values_of(around: Mapping[str, Segment], ref: FieldRef) -> list[Value]:
    """The repetitions of the field `ref` in the segments in force; a component of each when it names one."""
    segment = around.get(ref.segment)
    if segment is None:
        return []
    values = segment.values(ref.number)
    if ref.component:
        values = [part for value in values if (part := value.part(ref.component))]
    return values
