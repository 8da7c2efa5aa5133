"""The simulated people: like the census, like real identity numbers, and the same every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthbrain.twin import District, Resident, numbers
from healthbrain.twin.chance import Numbering, Weighted, stream

END = date(2026, 11, 1)


@pytest.fixture(scope="module")
def living() -> list[Resident]:
    people = District(7, 20_000, end=END).people()
    return [who for who in people if not who.died and not who.left]


@pytest.mark.parametrize(
    ("what", "share", "tolerance"),
    [("male", 694529 / 1271424, 0.012), ("under 15", 112701 / 1271424, 0.012), ("15-59", 947150 / 1271424, 0.015),
     ("60+", 211573 / 1271424, 0.015), ("65+", 146966 / 1271424, 0.015), ("newcomers", 724106 / 1271424, 0.025)],
)  # fmt: skip
def test_margins_are_those_of_the_2020_census(
    living: list[Resident], what: str, share: float, tolerance: float
) -> None:
    ages = [(who, who.age(END)) for who in living]
    found = {
        "male": sum(who.sex == "M" for who in living),
        "under 15": sum(age < 15 for _, age in ages),
        "15-59": sum(15 <= age < 60 for _, age in ages),
        "60+": sum(age >= 60 for _, age in ages),
        "65+": sum(age >= 65 for _, age in ages),
        "newcomers": sum(not who.native for who in living),
    }
    assert found[what] / len(living) == pytest.approx(share, abs=tolerance)


def test_every_town_has_its_share_of_people(living: list[Resident]) -> None:
    counted = Counter(who.address.town.code for who in living)
    assert len(counted) == 11
    for who in living[:2000]:
        town = who.address.town
        assert counted[town.code] / len(living) == pytest.approx(town.share, abs=0.02)
        assert not who.health_record or who.health_record.startswith(town.code)


def test_id_cards_are_valid_unique_and_agree_with_birth_date_and_sex(living: list[Resident]) -> None:
    cards = [who.id_card for who in living if who.id_card]
    assert len(cards) == len(set(cards))
    assert len(cards) / len(living) > 0.99
    for who in living:
        if who.id_card:
            assert len(who.id_card) == 18
            assert numbers.check_digit(who.id_card[:17]) == who.id_card[17]
            assert who.id_card[6:14] == f"{who.born:%Y%m%d}"
            assert int(who.id_card[16]) % 2 == (1 if who.sex == "M" else 0)
    foreign = [who for who in living if who.passport]
    assert foreign
    assert not any(who.id_card for who in foreign)


def test_numbers_given_to_people_are_unique(living: list[Resident]) -> None:
    for values in (
        [who.insurance for who in living if who.insurance],
        [who.health_record for who in living if who.health_record],
    ):
        assert len(values) == len(set(values))


def test_names_are_as_varied_as_real_ones(living: list[Resident]) -> None:
    families = Counter(who.name.family for who in living if who.name.family)
    assert 0.018 < sum((n / len(living)) ** 2 for n in families.values()) < 0.036  # the country: 0.0268
    assert len({who.name.text for who in living}) > len(living) * 0.5
    assert any("·" in who.name.text for who in living)
    assert any(ord(char) > 0xFFFF for who in living for char in who.name.text)  # four bytes in GB18030


def test_families_hang_together(living: list[Resident]) -> None:
    by_key = {who.key: who for who in living}
    children = [who for who in living if who.mother in by_key and who.role == "child"]
    assert len(children) > 1000
    for child in children:
        mother = by_key[child.mother]
        assert mother.sex == "F"
        assert mother.household == child.household
        assert 19 < (child.born - mother.born).days / 365.25 < 50


def test_people_are_born_die_and_move_in_and_out_during_the_period() -> None:
    district = District(7, 8000, end=END)
    people = district.people()
    start = district.start
    assert 0.004 < sum(who.born >= start for who in people) / len(people) < 0.02
    assert 0.003 < sum(who.died is not None for who in people) / len(people) < 0.02
    assert sum(who.arrived is not None for who in people) > 100
    assert sum(who.left is not None for who in people) > 80
    for who in people:
        assert who.died is None or start <= who.died <= END


def test_a_bigger_district_contains_the_smaller_one_unchanged() -> None:
    small, big = District(3, 300, end=END).people(), District(3, 900, end=END).people()
    assert list(big[: len(small)]) == list(small)
    assert list(District(4, 300, end=END).people()) != list(small)


@given(st.integers(0, 10**7), st.sampled_from(["QPH01", "QPC05", "insurance"]))
def test_an_offices_numbers_never_meet(key: int, office: str) -> None:
    numbering = Numbering(office, 10**8)
    assert numbering.of(key) != numbering.of(key + 1)
    assert 0 <= numbering.of(key) < 10**8
    inverse = pow(numbering.factor, -1, numbering.size)
    assert (numbering.of(key) - numbering.offset) * inverse % numbering.size == key


@given(st.dates(date(1920, 1, 1), date(2026, 1, 1)), st.sampled_from("MF"), st.integers(0, 999))
def test_a_legacy_card_is_the_same_card_without_century_and_check(born: date, sex: str, order: int) -> None:
    card = numbers.id_card("310229", born, sex, order)
    legacy = numbers.legacy_id(card)
    assert len(legacy) == 15
    assert card[:6] + card[6:8] + legacy[6:] + numbers.check_digit(card[:17]) == card


@settings(max_examples=25)
@given(st.integers(0, 10**9))
def test_any_seed_makes_a_consistent_household(seed: int) -> None:
    people = District(seed, 5, end=END).people()
    assert 5 <= len(people) <= 12
    for who in people:
        assert who.born <= END
        assert who.name.text
        assert replace(who) == who


def test_weights_of_nothing_are_never_drawn() -> None:
    choice = Weighted([("a", 1.0), ("b", 0.0), ("c", 2.0)])
    rng = stream("weights")
    drawn = Counter(choice.pick(rng) for _ in range(3000))
    assert set(drawn) == {"a", "c"}
    assert drawn["c"] / 3000 == pytest.approx(2 / 3, abs=0.04)
