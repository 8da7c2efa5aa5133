"""An authorization request, read and checked before anybody is asked anything (RFC 6749, RFC 7636, SMART App Launch).

First the client and the address to return to, compared exactly: until both are sure nothing is sent there, the person
sees why instead. What is wrong beyond that is told to the application, at that address, with its `state` and our name
(RFC 9207), so that an answer of ours cannot be taken for another server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from healthbrain.access import Client, find_client
from healthbrain.access.permissions import reach, resource_class
from healthbrain.access.smart.authorising import CHALLENGE
from healthbrain.access.smart.grammar import PLAIN, Access, granted_scopes, read_scope, split_scopes
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.scope import Action, Principal

_ACTIONS: dict[str, Action] = {"c": "write", "r": "read", "u": "write", "d": "delete", "s": "search"}
_LONGEST = 2000
_SIGN_IN = frozenset({"openid", "profile", "fhirUser", "email", "online_access", "offline_access"})
_PROMPTS = ("none", "login", "consent", "select_account")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose client and return address are sure."""

    client: Client
    redirect_uri: str
    state: str
    fields: Mapping[str, str]
    issuer: str

    @property
    def prompt(self) -> str:
        """What the application wants the person asked."""
        return self.fields.get("prompt", "")

    def back(self, answer: Mapping[str, str]) -> str:
        """The return address with an answer."""
        whole = {**answer, **({"state": self.state} if self.state else {}), "iss": self.issuer}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(whole)}"

    def refuse(self, refusal: OAuthRefusal) -> str:
        """The return address with a refusal."""
        return self.back({"error": refusal.code, "error_description": refusal.message})


async def read_request(connection: Connection, fields: Mapping[str, str], issuer: str) -> Asked:
    """The client and where to return to. Raises Incorrect; the person is told, nobody is sent anywhere."""
    try:
        client = await find_client(connection, fields.get("client_id", ""))
    except NotFound:
        raise Incorrect("client_id: there is no such application") from None
    if client.disabled_at is not None:
        raise Incorrect("client_id: this application is disabled")
    uri = fields.get("redirect_uri", "")
    if uri not in client.redirect_uris:
        raise Incorrect("redirect_uri: not exactly one of those registered for this application")
    return Asked(client, uri, fields.get("state", ""), fields, issuer)


def check_request(asked: Asked, fhir_base: str) -> None:
    """The rest of the request. Raises OAuthRefusal; the application is told."""
    fields = asked.fields
    if fields.get("response_type") != "code":
        raise OAuthRefusal("unsupported_response_type", "response_type is code")
    if fields.get("response_mode", "query") != "query":
        raise OAuthRefusal("invalid_request", "response_mode is query")
    if "request" in fields or "request_uri" in fields:
        raise OAuthRefusal("invalid_request", "request objects are not read here")
    if not asked.state:
        raise OAuthRefusal("invalid_request", "state is needed: a value that cannot be guessed")
    if fields.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(fields.get("code_challenge", "")):
        raise OAuthRefusal("invalid_request", "PKCE is needed with code_challenge_method=S256")
    if fields.get("aud", "").rstrip("/") != fhir_base and not ("aud" not in fields and _only_signs_in(fields)):
        raise OAuthRefusal("invalid_request", "aud is the address of this FHIR server")
    if not set(asked.prompt.split()) <= set(_PROMPTS) or ("none" in asked.prompt and asked.prompt != "none"):
        raise OAuthRefusal("invalid_request", "prompt is none, login or consent")
    if not fields.get("max_age", "0").isdecimal() or any(len(value) > _LONGEST for value in fields.values()):
        raise OAuthRefusal("invalid_request", "a parameter has the wrong form")


def _only_signs_in(fields: Mapping[str, str]) -> bool:
    """Whether it asks who somebody is and for no data: plain OpenID Connect, which knows no `aud`."""
    return set(split_scopes(fields.get("scope", ""))) <= _SIGN_IN and not fields.get("launch")


def within_reach(asked: Asked, principal: Principal) -> tuple[str, ...]:
    """The scopes that the application may ask for and that the person's role has any use for; others are dropped."""
    found: list[str] = []
    for text in granted_scopes(split_scopes(asked.fields.get("scope", "")), asked.client.scopes):
        access = read_scope(text)
        if access is None:
            found.append(text)
        elif access.level != "system" and (may := _letters(access, principal)):
            found.append(text if may == access.may else str(Access(access.level, access.type, may, access.where)))
    if "launch" in found and not asked.fields.get("launch"):
        found.remove("launch")
    if all(text in PLAIN and text != "openid" for text in found):
        raise OAuthRefusal("invalid_scope", "none of the scopes can be granted to this application and person")
    return tuple(found)


def _letters(access: Access, principal: Principal) -> str:
    """The letters for which the permission table has a row at all."""
    over = resource_class(access.type)
    far = {letter: reach(principal.role, _ACTIONS[letter], over, principal.purpose) for letter in access.may}
    if access.level == "patient" and over == "clinical" and "counts" in far.values():
        return ""
    return "".join(letter for letter in access.may if far[letter] is not None)
