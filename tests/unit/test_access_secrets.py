"""Passwords, tokens and form tokens without a database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from healthbrain.access import check_password, csrf_holds, csrf_token, make_password
from healthbrain.access.guard import FREE_FAILURES, LONGEST_WAIT, wait_after
from healthbrain.access.passwords import Hasher
from healthbrain.access.secrets import digest, make_cookie, make_token
from healthbrain.errors import Busy, Incorrect


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Short-1a", "10 to 256"),
        ("x" * 300 + "A1", "10 to 256"),
        ("alllowercase", "three of"),
        ("lowercase1234", "three of"),
        ("Zhangwei-2026", "account's name"),
        ("Password-2026", "too easy"),
        ("Aa1Aa1Aa1Aa1", "too easy"),
    ],
)
def test_an_easy_password_is_refused_with_the_rule_it_breaks(password: str, why: str) -> None:
    with pytest.raises(Incorrect, match=why) as refused:
        check_password(password, account="zhangwei")
    assert password not in refused.value.message


def test_made_up_passwords_pass_the_rules_and_differ() -> None:
    made = {make_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        check_password(password, account="admin")


def test_a_hash_is_argon2id_and_fits_only_its_password() -> None:
    async def run() -> None:
        hasher = Hasher(hasher=PasswordHasher(time_cost=1, memory_cost=1024))
        kept = await hasher.hash("Sunny-Day-42")
        assert kept.startswith("$argon2id$")
        assert await hasher.verify(kept, "Sunny-Day-42")
        assert await hasher.verify(kept, "Ｓunny-Day-42")  # the same letters, full width
        assert not await hasher.verify(kept, "sunny-day-42")
        assert not await hasher.verify(None, "Sunny-Day-42")
        assert not await hasher.verify("nonsense", "Sunny-Day-42")

    asyncio.run(run())


def test_hashing_beyond_the_short_queue_is_turned_away() -> None:
    async def run() -> list[object]:
        hasher = Hasher(running=1, hasher=PasswordHasher(time_cost=1, memory_cost=1024))
        return list(await asyncio.gather(*(hasher.hash("Sunny-Day-42") for _ in range(5)), return_exceptions=True))

    outcomes = asyncio.run(run())
    assert sum(isinstance(one, Busy) for one in outcomes) == 3
    assert sum(isinstance(one, str) for one in outcomes) == 2


def test_the_wait_after_failures_grows_and_ends_at_an_hour() -> None:
    waits = [wait_after(n) for n in range(40)]
    assert waits[FREE_FAILURES - 1] == timedelta(0)
    assert waits[FREE_FAILURES : FREE_FAILURES + 3] == [timedelta(seconds=s) for s in (30, 60, 120)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT


def test_tokens_show_a_prefix_and_cookies_are_long_and_unlike() -> None:
    token, prefix = make_token()
    assert token.startswith(prefix + "_")
    assert len(token) >= 43 + len(prefix)
    assert make_cookie() != make_cookie()
    assert digest(token) != digest(token + "x")


def test_a_form_token_belongs_to_one_session() -> None:
    one, other = make_cookie(), make_cookie()
    assert csrf_holds(one, csrf_token(one))
    assert not csrf_holds(other, csrf_token(one))
    assert not csrf_holds(one, "")
    assert not csrf_holds(one, "é")
