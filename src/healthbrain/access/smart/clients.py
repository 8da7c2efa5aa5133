"""The register of applications: who they are, where they may be sent back to, what they may ask for at most.

An administrator registers an application; there is no registration by the application itself. Its owner organisation
is what a system client acts for; for people it only says who answers for it.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from psycopg.types.json import Jsonb

from healthbrain.access import secrets, stamps
from healthbrain.access.smart.grammar import PLAIN, read_scope
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound

ClientKind = Literal["public", "symmetric", "asymmetric"]
SIGNATURES = ("RS384", "ES384")
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Client:
    """A registered application."""

    id: str
    name: str
    kind: ClientKind
    redirect_uris: tuple[str, ...]
    launch_uri: str
    scopes: tuple[str, ...]
    organisation: int
    source: int | None
    created_at: datetime
    disabled_at: datetime | None
    secret: bytes | None = None  # digest
    jwks: Mapping[str, Any] | None = None  # public keys


_INSERT = """
insert into client (id, name, kind, secret, jwks, redirect_uris, launch_uri, scopes, organisation, source, created_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_SELECT = """
select id, name, kind, redirect_uris, launch_uri, scopes, organisation, source, created_at, disabled_at, secret, jwks
from client"""
_DISABLE = "update client set disabled_at = coalesce(disabled_at, %s) where id = %s"
_ENABLE = "update client set disabled_at = null where id = %s"


async def register_client(
    connection: Connection,
    *,
    name: str,
    kind: str,
    organisation: int,
    scopes: Sequence[str],
    redirect_uris: Sequence[str] = (),
    launch_uri: str = "",
    jwks: Mapping[str, Any] | None = None,
    source: int | None = None,
    at: datetime | None = None,
) -> tuple[Client, str]:
    """Register an application; returns it and its secret ("" unless symmetric), which cannot be shown again.

    Raises Incorrect when something is missing or unsafe.
    """
    if kind not in get_args(ClientKind):
        raise Incorrect(f"'{kind}' is not a kind of client; known are {', '.join(get_args(ClientKind))}")
    if not name.strip():
        raise Incorrect("an application has a name that people recognise on the consent page")
    for uri in (*redirect_uris, *((launch_uri,) if launch_uri else ())):
        check_redirect(uri)
    check_scopes(scopes)
    if (kind == "asymmetric") != (jwks is not None):
        raise Incorrect("an asymmetric client, and no other, has a JWKS with its public keys")
    if kind == "public" and any(text.startswith("system/") for text in scopes):
        raise Incorrect("a public client cannot prove who it is and gets no system scopes")
    keys = public_keys(jwks) if jwks is not None else None
    secret = random.token_urlsafe(32) if kind == "symmetric" else ""
    id_ = f"app-{random.token_hex(12)}"
    await connection.execute(
        _INSERT,
        (
            id_, name.strip()[:200], kind, secrets.digest(secret) if secret else None, Jsonb(keys) if keys else None,
            list(redirect_uris), launch_uri, list(dict.fromkeys(scopes)), organisation, source, at or datetime.now(UTC),
        ),
    )  # fmt: skip
    return await find_client(connection, id_), secret


async def find_client(connection: Connection, id_: str) -> Client:
    """An application, also a disabled one; raises NotFound."""
    if "\0" in id_:
        raise NotFound("there is no such application")
    row = await (await connection.execute(f"{_SELECT} where id = %s".encode(), (id_,))).fetchone()
    if row is None:
        raise NotFound("there is no such application")
    return _client(row)


async def clients(connection: Connection) -> list[Client]:
    """All applications, by name."""
    cursor = await connection.execute(f"{_SELECT} order by name, id".encode())
    return [_client(row) for row in await cursor.fetchall()]


async def disable_client(connection: Connection, id_: str, *, at: datetime) -> None:
    """Shut an application out; its tokens end within a second. Raises NotFound."""
    await _switch(connection, await connection.execute(_DISABLE, (at, id_)), at)


async def enable_client(connection: Connection, id_: str, *, at: datetime) -> None:
    """Let it in again. Raises NotFound."""
    await _switch(connection, await connection.execute(_ENABLE, (id_,)), at)


async def _switch(connection: Connection, done: Any, at: datetime) -> None:
    if done.rowcount != 1:
        raise NotFound("there is no such application")
    await stamps.changed(connection, "accounts", at)


def check_redirect(uri: str) -> None:
    """Raises Incorrect unless a browser can be sent there safely: https, the own machine, or an app's own scheme."""
    parts = urlsplit(uri)
    scheme = parts.scheme.lower()
    if parts.fragment or "#" in uri or "*" in uri or any(c.isspace() or ord(c) < 33 for c in uri) or "\\" in uri:
        raise Incorrect("an address to return to has no fragment, blank, backslash or wildcard")
    if parts.username is not None or parts.password is not None:
        raise Incorrect("an address to return to names no user")
    local = scheme == "http" and (parts.netloc.rpartition(":")[0] or parts.netloc) in _LOCAL
    own = "." in scheme  # com.example.app:/callback (RFC 8252): nothing a browser runs itself
    if not ((scheme == "https" and parts.netloc) or local or own):
        raise Incorrect("an address to return to begins with https://, http://localhost or an app's scheme with a dot")


def check_scopes(scopes: Sequence[str]) -> None:
    """Raises Incorrect for a scope that is not understood here."""
    if not scopes:
        raise Incorrect("say which scopes the application may ask for")
    for text in scopes:
        if text not in PLAIN and read_scope(text) is None:
            raise Incorrect(
                "one of the scopes is not understood; examples are patient/Observation.rs and launch/patient"
            )


def public_keys(jwks: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that can check a signature, without any private part. Raises Incorrect."""
    try:
        found = KeySet.import_key_set({"keys": list(jwks.get("keys", []))})
        keys = [key.as_dict(private=False) for key in found.keys if key.key_type in ("RSA", "EC")]
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise Incorrect("the JWKS cannot be read; it is a JSON object with a list 'keys'") from None
    usable = [key for key in keys if (key["kty"] == "RSA" and _long(key)) or key.get("crv") == "P-384"]
    if not usable or len(usable) != len(keys):
        raise Incorrect("the JWKS holds RSA keys of at least 2048 bits (RS384) or P-384 keys (ES384), nothing else")
    if any(not key.get("kid") for key in usable) or len({key["kid"] for key in usable}) != len(usable):
        raise Incorrect("each key of the JWKS has a 'kid' of its own")
    return {"keys": usable}


def _long(key: Mapping[str, Any]) -> bool:
    return len(str(key["n"])) >= 342  # 256 octets in base64url


def _client(row: Sequence[Any]) -> Client:
    id_, name, kind, uris, launch_uri, scopes, organisation, source, created_at, disabled_at, secret, jwks = row
    return Client(
        id_, name, kind, tuple(uris), launch_uri, tuple(scopes), organisation, source, created_at, disabled_at,
        secret, jwks,
    )  # fmt: skip
