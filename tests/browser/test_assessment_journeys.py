"""Assessments and monitors in the browser: compose a scheme, assess, publish, appeal, answer, reproduce; be told of a crossing."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import look, settle
from tests.running import Running

pytestmark = pytest.mark.browser
MONTH = f"{datetime.now(UTC):%Y-%m}"


@pytest.fixture(scope="module")
def opened(signed_in: Callable[[str], BrowserContext], district: Running) -> Callable[[str, str], Page]:
    def as_role(role: str, path: str) -> Page:
        context = signed_in(role)
        look(context, district.url)
        page = context.new_page()
        page.goto(path)
        settle(page)
        return page

    return as_role


@pytest.fixture(scope="module")
def run(opened: Callable[[str, str], Page]) -> str:
    """The address of a published assessment by an own scheme, made on the screens."""
    page = opened("cdc", "/assessments/schemes/hospital-service?edit=copy")
    page.fill("#title", "医院试行考核")
    page.select_option("#period", "month")
    page.fill("#least", "10")
    page.fill("#weight-1", "24")
    page.locator("button", has_text="存为自建方案").click()
    expect(page.locator(".note.bad")).to_contain_text("权重合计为 99，不是 100")
    assert page.input_value("#title") == "医院试行考核", "what was typed is kept"
    page.fill("#weight-1", "25")
    page.locator("#weight-1").blur()
    expect(page.locator("#weights")).to_contain_text("合计 100")
    page.locator("button", has_text="存为自建方案").click()
    expect(page.locator("h1")).to_contain_text("医院试行考核")
    page.goto("/assessments")
    page.select_option("#scheme", label="医院试行考核 (月度)")
    page.fill("#period", MONTH)
    page.locator("button", has_text="开始考核").click()
    expect(page.locator("h1")).to_contain_text("草稿")
    address = re.sub(r"\?.*", "", page.url)
    page.locator("button", has_text=re.compile("^公布|发布$")).first.click()
    expect(page.locator("h1")).to_contain_text("已发布")
    page.close()
    return address


def test_an_institution_appeals_and_the_commission_answers_and_reproduces_the_result(
    run: str, opened: Callable[[str, str], Page]
) -> None:
    page = opened("manager", "/assessments")
    page.locator("a.rowlink", has_text="医院试行考核").click()
    assert re.search(r"/units/\d+$", page.url), "its own sheet and nothing else"
    sheet = page.url
    page.select_option("#kind", "appeal")
    page.fill("#text", "互联网诊疗数据迟报，请复核")
    page.locator("button", has_text="提交").click()
    expect(page.locator("#said")).to_contain_text("互联网诊疗数据迟报")
    assert page.request.get(run).url == sheet, "the ranking of all is not open to it"
    page.close()
    page = opened("cdc", sheet)
    page.locator("#said input[name=text]").fill("补报后另行考核")
    page.select_option("#said select[name=outcome]", "upheld")
    page.locator("#said button", has_text="答复").click()
    expect(page.locator("#said")).to_contain_text("申诉成立")
    page.goto(run)
    page.click("#verify")
    expect(page.locator(".note.ok")).to_contain_text("摘要一致")
    page.click("#today")
    expect(page.locator("#h-proof")).to_be_visible()
    page.locator("#ranking a.rowlink").first.click()
    figure = page.locator("table a[href^='/measures/']").first
    figure.click()
    settle(page)
    assert "/measures/" in page.url
    page.close()


def test_a_monitor_is_judged_by_the_worker_told_on_the_home_page_and_seen(
    opened: Callable[[str, str], Page], district: Running
) -> None:
    page = opened("cdc", "/analysis?source=emr.visit&row=_institution&measure=count&ws=above&wv=1")
    page.fill("#name", "就诊越线")
    page.locator("button", has_text=re.compile("^保存$")).click()
    page.wait_for_url("**said=saved**")
    district.hb("monitor", "judge")
    page.goto("/")
    page.locator(".lights a", has_text="监控").click()
    line = page.locator("#monitors tr", has_text="就诊越线")
    expect(line).to_contain_text("已达到或越过阈值")
    line.locator("button", has_text="已阅").click()
    expect(page.locator("#monitors tr", has_text="就诊越线").locator("button", has_text="已阅")).to_have_count(0)
    page.close()
