"""On paper a page is black on white with all its figures; without a network the browser shows our own words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.conftest import look, settle
from tests.running import Running

pytestmark = pytest.mark.browser
A4 = {"width": 794, "height": 1123}
CONTROLS = ".rail, .tools, .filters, .button, .tabs, .csv"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_printed_cockpit_is_black_on_white_without_controls_and_with_its_tables(
    theme: str, signed_in: Callable[[str], BrowserContext], district: Running
) -> None:
    context = signed_in("leader")
    look(context, district.url, theme=theme)
    page = context.new_page()
    page.set_viewport_size(A4)
    page.goto("/cockpit")
    settle(page)
    page.emulate_media(media="print")
    seen = page.eval_on_selector_all(CONTROLS, "(nodes) => nodes.filter((n) => n.offsetParent).map((n) => n.className)")
    assert seen == []
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (ink, paper) == ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".trend .twin tbody tr").first).to_be_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".twin[open]").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_without_a_network_the_browser_shows_the_platforms_own_page_and_nobodys_data(
    chromium: Browser, signed_in: Callable[[str], BrowserContext], district: Running
) -> None:
    state = signed_in("cdc").storage_state()
    context = chromium.new_context(base_url=district.url, locale="zh-CN", storage_state=state)
    page = context.new_page()
    page.goto("/arrivals")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    kept = page.evaluate(
        "caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name).then((c) => c.keys()))))"
        ".then((all) => all.flat().map((request) => new URL(request.url).pathname))"
    )
    assert "/offline" in kept
    assert all(path == "/offline" or path.startswith("/static/") for path in kept)
    context.set_offline(True)
    page.goto("/residents")
    expect(page.locator("h1")).to_have_text("无法连接平台")
    expect(page.locator("a.button.main")).to_be_visible()
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.button.main')).backgroundColor") != "rgba(0, 0, 0, 0)"
    )
    context.set_offline(False)
    page.click("a.button.main")
    expect(page.locator(".account")).to_be_visible()
    context.close()
