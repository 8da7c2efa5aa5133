"""People do their work: each role walks its way through the screens as it would on a Monday."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import PASSWORD, look, settle
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def page(request: pytest.FixtureRequest, signed_in: Callable[[str], BrowserContext], district: Running) -> Page:
    context = signed_in(request.param)
    look(context, district.url)
    page = context.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    return page


@pytest.mark.parametrize("page", ["cdc"], indirect=True)
def test_an_epidemiologist_walks_from_a_figure_down_to_the_message_it_came_from(page: Page) -> None:
    page.goto("/cockpit?measure=BPHS-HTN02")
    settle(page)
    page.click(".towns .rank a >> nth=0")
    settle(page)
    assert "area=310118" in page.url
    page.click("text=查看名单")
    page.click("tbody a[href^='/residents/P'] >> nth=0")
    expect(page.locator(".person .name")).to_be_visible()
    page.click(".from a >> nth=0")
    expect(page.locator("h1.mono")).to_be_visible()
    page.click("a[href^='/arrivals/'] >> nth=0")
    expect(page.locator("#raw .raw li").first).to_be_visible()


@pytest.mark.parametrize("page", ["leader"], indirect=True)
def test_a_leader_sees_no_names_before_stating_a_purpose_and_can_go_back(page: Page) -> None:
    page.goto("/cockpit/persons?measure=BPHS-HTN02")
    assert "*" in page.inner_text("tbody tr >> nth=0")
    assert page.locator("tbody a[href^='/residents/']").count() == 0
    page.fill("#reason", "慢病管理调研抽查")
    page.click("form[action='/purpose'] button.main")
    expect(page.locator("tbody a[href^='/residents/P']").first).to_be_visible()
    page.click(".purpose button")
    page.goto("/cockpit/persons?measure=BPHS-HTN02")
    assert page.locator("tbody a[href^='/residents/']").count() == 0


@pytest.mark.parametrize("page", ["admin"], indirect=True)
def test_an_administrator_replays_a_refused_message_and_finds_both_attempts(page: Page) -> None:
    page.goto("/arrivals?state=refused")
    page.click("#arrival-list tbody a >> nth=0")
    page.click("summary:has-text('重放')")
    page.click("text=立即重放")
    expect(page.locator("h2:has-text('历次处理')")).to_be_visible()


@pytest.mark.parametrize("page", ["admin"], indirect=True)
def test_replaying_all_that_is_listed_shows_its_progress_to_the_end(page: Page) -> None:
    page.goto("/arrivals?state=refused")
    page.click("summary:has-text('重放筛选结果')")
    page.click("form[action='/arrivals/replay'] button.main")
    expect(page.locator("#replay-progress")).to_contain_text("已完成", timeout=30_000)


@pytest.mark.parametrize("page", ["admin"], indirect=True)
def test_filters_change_the_list_and_the_address_without_a_new_page(page: Page) -> None:
    page.goto("/arrivals")
    page.evaluate("window.stayed = true")
    page.select_option("#state", "refused")
    expect(page.locator("#arrival-list .badge.ok")).to_have_count(0)
    assert "state=refused" in page.url
    assert page.evaluate("window.stayed") is True


@pytest.mark.parametrize("page", ["cdc"], indirect=True)
def test_reasons_are_in_chinese_and_found_by_any_of_their_words(page: Page) -> None:
    page.goto("/arrivals")
    why = page.locator("section[aria-labelledby='h-why'] ol a").first
    text = why.inner_text()
    assert re.search(r"[\u4e00-\u9fff]{3}", text)
    why.click()
    expect(page.locator(".chosen")).to_be_visible()
    shown = page.inner_text("#arrival-list tbody tr >> nth=0 >> td >> nth=-1")
    page.click(".chosen a")
    page.select_option("#state", "refused")
    page.fill("#reason-text", shown[-6:])
    page.wait_for_url("**reason=**")
    expect(page.locator("#arrival-list tbody tr").first).to_contain_text(shown[-6:])
    page.fill("#reason-text", "没有任何理由含有这句话")
    expect(page.locator("#arrival-list tbody tr")).to_have_count(0)


@pytest.mark.parametrize("page", ["admin"], indirect=True)
def test_an_administrator_blocks_a_source_with_a_reason_and_lifts_the_block(page: Page) -> None:
    page.goto("/sources")
    row = page.locator("tbody tr").first
    row.locator("summary").click()
    row.locator("input[name='reason']").fill("令牌疑似泄露")
    row.locator("button.danger").click()
    expect(page.locator(".toast")).to_contain_text("来源已停用")
    blocked = page.locator("tbody tr", has=page.locator(".badge.bad"))
    expect(blocked).to_have_count(1)
    page.goto("/admin/audit")
    expect(page.locator("tbody")).to_contain_text("停用来源")
    expect(page.locator("tbody")).to_contain_text("令牌疑似泄露")
    page.goto("/sources")
    blocked.locator("form button").click()
    expect(page.locator(".toast")).to_contain_text("已解除停用")
    expect(blocked).to_have_count(0)


@pytest.mark.parametrize("page", ["doctor"], indirect=True)
def test_a_doctor_opens_a_strangers_record_only_in_an_emergency_and_the_log_says_so(
    page: Page, signed_in: Callable[[str], BrowserContext]
) -> None:
    panel = page
    panel.goto("/residents")
    own = {link.get_attribute("href") for link in panel.query_selector_all("tbody a[href^='/residents/P']")}
    other = signed_in("cdc").new_page()
    other.goto("/cockpit/persons?measure=BPHS-HTN02")
    everybody = [link.get_attribute("href") for link in other.query_selector_all("tbody a[href^='/residents/P']")]
    other.close()
    for stranger in (href for href in everybody if href not in own):
        answer = page.goto(stranger or "")
        if answer is not None and answer.status == 403:
            break
    else:
        pytest.fail("every resident is a patient of this doctor's institution")
    page.click("[data-open='glass']")
    page.fill("#reason", "急诊昏迷，需了解用药史")
    page.click("#glass button.danger")
    expect(page.locator(".purpose").first).to_contain_text("紧急")
    expect(page.locator(".person .name")).to_be_visible()
    page.click(".purpose form button")


@pytest.mark.parametrize("page", ["resident"], indirect=True)
def test_a_resident_reads_the_own_record_in_plain_words_and_sees_who_looked(page: Page) -> None:
    page.goto("/")
    page.click("a.door:has-text('我的健康')")
    expect(page.locator(".plain-cards")).to_be_visible()
    page.click("nav[aria-label='工作区'] >> text=谁看过我的档案")
    expect(page.locator("tbody tr").first).to_be_visible()


@pytest.mark.parametrize("page", ["resident"], indirect=True)
def test_a_resident_sees_nobody_elses_record(page: Page, signed_in: Callable[[str], BrowserContext]) -> None:
    other = signed_in("cdc").new_page()
    other.goto("/cockpit/persons?measure=BPHS-HTN02")
    hrefs = [link.get_attribute("href") or "" for link in other.query_selector_all("tbody a[href^='/residents/P']")]
    other.close()
    page.goto("/")
    own = page.get_attribute("a.door[href^='/residents/P']", "href")
    stranger = next(href for href in hrefs if href != own)
    answer = page.goto(stranger)
    assert answer is not None
    assert answer.status == 404
    answer = page.goto(f"{stranger}/access")
    assert answer is not None
    assert answer.status == 403
    for path in ("/arrivals", "/admin", "/cockpit", "/residents"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403, path


@pytest.mark.parametrize("page", ["cdc"], indirect=True)
def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.goto("/arrivals?state=refused")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "reason-text"
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator("[data-row][aria-selected='true']").count() == 1
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("Enter")
    page.wait_for_url("**/arrivals?source=*")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: url.endswith("/"))


def test_signing_in_refuses_a_wrong_password_without_saying_which_part_is_wrong(
    chromium: object, district: Running
) -> None:
    context = chromium.new_context(base_url=district.url, locale="zh-CN")  # type: ignore[attr-defined]  # a Browser
    page = context.new_page()
    for name in ("leader", "nobody-of-this-name"):
        page.goto("/login")
        page.fill("#name", name)
        page.fill("#password", "wrong-Password-1")
        page.click("form.sign button")
        assert page.locator(".note.bad").inner_text() == "账号或密码不正确。"
    page.goto("/arrivals")
    assert "next=%2Farrivals" in page.url
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("form.sign button")
    page.wait_for_url("**/arrivals")
    page.click("summary:has(.avatar)")
    page.click("text=退出登录")
    page.goto("/arrivals")
    assert "/login" in page.url
    context.close()


@pytest.mark.parametrize("page", ["admin"], indirect=True)
def test_a_new_account_must_change_its_password_and_closing_it_can_be_undone(
    page: Page, chromium: object, district: Running
) -> None:
    page.goto("/admin")
    page.click("text=新建账号")
    page.fill("#a-name", "li.na")
    page.fill("#a-display", "李娜")
    page.select_option("#a-role", "cdc")
    page.click("text=创建账号")
    password = page.inner_text(".note.ok").rpartition("/ ")[2].strip()
    context = chromium.new_context(base_url=district.url, locale="zh-CN")  # type: ignore[attr-defined]  # a Browser
    other = context.new_page()
    other.goto("/login")
    other.fill("#name", "li.na")
    other.fill("#password", password)
    other.click("form.sign button")
    other.wait_for_url("**/password")
    other.goto("/cockpit")
    assert other.url.endswith("/password")
    other.fill("#present", password)
    other.fill("#fresh", "Dianshan-Lake-77")
    other.fill("#again", "Dianshan-Lake-77")
    other.click("main form button")
    other.wait_for_url(f"{district.url}/")
    page.goto("/admin")
    page.click("form:has(input[value='li.na']) button.danger")
    other.goto("/cockpit")
    assert "/login" in other.url
    page.click(".toast form button")
    expect(page.locator(".toast")).to_contain_text("重新启用")
    context.close()


def test_a_form_without_its_token_is_refused(signed_in: Callable[[str], BrowserContext], district: Running) -> None:
    context = signed_in("admin")
    for form in ({"name": "leader"}, {"name": "leader", "csrf": "0" * 64}):
        answer = context.request.post("/admin/accounts/disable", form=form, max_redirects=0)
        assert answer.status == 403
    answer = context.request.post("/sign-out", headers={"sec-fetch-site": "cross-site"}, max_redirects=0)
    assert answer.status == 403
