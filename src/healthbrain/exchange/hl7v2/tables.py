"""The translation tables: which segment makes which resource, which field fills which element, which code means what.

They are data (`exchange/maps/`): a new message type, code or hospital is a new row. Everything is read and checked once at start; a
table that names a function, segment or resource that doesn't exist stops the start with its file and line.
The rows follow HL7's published v2-to-FHIR mapping where it says something, and docs/spec-readings.md where it doesn't.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal

from healthbrain.errors import Fault

_FIELD = re.compile(r"([A-Z][A-Z0-9]{2})-(\d{1,2})(?:\.(\d{1,2}))?")
Mode = Literal["replace", "merge", "fill"]
_RULES: Final = frozenset({"", "required", "once", "skip", "default"})
_ELEMENT = re.compile(r"[a-z][A-Za-z]*(\[x\]|(\.[a-z][A-Za-z]*)*(\[\])?)")


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field named in a table: `PV1-44`, or one component of it: `OBR-27.6`."""

    segment: str
    number: int
    component: int = 0

    def __str__(self) -> str:
        return f"{self.segment}-{self.number}" + (f".{self.component}" if self.component else "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a resource table: element <- function(first field that holds something, argument)."""

    element: str
    path: tuple[str, ...]
    many: bool
    function: str
    fields: tuple[FieldRef, ...]
    argument: str
    rule: str


@dataclass(frozen=True, slots=True)
class Structure:
    """How one message type is translated."""

    title: str
    parts: Mapping[str, tuple[str, ...]]  # segment -> what it makes
    needs: tuple[str, ...]  # segments and resources without which the message is refused
    set: Mapping[str, Mapping[str, Any]]  # what the event itself says
    once: Mapping[str, Mapping[str, Any]]  # the same, only when the resource is new
    modes: Mapping[str, Mode]  # how each resource type meets what is already stored
    future: frozenset[str]  # fields that may lie in the future


@dataclass(frozen=True, slots=True)
class Code:
    """What a code of a source means in the platform's code system."""

    target: str
    system: str
    display: str


@dataclass(frozen=True, slots=True)
class LocalCode:
    """One laboratory or vital-sign code of a hospital. `loinc` is '' while nobody has mapped it."""

    name: str
    loinc: str
    display: str
    unit: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Results that are one observation with components, such as the two blood pressures."""

    loinc: str
    display: str
    text: str
    category: str
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """All translation tables."""

    structures: Mapping[str, Structure]
    resources: Mapping[str, tuple[Row, ...]]
    depths: Mapping[str, int]  # how deep a segment lies: one ends the deeper ones before it
    types: Mapping[str, str]  # parts whose name isn't their resource type
    notes: Mapping[str, str]
    codes: Mapping[str, Mapping[str, Code]]
    units: Mapping[str, str]
    local: Mapping[str, Mapping[str, LocalCode]]
    panels: tuple[Panel, ...]
    surnames: frozenset[str]

    def supported(self) -> str:
        """The message types that are translated, for a refusal."""
        return ", ".join(sorted(self.structures))


@cache
def tables() -> Tables:
    """The shipped tables, read once."""
    return load(resources.files("healthbrain.exchange") / "maps")


def load(folder: Traversable, functions: Mapping[str, Callable[..., Any]] | None = None) -> Tables:
    """The tables in `folder`, checked; Fault naming file and line when one is wrong."""
    known = functions or _functions()
    messages = json.loads((folder / "messages.json").read_text("utf-8"))
    made = {
        entry.name.removesuffix(".csv"): tuple(_rows(entry, known))
        for entry in (folder / "resources").iterdir()
        if entry.name.endswith(".csv")
    }
    found = Tables(
        structures={
            name: _structure(name, entry, made, messages["modes"]) for name, entry in messages["structures"].items()
        },
        resources=made,
        depths=messages["depths"],
        types=messages["types"],
        notes=messages["notes"],
        codes=_codes(folder / "codes.csv"),
        units={row["text"]: row["ucum"] for _, row in _lines(folder / "units.csv")},
        local={
            entry.name.removesuffix(".csv"): _local(entry)
            for entry in (folder / "local").iterdir()
            if entry.name.endswith(".csv")
        },
        panels=tuple(
            Panel(loinc, one["display"], one["text"], one["category"], tuple(one["components"]))
            for loinc, one in json.loads((folder / "panels.json").read_text("utf-8")).items()
        ),
        surnames=frozenset(row["surname"] for _, row in _lines(folder / "compound_surnames.csv")),
    )
    for name, structure in found.structures.items():
        for segment in structure.parts:
            if segment not in found.depths:
                raise Fault(f"messages.json: {name}: segment {segment} has no depth")
    return found


def _functions() -> Mapping[str, Callable[..., Any]]:
    from healthbrain.exchange.hl7v2.functions import FUNCTIONS  # here, because the functions read tables

    return FUNCTIONS


def field_ref(text: str) -> FieldRef:
    """`PV1-44` or `OBR-27.6` as a reference; ValueError when it is neither."""
    match = _FIELD.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return FieldRef(match[1], int(match[2]), int(match[3] or 0))


def _lines(entry: Traversable) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(entry.read_text("utf-8"), newline=""), strict=True)
    for row in reader:
        if None in row or None in row.values():
            raise Fault(f"{entry.name}, line {reader.line_num}: the number of columns is not that of the heading")
        yield reader.line_num, row


def _rows(entry: Traversable, functions: Mapping[str, Callable[..., Any]]) -> Iterator[Row]:
    for line, row in _lines(entry):
        where = f"{entry.name}, line {line}"
        if row["function"] not in functions:
            raise Fault(f"{where}: no function '{row['function']}'; there are {', '.join(sorted(functions))}")
        if row["rule"] not in _RULES or not _ELEMENT.fullmatch(row["element"]):
            raise Fault(f"{where}: unknown rule '{row['rule']}' or element '{row['element']}'")
        try:
            fields = tuple(field_ref(text) for text in row["field"].split())
        except ValueError as wrong:
            raise Fault(f"{where}: '{wrong}' is not a field such as PID-3") from None
        name = row["element"].removesuffix("[]")
        yield Row(
            name, tuple(name.split(".")), row["element"].endswith("[]"), row["function"], fields,
            row["argument"], row["rule"],
        )  # fmt: skip


def _structure(name: str, entry: Mapping[str, Any], made: Mapping[str, Any], modes: Mapping[str, Mode]) -> Structure:
    chosen = {**modes, **entry.get("modes", {})}
    if wrong := set(chosen.values()) - {"replace", "merge", "fill"}:
        raise Fault(f"messages.json: {name}: there is no mode {', '.join(sorted(wrong))}")
    for parts in entry["parts"].values():
        for part in parts:
            if part != "note" and part not in made:
                raise Fault(f"messages.json: {name}: there is no table resources/{part}.csv")
    return Structure(
        title=entry["title"],
        parts={segment: tuple(parts) for segment, parts in entry["parts"].items()},
        needs=tuple(entry.get("needs", ())),
        set=entry.get("set", {}),
        once=entry.get("once", {}),
        modes=chosen,
        future=frozenset(entry.get("future", ())),
    )


def _codes(entry: Traversable) -> dict[str, dict[str, Code]]:
    found: dict[str, dict[str, Code]] = {}
    for line, row in _lines(entry):
        table = found.setdefault(row["table"], {})
        if row["code"] in table:
            raise Fault(f"{entry.name}, line {line}: '{row['code']}' stands twice in table '{row['table']}'")
        table[row["code"]] = Code(row["target"], row["system"], row["display"])
    return found


def _local(entry: Traversable) -> dict[str, LocalCode]:
    found: dict[str, LocalCode] = {}
    for line, row in _lines(entry):
        if row["local_code"] in found:
            raise Fault(f"{entry.name}, line {line}: '{row['local_code']}' stands twice")
        found[row["local_code"]] = LocalCode(row["local_name"], row["loinc"], row["display"], row["unit"])
    return found
