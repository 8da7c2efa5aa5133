"""Statutory forms as data, and what must fit together in a filled one."""

from __future__ import annotations

from typing import Any

import pytest

from healthbrain import measure
from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.programmes import programmes
from healthbrain.measure.statutory import failed, form_named, forms, forms_of
from healthbrain.measure.statutory.checks import checked
from healthbrain.web.language import language
from healthbrain.web.pages import statutory_view

FORM = """
id: t
version: "1"
title: {zh: 表, en: form}
document: d
levels: [district]
sections:
  one:
    title: {zh: 一, en: one}
    by: sex
    columns: {male: {zh: 男, en: male}, "*": {zh: 其他, en: other}}
    rows:
      - {no: "1", title: {zh: 应, en: due}, unit: people, of: A, part: denominator}
      - {no: "2", title: {zh: 已, en: served}, unit: people, of: A, part: numerator, at_most: "1", growing: "true"}
      - {no: "3", title: {zh: 率, en: rate}, unit: "%", share: ["2", "1"], same_as: A}
"""


def filled(due: list[Any], served: list[Any], published: float = 50.0, places: float | None = None) -> dict[str, Any]:
    form = forms_of(FORM, "t")
    rates = [100 * above / below if below else None for above, below in zip(served, due, strict=True)]
    rows = [
        {
            "no": no, "title": dict(row.title), "unit": row.unit,
            "cells": [{"number": number, **({"from": ["2", "1"]} if no == "3" else {"measure": "A", "part": row.part})} for number in numbers],
        }
        for no, row, numbers in zip("123", form.rows, (due, served, rates), strict=True)
    ]  # fmt: skip
    return {
        "sections": [{"id": "one", "title": {"zh": "一", "en": "one"}, "by": "sex", "columns": [], "rows": rows}],
        "places": {} if places is None else {"1": places}, "published": {"A": published},
    }  # fmt: skip


def wrong(content: dict[str, Any], before: dict[str, Any] | None = None, *, ask: bool = False) -> set[str]:
    content["checks"] = checked(forms_of(FORM, "t"), content, before)
    return {one["id"] for one in failed(content, ask=ask)}


def test_every_row_of_every_form_rests_on_a_measure_that_is_defined() -> None:
    known = {one.id: one for one in measure.built_in()}
    for form in forms():
        for row in form.rows:
            assert not row.measure or row.measure in known, row.no
            assert not row.same_as or row.same_as in known, row.no
        for section in form.sections:
            for row in section.rows if section.by else ():
                strata = {one.id for one in known[row.measure].stratifiers} if row.measure else {section.by}
                assert section.by in strata, row.no


def test_the_form_has_every_measure_of_the_national_programmes() -> None:
    in_form = {row.measure for row in form_named("bphs").rows} | {row.same_as for row in form_named("bphs").rows}
    national = {id_ for one in programmes() for id_ in one.measures if id_.startswith("BPHS-")}
    assert national <= in_form
    with pytest.raises(NotFound):
        form_named("nothing")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('no: "2"', 'no: "1"', "stands twice"),
        ('share: ["2", "1"]', 'share: ["2", "9"]', "row 9"),
        ('share: ["2", "1"]', 'share: ["2"]', "two rows"),
        ("of: A, part: denominator", "part: denominator", "one of"),
        ("    by: sex\n", "", "go together"),
        ('unit: "%"', 'unit: "%", typed: "5"', "unknown key"),
    ],
    ids=["number-twice", "row-after", "share-of-one", "nothing", "columns-alone", "typed-number"],
)
def test_a_form_that_cannot_be_filled_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(Incorrect, match=said):
        forms_of(FORM.replace(old, new), "t")


def test_what_fits_together_fails_no_check() -> None:
    assert wrong(filled([10, 6, 4], [5, 3, 2], places=10)) == set()


def test_each_cross_check_finds_what_it_is_for() -> None:
    assert wrong(filled([10, 6, 3], [5, 3, 2])) == {"columns-1"}
    assert wrong(filled([10, 6, 4], [12, 7, 5], published=120.0)) == {"at_most-2", "share-3"}
    assert wrong(filled([10, 6, 4], [5, 1, 4])) == set()
    assert wrong(filled([10, 6, 4], [6, 1, 5], published=60.0)) == {"at_most-2", "share-3"}, "of a column alone"
    assert wrong(filled([10, 6, 4], [5, 3, 2], published=51.0)) == {"published-3"}
    assert wrong(filled([10, 6, 4], [5, 3, 2], places=9)) == {"places-1"}


def test_a_fall_against_the_report_before_and_an_empty_service_ask_for_an_explanation() -> None:
    before = filled([10, 6, 4], [5, 3, 2])
    assert wrong(filled([10, 6, 4], [4, 2, 2], published=40.0), before, ask=True) == {"growing-2"}
    assert wrong(filled([10, 6, 4], [4, 2, 2], published=40.0), before) == set()
    assert wrong(filled([None] * 3, [None] * 3), ask=True) == {"filled-one"}


def test_small_counts_go_with_everything_that_would_give_them_away() -> None:
    form = forms_of(FORM, "t")
    content = filled([100, 60, 40], [97, 60, 37], published=97.0)  # three not served
    content["checks"] = checked(form, content, None)
    shown = statutory_view.hidden(form, content)
    assert [cell["number"] for row in shown["sections"][0]["rows"] for cell in row["cells"]] == [None] * 9
    assert shown["checks"] == []
    assert content["sections"][0]["rows"][0]["cells"][0]["number"] == 100, "the kept report is untouched"
    open_ = filled([100, 60, 40], [50, 30, 20])
    open_["checks"] = []
    assert statutory_view.hidden(form, open_)["sections"] == open_["sections"]


@pytest.mark.parametrize("tag", ["zh-CN", "en"])
def test_checks_are_worded_in_both_languages(tag: Any) -> None:
    content = filled([None, 6, 3], [5, 3, 2])
    content["checks"] = checked(forms_of(FORM, "t"), content, None)
    texts = [one.text for one in statutory_view.checks(language(tag), forms_of(FORM, "t"), content, {})]
    assert texts
    assert not [text for text in texts if "%(" in text]
