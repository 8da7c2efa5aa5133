"""What must be read again, and not only compared, is kept encrypted: the keys of second factors.

AES-256-GCM as a JWE (RFC 7516, `dir`); the account stands in its protected header, so that what is sealed for one opens for no other.
The key is made when first needed, in a file only its owner can read, beside the signing keys and apart from the database: a copy of
the database alone opens nothing (GB/T 22239 身份鉴别, 数据保密性).
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from pathlib import Path
from typing import Any

from healthbrain.errors import Unavailable

KEY = "second-factor.key"
_ALGORITHMS = ["dir", "A256GCM"]
_BYTES = 32


class Vault:
    """Seals and opens with the key in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEY

    def seal(self, content: bytes, about: str) -> bytes:
        """The content for one account, as it may be kept."""
        from joserfc import jwe  # only who needs a second factor pays for the library

        header = {"alg": "dir", "enc": "A256GCM", "sub": about}
        return jwe.encrypt_compact(header, content, self._key(make=True), registry=_registry()).encode()

    def open(self, kept: bytes, about: str) -> bytes:
        """What was sealed for this account. Raises Unavailable when the key is not the one it was sealed with."""
        from joserfc import jwe
        from joserfc.errors import JoseError

        try:
            found = jwe.decrypt_compact(kept, self._key(make=False), registry=_registry())
        except (JoseError, ValueError, FileNotFoundError):
            raise Unavailable(
                f"the second factors were sealed with another key than secrets/{KEY} of the data folder; restore that file, or"
                " use a recovery code, or `hb user NAME --reset-second-factor`"
            ) from None
        if found.protected.get("sub") != about or found.plaintext is None:
            raise Unavailable("a second factor was sealed for another account; reset it")
        return found.plaintext

    def _key(self, *, make: bool) -> Any:
        from joserfc.jwk import OctKey

        if make and not self._path.exists():
            self._make()
        return OctKey.import_key(self._path.read_bytes())

    def _make(self) -> None:
        """A new key, whole or not at all; whoever is second takes that of the first."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{KEY}.{secrets.token_hex(8)}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, self._path)
        fresh.unlink()


@functools.cache
def vault_in(data: Path) -> Vault:
    """The vault of a data folder."""
    return Vault(data / "secrets")


def _registry() -> Any:
    from joserfc.jwe import JWERegistry

    return JWERegistry(algorithms=_ALGORITHMS, strict_check_header=False)
