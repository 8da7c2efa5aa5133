"""Ad-hoc analysis and the indicator workbench in the browser: ask, stop, look behind, save, compose, review, publish."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import look, settle
from tests.browser.walk import walk_around
from tests.running import Running

pytestmark = pytest.mark.browser
VISITS = "/analysis?source=emr.visit&row=start:month&col=_sex&measure=count&measure=persons"


@pytest.fixture
def open_as(signed_in: Callable[[str], BrowserContext], district: Running) -> Callable[[str, str], Page]:
    def opened(role: str, path: str) -> Page:
        context = signed_in(role)
        look(context, district.url)
        page = context.new_page()
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(path)
        settle(page)
        return page

    return opened


def test_an_indicator_being_composed_has_no_grave_barrier_and_stays_within_its_width(
    signed_in: Callable[[str], BrowserContext], district: Running, axe: str
) -> None:
    context = signed_in("cdc")
    _begin(context, district, "OWN-LOOK")
    assert walk_around(context, district.url, "/workbench/OWN-LOOK", axe, name="cdc") == []


def _begin(context: BrowserContext, district: Running, id_: str) -> None:
    look(context, district.url)
    page = context.new_page()
    page.goto("/workbench")
    if page.locator(f"a[href='/workbench/{id_}']").count() == 0:
        page.fill("#id", id_)
        page.fill("#title", "随访到位率")
        page.click("button:has-text('新建'), form[action='/workbench'] button.main")
        page.wait_for_url("**/workbench/OWN-*")
    page.close()


def test_a_question_is_built_answered_sorted_saved_pinned_and_deleted_with_undo(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("cdc", "/analysis")
    page.select_option("#source", "emr.visit")
    page.wait_for_selector("#question")
    page.select_option("#row-1", "start:month")
    page.select_option("#col-1", "_sex")
    page.select_option("#measure-1", "count")
    page.select_option("#measure-2", "persons")
    page.click("#ask")
    expect(page.locator("#pivot tbody tr").first).to_be_visible()
    assert "row=start%3Amonth" in page.url
    settle(page)
    page.click("summary:has-text('以表格查看')")
    shown = int(page.locator("#pivot tfoot td").nth(-2).inner_text().replace(",", ""))
    cells = page.locator("#pivot tbody tr td:nth-last-child(2)").all_inner_texts()
    assert sum(int(one.replace(",", "")) for one in cells) == shown
    page.fill("#name", "门诊按月")
    page.fill("#tags", "门诊,月报")
    page.click("form[action='/analysis/saved'] button.main")
    expect(page.locator(".toast")).to_contain_text("分析已保存")
    page.click("button:has-text('放到首页')")
    expect(page.locator(".toast")).to_contain_text("已放到首页")
    page.goto("/")
    page.click("a:has-text('门诊按月')")
    settle(page)
    expect(page.locator("h1")).to_have_text("门诊按月")
    with page.expect_download() as download:
        page.click("a.button:has-text('JSON')")
    assert json.loads(download.value.path().read_text("utf-8"))["question"]["rows"] == ["start:month"]
    page.click(".head button:has-text('删除')")
    expect(page.locator(".toast")).to_contain_text("分析已删除")
    expect(page.locator("#saved")).to_have_count(0)
    page.click(".toast button:has-text('撤销')")
    expect(page.locator("#saved")).to_contain_text("门诊按月")
    page.close()


def test_from_a_number_to_masked_rows_and_no_rows_for_who_sees_figures_only(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("cdc", VISITS)
    page.click("#pivot tbody td a >> nth=0")
    expect(page.locator("#rows tbody tr").first).to_be_visible()
    assert "*" in page.locator("#rows tbody tr td").nth(0).inner_text()
    behind = page.url
    page.close()
    leader = open_as("leader", VISITS)
    expect(leader.locator("#pivot tbody td a")).to_have_count(0)
    expect(leader.locator("#analysis-result .note").first).to_contain_text("只看数字")
    assert leader.request.get(behind).status == 403
    leader.close()


def test_a_wrong_question_is_refused_in_words_and_a_forecast_says_when_there_is_none(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("cdc", "/analysis?source=emr.visit&row=patient&measure=count")
    expect(page.locator("#analysis-result .note")).to_contain_text("不能用来分组")
    page.goto("/analysis?source=emr.visit&row=start:year&measure=count&ahead=2")
    expect(page.locator("#analysis-result")).to_contain_text("至少需要 5 个已结束的周期")
    page.goto("/analysis?source=emr.visit&row=start:month&measure=count&fc=class&fo=in&fv=NONE")
    expect(page.locator("#analysis-result")).to_contain_text("没有符合条件的记录")
    page.close()


def test_an_indicator_is_composed_previewed_tested_and_published_by_a_second_person(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("cdc", "/workbench")
    page.fill("#id", "OWN-SEEN")
    page.fill("#title", "在管高血压患者就诊率")
    page.click("form[action='/workbench'] button.main >> nth=0")
    page.fill("#formula", "在管高血压患者中本期有门诊的比例")
    page.click("button:has-text('保存并预览')")
    expect(page.locator("#e-document-1")).to_contain_text("请填写")
    page.fill("#document", "区文件1号")
    page.select_option("#base", "managed")
    page.click("button:has-text('保存并预览')")
    page.select_option("#fact_1-table", "contact")
    page.select_option("#conditions-c1", "service")
    page.fill("#conditions-v1", "htn-management")
    page.click("button:has-text('保存并预览')")
    page.select_option("#numerator-c1", "fact_1")
    page.select_option("#numerator-o1", "at_least")
    page.fill("#numerator-v1", "1")
    page.click("button:has-text('保存并预览')")
    expect(page.locator("#steps tbody tr")).to_have_count(6)
    page.fill("#case-name", "不在册的人")
    page.select_option("#expected", "outside")
    page.fill("#subject", "P999999999999")
    page.click("button:has-text('保存用例')")
    page.click("button:has-text('提交审核')")
    expect(page.locator("h1 .badge")).to_contain_text("审核中")
    expect(page.locator("button:has-text('发布')")).to_have_count(0)
    address = page.url.partition("?")[0]
    page.close()
    second = open_as("admin", address)
    second.click("button:has-text('发布')")
    expect(second.locator("h1 .badge")).to_contain_text("已发布")
    second.goto("/measures")
    expect(second.locator("a[href='/measures/OWN-SEEN']")).to_have_count(1)
    second.close()


def test_the_flow_of_patients_adds_up_to_the_visits_and_a_forecast_says_how_far_it_missed(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("cdc", "/analysis?source=emr.visit&row=start:month&measure=count&ahead=1")
    expect(page.locator("#analysis-result")).to_contain_text("平均误差为")
    visits = int(page.locator("#pivot tfoot td, #pivot tr:has-text('合计') td").last.inner_text().replace(",", ""))
    page.goto("/analysis?source=emr.visit&row=_town&col=_institution&measure=count")
    rows = page.locator("#pivot tbody tr:not(:has-text('合计'))")
    total = 0
    for row in rows.all():
        *cells, whole = (int(text.replace(",", "")) for text in row.locator("td").all_inner_texts())
        assert sum(cells) == whole
        total += whole
    assert total == visits > 0
    page.close()
