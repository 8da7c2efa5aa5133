"""Signing in through an external OpenID Connect provider, such as a city's identity service: the part without HTTP.

The provider says who somebody is; which account that is here, an administrator has written down (issuer and claim
value → account). Nobody gets an account by signing in. The id_token is checked as OpenID Connect Core 3.1.3.7 says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from healthbrain.access import secrets
from healthbrain.access.people import account, account_name
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.access.smart.signatures import check_times, names, signed_claims
from healthbrain.database import Connection
from healthbrain.errors import Conflict, NotFound, Unauthenticated

ALGORITHMS = ("RS256", "RS384", "PS256", "ES256", "ES384")
_LONGEST = 24 * 3600

_LINK = (
    "insert into federated_identity (issuer, value, account, created_at) values (%s, %s, %s, %s) on conflict do nothing"
)
_UNLINK = "delete from federated_identity where issuer = %s and value = %s"
_FIND = """
select f.account from federated_identity f join account a on a.name = f.account
where f.issuer = %s and f.value = %s and a.disabled_at is null and (a.valid_until is null or a.valid_until > %s)"""
_LIST = "select issuer, value from federated_identity where account = %s order by issuer, value"


def check_id_token(
    token: str, *, issuer: str, client: str, nonce: str, jwks: Mapping[str, Any], at: datetime
) -> dict[str, Any]:
    """The claims of a provider's id_token. Raises Unauthenticated when it is not for us, now, and this sign-in."""
    try:
        claims = signed_claims(token, jwks, ALGORITHMS)
        check_times(claims, at, longest=_LONGEST)
    except OAuthRefusal as refusal:
        raise Unauthenticated(f"the identity provider's answer cannot be trusted: {refusal.message}") from None
    audience = claims.get("aud")
    ours = names(audience, client) or (
        isinstance(audience, list) and client in audience and claims.get("azp") == client
    )
    if claims.get("iss") != issuer or not ours or not secrets.same(str(claims.get("nonce", "")), nonce):
        raise Unauthenticated("the identity provider's answer is from another issuer, for another client or sign-in")
    return claims


async def link_identity(connection: Connection, *, issuer: str, value: str, name: str, at: datetime) -> None:
    """Write down that this claim value of this issuer is the account `name`. Raises NotFound, Conflict."""
    known = (await account(connection, name)).name
    done = await connection.execute(_LINK, (issuer, value, known, at))
    if done.rowcount != 1:
        raise Conflict("this identity belongs to an account already; take it away there first")


async def unlink_identity(connection: Connection, *, issuer: str, value: str) -> None:
    """Forget it. Raises NotFound."""
    if (await connection.execute(_UNLINK, (issuer, value))).rowcount != 1:
        raise NotFound("there is no such identity")


async def identities_of(connection: Connection, name: str) -> list[tuple[str, str]]:
    """The (issuer, value) under which an account signs in elsewhere."""
    cursor = await connection.execute(_LIST, (account_name(name),))
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def account_of_identity(connection: Connection, *, issuer: str, value: str, at: datetime) -> str:
    """The open account of an identity. Raises Unauthenticated."""
    row = await (await connection.execute(_FIND, (issuer, value, at))).fetchone()
    if row is None:
        raise Unauthenticated("nobody here is known under this identity; ask an administrator to link it to an account")
    return str(row[0])
