"""Two rules about small things: white space at the ends of strings, and ids of elements that stand twice.

R4 datatypes, string: white space at the ends SHOULD NOT be there, which is a warning. R4 Element.id is unique within the
resource; a contained resource counts for itself.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.findings import SINGLE
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.report import Report

_BLANK = " \t\r\n"


class ElementIds:
    """The ids of elements seen so far, by the resource they are in."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._seen: set[tuple[int, str]] = set()

    def see(self, item: Item) -> None:
        """Note an element's id; a finding when another element of the resource has it."""
        content: Any = item.value if isinstance(item.value, dict) else item.extra
        id_ = content.get("id") if content else None
        if not isinstance(id_, str) or "resourceType" in content:
            return
        key = id(item.around.resource), id_
        if key in self._seen:
            self._report.error("duplicate", (item.place, "id", SINGLE), "is the id of another element of the resource")
        self._seen.add(key)


def check_text(item: Item, report: Report) -> None:
    """Note a string with white space at its ends, or of nothing else."""
    value = item.value
    if item.type not in ("string", "markdown") or not isinstance(value, str):
        return
    if value and not value.strip(_BLANK):
        report.add("warning", "value", item.place, "holds nothing but white space")
    elif item.type == "string" and value != value.strip(_BLANK):
        report.add("warning", "value", item.place, "begins or ends with white space")
