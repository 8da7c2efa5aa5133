"""The endpoints that applications ask directly: token, introspect, revoke, userinfo."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from healthbrain import audit
from healthbrain.access import Client, find_client
from healthbrain.access.people import account
from healthbrain.access.smart.authorising import (
    ACCESS_START,
    Authorisation,
    Bearer,
    Tokens,
    authorise_system,
    bearer,
    redeem_code,
    refresh,
    revoke_secret,
)
from healthbrain.access.smart.clients import note_use
from healthbrain.access.smart.grammar import granted_scopes, read_scope, split_scopes
from healthbrain.access.smart.proving import claimed_name, key_named, prove
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.api.lending import lend
from healthbrain.api.oauth.desk import Desk, address, each_once, form_of, said, subject
from healthbrain.api.oauth.fhir_user import fhir_user
from healthbrain.database import Connection
from healthbrain.errors import NotFound, Unauthenticated
from healthbrain.scope import Principal

_ID_TOKEN_SECONDS = 3600


async def token(desk: Desk, request: Request) -> Response:
    """POST /oauth/token"""
    form, key = await _counted(desk, request)
    kind = form.get("grant_type", "")
    fetched = await _fetched(desk, form, key[1])
    try:
        async with lend(desk.platform.pool) as connection:
            client = await _prove(desk, request, connection, form, fetched)
            tokens = await _grant(desk, connection, client, kind, form)
            await note_use(connection, client, desk.platform.clock())
            content = await _content(desk, request, connection, tokens)
            await audit.record(connection, [_event(desk, request, tokens, client, kind)])
    except OAuthRefusal as refusal:
        _note_failure(desk, request, key, refusal)
        raise
    return said(content)


async def introspect(desk: Desk, request: Request) -> Response:
    """POST /oauth/introspect (RFC 7662): for confidential clients, about tokens of their organisation's clients."""
    form, key = await _counted(desk, request)
    at = desk.platform.clock()
    fetched = await _fetched(desk, form, key[1])
    try:
        async with lend(desk.platform.pool) as connection:
            client = await _prove(desk, request, connection, form, fetched)
            if client.kind == "public":
                raise OAuthRefusal("invalid_client", "only a client that proves who it is may ask about tokens")
            try:
                found = await bearer(connection, form.get("token", ""), at)
            except Unauthenticated:
                return said({"active": False})
            owner = await find_client(connection, found.authorisation.client)
    except OAuthRefusal as refusal:
        _note_failure(desk, request, key, refusal)
        raise
    tree = await desk.gate.tree(client.organisation)
    if owner.id != client.id and owner.organisation not in tree.subtree(client.organisation):
        return said({"active": False})
    return said(await _described(desk, request, found))


async def revoke(desk: Desk, request: Request) -> Response:
    """POST /oauth/revoke (RFC 7009): 200 also for a token that is not known."""
    form, key = await _counted(desk, request)
    fetched = await _fetched(desk, form, key[1])
    try:
        async with lend(desk.platform.pool) as connection:
            client = await _prove(desk, request, connection, form, fetched)
            if not form.get("token"):
                raise OAuthRefusal("invalid_request", "token is needed")
            done = await revoke_secret(connection, client, form["token"], desk.platform.clock())
            if done:
                event = desk.event(request, "revoke", None, account=client.id, client=client.id)
                await audit.record(connection, [event])
    except OAuthRefusal as refusal:
        _note_failure(desk, request, key, refusal)
        raise
    desk.gate.forget()
    return said({})


async def userinfo(desk: Desk, request: Request) -> Response:
    """GET or POST /oauth/userinfo"""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text.startswith(ACCESS_START):
        raise Unauthenticated("send Authorization: Bearer and an access token")
    async with lend(desk.platform.pool) as connection:
        found = await bearer(connection, text.strip(), desk.platform.clock())
    if found.authorisation.account is None or "openid" not in found.scopes:
        raise Unauthenticated("the access token was not granted openid")
    return said(
        {"sub": subject(found.authorisation.account), **await _claims(desk, request, found.principal, found.scopes)}
    )


# -- pieces


async def _counted(desk: Desk, request: Request) -> tuple[dict[str, str], tuple[str, str]]:
    """The form, unless this client asks too often. Raises Busy."""
    form = each_once(await form_of(request))
    key = (address(request), claimed_name(form, request.headers.get("authorization", ""))[:64])
    desk.requests.check(key)
    desk.failures.check(key)
    desk.requests.spend(key)
    return form, key


async def _fetched(desk: Desk, form: Mapping[str, str], claimed: str) -> Mapping[str, Any] | None:
    """The keys at the jwks_uri of the client that the request claims to be from; no connection is held meanwhile."""
    if "client_assertion" not in form:
        return None
    try:
        async with lend(desk.platform.pool) as connection:
            client = await find_client(connection, claimed)
    except NotFound:
        return None
    if not client.jwks_uri or client.disabled_at is not None:
        return None
    return await desk.remote.at(client.jwks_uri, key_named(form))


async def _prove(
    desk: Desk, request: Request, connection: Connection, form: Mapping[str, str], fetched: Mapping[str, Any] | None
) -> Client:
    issuer = desk.issuer(request)
    authorization = request.headers.get("authorization", "")
    url, at = f"{issuer}/oauth/token", desk.platform.clock()
    return await prove(connection, form, authorization, token_url=url, at=at, fetched=fetched)


