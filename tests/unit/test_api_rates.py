"""A client may send so many requests in a minute, and learns when the next one will be admitted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from healthbrain.api.rates import Rates, Throttled


def test_a_bucket_empties_with_requests_and_fills_with_time(tmp_path: Path) -> None:
    now = 0.0
    rates = Rates(60, tmp_path / "rates", monotonic=lambda: now)
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


def test_a_slow_rate_says_how_long_to_wait(tmp_path: Path) -> None:
    rates = Rates(2, tmp_path / "rates", monotonic=lambda: 0.0)
    rates.admit("one")
    rates.admit("one")
    with pytest.raises(Throttled) as refused:
        rates.admit("one")
    assert refused.value.seconds == 30


def test_zero_is_no_limit(tmp_path: Path) -> None:
    rates = Rates(0, tmp_path / "rates")
    for _ in range(10_000):
        rates.admit("one")


OTHERS = """
import sys
from pathlib import Path
from healthbrain.api.rates import Rates, Throttled
rates, admitted = Rates(1000, Path(sys.argv[1]), monotonic=lambda: 5.0), 0
for _ in range(700):
    try:
        rates.admit("one")
        admitted += 1
    except Throttled:
        pass
print(admitted)
"""


def test_all_processes_of_a_server_count_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OTHERS, str(tmp_path / "rates")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(process.communicate()[0]) for process in processes) == 1000


def test_a_bucket_from_before_the_machine_started_is_full(tmp_path: Path) -> None:
    before = Rates(1, tmp_path / "rates", monotonic=lambda: 1000.0)
    before.admit("one")
    with pytest.raises(Throttled):
        before.admit("one")
    Rates(1, tmp_path / "rates", monotonic=lambda: 3.0).admit("one")


def test_more_clients_than_places_are_admitted_all_the_same(tmp_path: Path) -> None:
    rates = Rates(1, tmp_path / "rates", monotonic=lambda: 0.0)
    for number in range(80_000):
        rates.admit(str(number))
