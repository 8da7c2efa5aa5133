"""Small counts are hidden so that nobody can work them out from what is shown."""

from __future__ import annotations

from itertools import product

from hypothesis import assume, given
from hypothesis import strategies as st

from healthbrain.measure.suppression import hide

LEAST = 5


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_no_small_count_is_shown(counts: list[int]) -> None:
    hidden = hide([(count,) for count in counts], LEAST)
    assert all(number in hidden for number, count in enumerate(counts) if 0 < count < LEAST)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5))
def test_every_hidden_count_could_have_been_another_given_the_whole_and_what_is_shown(counts: list[int]) -> None:
    hidden = sorted(hide([(count,) for count in counts], LEAST))
    assume(hidden)
    held = sum(counts[number] for number in hidden)
    if len(hidden) == len(counts):  # nothing is left to hide; the whole alone is known
        if len([count for count in counts if count]) < 2 or held <= len([count for count in counts if count]):
            return
    filled = [number for number in hidden if counts[number]]
    # who attacks knows that nobody hides a part without anybody, unless as cover
    worlds = [world for world in product(range(1, held + 1), repeat=len(filled)) if sum(world) == held]
    for place in range(len(filled)):
        assert len({world[place] for world in worlds}) > 1


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=6))
def test_numerators_and_those_outside_are_both_kept(parts: list[tuple[int, int]]) -> None:
    whole = [(above, rest, above + rest) for above, rest in parts]
    hidden = hide(whole, LEAST)
    for number, counts in enumerate(whole):
        if any(0 < count < LEAST for count in counts):
            assert number in hidden
    assert len(hidden) != 1


def test_large_counts_stay() -> None:
    assert hide([(10,), (20,), (0,)], LEAST) == set()
    assert hide([(3,), (20,), (40,)], LEAST) == {0, 1}