async def _grant(desk: Desk, connection: Connection, client: Client, kind: str, form: Mapping[str, str]) -> Tokens:
    at = desk.platform.clock()
    match kind:
        case "authorization_code":
            return await redeem_code(
                connection, client, form.get("code", ""), redirect_uri=form.get("redirect_uri", ""),
                verifier=form.get("code_verifier", ""), at=at,
            )  # fmt: skip
        case "refresh_token":
            wanted = split_scopes(form["scope"]) if "scope" in form else None
            return await refresh(connection, client, form.get("refresh_token", ""), scopes=wanted, at=at)
        case "client_credentials":
            if client.kind != "asymmetric":
                raise OAuthRefusal("unauthorized_client", "a system signs with its own key (private_key_jwt)")
            scopes = [
                text
                for text in granted_scopes(split_scopes(form.get("scope", "")), client.scopes)
                if (access := read_scope(text)) is not None and access.level == "system"
            ]
            if not scopes:
                raise OAuthRefusal("invalid_scope", "none of these system scopes may be granted to this client")
            return await authorise_system(connection, client, scopes=scopes, at=at)
    raise OAuthRefusal(
        "unsupported_grant_type", "grant_type is authorization_code, refresh_token or client_credentials"
    )


async def _content(desk: Desk, request: Request, connection: Connection, tokens: Tokens) -> dict[str, Any]:
    found = tokens.authorisation
    content: dict[str, Any] = {
        "access_token": tokens.access,
        "token_type": "Bearer",
        "expires_in": int(tokens.lifetime.total_seconds()),
        "scope": " ".join(tokens.scopes),
    }
    if tokens.refresh:
        content["refresh_token"] = tokens.refresh
    if found.context.patient_id:
        content |= {"patient": found.context.patient_id, "need_patient_banner": "launch" not in tokens.scopes}
    if found.context.encounter:
        content["encounter"] = found.context.encounter
    if found.context.resources:
        content["fhirContext"] = [{"reference": one} for one in found.context.resources]
    if found.account is not None and "openid" in tokens.scopes:
        content["id_token"] = await _id_token(desk, request, connection, found)
    return content


async def _id_token(desk: Desk, request: Request, connection: Connection, found: Authorisation) -> str:
    at = desk.platform.clock()
    who = await account(connection, found.account or "")
    principal = Principal(
        who.name, who.display, who.role, who.organisation, "TREAT", person=who.person, practitioner=who.practitioner
    )
    claims: dict[str, Any] = {
        "iss": desk.issuer(request),
        "sub": subject(who.name),
        "aud": found.client,
        "iat": int(at.timestamp()),
        "exp": int(at.timestamp()) + _ID_TOKEN_SECONDS,
        **await _claims(desk, request, principal, found.scopes),
    }
    if found.signed_in_at is not None:
        claims["auth_time"] = int(found.signed_in_at.timestamp())
    if found.nonce:
        claims["nonce"] = found.nonce
    return await asyncio.to_thread(desk.keys.sign, claims, at)


async def _claims(desk: Desk, request: Request, principal: Principal, scopes: Sequence[str]) -> dict[str, str]:
    """What may be said about the person."""
    claims: dict[str, str] = {"name": principal.display} if "profile" in scopes else {}
    if "fhirUser" in scopes and (reference := await fhir_user(desk, principal)):
        claims["fhirUser"] = f"{desk.fhir_base(request)}/{reference}"
    return claims


async def _described(desk: Desk, request: Request, found: Bearer) -> dict[str, Any]:
    context = found.authorisation.context
    name = found.authorisation.account
    content: dict[str, Any] = {
        "active": True,
        "iss": desk.issuer(request),
        "client_id": found.authorisation.client,
        "sub": subject(name) if name else found.authorisation.client,
        "aud": desk.fhir_base(request),
        "scope": " ".join(found.scopes),
        "token_type": "Bearer",
        "iat": int(found.issued.timestamp()),
        "exp": int(found.until.timestamp()),
    }
    if context.patient_id:
        content["patient"] = context.patient_id
    if context.encounter:
        content["encounter"] = context.encounter
    if context.resources:
        content["fhirContext"] = [{"reference": one} for one in context.resources]
    return content | await _claims(desk, request, found.principal, found.scopes)


def _event(desk: Desk, request: Request, tokens: Tokens, client: Client, kind: str) -> audit.Event:
    found = tokens.authorisation
    patients = (found.context.patient,) if found.context.patient is not None else ()
    detail = f"{kind}: {' '.join(tokens.scopes)}"
    return desk.event(
        request, "token", None, account=found.account or client.id, client=client.id, patients=patients, detail=detail
    )


def _note_failure(desk: Desk, request: Request, key: tuple[str, str], refusal: OAuthRefusal) -> None:
    desk.failures.spend(key)
    interaction = request.url.path.rpartition("/")[2]
    desk.platform.audit.note(
        desk.event(
            request, interaction, None, account=key[1], client=key[1], detail=refusal.code, outcome=audit.REFUSED
        )
    )
