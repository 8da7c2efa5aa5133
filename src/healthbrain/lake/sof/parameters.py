"""The rows of a view as one FHIR Parameters resource: a parameter `row` per row, a part per value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from healthbrain.fhir import dump, parse
from healthbrain.lake.sof.compile import QueryColumn

# what Parameters.parameter.value[x] may be, of what a column can be
_PRIMITIVES = frozenset(
    [
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
        "markdown",
        "oid",
        "positiveInt",
        "string",
        "time",
        "unsignedInt",
        "uri",
        "url",
        "uuid",
    ]
)
_ELEMENTS = frozenset(
    [
        "Address",
        "Age",
        "Annotation",
        "Attachment",
        "CodeableConcept",
        "Coding",
        "ContactPoint",
        "Count",
        "Distance",
        "Duration",
        "HumanName",
        "Identifier",
        "Money",
        "Period",
        "Quantity",
        "Range",
        "Ratio",
        "Reference",
        "SampledData",
        "Signature",
        "Timing",
        "ContactDetail",
        "Contributor",
        "DataRequirement",
        "Expression",
        "ParameterDefinition",
        "RelatedArtifact",
        "TriggerDefinition",
        "UsageContext",
        "Dosage",
        "Meta",
    ]
)


def as_parameters(rows: Path, columns: Sequence[QueryColumn]) -> Iterator[bytes]:
    """The resource in pieces, from a file of NDJSON."""
    kinds = {one.name: _kind(one) for one in columns}
    empty = True
    with rows.open("rb") as file:
        for line in file:
            parts = list(_parts(parse(line), kinds))
            row = dump({"name": "row", **({"part": parts} if parts else {"valueString": "-"})})
            yield (b'{"resourceType":"Parameters","parameter":[' if empty else b",") + row
            empty = False
    yield b'{"resourceType":"Parameters"}' if empty else b"]}"


def _parts(row: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, value in row.items():
        kind = kinds[name]
        for one in value if isinstance(value, list) else [value]:
            if one is None or one == "":
                continue
            if isinstance(one, (dict, list)) and kind == "valueString":
                one = dump(one if isinstance(one, dict) else {"item": one}).decode()
            yield {"name": name, kind: one}


def _kind(column: QueryColumn) -> str:
    name = (
        column.type[:1].lower() + column.type[1:]
        if column.type in ("String", "Boolean", "Integer", "Decimal")
        else column.type
    )
    if name in _ELEMENTS or (
        name in _PRIMITIVES and column.sql_type.startswith(("VARCHAR", "BOOLEAN", "BIGINT", "DOUBLE"))
    ):
        return f"value{name[0].upper()}{name[1:]}"
    if column.sql_type.startswith("BOOLEAN"):
        return "valueBoolean"
    if column.sql_type.startswith(("DOUBLE", "BIGINT", "INTEGER", "DECIMAL", "SMALLINT", "REAL")):
        return "valueDecimal"
    return "valueString"
