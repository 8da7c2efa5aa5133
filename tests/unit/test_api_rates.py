"""A client may send so many requests in a minute, and learns when the next one will be admitted."""

from __future__ import annotations

import pytest

from healthbrain.api.rates import Rates, Throttled


def test_a_bucket_empties_with_requests_and_fills_with_time() -> None:
    now = 0.0
    rates = Rates(60, monotonic=lambda: now)
    for _ in range(60):
        rates.admit("one")
    with pytest.raises(Throttled) as refused:
        rates.admit("one")
    assert refused.value.seconds == 1
    rates.admit("other")
    now = 1.0
    rates.admit("one")
    with pytest.raises(Throttled):
        rates.admit("one")
    now = 1000.0
    for _ in range(60):
        rates.admit("one")
    with pytest.raises(Throttled):
        rates.admit("one")


def test_a_slow_rate_says_how_long_to_wait() -> None:
    rates = Rates(2, monotonic=lambda: 0.0)
    rates.admit("one")
    rates.admit("one")
    with pytest.raises(Throttled) as refused:
        rates.admit("one")
    assert refused.value.seconds == 30


def test_zero_is_no_limit() -> None:
    rates = Rates(0)
    for _ in range(10_000):
        rates.admit("one")
