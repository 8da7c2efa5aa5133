"""How an application proves who it is at the token endpoint.

A confidential client signs an assertion with its private key (private_key_jwt, RFC 7523 and SMART Backend Services) or
sends its secret by HTTP Basic; a public client only names itself, PKCE protects what it does. Each registered client
uses its own way and no other. An assertion is for our token endpoint alone, lives five minutes and is used once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import orjson
from joserfc import jws
from joserfc.errors import JoseError

from healthbrain.access import secrets
from healthbrain.access.smart.clients import SIGNATURES, Client, find_client
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.access.smart.signatures import LEEWAY, check_times, names, signed_claims
from healthbrain.database import Connection
from healthbrain.errors import NotFound

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST = 300
_UNKNOWN = "the client is unknown, disabled, or did not prove who it is"
_REMEMBER = """
insert into client_assertion (client, jti, until_at) values (%s, %s, %s) on conflict do nothing"""
_PRUNE = """
delete from client_assertion where (client, jti) in (
    select client, jti from client_assertion where until_at < %s limit 100 for update skip locked)"""


async def prove(
    connection: Connection,
    form: Mapping[str, str],
    authorization: str,
    *,
    token_url: str,
    at: datetime,
    fetched: Mapping[str, Any] | None = None,
) -> Client:
    """The client that sent this request. Raises OAuthRefusal (invalid_client).

    `fetched` are the keys that its jwks_uri gave, for a client that has one.
    """
    ways = [bool(authorization), "client_assertion" in form or "client_assertion_type" in form, "client_secret" in form]
    if sum(ways) > 1 or ways[2]:
        raise OAuthRefusal("invalid_client", "prove who you are in one way: HTTP Basic or a signed assertion")
    if ways[1]:
        return await _by_assertion(connection, form, token_url, at, fetched)
    if ways[0]:
        name, secret = _basic(authorization)
        if form.get("client_id", name) != name:
            raise OAuthRefusal("invalid_client", _UNKNOWN)
        client = await _find(connection, name)
        if client.kind != "symmetric" or not secrets.same(client.secret or b"", secrets.digest(secret)):
            raise OAuthRefusal("invalid_client", _UNKNOWN)
        return client
    client = await _find(connection, form.get("client_id", ""))
    if client.kind != "public":
        raise OAuthRefusal("invalid_client", _UNKNOWN)
    return client


def claimed_name(form: Mapping[str, str], authorization: str) -> str:
    """Who the request says it is from, unproven: for counting."""
    if form.get("client_id"):
        return form["client_id"]
    try:
        if form.get("client_assertion"):
            return _unproven_issuer(form["client_assertion"])
        return _basic(authorization)[0] if authorization else ""
    except OAuthRefusal:
        return ""


async def _by_assertion(
    connection: Connection, form: Mapping[str, str], token_url: str, at: datetime, fetched: Mapping[str, Any] | None
) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthRefusal("invalid_client", f"client_assertion_type is {ASSERTION_TYPE}")
    token = form.get("client_assertion", "")
    claimed = _unproven_issuer(token)
    client = await _find(connection, claimed)
    if client.kind != "asymmetric" or form.get("client_id", client.id) != client.id:
        raise OAuthRefusal("invalid_client", _UNKNOWN)
    keys = (fetched if client.jwks_uri else client.jwks) or {}
    claims = signed_claims(token, keys, SIGNATURES)
    if claims.get("iss") != client.id or claims.get("sub") != client.id or not names(claims.get("aud"), token_url):
        raise OAuthRefusal("invalid_client", "iss and sub of the assertion are the client_id, aud the token endpoint")
    until = check_times(claims, at, longest=LONGEST)
    await _once(connection, client, claims.get("jti"), until, at)
    return client


def key_named(form: Mapping[str, str]) -> str:
    """The `kid` that an assertion names, unproven: to see whether fetched keys are too old. '' when it names none."""
    try:
        header = jws.extract_compact(form.get("client_assertion", "").encode("ascii")).headers()
    except (JoseError, ValueError):
        return ""
    return str(header.get("kid", ""))


async def _once(connection: Connection, client: Client, jti: Any, until: datetime, at: datetime) -> None:
    if not isinstance(jti, str) or not jti:
        raise OAuthRefusal("invalid_client", "the assertion has a jti")
    await connection.execute(_PRUNE, (at - timedelta(seconds=2 * LEEWAY),))
    digest = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()
    done = await connection.execute(_REMEMBER, (client.id, digest, until))
    await connection.commit()  # it stays used, whatever becomes of the request
    if done.rowcount != 1:
        raise OAuthRefusal("invalid_client", "this assertion has been used already; sign a new one with another jti")


def _unproven_issuer(token: str) -> str:
    """The issuer that an assertion claims; only to find the keys it is then checked with."""
    try:
        claims = orjson.loads(jws.extract_compact(token.encode("ascii")).payload)
        return str(claims["iss"])
    except (JoseError, ValueError, TypeError, KeyError):
        raise OAuthRefusal("invalid_client", "the assertion cannot be read") from None


async def _find(connection: Connection, id_: str) -> Client:
    try:
        client = await find_client(connection, id_)
    except NotFound:
        raise OAuthRefusal("invalid_client", _UNKNOWN) from None
    if client.disabled_at is not None:
        raise OAuthRefusal("invalid_client", _UNKNOWN)
    return client


def _basic(authorization: str) -> tuple[str, str]:
    kind, _, text = authorization.partition(" ")
    try:
        if kind.lower() != "basic":
            raise ValueError
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise OAuthRefusal("invalid_client", "the Authorization header is not HTTP Basic") from None
    return unquote_plus(name), unquote_plus(secret)
