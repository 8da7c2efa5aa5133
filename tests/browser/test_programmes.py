"""Public health programmes on the screen: accessible, computed, and every number leads to what it counts."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from openpyxl import load_workbook
from playwright.sync_api import BrowserContext

from tests.browser.conftest import look
from tests.browser.walk import barriers
from tests.running import Running

pytestmark = pytest.mark.browser


def test_a_number_of_the_report_counts_as_many_as_the_list_it_leads_to_and_as_the_spreadsheet_says(
    signed_in: Callable[[str], BrowserContext], district: Running
) -> None:
    context = signed_in("cdc")
    look(context, district.url)
    page = context.new_page()
    page.goto("/programmes/report")
    period = page.input_value("#period")
    row = page.locator("tr:has-text('BPHS-OLD01')")
    due, served = (int(row.locator("td.num").nth(place).inner_text()) for place in (0, 1))
    assert due >= served > 0
    for place, count in ((0, due), (1, served)):
        page.goto(f"/programmes/report?period={period}")
        page.locator("tr:has-text('BPHS-OLD01') td.num a").nth(place).click()
        page.wait_for_selector("tbody tr")
        assert "measure=BPHS-OLD01" in page.url
        assert page.locator("tbody tr").count() == min(count, 40)
    page.goto("/programmes/report")
    unlinked = page.locator("td.num:not(:has(a))").all_inner_texts()
    assert {text.strip() for text in unlinked} <= {"—"}
    book = load_workbook(io.BytesIO(page.request.get(f"/programmes/report?period={period}&format=xlsx").body()))
    lines = [one for one in book.active.iter_rows(values_only=True) if one[4] == "BPHS-OLD01"]
    assert [one[5:7] for one in lines] == [(due, served)]
    page.close()


def test_what_is_entered_is_said_to_be_entered_and_a_wrong_period_is_refused(
    signed_in: Callable[[str], BrowserContext], district: Running
) -> None:
    context = signed_in("leader")
    look(context, district.url)
    page = context.new_page()
    page.goto("/programmes/report")
    assert "来源：填报" in page.locator("tr:has-text('BPHS-EDU01')").inner_text()
    assert "来源：填报" not in page.locator("tr:has-text('BPHS-OLD01')").inner_text()
    assert page.request.get("/programmes/report?period=2026-Q9").status == 400
    assert page.request.get("/programmes/nothing").status == 404
    assert signed_in("manager").request.get("/programmes?area=310118102").status == 403
    assert signed_in("resident").request.get("/programmes").status == 403
    page.close()


def test_a_statutory_report_is_filled_each_cell_leads_to_its_list_and_a_second_person_approves_it(
    signed_in: Callable[[str], BrowserContext], district: Running, axe: str
) -> None:
    context = signed_in("cdc")
    look(context, district.url)
    page = context.new_page()
    page.goto("/programmes/reports")
    page.select_option("#period", index=0)
    page.click("form.catalogue-search button")
    page.select_option("#place", "")
    page.click("text=生成报表 >> nth=-1")
    page.wait_for_selector("h2:has-text('校验')", timeout=30_000)  # all figures of a year are gathered
    address = page.url.partition("?")[0]
    assert page.locator("input[type=number], td input").count() == 0, "nothing is typed into a cell"
    due, served = (
        page.locator(f"#row-{no} td.num").first.inner_text().partition("\n")[0].replace(",", "") for no in ("57", "58")
    )
    assert int(due) >= int(served) > 0
    for no, count in (("57", due), ("58", served)):
        page.goto(address)
        page.locator(f"#row-{no} td.num a").first.click()
        page.wait_for_selector(".tabs")
        chosen = page.locator(".tabs [aria-current=page] .count").inner_text().replace(",", "")
        assert chosen == count
        assert page.locator("tbody tr").count() == min(int(count), 40)
    page.goto(address)
    without = page.locator("td.num:not(:has(a))").all_inner_texts()
    assert all(text.startswith("—") for text in without), "every number leads somewhere"
    page.click("text=提交并冻结")
    assert "需要填写说明" in page.locator("[role=alert]").inner_text()
    for field in page.locator("input[name^=remark-]").all():
        field.fill("演示区无此类数据")
    page.click("text=保存说明")
    page.click("text=提交并冻结")
    page.wait_for_selector(".badge:has-text('已提交')")
    assert page.locator("button:has-text('批准')").count() == 0, "not by who submitted it"
    assert not (grave := barriers(page, axe)), grave
    page.close()
    second = signed_in("admin")
    look(second, district.url)
    page = second.new_page()
    page.goto(address)
    assert page.locator("button:has-text('批准')").count() == 0, "nobody approves numbers that are hidden"
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    purpose: dict[str, str | float | bool] = {
        "csrf": token,
        "purpose": "HOPERAT",
        "reason": "审核法定报表",
        "next": "/",
    }
    page.request.post("/purpose", form=purpose, headers={"origin": district.url})
    page.goto(address)
    page.click("button:has-text('批准')")
    page.wait_for_selector(".badge:has-text('已批准')")
    assert "SHA-256" in page.locator("footer").first.inner_text() or "SHA-256" in page.content()
    book = load_workbook(io.BytesIO(page.request.get(f"{address}/file.xlsx").body()))
    cells = {str(one[0]): one[3] for one in book.worksheets[0].iter_rows(values_only=True) if len(one) > 3}
    assert (cells["57"], cells["58"]) == (int(due), int(served))
    for kind, magic in (("pdf", b"%PDF"), ("docx", b"PK")):
        assert page.request.get(f"{address}/file.{kind}").body().startswith(magic)
    page.close()
    assert signed_in("manager").request.get(address).status == 403
