"""The register of applications: who they are, where they may be sent back to, what they may ask for at most.

An administrator registers an application, or approves one that registered itself (RFC 7591): until then it is shut.
Its owner organisation is what a system client acts for; for people it only says who answers for it.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from psycopg.types.json import Jsonb

from healthbrain.access import secrets, stamps
from healthbrain.access.smart.grammar import PLAIN, read_scope
from healthbrain.database import Connection
from healthbrain.errors import Busy, Incorrect, NotFound

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
    jwks_uri: str = ""  # or where they are fetched from
    post_logout_uris: tuple[str, ...] = ()
    last_used_at: datetime | None = None
    waits_since: datetime | None = None  # registered itself and not approved yet


_INSERT = """
insert into client (id, name, kind, secret, jwks, redirect_uris, launch_uri, scopes, organisation, source, created_at,
    jwks_uri, post_logout_uris, disabled_at, waits_since)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_SELECT = """
select id, name, kind, redirect_uris, launch_uri, scopes, organisation, source, created_at, disabled_at, secret, jwks,
    jwks_uri, post_logout_uris, last_used_at, waits_since
from client"""
_DISABLE = "update client set disabled_at = coalesce(disabled_at, %s) where id = %s"
_ENABLE = "update client set disabled_at = null where id = %s and waits_since is null"
_APPROVE = """
update client set disabled_at = null, waits_since = null, organisation = %s, scopes = %s
where id = %s and waits_since is not null"""
_WAITING = "select count(*) from client where waits_since is not null"
_USED = "update client set last_used_at = %s where id = %s and (last_used_at is null or last_used_at < %s)"
_USED_EVERY = timedelta(minutes=5)  # how exact last_used_at is
_MOST_WAITING = 200


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
    jwks_uri: str = "",
    post_logout_uris: Sequence[str] = (),
    source: int | None = None,
    waiting: bool = False,
    at: datetime | None = None,
) -> tuple[Client, str]:
    """Register an application; returns it and its secret ("" unless symmetric), which cannot be shown again.

    One that is `waiting` registered itself and is shut until `approve_client`. Raises Incorrect when something is missing
    or unsafe, Busy when too many wait already.
    """
    if kind not in get_args(ClientKind):
        raise Incorrect(f"'{kind}' is not a kind of client; known are {', '.join(get_args(ClientKind))}")
    if not name.strip():
        raise Incorrect("an application has a name that people recognise on the consent page")
    for uri in (*redirect_uris, *post_logout_uris, *((launch_uri,) if launch_uri else ())):
        check_redirect(uri)
    check_scopes(scopes)
    if (kind == "asymmetric") != (jwks is not None or bool(jwks_uri)) or (jwks is not None and jwks_uri):
        raise Incorrect("an asymmetric client, and no other, has a JWKS with its public keys, or a jwks_uri")
    if jwks_uri:
        check_keys_address(jwks_uri)
    if kind == "public" and any(text.startswith("system/") for text in scopes):
        raise Incorrect("a public client cannot prove who it is and gets no system scopes")
    keys = public_keys(jwks) if jwks is not None else None
    secret = random.token_urlsafe(32) if kind == "symmetric" else ""
    id_ = f"app-{random.token_hex(12)}"
    at = at or datetime.now(UTC)
    if waiting:
        row = await (await connection.execute(_WAITING)).fetchone()
        if row is not None and row[0] >= _MOST_WAITING:
            raise Busy("too many applications wait for an administrator; ask one to look at them")
    await connection.execute(
        _INSERT,
        (
            id_, name.strip()[:200], kind, secrets.digest(secret) if secret else None, Jsonb(keys) if keys else None,
            list(redirect_uris), launch_uri, list(dict.fromkeys(scopes)), organisation, source, at,
            jwks_uri, list(post_logout_uris), at if waiting else None, at if waiting else None,
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


async def approve_client(
    connection: Connection, id_: str, *, organisation: int, scopes: Sequence[str], at: datetime
) -> None:
    """Let in an application that registered itself, for an organisation and no more than these scopes. Raises NotFound."""
    check_scopes(scopes)
    await _switch(connection, await connection.execute(_APPROVE, (organisation, list(scopes), id_)), at)


async def note_use(connection: Connection, client: Client, at: datetime) -> None:
    """Remember when an application got its latest tokens."""
    await connection.execute(_USED, (at, client.id, at - _USED_EVERY))


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


def check_keys_address(uri: str) -> None:
    """Raises Incorrect unless keys can be fetched there safely; whether the host may be asked is decided when asking."""
    parts = urlsplit(uri)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.fragment or len(uri) > 2000:
        raise Incorrect("a jwks_uri begins with https:// and names no user and no fragment")


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
    id_, name, kind, uris, launch_uri, scopes, organisation, source, created_at, disabled_at, secret, jwks, *more = row
    return Client(
        id_, name, kind, tuple(uris), launch_uri, tuple(scopes), organisation, source, created_at, disabled_at,
        secret, jwks, more[0], tuple(more[1]), more[2], more[3],
    )  # fmt: skip
