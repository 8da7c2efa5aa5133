"""Which process lets a connection go."""

import os
from pathlib import Path

import pytest

from healthbrain.serve.spread import Spread, last_one


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def two(tmp_path: Path, clock: Clock) -> tuple[Spread, Spread]:
    """Two processes that live: this one and its parent."""
    path = tmp_path / "connections"
    return (
        Spread(path, monotonic=clock, process=os.getpid()),
        Spread(path, monotonic=clock, process=os.getppid()),
    )


def let_go(clock: Clock, *asking: tuple[Spread, range], seconds: float = 1.0) -> list[int]:
    """Ports of the connections that were let go while each asks a hundred times a second."""
    gone = []
    for _ in range(int(seconds * 100)):
        clock.now += 0.01
        gone += [port for spread, ports in asking for port in ports if spread.lets_go(("10.0.0.1", port))]
    return gone


def test_four_connections_on_one_of_two_processes_lose_one_at_each_look(tmp_path: Path, clock: Clock) -> None:
    busy, _ = two(tmp_path, clock)
    assert len(let_go(clock, (busy, range(4)), seconds=0.25)) == 1


def test_connections_that_are_spread_evenly_stay(tmp_path: Path, clock: Clock) -> None:
    one, other = two(tmp_path, clock)
    asking = ((other, range(10, 12)), (one, range(3)))
    let_go(clock, *asking, seconds=0.3)  # until each has told the other
    assert let_go(clock, *asking) == []


def test_connections_that_ask_now_and_then_stay(tmp_path: Path, clock: Clock) -> None:
    busy, _ = two(tmp_path, clock)
    gone = []
    for number in range(50):
        clock.now += 0.1
        gone += [busy.lets_go(("10.0.0.1", number % 6))]
    assert not any(gone)


def test_a_process_alone_lets_nobody_go(tmp_path: Path, clock: Clock) -> None:
    only = Spread(tmp_path / "connections", monotonic=clock)
    assert let_go(clock, (only, range(8))) == []


def test_of_many_connections_a_few_more_are_no_matter(tmp_path: Path, clock: Clock) -> None:
    one, other = two(tmp_path, clock)
    asking = ((other, range(100, 140)), (one, range(45)))
    let_go(clock, *asking, seconds=0.3)  # until each has told the other
    assert let_go(clock, *asking) == []


def test_the_place_of_a_process_that_is_no_more_is_given_to_the_next(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "connections"
    child = os.fork()
    if child == 0:  # a process that is gone in a moment
        os._exit(0)
    os.waitpid(child, 0)
    Spread(path, monotonic=clock, process=child)
    only = Spread(path, monotonic=clock)
    assert let_go(clock, (only, range(8))) == []


def test_the_last_answer_says_that_it_is_the_last() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"etag", b"1")]}
    last_one(start)
    assert start["headers"] == [(b"etag", b"1"), (b"connection", b"close")]
    body = {"type": "http.response.body", "body": b""}
    last_one(body)
    assert body == {"type": "http.response.body", "body": b""}
