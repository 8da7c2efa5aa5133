"""Own dashboards in the browser: compose, move by keyboard, undo, share; each viewer sees what the own permissions allow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import look, settle
from tests.browser.walk import walk_around
from tests.running import Running

pytestmark = pytest.mark.browser
VISITS = "/analysis?source=emr.visit&row=_sex&measure=count"


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


def add(page: Page, kind: str, field: str, value: str) -> None:
    page.select_option("#kind", kind)
    page.click(".edit-bar form[method='get'] button")
    if field == "text":
        page.fill("#text", value)
    else:
        page.select_option(f"#{field}", value)
    page.click("form.stack button.main")
    expect(page.locator(".toast")).to_contain_text("图块已添加")


def tiles(page: Page) -> list[str | None]:
    return [one.get_attribute("data-tile") for one in page.locator("[data-tile]").all()]


def test_a_board_is_composed_shared_and_shows_each_viewer_what_the_own_permissions_allow(
    open_as: Callable[[str, str], Page],
) -> None:
    page = open_as("leader", VISITS)
    page.fill("#name", "门诊按性别")
    page.click("form[action='/analysis/saved'] button.main")
    expect(page.locator(".toast")).to_contain_text("分析已保存")
    page.goto("/dashboards")
    page.fill("#name", "我的看板")
    page.click("form[action='/dashboards'] button.main")
    add(page, "trend", "measure", "HTN-MANAGED")
    add(page, "ranking", "measure", "HTN-MANAGED")
    add(page, "note", "text", "请看 <b>趋势</b>")
    page.select_option("#kind", "question")
    page.click(".edit-bar form[method='get'] button")
    page.select_option("#saved", label="门诊按性别")
    page.click("form.stack button.main")
    assert tiles(page) == ["t1", "t2", "t3", "t4"]
    page.focus("#left-t3")
    page.keyboard.press("Enter")
    expect(page.locator("[data-tile]").nth(1)).to_have_attribute("data-tile", "t3")
    expect(page.locator("#left-t3")).to_be_focused()
    page.click("#remove-t2")
    expect(page.locator("[data-tile]")).to_have_count(3)
    page.click("#undo")
    expect(page.locator("[data-tile]")).to_have_count(4)
    assert tiles(page) == ["t1", "t3", "t2", "t4"]
    page.select_option("#b-shared", "organisation")
    page.click("section:has(#h-settings) button.main")
    expect(page.locator(".meta").first).to_contain_text("本单位")
    address = page.url.partition("?")[0]
    page.goto(address)
    settle(page)
    expect(page.locator("#tile-t4 table")).to_have_count(1)
    expect(page.locator("#tile-t3")).to_contain_text("请看 <b>趋势</b>")
    expect(page.locator("#origins a[href='/measures/HTN-MANAGED']")).to_have_count(1)
    expect(page.locator("#origins a[href='/catalogue/emr/visit']").first).to_be_visible()
    with page.expect_download() as download:
        page.click("#tile-t1 .files a:has-text('CSV')")
    assert "2026-" in download.value.path().read_text("utf-8-sig")
    page.close()

    other = open_as("cdc", address)
    expect(other.locator("#tile-t4 .note")).to_contain_text("没有")
    expect(other.locator("#tile-t1 .plot")).to_have_count(1)
    expect(other.locator("a:has-text('编辑')")).to_have_count(0)
    assert other.request.get(f"{address}/tiles/new?kind=note").status == 404
    other.close()
    manager = open_as("manager", address)
    expect(manager.locator("#tile-t2 .note")).to_contain_text("不能查看其他机构")
    manager.close()

    owner = open_as("leader", address)
    with owner.expect_download() as download:
        owner.click("a.button:has-text('YAML')")
    carried = yaml.safe_load(download.value.path().read_text("utf-8"))
    assert [one["kind"] for one in carried["tiles"]] == ["trend", "note", "ranking", "question"]
    assert carried["tiles"][3]["question"]["source"] == "emr.visit"
    owner.click(".head button:has-text('删除')")
    expect(owner.locator(".toast")).to_contain_text("看板已删除")
    owner.click(".toast button:has-text('撤销')")
    expect(owner.locator("h1")).to_have_text("我的看板")
    owner.close()


def test_a_board_on_the_wall_or_being_composed_has_no_grave_barrier_and_stays_within_its_width(
    signed_in: Callable[[str], BrowserContext], district: Running, axe: str
) -> None:
    context = signed_in("cdc")
    wall = walk_around(
        context, district.url, "/dashboards/district-overview/wall", axe, looks=(("zh-CN", "dark", (1920, 390)),)
    )
    assert wall == []
    assert walk_around(context, district.url, _copy(context, district), axe) == []


def _copy(context: BrowserContext, district: Running) -> str:
    """The address at which a copy of a built-in board is edited."""
    look(context, district.url)
    page = context.new_page()
    page.goto("/dashboards/chronic-care")
    page.click(".head button:has-text('复制')")
    page.wait_for_url("**edit=1**")
    found = page.url.partition("&")[0].removeprefix(district.url)
    page.close()
    return found
