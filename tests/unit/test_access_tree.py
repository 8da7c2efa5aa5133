"""The organisation tree as a value."""

from __future__ import annotations

import time

import pytest

from healthbrain.access import Organisation, Tree
from healthbrain.errors import NotFound


def small() -> Tree:
    return Tree(
        [
            Organisation(1, "SH", "上海市", "municipality", None, "org-SH"),
            Organisation(2, "QP00", "青浦区", "district", 1, "org-QP00", "", "310118"),
            Organisation(3, "XH00", "徐汇区", "district", 1, "org-XH00", "", "310104"),
            Organisation(4, "QPZS", "中山医院青浦分院", "institution", 2),
            Organisation(5, "QPZS-T1", "家庭医生一组", "team", 4),
            Organisation(6, "QPXY", "夏阳社区卫生服务中心", "institution", 2, None, "", "310118001"),
            Organisation(7, "Q", "待核实来源", "quarantine", None),
        ]
    )


def test_a_subtree_is_the_organisation_with_everything_below_it() -> None:
    tree = small()
    assert set(tree.subtree(2)) == {2, 4, 5, 6}
    assert set(tree.subtree(1)) == {1, 2, 3, 4, 5, 6}
    assert tree.subtree(5) == (5,)
    assert tree.subtree(99) == ()


def test_organisations_are_found_by_code_by_fhir_id_and_from_below() -> None:
    tree = small()
    found = tree.by_code("QPZS")
    assert found is not None
    assert found.key == 4
    assert tree.by_fhir("org-XH00") == tree[3]
    assert tree.by_code("none") is None
    assert tree.ancestors(5) == (4, 2, 1)
    assert tree.nearest(5, "district") == 2
    assert tree.nearest(5, "institution") == 4
    assert tree.nearest(7, "district") is None
    assert tree.division(5) == "310118"
    assert tree.division(6) == "310118001"
    assert tree.name(99) == ""
    assert {child.key for child in tree.children(2)} == {4, 6}
    with pytest.raises(NotFound):
        tree[99]


def test_only_the_subtree_of_a_single_root_covers_everything() -> None:
    tree = small()
    assert not tree.covers_all(1)  # the quarantine hangs apart
    alone = Tree([node for node in tree if node.key != 7])
    assert alone.covers_all(1)
    assert not alone.covers_all(2)
    assert not Tree([]).covers_all(1)
    assert Tree([]).root is None


def test_a_city_of_twenty_thousand_institutions_answers_at_once() -> None:
    nodes = [Organisation(1, "SH", "", "municipality")]
    nodes += [Organisation(10 + d, f"D{d}", "", "district", 1) for d in range(16)]
    nodes += [Organisation(100 + i, f"I{i}", "", "institution", 10 + i % 16) for i in range(20_000)]
    tree = Tree(nodes)
    begun = time.perf_counter()
    for _ in range(1000):
        assert len(tree.subtree(10)) == 1251
    assert time.perf_counter() - begun < 1.0
