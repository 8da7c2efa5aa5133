"""Words of Chinese and Latin text: whatever part of a text is searched, it is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.store.words import content_words, holds, narrative_words, terms, tsquery, words


@pytest.mark.parametrize(
    ("text", "asked", "found"),
    [
        ("患者有高血压病史", "高血压", True),
        ("患者有高血压病史", "血压病", True),
        ("患者有高血压病史", "史", True),
        ("患者有高血压病史", "低血压", False),
        ("胃癌", "癌", True),
        ("Type 2 Diabetes mellitus", "diabet", True),
        ("Type 2 Diabetes mellitus", "DIABETES type", True),
        ("Type 2 Diabetes mellitus", "iabetes", False),
        ("Müller", "muller", True),
        ("青浦区12组", "12组", True),
        ("ＣＴ检查", "ct", True),
        ("高 血压", "高血压", False),
    ],
)
def test_a_text_is_found_by_its_parts(text, asked, found):
    assert holds(words(text), terms(asked)) is found


@given(st.text(alphabet="高血压糖尿病", min_size=1, max_size=12), st.data())
def test_every_part_of_a_chinese_text_finds_it(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert holds(words(text), terms(text[start:end]))


@given(st.text(max_size=30))
def test_no_text_makes_a_query_that_could_be_something_else(text):
    for term in terms(text):
        assert not set(term.word) & set("'&|!():*\\ <>")
    assert tsquery(terms(text)).count("'") == 2 * len(terms(text))


def test_addresses_and_markup_are_not_read():
    resource = {
        "resourceType": "Observation",
        "text": {"status": "generated", "div": '<div class="secret">narrated <b>twice</b></div>'},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "收缩压"}]},
        "subject": {"reference": "Patient/hidden", "display": "张三"},
        "note": [{"text": "remark"}],
    }
    found = content_words(resource)
    assert {"remark", "收缩", "张三", "narrated", "8480"} <= found
    assert not {"loinc", "hidden", "secret", "http", "observation"} & found
    assert narrative_words(resource) == {"narrated", "twice"}
