"""Plan monitoring in the browser: a leader issues and reviews, a unit answers, values are entered, reports are published."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import load_workbook
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import look, settle
from tests.running import Running

pytestmark = pytest.mark.browser


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


def test_a_leader_filters_by_light_and_reads_what_the_light_rests_on(open_as: Callable[[str, str], Page]) -> None:
    page = open_as("leader", "/plans")
    page.click("a.door:has-text('青浦区数字健康城区建设规划')")
    expect(page.locator("#plan-list tbody tr")).to_have_count(15)
    page.select_option("#light", "no_data")
    expect(page.locator("#plan-list tbody tr:not(:has-text('无数据'))")).to_have_count(0)
    assert "light=no_data" in page.url
    page.fill("#words", "健康素养")
    page.select_option("#light", "")
    expect(page.locator("#plan-list tbody tr")).to_have_count(1)
    page.click("#plan-list a.rowlink")
    settle(page)
    page.click("summary:has-text('以表格查看')")
    expect(page.locator("figure.chart tbody tr").last).to_contain_text("2030")
    expect(page.locator("dl.facts").first).to_contain_text("依据 7 个数据点")
    page.close()


def test_notices_are_previewed_issued_together_and_taken_back(open_as: Callable[[str, str], Page]) -> None:
    page = open_as("leader", "/plans/qingpu/notices?more=1")
    boxes = page.locator("input[name='indicator']:not([disabled])")
    count = boxes.count()
    assert count >= 2
    for index in range(2, count):
        boxes.nth(index).uncheck()
    page.locator("textarea:visible").first.fill("请于本月底前整改到位并反馈。")
    page.click("text=下发所选通报")
    expect(page.locator(".toast")).to_contain_text("已下发 2 份通报")
    expect(page.locator("#task-list .badge", has_text="待发出")).to_have_count(2)
    page.click(".toast button:has-text('撤销')")
    expect(page.locator(".toast")).to_contain_text("通报已撤回")
    expect(page.locator("#task-list .badge", has_text="待发出")).to_have_count(0)
    page.close()


def test_a_unit_signs_and_answers_with_a_file_and_the_leader_sends_back_and_closes(
    open_as: Callable[[str, str], Page], tmp_path: Path
) -> None:
    proof = tmp_path / "整改清单.csv"
    proof.write_text("序号,措施\n1,补随访\n", "utf-8")
    unit = open_as("manager", "/")
    unit.click(".lights a:has-text('待反馈通报')")
    unit.click("#task-list tr:has-text('待签收') a.rowlink >> nth=0")
    address = unit.url
    unit.click("button:has-text('签收')")
    expect(unit.locator("h1 .badge")).to_have_text(re.compile("办理中"))
    unit.fill("#text-answer", "已逐户核查，补随访 120 人。")
    unit.set_input_files("#file-answer", str(proof))
    unit.click("details[open] button:has-text('反馈')")
    expect(unit.locator("h1 .badge")).to_have_text(re.compile("待审核"))
    leader = open_as("leader", address)
    with leader.expect_download() as download:
        leader.click(".steps a:has-text('整改清单.csv')")
    assert "补随访" in download.value.path().read_text("utf-8")
    leader.click("summary:has-text('退回补充')")
    leader.fill("#text-return", "请附名单。")
    leader.click("details[open] button:has-text('退回补充')")
    expect(leader.locator("h1 .badge")).to_have_text(re.compile("退回补充"))
    leader.click("summary:has-text('办结')")
    leader.fill("#text-close", "整改到位。")
    leader.click("details[open] button:has-text('办结')")
    expect(leader.locator("h1 .badge")).to_have_text(re.compile("已办结"))
    assert leader.locator(".steps li").count() >= 5
    unit.close()
    leader.close()


def test_a_unit_sees_its_own_tasks_only_and_no_figures_of_the_district(open_as: Callable[[str, str], Page]) -> None:
    page = open_as("manager", "/supervision")
    shown = page.locator("#task-list tbody tr")
    assert 0 < shown.count() == page.locator("#task-list td:has-text('青浦区中心医院')").count()
    assert page.request.get("/supervision/3").status == 404
    assert page.request.get("/plans/qingpu").status == 403
    assert page.request.get("/entries").status == 403
    assert page.request.get("/reports").status == 403
    page.close()


def test_a_value_is_corrected_with_a_reason_and_both_stay_in_its_history(open_as: Callable[[str, str], Page]) -> None:
    page = open_as("cdc", "/entries?measure=IND-Q-04")
    page.fill("#period", "2025")
    page.fill("#value", "36.4")
    page.fill("#document", "健康素养监测通报（更正）")
    page.fill("#dated", "2026-04-01")
    page.click("form[action='/entries'] button:has-text('保存')")
    expect(page.locator(".note.bad")).to_contain_text("请填写更正理由")
    assert page.input_value("#value") == "36.4"
    page.fill("#reason", "复核后更正")
    page.click("form[action='/entries'] button:has-text('保存')")
    expect(page.locator(".toast")).to_contain_text("经另一人审批后生效")
    assert page.locator("button:has-text('批准')").count() == 0, "not by who entered it"
    second = open_as("admin", "/entries")
    second.click("li:has-text('居民健康素养水平'):has-text('36.4') button:has-text('批准')")
    expect(second.locator(".toast")).to_contain_text("已批准")
    second.close()
    page.goto("/entries?measure=IND-Q-04")
    page.click("tbody tr:has-text('2025') a.rowlink")
    expect(page.locator(".steps li")).to_have_count(2)
    expect(page.locator(".steps")).to_contain_text("复核后更正")
    expect(page.locator(".steps")).to_contain_text("演示用虚构数据")
    page.goto("/plans/qingpu/indicators/IND-Q-04")
    expect(page.locator("dl.facts").first).to_contain_text("36.4")
    page.close()


def test_the_template_is_filled_in_previewed_and_only_good_lines_are_kept(
    open_as: Callable[[str, str], Page], tmp_path: Path
) -> None:
    page = open_as("cdc", "/entries")
    answer = page.request.get("/entries/template?plan=qingpu")
    book = load_workbook(io.BytesIO(answer.body()))
    sheet = book.worksheets[0]
    sheet.append(["IND-Q-04", "", "", "2018", 27.5, None, None, "监测通报", "2019-03-31"])
    sheet.append(["IND-Q-04", "", "", "2017", 270, None, None, "监测通报", "2018-03-31"])
    book.save(tmp_path / "填报.xlsx")
    page.set_input_files("#file", str(tmp_path / "填报.xlsx"))
    page.click("text=预览文件")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").nth(1)).to_contain_text("数值不合理")
    page.click("text=确认导入 1 行")
    expect(page.locator(".toast")).to_contain_text("经另一人审批后生效")
    expect(page.locator("#h-waiting").locator("xpath=ancestor::section")).to_contain_text("2018")
    expect(page.locator("tbody tr:has-text('2017')")).to_have_count(0)
    page.close()


def test_a_report_is_made_changed_published_and_downloaded_in_three_formats(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("cdc", "/reports?plan=qingpu")
    page.select_option("#kind", "final")
    page.fill("#period", "2025")
    page.click("button:has-text('生成报告')")
    ready = page.locator("a:has-text('报告已生成，点此阅读'), .paper").first
    expect(ready).to_be_visible(timeout=20_000)
    page.reload()
    expect(page.locator(".paper")).to_contain_text("规划目标完成情况")
    page.click("text=修改文字")
    page.fill("#text-overview", "经领导小组审定，规划总体进展平稳。")
    page.click("text=保存草稿")
    expect(page.locator(".paper")).to_contain_text("编写人已修改")
    page.click("text=发布并固化")
    expect(page.locator(".toast")).to_contain_text("已发布并固化")
    assert page.locator("text=修改文字").count() == 0
    starts = {"pdf": b"%PDF-", "docx": b"PK", "xlsx": b"PK"}
    for kind, start in starts.items():
        answer = page.request.get(f"{page.url.split('?')[0]}/file.{kind}")
        assert answer.ok
        assert answer.body().startswith(start)
    page.goto("/reports")
    expect(page.locator("tbody tr").first).to_contain_text("已发布")
    page.close()
