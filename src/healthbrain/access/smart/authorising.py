"""Letting an application act: authorisations, codes, access and refresh tokens.

Codes live a minute and are used once; a code that comes a second time ends the authorisation with all its tokens
(RFC 6749, 4.1.2). Refresh tokens are exchanged at each use; an exchanged one that comes back was copied and ends the
authorisation too (RFC 9700, 4.14). All secrets are 256 random bits of which the database keeps the digest. Tokens are
references, not JWTs: what is revoked, closed or disabled is out within a second, in every process.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from healthbrain.access import secrets, stamps
from healthbrain.access.permissions import default_purpose
from healthbrain.access.signin import IDLE
from healthbrain.access.smart.clients import Client
from healthbrain.access.smart.grammar import accesses, granted_scopes
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.database import Connection
from healthbrain.errors import NotFound, Unauthenticated
from healthbrain.scope import Grant, Principal

ACCESS_START = "hs_"
CODE = timedelta(seconds=60)
ACCESS = timedelta(minutes=15)
SYSTEM_ACCESS = timedelta(minutes=5)
ONLINE = timedelta(hours=12)
OFFLINE = timedelta(days=90)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_REFUSED = "the access token is unknown, expired or revoked"


@dataclass(frozen=True, slots=True)
class Context:
    """What the application is launched with: the patient (logical id, key, person), the encounter, and other resources
    by their references, Type/id."""

    patient_id: str | None = None
    patient: int | None = None
    person: str | None = None
    encounter: str | None = None
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What somebody let an application do."""

    id: int
    client: str
    account: str | None
    scopes: tuple[str, ...]
    context: Context
    nonce: str
    signed_in_at: datetime | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint hands out."""

    access: str
    lifetime: timedelta
    scopes: tuple[str, ...]
    refresh: str | None
    authorisation: Authorisation


@dataclass(frozen=True, slots=True)
class Bearer:
    """An access token that holds: for whom, until when."""

    principal: Principal
    authorisation: Authorisation
    scopes: tuple[str, ...]
    issued: datetime
    until: datetime


_INSERT = """
insert into authorisation (client, account, session, scopes, purpose, patient_id, patient, person, encounter, nonce,
                           signed_in_at, created_at, until_at, resources)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id"""
_CODE = """
insert into authorisation_code (digest, authorisation, redirect_uri, challenge, until_at) values (%s, %s, %s, %s, %s)"""
_COLUMNS = """a.id, a.client, a.account, a.scopes, a.patient_id, a.patient, a.person, a.encounter, a.nonce,
       a.signed_in_at, a.until_at, a.resources"""
# whether it still stands: client and account are open, and a session of online access has not ended
_STANDS = """a.revoked_at is null and a.until_at > %(at)s
  and exists (select from client c where c.id = a.client and c.disabled_at is null)
  and (a.account is null or exists (select from account p where p.name = a.account and p.disabled_at is null
       and (p.valid_until is null or p.valid_until > %(at)s)))"""
_SESSION = """exists (select from session s where s.digest = a.session and s.until_at > %(at)s
       and s.seen_at > %(idle)s)"""
_TAKE_CODE = """
update authorisation_code set used_at = %s where digest = %s and used_at is null
returning authorisation, redirect_uri, challenge, until_at"""
_OF_CODE = """
select c.authorisation, a.client from authorisation_code c join authorisation a on a.id = c.authorisation
where c.digest = %s"""
_TAKE_REFRESH = """
update refresh_token set used_at = %s where digest = %s and used_at is null returning authorisation, until_at"""
_OF_REFRESH = """
select r.authorisation, a.client from refresh_token r join authorisation a on a.id = r.authorisation
where r.digest = %s"""
_READ = f"select {_COLUMNS}, {_STANDS}, {_SESSION} from authorisation a where a.id = %(id)s"  # noqa: S608 - our own pieces
_ACCESS = "insert into access_token (digest, authorisation, scopes, created_at, until_at) values (%s, %s, %s, %s, %s)"
_REFRESH = "insert into refresh_token (digest, authorisation, until_at) values (%s, %s, %s)"
_REVOKE = "update authorisation set revoked_at = %s, revoked_for = %s where id = %s and revoked_at is null"
_BEARER = f"""
select {_COLUMNS}, t.scopes, t.created_at, t.until_at, a.purpose, c.name, c.organisation, c.source,
       p.display, p.role, p.organisation, p.person, p.practitioner
