"""Passwords: what is good enough, and how it is kept.

Rules after GB/T 22239 (等保三级, 身份鉴别): length and mixture, not the account's own name, nothing everybody knows.
Kept as argon2id. Hashing takes a tenth of a second and 64 MiB on purpose, so it runs in threads, few at a time, and
callers beyond a short queue are turned away instead of piling up.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from healthbrain.errors import Busy, Incorrect

MIN_LENGTH = 10
MAX_LENGTH = 256
_KINDS_WANTED = 3  # of lower case, upper case, digits, anything else
_COMMON = ("password", "passw0rd", "qwerty", "1q2w3e", "12345678", "iloveyou", "admin123", "woaini", "111111", "abc123")
_LETTERS = "abcdefghijkmnpqrstuvwxyz"  # without l and o: read aloud and typed from paper
_CAPITALS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_DIGITS = "23456789"

_T = TypeVar("_T")


def check_password(password: str, *, account: str) -> None:
    """Raises Incorrect, saying which rule is broken, when `password` is too easy for `account`."""
    text = unicodedata.normalize("NFKC", password)
    low = text.casefold()
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise Incorrect(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    kinds = sum(
        (
            any(c.islower() for c in text),
            any(c.isupper() for c in text),
            any(c.isdigit() for c in text),
            any(not c.islower() and not c.isupper() and not c.isdigit() for c in text),
        )
    )
    if kinds < _KINDS_WANTED:
        raise Incorrect("a password mixes at least three of: small letters, capitals, digits, other characters")
    if len(account) >= 3 and account.casefold() in low:
        raise Incorrect("a password does not contain the account's name")
    if len(set(low)) < 5 or any(word in low for word in _COMMON):
        raise Incorrect("this password is too easy to guess; choose another")


def make_password() -> str:
    """A random password that passes the rules, easy to type: four groups of four."""
    pools = (_CAPITALS, _LETTERS, _LETTERS, _DIGITS)
    while True:
        groups = ["".join(secrets.choice(pool) for pool in pools) for _ in range(4)]
        password = "-".join(groups)
        if not any(word in password.casefold() for word in _COMMON):
            return password


class Hasher:
    """argon2id in threads: at most `running` at once and as many waiting; more raise Busy."""

    def __init__(self, *, running: int = 2, hasher: PasswordHasher | None = None) -> None:
        self._argon = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="password")
        self._most = 2 * running
        self._present = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The text to keep."""
        return await self._in_thread(self._argon.hash, _normal(password))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the kept one. With `kept=None` (no such account) it takes the same time and is False."""
        if kept is None:
            if self._nobody is None:
                self._nobody = await self.hash(secrets.token_urlsafe(16))
            await self._in_thread(self._matches, self._nobody, _normal(password))
            return False
        return await self._in_thread(self._matches, kept, _normal(password))

    def outdated(self, kept: str) -> bool:
        """Whether it was made with weaker settings than today's."""
        return self._argon.check_needs_rehash(kept)

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return self._argon.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, function: Callable[..., _T], *args: str) -> _T:
        if self._present >= self._most:
            raise Busy("too many sign-ins at this moment; try again in a few seconds")
        self._present += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._present -= 1


def _normal(password: str) -> str:
    # the same password typed on another keyboard (full-width digits, composed accents) is the same password
    return unicodedata.normalize("NFKC", password)[: 2 * MAX_LENGTH]


PASSWORDS = Hasher()  # one per process: the limit is on the process's memory and cores
