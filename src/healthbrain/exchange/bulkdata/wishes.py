"""What somebody asked to be exported: the kick-off parameters of Bulk Data Access 2.0, read and checked.

What the specification calls optional and is not offered here is refused, or with `Prefer: handling=lenient` ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

from healthbrain.errors import Incorrect
from healthbrain.fhir import definitions

Level = Literal["system", "patient", "group"]
NDJSON = frozenset({"application/fhir+ndjson", "application/fhir ndjson", "application/ndjson", "ndjson"})
_OPTIONAL = frozenset({"includeAssociatedData", "organizeOutputBy", "allowPartialManifests", "_typeFilterMode"})
_MOST_PATIENTS = 10_000
_MOST_FILTERS = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """One export. Times are ISO 8601; `filters` are (type, query) as they were written."""

    level: Level
    group: str = ""
    types: tuple[str, ...] = ()  # () = every type the requester may see
    filters: tuple[tuple[str, str], ...] = ()
    since: str = ""
    until: str = ""
    elements: str = ""
    patients: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As the job table keeps it."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> Wish:
        """What `as_json` made."""
        values = {**kept, "types": tuple(kept["types"]), "patients": tuple(kept["patients"])}
        values["filters"] = tuple((type_, query) for type_, query in kept["filters"])
        return cls(**values)

    def queries(self, type_: str) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The searches of which one must find a resource of this type; () = all are wanted."""
        own = [query for name, query in self.filters if name == type_]
        return tuple(tuple(parse_qsl(query, keep_blank_values=True)) for query in own)

    def parts(self, type_: str) -> str:
        """`_elements` as far as it is about this type."""
        wanted: list[str] = []
        for name in filter(None, self.elements.split(",")):
            first, dot, rest = name.partition(".")
            if not dot or first == type_:
                wanted.append(rest if dot else name)
        return ",".join(wanted)


def read_wish(level: Level, parameters: Sequence[tuple[str, str]], *, group: str = "", lenient: bool = False) -> Wish:
    """The wish of a kick-off request. Raises Incorrect for what is wrong or not offered."""
    types: list[str] = []
    filters: list[tuple[str, str]] = []
    patients: list[str] = []
    single: dict[str, str] = {}
    for name, value in parameters:
        match name:
            case "_outputFormat":
                if value.partition(";")[0].strip().lower() not in NDJSON:
                    raise Incorrect("_outputFormat is application/fhir+ndjson")
            case "_type":
                types += _types(value, lenient)
            case "_typeFilter":
                filters += [_filter(one) for one in _split(value) if one]
            case "patient":
                patients += [_patient(one) for one in value.split(",") if one]
            case "_since" | "_until":
                single[name] = instant(value, name).isoformat()
            case "_elements":
                single[name] = ",".join(filter(None, (single.get(name, ""), value.replace(" ", ""))))
            case "_format" | "_pretty":
                pass
            case _ if lenient:
                pass
            case _ if name in _OPTIONAL:
                raise Incorrect(f"'{name}' is not offered here; leave it out or send Prefer: handling=lenient")
            case _:
                raise Incorrect(f"'{name[:40]}' is not a parameter of $export")
    if patients and level == "system":
        raise Incorrect("'patient' narrows an export of patients: use Patient/$export or Group/[id]/$export")
    if len(patients) > _MOST_PATIENTS or len(filters) > _MOST_FILTERS:
        raise Incorrect(f"an export takes up to {_MOST_PATIENTS} patients and {_MOST_FILTERS} filters")
    named = dict.fromkeys(types)
    if types and (stray := [type_ for type_, _ in filters if type_ not in named]):
        raise Incorrect(f"_typeFilter is about {stray[0]}, which _type does not name")
    return Wish(
        level, group, tuple(named), tuple(filters), single.get("_since", ""), single.get("_until", ""),
        single.get("_elements", ""), tuple(dict.fromkeys(patients)),
    )  # fmt: skip


def instant(text: str, name: str) -> datetime:
    """A FHIR instant or date in UTC. A '+' that came as a blank out of a URL is understood."""
    try:
        when = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise Incorrect(f"{name} is a time such as 2026-03-01T08:00:00+08:00 ('+' is written %2B in a URL)") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _types(value: str, lenient: bool) -> list[str]:
    names = [one.strip() for one in value.split(",") if one.strip()]
    if wrong := [name for name in names if not definitions().is_resource(name)]:
        if not lenient:
            raise Incorrect(f"_type names '{wrong[0][:40]}', which is not a resource type of FHIR R4")
        names = [name for name in names if name not in wrong]
    return names


def _split(value: str) -> list[str]:
    """Filters may be repeated or separated by commas; a comma inside a query's value does not separate."""
    found: list[str] = []
    for piece in value.split(","):
        head = piece.partition("?")[0]
        if found and ("?" not in piece or not definitions().is_resource(head)):
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return found


def _filter(written: str) -> tuple[str, str]:
    type_, mark, query = written.partition("?")
    if not mark or not definitions().is_resource(type_) or not query:
        raise Incorrect("_typeFilter is written Type?search, as in Observation?category=laboratory")
    return type_, query


def _patient(reference: str) -> str:
    type_, _, id_ = reference.strip().rpartition("/")
    if type_.rpartition("/")[2] not in ("", "Patient") or not id_:
        raise Incorrect("'patient' is a reference to a Patient")
    return id_
