"""The public keys of applications that give an address for them (jwks_uri, RFC 7591): fetched, believed for a while, rotated.

An address is somebody else's text, so the platform must not become a way into its own network: only https, only hosts
whose every address is a public one or that the operator named (HB_JWKS_HOSTS), no redirects, no proxies, a small answer
and five seconds. The connection goes to the address that was checked, so a name that changes meanwhile changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from healthbrain.access.smart.clients import check_keys_address, public_keys
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.errors import HealthBrainError

BELIEVED = 600.0  # seconds
AGAIN = 30.0  # seconds before an unknown key, or a failure, makes us ask again
_TIMEOUT = 5.0
_LARGEST = 64 * 1024
_MOST = 1000  # addresses remembered

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


@dataclass(frozen=True, slots=True)
class _Known:
    keys: Mapping[str, Any]
    at: float


@dataclass(slots=True)
class RemoteKeys:
    """The keys of one process. `own_hosts` may have private addresses; `transport` replaces the network in tests."""

    own_hosts: frozenset[str] = frozenset()
    transport: httpx.AsyncBaseTransport | None = None
    resolve: Resolve = resolved
    monotonic: Callable[[], float] = time.monotonic
    _known: dict[str, _Known] = field(default_factory=dict)

    async def at(self, url: str, kid: str) -> Mapping[str, Any]:
        """The keys at an address, new enough to have the named one if it is there. Raises OAuthRefusal."""
        known, now = self._known.get(url), self.monotonic()
        if known is not None:
            age = now - known.at
            named = any(key.get("kid") == kid for key in known.keys.get("keys", ()))
            if age < AGAIN or (named and age < BELIEVED):
                return known.keys
        try:
            keys: Mapping[str, Any] = await self._fetch(url)
        except (HealthBrainError, httpx.HTTPError, OSError, ValueError):
            keys = {"keys": []}  # asked again after a while; what is signed meanwhile is not believed
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[url] = _Known(keys, now)
        return keys

    async def _fetch(self, url: str) -> Mapping[str, Any]:
        check_keys_address(url)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        place = await self._safe(host, port)
        literal = f"[{place}]" if ":" in place else place
        goal = parts._replace(netloc=f"{literal}:{port}").geturl()
        headers = {"host": host if port == 443 else f"{host}:{port}", "accept": "application/json"}
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, transport=self.transport, trust_env=False) as client,
            asyncio.timeout(2 * _TIMEOUT),
            client.stream("GET", goal, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError("no keys there")
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _LARGEST:
                    raise ValueError("too large for keys")
        found = orjson.loads(bytes(content))
        return public_keys(found if isinstance(found, dict) else {})

    async def _safe(self, host: str, port: int) -> str:
        """An address of the host that may be asked. Raises OAuthRefusal."""
        places = await self.resolve(host, port)
        own = host.lower() in self.own_hosts
        if not places or not all(own or ipaddress.ip_address(place.partition("%")[0]).is_global for place in places):
            raise OAuthRefusal("invalid_client", "the host of this jwks_uri may not be asked; see HB_JWKS_HOSTS")
        return places[0]
