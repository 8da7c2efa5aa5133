"""How a search is written into the audit log: what was asked, without who was asked for.

The disclosed patients are in the event themselves. Values of parameters that name a person (identifier, name, phone,
address, birth date) are left out: the log is read by more people than the records (PIPL 6: no more than needed).
"""

from __future__ import annotations

from urllib.parse import quote

from healthbrain.api.call import Params

_NAMING = frozenset(
    {
        "identifier", "name", "family", "given", "phonetic", "phone", "email", "telecom", "address", "address-city",
        "address-country", "address-postalcode", "address-state", "birthdate", "death-date", "_text", "_content",
        "subscriber-id", "_filter",
    }
)  # fmt: skip
_LONGEST = 1500


def described(params: Params, compartment: str = "") -> str:
    """The query for the log; naming values are replaced by `***`."""
    parts = [f"compartment={compartment}"] if compartment else []
    parts += [f"{quote(key, safe=':._-')}={_value(key, value)}" for key, value in params if key != "_cursor"]
    return "&".join(parts)[:_LONGEST]


def _value(key: str, value: str) -> str:
    last = key.rpartition(".")[2]  # the end of a chain
    bare = last.partition(":")[0]
    if bare in _NAMING or key.startswith("_has") or ":identifier" in key:
        return "***"
    return quote(value, safe="/:|,.-")
