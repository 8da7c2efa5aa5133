"""Where the twin's chance comes from: one independent stream of random numbers per thing.

A stream is opened by its keys (seed, kind, number), so what happens to one household never depends on how many
others there are or in which order they are made: a bigger district holds the smaller one unchanged. Only
`random()` and `gauss()` of the Mersenne Twister are drawn, whose sequences Python keeps from version to version.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


def stream(*keys: object) -> Random:
    """The stream of random numbers that belongs to `keys`.

    >>> stream(1, "household", 7).random() == stream(1, "household", 7).random()
    True
    """
    return Random(number(*keys))


def number(*keys: object) -> int:
    """A fixed 64-bit number for `keys`."""
    return int.from_bytes(blake2b("/".join(map(str, keys)).encode(), digest_size=8).digest(), "big")


def pick(rng: Random, values: Sequence[T]) -> T:
    """One of `values`, each as likely."""
    return values[int(rng.random() * len(values))]


def whole(rng: Random, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


class Weighted(Generic[T]):
    """Values with weights, drawn in proportion to them.

    >>> Weighted([("a", 1.0), ("b", 0.0)]).pick(stream(1))
    'a'
    """

    __slots__ = ("cumulative", "total", "values")

    def __init__(self, pairs: Iterable[tuple[T, float]]) -> None:
        kept = [(value, weight) for value, weight in pairs if weight > 0]
        self.values = [value for value, _ in kept]
        self.cumulative = list(accumulate(weight for _, weight in kept))
        self.total = self.cumulative[-1] if kept else 0.0

    def pick(self, rng: Random) -> T:
        """One value."""
        return self.values[bisect_right(self.cumulative, rng.random() * self.total)]

    def __bool__(self) -> bool:
        return bool(self.values)


class Numbering:
    """Numbers that an office gives out: each key gets its own, without order that shows when it came.

    A permutation of [0, size), different for each office, so that two offices' numbers of one person have
    nothing in common.
    """

    __slots__ = ("factor", "offset", "size")

    def __init__(self, office: str, size: int) -> None:
        seed = number("numbering", office)
        factor = seed % size | 1
        while factor % 5 == 0:
            factor += 2
        self.factor, self.offset, self.size = factor, seed // size % size, size

    def of(self, key: int) -> int:
        """The office's number for `key`; `size` is a power of ten, so odd factors not divisible by 5 permute."""
        return (key * self.factor + self.offset) % self.size
