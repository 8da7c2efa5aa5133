"""The code tables the platform ships, as CodeSystem resources for $validate.

The tables are working subsets (terms.tables), so a code they lack is not known to be wrong: `content` is `fragment`.
LOINC's own names are not in them, so a name of LOINC is not compared.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from healthbrain.terms import systems, tables


@cache
def code_table(system: str) -> dict[str, Any] | None:
    """The CodeSystem of a system we have a table for; None for others."""
    name = tables.TABLE_OF.get(system)
    if name is None:
        return None
    named = system != systems.LOINC
    return {
        "resourceType": "CodeSystem",
        "url": system,
        "status": "active",
        "content": "fragment",
        "concept": [
            {"code": code, **({"display": row["name"]} if named else {})} for code, row in tables.table(name).items()
        ],
    }
