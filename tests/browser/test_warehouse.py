"""The food-safety index, quality control, data services and how views are made, in a browser: accessible and within their width."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import look
from tests.running import Running

pytestmark = pytest.mark.browser


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
