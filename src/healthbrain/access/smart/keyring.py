"""The platform's own signing keys: made when first needed, kept in a file only its owner can read, changed regularly.

All processes share the file. A key signs for `ROTATE`; its public half is shown for `SHOWN` longer, so that tokens it
signed can be checked until they expire. Whoever finds the newest key too old makes the next one, under a lock.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey

ALGORITHM = "RS256"  # what every OpenID Connect client must be able to check
ROTATE = timedelta(days=90)
SHOWN = timedelta(days=7)
_BITS = 3072
_NAME = "oidc-keys.json"


@dataclass(frozen=True, slots=True)
class _Signing:
    key: RSAKey
    since: datetime


class KeyRing:
    """The keys in `folder`."""

    def __init__(self, folder: Path, *, bits: int = _BITS) -> None:
        self._path = folder / _NAME
        self._bits = bits
        self._read_at: tuple[int, int] | None = None
        self._keys: list[_Signing] = []

    def sign(self, claims: dict[str, Any], at: datetime) -> str:
        """A JWT of these claims. Making a key takes a second: call it in a thread."""
        key = self._current(at).key
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])

    def public(self, at: datetime) -> dict[str, Any]:
        """The JWKS that others check with."""
        self._current(at)
        return {"keys": [signing.key.as_dict(private=False) for signing in self._keys]}

    def _current(self, at: datetime) -> _Signing:
        self._load()
        if not self._keys or at - self._keys[-1].since >= ROTATE:
            with self._lock():
                self._load()  # somebody else may have been quicker
                if not self._keys or at - self._keys[-1].since >= ROTATE:
                    self._rotate(at)
        return self._keys[-1]

    def _rotate(self, at: datetime) -> None:
        parameters: Any = {"kid": secrets.token_urlsafe(9), "use": "sig", "alg": ALGORITHM}
        made = _Signing(RSAKey.generate_key(self._bits, parameters), at.astimezone(UTC))
        ends = [*(later.since for later in self._keys[1:]), at]  # a key stops signing when the next one begins
        kept = [old for old, end in zip(self._keys, ends, strict=False) if at - end < SHOWN]
        self._save([*kept, made])
        self._load()

    def _save(self, keys: list[_Signing]) -> None:
        content = [{"since": one.since.isoformat(), "key": one.key.as_dict(private=True)} for one in keys]
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def _load(self) -> None:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return
        if self._read_at == (state.st_mtime_ns, state.st_ino):
            return
        content = orjson.loads(self._path.read_bytes())
        self._keys = [_Signing(RSAKey.import_key(one["key"]), datetime.fromisoformat(one["since"])) for one in content]
        self._read_at = (state.st_mtime_ns, state.st_ino)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