from access_token t join authorisation a on a.id = t.authorisation join client c on c.id = a.client
left join account p on p.name = a.account
where t.digest = %(digest)s and t.until_at > %(at)s and {_STANDS}"""  # noqa: S608 - our own pieces
_FORGET = "delete from consent where account = %s and client = %s"
_OF_ACCESS = """
select t.authorisation, a.client from access_token t join authorisation a on a.id = t.authorisation
where t.digest = %s"""
_END_ACCESS = "delete from access_token where digest = %s"
_PRUNE = (
    """delete from access_token where digest in (
        select digest from access_token where until_at < %s limit 100 for update skip locked)""",
    """delete from authorisation where id in (
        select id from authorisation where until_at < %s limit 100 for update skip locked)""",
)


async def authorise(
    connection: Connection,
    client: Client,
    principal: Principal,
    *,
    scopes: Sequence[str],
    context: Context,
    redirect_uri: str,
    challenge: str,
    at: datetime,
    session: str = "",
    nonce: str = "",
    signed_in_at: datetime | None = None,
) -> str:
    """Somebody agreed: returns the code that the application turns into tokens."""
    until = at + (OFFLINE if "offline_access" in scopes else ONLINE)
    id_ = await _insert(
        connection, client, principal.account, secrets.digest(session) if session else None, scopes, principal.purpose,
        context, nonce, signed_in_at, at, until,
    )  # fmt: skip
    code = random.token_urlsafe(32)
    await connection.execute(_CODE, (secrets.digest(code), id_, redirect_uri, challenge, at + CODE))
    return code


async def redeem_code(
    connection: Connection, client: Client, code: str, *, redirect_uri: str, verifier: str, at: datetime
) -> Tokens:
    """Turn a code into tokens. Raises OAuthRefusal (invalid_grant); what that revokes is committed before."""
    digest = secrets.digest(code)
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthRefusal("invalid_grant", "the code_verifier is missing or has the wrong form (RFC 7636)")
    await _check_owner(connection, _OF_CODE, digest, client)
    row = await (await connection.execute(_TAKE_CODE, (at, digest))).fetchone()
    if row is None:
        await _copied(connection, _OF_CODE, digest, "a code was used twice", at)
        raise OAuthRefusal("invalid_grant", "the code has been used already; all tokens that came of it are revoked")
    id_, kept_uri, challenge, until = row
    if until <= at or kept_uri != redirect_uri or not secrets.same(challenge, challenge_of(verifier)):
        await revoke(connection, id_, "a code was presented wrongly", at)
        await connection.commit()
        raise OAuthRefusal(
            "invalid_grant", "the code has expired, or redirect_uri or code_verifier do not belong to it"
        )
    authorisation = await _standing(connection, id_, at)
    return await _hand_out(connection, authorisation, authorisation.scopes, at)


async def refresh(
    connection: Connection, client: Client, token: str, *, scopes: Sequence[str] | None, at: datetime
) -> Tokens:
    """Exchange a refresh token; `scopes` may ask for fewer. Raises OAuthRefusal; what that revokes is committed before."""
    digest = secrets.digest(token)
    await _check_owner(connection, _OF_REFRESH, digest, client)
    row = await (await connection.execute(_TAKE_REFRESH, (at, digest))).fetchone()
    if row is None:
        await _copied(connection, _OF_REFRESH, digest, "a refresh token was used twice", at)
        raise OAuthRefusal("invalid_grant", "the refresh token was used already; all tokens beside it are revoked")
    if row[1] <= at:
        raise OAuthRefusal("invalid_grant", "the refresh token has expired")
    authorisation = await _standing(connection, row[0], at, online="offline_access")
    fewer = authorisation.scopes if scopes is None else granted_scopes(scopes, authorisation.scopes)
    if not fewer:
        raise OAuthRefusal("invalid_scope", "none of these scopes was granted")
    return await _hand_out(connection, authorisation, fewer, at)


async def authorise_system(connection: Connection, client: Client, *, scopes: Sequence[str], at: datetime) -> Tokens:
    """A client that proved who it is acts for its own organisation."""
    id_ = await _insert(
        connection, client, None, None, scopes, default_purpose("system"), Context(), "", None, at, at + SYSTEM_ACCESS
    )
    authorisation = await _standing(connection, id_, at)
    return await _hand_out(connection, authorisation, tuple(scopes), at)


async def bearer(connection: Connection, token: str, at: datetime) -> Bearer:
    """Who an access token stands for; raises Unauthenticated."""
    cursor = await connection.execute(_BEARER.encode(), {"digest": secrets.digest(token), "at": at})
    row = await cursor.fetchone()
    if row is None:
        raise Unauthenticated(_REFUSED)
    authorisation = _authorisation(row[:12])
    scopes, issued, until, purpose, name, organisation, source, display, role, own, person, practitioner = row[12:]
    grant = Grant(
        client=authorisation.client,
        rules=tuple(access.rule for access in accesses(scopes)),
        patient=authorisation.context.patient,
        person=authorisation.context.person,
    )
    if authorisation.account is None:
        principal = Principal(authorisation.client, name, "system", organisation, purpose, source=source, grant=grant)
    else:
        principal = Principal(
            authorisation.account, display, role, own, purpose, person, practitioner, source=None, grant=grant
        )
    return Bearer(principal, authorisation, tuple(scopes), issued, until)


async def revoke_secret(connection: Connection, client: Client, token: str, at: datetime) -> bool:
    """Revoke an access token alone, or a refresh token with everything beside it (RFC 7009). False: not of this client."""
    digest = secrets.digest(token)
    for query, whole in ((_OF_REFRESH, True), (_OF_ACCESS, False)):
        row = await (await connection.execute(query.encode(), (digest,))).fetchone()
        if row is None:
            continue
        if row[1] != client.id:
            return False
        if whole:
            await revoke(connection, row[0], "the application gave it back", at)
        else:
            await connection.execute(_END_ACCESS, (digest,))
            await stamps.changed(connection, "accounts", at)
        return True
    return False


async def revoke(connection: Connection, authorisation: int, why: str, at: datetime) -> None:
    """End an authorisation with all its tokens."""
    await connection.execute(_REVOKE, (at, why, authorisation))
    await stamps.changed(connection, "accounts", at)


@dataclass(frozen=True, slots=True)
class Given:
    """An application that may act for somebody, as its owner sees it in a list."""

    id: int
    client: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    until: datetime


_GIVEN = """
select a.id, a.client, c.name, a.scopes, a.created_at, a.until_at from authorisation a join client c on c.id = a.client
where a.account = %s and a.revoked_at is null and a.until_at > %s order by a.id desc"""


async def authorisations_of(connection: Connection, account: str, at: datetime) -> list[Given]:
    """The applications that may act for an account now, newest first."""
    cursor = await connection.execute(_GIVEN, (account, at))
    return [
        Given(id_, client, name, tuple(scopes), *times) for id_, client, name, scopes, *times in await cursor.fetchall()
    ]


async def withdraw(connection: Connection, account: str, authorisation: int, at: datetime) -> None:
    """Take back what the account allowed. Raises NotFound when it is not its own."""
    known = [one for one in await authorisations_of(connection, account, at) if one.id == authorisation]
    if not known:
        raise NotFound("you have not allowed an application under this number")
    await connection.execute(_FORGET, (account, known[0].client))
    await revoke(connection, authorisation, "withdrawn by its owner", at)


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a code verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


# -- pieces


async def _insert(connection: Connection, client: Client, account: str | None, session: bytes | None,
                  scopes: Sequence[str], purpose: str, context: Context, nonce: str, signed_in_at: datetime | None,
                  at: datetime, until: datetime) -> int:  # fmt: skip
    for statement in _PRUNE:
        await connection.execute(statement.encode(), (at - timedelta(days=1),))
    cursor = await connection.execute(
        _INSERT,
        (
            client.id, account, session, list(scopes), purpose, context.patient_id, context.patient, context.person,
            context.encounter, nonce, signed_in_at, at, until, list(context.resources),
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - insert returning gives its row
    return int(row[0])


async def _check_owner(connection: Connection, query: str, digest: bytes, client: Client) -> None:
    row = await (await connection.execute(query.encode(), (digest,))).fetchone()
    if row is None or row[1] != client.id:
        raise OAuthRefusal("invalid_grant", "this is not known here or belongs to another application")


async def _copied(connection: Connection, query: str, digest: bytes, why: str, at: datetime) -> None:
    row = await (await connection.execute(query.encode(), (digest,))).fetchone()
    if row is not None:
        await revoke(connection, row[0], why, at)
    await connection.commit()


async def _standing(connection: Connection, id_: int, at: datetime, *, online: str = "") -> Authorisation:
    values = {"id": id_, "at": at, "idle": at - IDLE}
    row = await (await connection.execute(_READ.encode(), values)).fetchone()
    if row is None or not row[12]:
        raise OAuthRefusal("invalid_grant", "what was allowed has ended or was taken back")
    found = _authorisation(row[:12])
    if online and online not in found.scopes and not row[13]:
        raise OAuthRefusal("invalid_grant", "the person has signed out; online access ends with the session")
    return found


def _authorisation(row: Sequence[Any]) -> Authorisation:
    id_, client, account, scopes, patient_id, patient, person, encounter, nonce, signed_in_at, until, resources = row
    context = Context(patient_id, patient, person, encounter, tuple(resources))
    return Authorisation(id_, client, account, tuple(scopes), context, nonce, signed_in_at, until)


async def _hand_out(
    connection: Connection, authorisation: Authorisation, scopes: tuple[str, ...], at: datetime
) -> Tokens:
    lifetime = min(SYSTEM_ACCESS if authorisation.account is None else ACCESS, authorisation.until - at)
    token = ACCESS_START + random.token_urlsafe(32)
    await connection.execute(_ACCESS, (secrets.digest(token), authorisation.id, list(scopes), at, at + lifetime))
    fresh = None
    if not {"online_access", "offline_access"}.isdisjoint(authorisation.scopes) and authorisation.account is not None:
        fresh = random.token_urlsafe(32)
        await connection.execute(_REFRESH, (secrets.digest(fresh), authorisation.id, authorisation.until))
    return Tokens(token, lifetime, scopes, fresh, replace(authorisation, scopes=scopes))
