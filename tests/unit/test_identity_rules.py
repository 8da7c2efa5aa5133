"""The pure rules of the person index: numbers, names, grouping."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.identity.evidence import evidence
from healthbrain.identity.grouping import Record, Ruling, group
from healthbrain.identity.names import name_kind, normal_name
from healthbrain.identity.numbers import IdCard, check_digit, id_card, insurance_number, judge
from healthbrain.terms import systems

TODAY = date(2026, 11, 22)


def card(birth: str = "19900101", sequence: str = "121", area: str = "310118") -> str:
    return (first := area + birth + sequence) + check_digit(first)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("11010519491231002X", "11010519491231002X"),  # the example of GB 11643
        ("11010519491231002x", "11010519491231002X"),
        (" １１０１０５ 19491231 002Ｘ", "11010519491231002X"),
        ("110105491231002", "11010519491231002X"),  # 15 digits
    ],
)
def test_an_identity_card_is_read_in_every_form(sent: str, meant: str) -> None:
    found = id_card(sent, TODAY)
    assert isinstance(found, IdCard)
    assert found.number == meant
    assert found.birth == date(1949, 12, 31)
    assert found.sex == "female"


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ("110105194912310021", "wrong-check"),
        ("11010519491331002X", "malformed"),
        ("01010519491231002X", "malformed"),
        (card("20991231"), "malformed"),
        ("无", "malformed"),
        ("000000000000000000", "malformed"),
        ("²10105194912310021", "wrong-check"),  # NFKC reads the raised two as 2: then the check digit is wrong
        ("1101051949123100", "malformed"),
    ],
)
def test_what_is_no_identity_card_is_told(sent: str, wrong: str) -> None:
    assert id_card(sent, TODAY) in {wrong, "malformed"}


@given(st.integers(0, 16), st.integers(1, 9))
def test_a_changed_digit_is_always_noticed(position: int, by: int) -> None:
    number = card("19660704", "333")
    changed = number[:position] + str((int(number[position]) + by) % 10) + number[position + 1 :]
    assert not isinstance(id_card(changed, TODAY), IdCard)


@pytest.mark.parametrize(
    ("birth", "sex", "verdict"),
    [
        ("1990-01-01", "male", "verified"),
        ("1990-01-01", "", "verified"),
        ("1990", "male", "verified"),
        ("", "male", "unconfirmed"),
        ("2020-01-01", "male", "suspect-birth"),
        ("1990-01-01", "female", "suspect-sex"),
    ],
)
def test_a_card_counts_only_when_birth_and_sex_agree(birth: str, sex: str, verdict: str) -> None:
    found = id_card(card(), TODAY)
    assert isinstance(found, IdCard)
    assert judge(found, birth, sex) == verdict


@pytest.mark.parametrize("number", ["123456789", "000000000", "11111111", "无", "12", "987654321", "0000000012"])
def test_placeholders_are_no_insurance_numbers(number: str) -> None:
    assert insurance_number(number)[1] != "verified"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("张伟", "name"),
        ("欧阳修", "name"),
        ("阿卜杜拉·买买提", "name"),
        ("王之子", "newborn"),
        ("李芳之女", "newborn"),
        ("李芳之长子", "newborn"),
        ("无名氏", "unknown"),
        ("无名氏1", "unknown"),
        ("测试", "test"),
        ("测试患者3", "test"),
        ("TEST", "test"),
        ("", "none"),
        ("王子", "name"),
        ("EVERYMAN", "name"),
    ],
)
def test_kinds_of_records_are_not_names(name: str, kind: str) -> None:
    assert name_kind(name) == kind


def test_names_are_compared_in_one_form() -> None:
    assert normal_name("张　 伟") == normal_name("张伟(老病人)") == normal_name("张伟2") == "张伟"
    assert normal_name("阿卜杜拉·买买提") == normal_name("阿卜杜拉•买买提")


def test_a_test_patient_with_a_real_card_links_to_nobody() -> None:
    resource = {
        "id": "p",
        "name": [{"text": "测试"}],
        "birthDate": "1990-01-01",
        "gender": "male",
        "identifier": [{"system": systems.ID_CARD, "value": card()}],
    }
    assert evidence(resource, patient=1, owner=1, today=TODAY).usable == frozenset()


def test_a_record_with_two_valid_cards_is_believed_in_neither() -> None:
    resource = {
        "id": "p",
        "birthDate": "1990-01-01",
        "identifier": [{"system": systems.ID_CARD, "value": card(sequence=s)} for s in ("121", "143")],
    }
    found = evidence(resource, patient=1, owner=1, today=TODAY)
    assert found.usable == frozenset()
    assert {one.verdict for one in found.identifiers} == {"contradictory"}


def key(number: int):
    from uuid import UUID

    return UUID(int=number)


RECORDS = st.lists(
    st.builds(
        lambda c, i, r: (c, i, r),
        st.sampled_from([None, 1, 2, 3]),
        st.frozensets(st.sampled_from([11, 12, 13]), max_size=2),
        st.sampled_from([None, None, None, 0, 1]),
    ),
    min_size=1,
    max_size=8,
)
RULINGS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), max_size=4)


def world(drawn, ruled):
    records = [
        Record(
            n,
            frozenset([key(c)]) if c else frozenset(),
            frozenset(key(i) for i in ins),
            owner=1,
            replaced_by=r if r != n and r is not None and r < len(drawn) else None,
        )
        for n, (c, ins, r) in enumerate(drawn)
    ]
    rulings = [
        Ruling(min(a, b), max(a, b), same, n)
        for n, (a, b, same) in enumerate(ruled)
        if a != b and a < len(drawn) and b < len(drawn)
    ]
    return records, rulings


@given(RECORDS, RULINGS, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_persons(drawn, ruled, random) -> None:
    records, rulings = world(drawn, ruled)
    first = group(records, rulings)
    shuffled = list(records)
    random.shuffle(shuffled)
    assert set(group(shuffled, rulings).blocks) == set(first.blocks)
    assert sorted(p for block in first.blocks for p in block) == [r.patient for r in records]


@given(RECORDS, RULINGS)
def test_no_person_holds_what_a_steward_kept_apart(drawn, ruled) -> None:
    records, rulings = world(drawn, ruled)
    latest = {(r.one, r.other): r.same for r in sorted(rulings, key=lambda r: r.event)}
    for block in group(records, rulings).blocks:
        for (one, other), same in latest.items():
            assert same or not {one, other} <= block


@given(RECORDS)
def test_the_rules_alone_never_join_two_different_cards(drawn) -> None:
    records, _ = world(drawn, [])
    cards = {r.patient: r.cards for r in records}
    for block in group(records).blocks:
        assert len(set().union(*(cards[p] for p in block))) <= 1


def test_an_insurance_number_held_by_two_cards_links_nobody() -> None:
    records = [
        Record(1, frozenset([key(1)]), frozenset([key(11)]), 1),
        Record(2, frozenset([key(2)]), frozenset([key(11)]), 1),
        Record(3, frozenset(), frozenset([key(11)]), 1),
    ]
    found = group(records)
    assert len(found.blocks) == 3
    assert set(found.doubts.values()) == {"contested-insurance"}
