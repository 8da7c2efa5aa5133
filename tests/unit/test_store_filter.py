"""The grammar of _filter: what it reads, and where it says that it cannot."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.errors import HealthBrainError, Incorrect, TooLarge
from healthbrain.store.filtering import Both, Check, Not, Step, read_filter


def test_tests_and_and_or_are_read_from_left_to_right():
    a, b, c = (Check((Step(name),), "eq", "1") for name in "abc")
    assert read_filter("a eq 1 or b eq 1 and c eq 1") == Both("and", Both("or", a, b), c)
    assert read_filter("a eq 1 or (b eq 1 and c eq 1)") == Both("or", a, Both("and", b, c))
    assert read_filter(" not( a eq 1 )or not (b eq 1) ") == Both("or", Not(a), Not(b))


def test_paths_have_chains_and_filters_of_their_own():
    inner = Check((Step("type"),), "eq", "has-component")
    assert read_filter('related[type eq "has-component"].target pr false') == Check(
        (Step("related", inner), Step("target")), "pr", "false"
    )
    assert read_filter("subject.organization.name co x") == Check(
        (Step("subject"), Step("organization"), Step("name")), "co", "x"
    )


def test_values_are_json_strings_or_words():
    assert read_filter(r'name co "a b) \"c\" \u5f20"') == Check((Step("name"),), "co", 'a b) "c" 张')
    assert read_filter("code eq http://loinc.org|1234-5") == Check((Step("code"),), "eq", "http://loinc.org|1234-5")
    assert read_filter("not eq 1") == Check((Step("not"),), "eq", "1"), "a parameter could have this name"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "character 1: the name"),
        ("name", "character 5: an operator"),
        ("name is x", "character 6: an operator is one of eq, ne"),
        ("name eq", "character 8: a value"),
        ('name eq "x', "character 9: the text"),
        ("name eq x)", "character 10: the filter should end"),
        ("(name eq x", r"character 11: '\)' is expected"),
        ("name eq x and", "character 14: the name"),
        ("a[b eq c] eq d", "character 11: a filter in brackets"),
        ("a[b eq c.d eq e", r"character 12: '\]' is expected"),
        ('name eq "\\x"', "as in JSON"),
    ],
)
def test_an_error_names_the_character(text, says):
    with pytest.raises(Incorrect, match=says):
        read_filter(text)


def test_size_is_bounded():
    for text in ("(" * 50 + "a eq 1" + ")" * 50, " or ".join(["a eq 1"] * 101), "a eq " + "1" * 9000):
        with pytest.raises(TooLarge):
            read_filter(text)


@given(st.text(alphabet='abnotrdeq ()[]."\\1|-', max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(HealthBrainError):
        read_filter(text)
