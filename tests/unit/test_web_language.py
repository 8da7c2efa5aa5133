"""The screens speak Chinese completely, English completely, and write numbers and times the way people do."""

from __future__ import annotations

import ast
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from healthbrain.web.language import best, language

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import update_catalogue  # noqa: E402 - a tool, not a package

WEB = ROOT / "src" / "healthbrain" / "web"
zh, en = language("zh-CN"), language("en")


def test_every_text_of_the_screens_has_a_chinese_translation_and_none_is_left_over() -> None:
    assert update_catalogue.faults(update_catalogue.texts(), update_catalogue.translations()) == []


def test_every_marked_text_in_code_is_found_by_the_extraction() -> None:
    # extraction reads tokens: a mark inside an f-string would be lost on Python 3.11
    found = update_catalogue.texts()
    for path in WEB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "N_":
                (argument,) = node.args
                if isinstance(argument, ast.Constant):
                    assert argument.value in found, f"{path.name}:{node.lineno}: {argument.value!r}"


def test_no_template_holds_chinese_text_that_english_readers_would_see() -> None:
    allowed = {"中文"}  # the name of the language itself
    for path in (WEB / "templates").glob("*.html"):
        text = path.read_text("utf-8")
        for word in allowed:
            text = text.replace(word, "")
        found = [c for c in text if "\u4e00" <= c <= "\u9fff"]
        assert not found, f"{path.name}: {''.join(found)}"


def test_missing_is_not_zero() -> None:
    assert zh.number(None) == "—"
    assert zh.number(0) == "0"
    assert zh.share(None) == "—"


@pytest.mark.parametrize(
    ("value", "chinese", "english"),
    [(12_408, "1.2万", "12,408"), (9_999, "9,999", "9,999"), (320_000_000, "3.2亿", "320.0M")],
)
def test_large_counts_use_the_units_of_the_language(value: int, chinese: str, english: str) -> None:
    assert zh.big(value) == chinese
    assert en.big(value) == english


def test_times_are_shown_in_china_time() -> None:
    at = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
    assert zh.time(at) == "2026-11-23 00:30"
    assert zh.day(at) == "2026年11月23日"
    assert en.day(at) == "23 Nov 2026"
    assert zh.short_day("2026-11-22T16:30:00Z") == "2026-11-23"
    assert zh.short_day("1960-05") == "1960-05-01"


@pytest.mark.parametrize(
    ("born", "text"),
    [("2026-11-02", "20 天"), ("2026-01-23", "9 个月"), ("1957-08-26", "69 岁"), ("2024-11-23", "23 个月")],
)
def test_ages_are_said_as_clinicians_say_them(born: str, text: str) -> None:
    assert zh.age(born, date(2026, 11, 22)) == text


def test_time_spans_and_differences_carry_unit_and_sign() -> None:
    assert zh.span(timedelta(hours=50)) == "2 天"
    assert en.ago(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC)) == "3 h ago"
    assert zh.signed(-0.6) == "−0.6"
    assert zh.signed(4.2) == "+4.2"


@pytest.mark.parametrize(
    ("accept", "tag"), [("", "zh-CN"), ("en-GB,en;q=0.9,zh;q=0.8", "en"), ("zh-TW", "zh-CN"), ("fr,de", "zh-CN")]
)
def test_chinese_is_the_language_unless_the_browser_prefers_english(accept: str, tag: str) -> None:
    assert best(accept, "zh-CN") == tag
