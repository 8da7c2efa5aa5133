"""What the cockpit says in awkward cases: no data, small groups, a changed definition, an unfinished month."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from healthbrain.measure import Figure, Headline, built_in, definition, suppression
from healthbrain.measure.compute import Coverage
from healthbrain.scope import Principal
from healthbrain.settings import Settings
from healthbrain.web.charts import Chart
from healthbrain.web.language import Tag, language
from healthbrain.web.pages import figures, rankings
from healthbrain.web.pages.cockpit_view import Alert, CockpitPage, Rank, TownValue, map_view
from healthbrain.web.screen import show
from healthbrain.web.visit import Visit

NOW = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
zh = language("zh-CN")
HTN = definition("BPHS-HTN02")
VISITS = definition("OPS-VISITS")


def figure(
    value: float | None, period: str = "2026-11", *, complete: bool = True, version: str = "1.0", of: int = 200
) -> Figure:
    met = round(of * (value or 0) / 100)
    return Figure(
        HTN.id, version, period, "district", "", date(2025, 11, 23), date(2026, 11, 22), complete, met, of, value,
        None if value is None else value - 5, None if value is None else value + 5, of < 30, Coverage(22, 24), NOW, NOW,
    )  # fmt: skip


def headline(
    now: Figure, before: Figure | None = None, year: Figure | None = None, target: float | None = None
) -> Headline:
    return Headline(HTN, now, before, year, target)


def card(one: Headline) -> Any:
    return figures.card(zh, one, url="/x", chosen=False)


def test_no_value_is_shown_as_no_data_and_never_as_zero() -> None:
    shown = card(headline(figure(None), target=60))
    assert shown.missing == "暂无数据"
    assert shown.poor is None
    assert shown.share is None


def test_a_card_of_too_few_people_says_so_and_compares_with_none_that_are_hidden() -> None:
    (few,) = suppression.suppress_headlines([headline(figure(75, of=4), figure(60, "2026-10"))])
    assert card(few).missing == "人数过少"
    assert (few.now.value, few.now.numerator, few.now.denominator) == (None, None, None)
    (kept,) = suppression.suppress_headlines([headline(figure(66), figure(75, "2026-10", of=4))])
    assert (card(kept).value, card(kept).moves) == ("66.0", [])


def test_the_legend_says_when_towns_have_too_few_people() -> None:
    towns = [TownValue("310118102", "朱家角镇", None, "人数过少", "")]
    assert map_view(zh, "x", towns, "%", 0, few=True).few
    assert not map_view(zh, "x", towns, "%", 0).few


def test_a_cockpit_without_any_measure_ranks_nothing() -> None:
    assert rankings.ranks(zh, "", [], lambda _: "", None) == []


def test_a_small_group_shows_the_range_of_the_true_share_and_a_large_one_does_not() -> None:
    assert card(headline(figure(50, of=20))).interval == "95% CI 45.0–55.0%"
    assert card(headline(figure(50, of=500))).interval == ""


def test_moves_have_sign_arrow_and_whether_they_are_wanted() -> None:
    year, month = card(headline(figure(66), figure(66.6, "2026-10"), figure(61.8, "2025-11"))).moves
    assert (year.label, year.text, year.arrow, year.good) == ("同比", "+4.2 个百分点", "up", True)
    assert (month.label, month.text, month.arrow, month.good) == ("环比", "−0.6 个百分点", "down", False)


def test_figures_of_different_definitions_are_not_compared() -> None:
    assert card(headline(figure(66), figure(60, "2026-10", version="0.9"))).moves == []


def test_a_time_without_any_record_is_nothing_to_compare_with() -> None:
    assert card(headline(figure(66), figure(0, "2026-10"))).moves == []


def test_an_unfinished_month_says_so() -> None:
    assert card(headline(figure(66, complete=False))).coverage == "2026年11月（截至目前）"


@pytest.mark.parametrize(
    ("value", "target", "missed"), [(64.9, 65, True), (65, 65, False), (None, 65, None), (10, None, None)]
)
def test_a_target_is_missed_only_below_it(value: float | None, target: float | None, missed: bool | None) -> None:
    assert figures.poor(HTN, value, target) is missed


def test_a_new_definition_breaks_the_series_and_the_open_end_is_shaded() -> None:
    series = [figure(50, "2026-09", version="0.9"), figure(60, "2026-10"), figure(61, "2026-11", complete=False)]
    chart = figures.trend_chart(zh, "t", "t", HTN, [("区", series)])
    assert chart.breaks == [("2026-10", "v0.9 → v1.0")]
    assert chart.open_from == "2026-10"


def test_the_map_legend_ends_where_shares_end() -> None:
    towns = [TownValue(str(n), "x", value, "", "") for n, value in enumerate([66.7, 100.0, None])]
    view = map_view(zh, "t", towns, "%", 0)
    assert not any("110" in text for _, text in view.legend)
    assert [town["level"] for town in view.drawing()["towns"]][2] == 0


@pytest.mark.parametrize("tag", ["zh-CN", "en"])
@pytest.mark.parametrize("template", ["cockpit.html", "wall.html"])
def test_the_screen_renders_without_any_figure_and_stays_small(template: str, tag: Tag) -> None:
    empty = CockpitPage(
        "t", "", "—", [], "—", "—", "", "", [], "", [], map_view(zh, "", [], "", 0), [], [], "", Chart("t", "t", (), ()),
        None, [], "/x",
    )  # fmt: skip
    html = bytes(show(visit(tag), template, empty).body).decode()
    assert len(html) < 60_000
    assert "None" not in html


def test_text_from_data_cannot_become_markup() -> None:
    page = CockpitPage(
        "<b>", "", "—", [], "—", "—", "", "", [], "", [], map_view(zh, "", [], "", 0), [Rank(1, "<script>", "1%")], [],
        "", Chart("t", "t", (), ()), None, [Alert("bad", "alert", "<img src=x>", "", "", "")], "/x",
    )  # fmt: skip
    html = bytes(show(visit("zh-CN"), "cockpit.html", page).body).decode()
    assert "<script>" not in html
    assert "<img src=x>" not in html


def visit(tag: Tag) -> Visit:
    request = Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/cockpit",
            "query_string": b"",
            "headers": [],
            "scheme": "http",
            "server": ("x", 80),
        }
    )
    platform = cast(Any, SimpleNamespace(settings=Settings()))
    return Visit(request, platform, language(tag), "light", NOW, Principal("a", "A", "leader", 1, "HOPERAT"), "s")


@pytest.mark.parametrize(
    ("period", "chinese"),
    [("2026-11", "2026年11月"), ("2026-W47", "2026年第47周"), ("2026-Q3", "2026年第3季度"), ("2026", "2026年")],
)
def test_every_kind_of_period_is_said_in_words(period: str, chinese: str) -> None:
    assert figures.period_text(zh, period) == chinese


@pytest.mark.parametrize("measure", [one.id for one in built_in()])
def test_every_measure_has_a_unit_decimals_and_a_chart_even_without_a_figure(measure: str) -> None:
    definition = next(one for one in built_in() if one.id == measure)
    for said in (zh, language("en")):
        assert figures.unit(said, definition)
        chart = figures.trend_chart(said, "trend", "t", definition, [("区", [])], csv="")
        assert chart is not None
    assert figures.digits(definition) in (0, 1, 2)
