"""The hashes by which the store finds things.

A resource's key is 128 bits of its 'Type/id'; the first 64 of them are its handle. A reference token is the handle
of its target mixed with the parameter, so that SQL can make one from a key (chained searches) without hashing text.
Every other token is a hash of (parameter, form, value). All are stable for ever: they are on disk.
"""

from __future__ import annotations

import functools
from struct import Struct
from uuid import UUID

from xxhash import xxh64_digest, xxh64_intdigest

_INT64 = Struct(">q")
_MASK = (1 << 64) - 1
_PATIENT = b"Patient/"


def resource_key(type_: str, id_: str) -> bytes:
    """The 16 bytes that identify a resource in the database."""
    name = f"{type_}/{id_}".encode()
    return xxh64_digest(name) + xxh64_digest(name, 1)


def resource_uuid(type_: str, id_: str) -> UUID:
    """`resource_key` as the database shows it."""
    return UUID(bytes=resource_key(type_, id_))


def handle(type_: str, id_: str) -> int:
    """The first half of the key as a signed 64-bit number."""
    return signed(xxh64_intdigest(f"{type_}/{id_}".encode()))


def patient_key(id_: str) -> int:
    """The number by which everything of one patient is found: signed xxh64 of 'Patient/' + id."""
    return signed(xxh64_intdigest(_PATIENT + id_.encode()))


def signed(number: int) -> int:
    """An unsigned 64-bit number as PostgreSQL's bigint holds it."""
    return number - (1 << 64) if number >> 63 else number


# -- tokens; as 8 bytes for writing, as numbers for searching


@functools.lru_cache(maxsize=65536)
def coded(param: int, system: str, code: str) -> tuple[bytes, ...]:
    """The tokens of one code: alone, within its system, and the system alone."""
    found = [xxh64_digest(f"c{code}".encode(), param), xxh64_digest(f"s{system}|{code}".encode(), param)]
    if system:
        found.append(xxh64_digest(f"y{system}".encode(), param))
    return tuple(found)


def code_alone(param: int, code: str) -> int:
    """`code` in whatever system."""
    return signed(xxh64_intdigest(f"c{code}".encode(), param))


def code_in_system(param: int, system: str, code: str) -> int:
    """`system|code`; with an empty system: the code that has none."""
    return signed(xxh64_intdigest(f"s{system}|{code}".encode(), param))


def any_of_system(param: int, system: str) -> int:
    """`system|`."""
    return signed(xxh64_intdigest(f"y{system}".encode(), param))


@functools.lru_cache(maxsize=4096)
def present(param: int) -> bytes:
    """The parameter has some value."""
    return xxh64_digest(b"p", param)


def form(param: int, name: str, value: str) -> bytes:
    """A value in a named other form: exact string, uri, logical reference, identifier type, text."""
    return xxh64_digest(f"{name}\0{value}".encode(), param)


@functools.lru_cache(maxsize=4096)
def reference_mask(param: int) -> int:
    """What a handle is XORed with to become a reference token of this parameter."""
    return xxh64_intdigest(b"r", param)


@functools.lru_cache(maxsize=16384)
def referred(param: int, type_: str, id_: str) -> bytes:
    """The token of a literal reference."""
    return ((xxh64_intdigest(f"{type_}/{id_}".encode()) ^ reference_mask(param)) & _MASK).to_bytes(8, "big")


@functools.lru_cache(maxsize=16384)
def name_hash(text: str) -> int:
    """Hash of a unit or a plain code, never 0."""
    return signed(xxh64_intdigest(text.encode())) or 1


def number(token: bytes) -> int:
    """A token as PostgreSQL's bigint."""
    value: int = _INT64.unpack(token)[0]
    return value
