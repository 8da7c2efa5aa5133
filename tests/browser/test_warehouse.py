"""The food-safety index, quality control, data services and how views are made, in a browser: accessible and within their width."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import keep, look, settle
from tests.browser.test_screens import barriers
from tests.running import Running

pytestmark = pytest.mark.browser
LOOKS = (("zh-CN", "light", (1920, 768, 390)), ("en", "elder", (390, 1920)), ("zh-CN", "dark", (1440,)))
PATHS = [
    "/food-safety-index",
    "/quality-control?indicator=qc-antibiotics",
    "/data-services",
    "/catalogue/medical-service/visit_cost",
]


@pytest.mark.parametrize("path", PATHS, ids=["index", "quality", "services", "view"])
def test_a_screen_of_the_warehouse_has_no_grave_barrier_and_stays_within_its_width(
    path: str, signed_in: Callable[[str], BrowserContext], district: Running, axe: str
) -> None:
    context, errors = signed_in("leader"), list[str]()
    for language, theme, widths in LOOKS:
        look(context, district.url, language=language, theme=theme)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.set_viewport_size({"width": widths[0], "height": 900})
        page.goto(path)
        settle(page)
        assert not (grave := barriers(page, axe)), f"{path} {language} {theme}: {grave}"
        if theme == "light":
            keep(page, f"warehouse{re.sub(r'[^a-zA-Z0-9]+', '-', path)}")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(40)
            wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide[0] <= wide[1], f"{path} {theme} scrolls sideways at {width}: {wide}"
        page.close()
    assert errors == []


def test_from_the_index_to_what_it_reads_and_to_the_base_views_behind(
    signed_in: Callable[[str], BrowserContext], district: Running
) -> None:
    context = signed_in("leader")
    look(context, district.url)
    page = context.new_page()
    page.goto("/food-safety-index")
    assert (
        page.locator("section[aria-labelledby=now] tbody tr").count() == 5
    )  # the components, on data that the demo sent
    page.click("section[aria-labelledby=inputs] a:has-text('food-safety.case')")
    page.wait_for_selector("#made")
    page.click("section[aria-labelledby=made] a[href='/catalogue/emr/diagnosis']")
    page.wait_for_selector("h1:has-text('诊断')")
    assert page.locator("section[aria-labelledby=lineage] details").count() == 1
