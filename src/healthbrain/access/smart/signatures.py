"""Checking what somebody else signed: only named algorithms, only a named key, never an unsigned token.

The key is chosen by `kid` among those we hold for the signer and must be of the algorithm's own kind; what the token
says about where to find keys (jku, jwk, x5u, x5c) is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from healthbrain.access.smart.refusal import OAuthRefusal

_LONGEST = 16 * 1024
_FAR = 1e11  # no time of ours is so far off
_FAMILY: dict[str, type[RSAKey] | type[ECKey]] = {
    "RS256": RSAKey, "RS384": RSAKey, "PS256": RSAKey, "ES256": ECKey, "ES384": ECKey,
}  # fmt: skip
LEEWAY = 60  # seconds by which clocks may differ


def signed_claims(token: str, jwks: Mapping[str, Any], algorithms: Sequence[str]) -> dict[str, Any]:
    """The claims of a JWT that one of these keys signed. Raises OAuthRefusal (invalid_client)."""
    try:
        if len(token) > _LONGEST or token.count(".") != 2:
            raise ValueError
        header = jws.extract_compact(token.encode("ascii")).headers()
        algorithm, kid = str(header.get("alg")), header.get("kid")
        if algorithm not in algorithms or not isinstance(kid, str) or "crit" in header:
            raise ValueError
        key = next(k for k in _keys(jwks) if k.kid == kid and isinstance(k, _FAMILY[algorithm]))
        return dict(jwt.decode(token, key, algorithms=[algorithm]).claims)
    except (JoseError, ValueError, TypeError, KeyError, StopIteration):
        raise OAuthRefusal(
            "invalid_client", "the signed token cannot be trusted: wrong key, algorithm or form"
        ) from None


def check_times(claims: Mapping[str, Any], at: datetime, *, longest: int) -> datetime:
    """When the token expires; raises OAuthRefusal when it has, when it is not valid yet, or lives longer than allowed."""
    now = at.timestamp()
    times: list[Any] = [claims.get("exp"), claims.get("nbf", now), claims.get("iat", now)]
    if not all(type(when) in (int, float) and abs(when) < _FAR for when in times):
        raise OAuthRefusal("invalid_client", "the signed token says its times (exp, nbf, iat) as numbers")
    expires, begins, issued = map(float, times)
    if expires <= now - LEEWAY:
        raise OAuthRefusal("invalid_client", "the signed token has expired")
    if begins > now + LEEWAY or issued > now + LEEWAY:
        raise OAuthRefusal("invalid_client", "the signed token is not valid yet; check the clocks")
    if expires > now + longest + LEEWAY:
        raise OAuthRefusal("invalid_client", f"the signed token lives longer than {longest} s")
    return datetime.fromtimestamp(expires, at.tzinfo)


def names(audience: Any, wanted: str) -> bool:
    """Whether an `aud` claim (a text or a list) is `wanted` alone."""
    return bool(audience in (wanted, [wanted]))


def _keys(jwks: Mapping[str, Any]) -> list[Any]:
    wanted = [key for key in jwks.get("keys", []) if key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig"]
    return list(KeySet.import_key_set({"keys": wanted}).keys)
