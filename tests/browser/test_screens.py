"""Every screen in a real browser: accessible, within its width, without errors, in both languages and all looks."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import keep, look, settle
from tests.running import Running

pytestmark = pytest.mark.browser

PAGES = {
    "leader": ["/", "/cockpit", "/cockpit?area=310118102", "/cockpit/wall", "/measures", "/measures/BPHS-HTN02", "/cockpit/persons?measure=BPHS-HTN02", "/catalogue", "/catalogue/major-disease/hypertension", "/hubs", "/help"],
    "cdc": ["/residents", "{person}", "{person}?tab=timeline", "{person}?tab=results", "{person}?tab=medicines", "{person}?tab=vaccinations", "{record}", "/arrivals", "/sources", "{arrival}"],
    "doctor": ["/residents"],
    "manager": ["/cockpit", "/arrivals"],
    "resident": ["/", "{own}", "{own}/access", "{own}?tab=results", "/sessions", "/password", "/second-factor", "/my/applications"],
    "admin": ["/sources", "/admin", "/admin/tokens", "/admin/organisations", "/admin/erasures", "/admin/applications", "/admin/audit?verify=1", "/nothing-here"],
}  # fmt: skip
ALL = [(role, path) for role, paths in PAGES.items() for path in paths]
GRAVE = {"serious", "critical"}
LOOKS = (("zh-CN", "light", (1920, 768, 390)), ("en", "elder", (390, 768, 1920)), ("zh-CN", "dark", (1440,)))
# the same template as another entry with other data: the second look at it would find nothing new
AGAIN = {
    ("manager", "/cockpit"),
    ("manager", "/arrivals"),
    ("leader", "/cockpit?area=310118102"),
    ("admin", "/sources"),
}
DARK = {"/cockpit", "{person}?tab=results", "/arrivals", "{arrival}"}


@pytest.fixture(scope="module")
def places(signed_in: Callable[[str], BrowserContext]) -> dict[str, str]:
    """Addresses that depend on the data."""
    page = signed_in("cdc").new_page()
    page.goto("/cockpit/persons?measure=BPHS-HTN02")
    person = page.get_attribute("a[href^='/residents/P']", "href") or ""
    record = page.get_attribute("a[href^='/records/']", "href") or ""
    page.goto("/arrivals?state=refused")
    arrival = page.get_attribute("a[href^='/arrivals/']:not([href*='?'])", "href") or ""
    page.close()
    mine = signed_in("resident").new_page()
    mine.goto("/")
    own = mine.get_attribute("a.door[href^='/residents/P']", "href") or ""
    mine.close()
    return {"person": person, "record": record, "arrival": arrival, "own": own}


def opened(context: BrowserContext, path: str, width: int, errors: list[str]) -> Page:
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 844 if width < 500 else 1080})
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path)
    settle(page)
    return page


@pytest.mark.parametrize(("role", "path"), ALL)
def test_a_screen_has_no_grave_barrier_and_stays_within_its_width(
    role: str,
    path: str,
    signed_in: Callable[[str], BrowserContext],
    places: dict[str, str],
    district: Running,
    axe: str,
) -> None:
    context, errors = signed_in(role), list[str]()
    for language, theme, widths in LOOKS:
        if (theme == "dark" and path not in DARK) or (theme != "light" and (role, path) in AGAIN):
            continue
        look(context, district.url, language=language, theme=theme)
        page = opened(context, path.format(**places), widths[0], errors)
        grave = barriers(page, axe)
        assert not grave, f"{path} {language} {theme}: {grave}"
        assert page.evaluate("document.documentElement.lang") == language
        if theme != "elder":
            keep(page, f"{role}{re.sub(r'[^a-zA-Z0-9]+', '-', path)}-{theme}")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 844 if width < 500 else 1080})
            page.wait_for_timeout(40)
            wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide[0] <= wide[1], f"{path} {theme} scrolls sideways at {width}: {wide}"
        page.close()
    expected = ["404"] if path == "/nothing-here" else []
    assert [e for e in errors if not any(word in e for word in expected)] == []


def barriers(page: Page, axe: str) -> list[tuple[str, list[str]]]:
    """What axe-core finds grave."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)")
    return [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found if v["impact"] in GRAVE]


@pytest.mark.parametrize(
    ("role", "path"), [("leader", "/cockpit"), ("cdc", "{person}?tab=results"), ("leader", "/measures/BPHS-HTN02")]
)
def test_every_chart_has_its_values_as_a_table(
    role: str, path: str, signed_in: Callable[[str], BrowserContext], places: dict[str, str]
) -> None:
    page = opened(signed_in(role), path.format(**places), 1440, [])
    for figure in page.query_selector_all("figure.chart"):
        if not figure.query_selector("[data-chart]"):
            continue
        drawn = figure.eval_on_selector("[data-chart]", "(node) => JSON.parse(node.dataset.chart).categories.length")
        assert figure.eval_on_selector_all("tbody tr", "(rows) => rows.length") == drawn
    page.close()


def test_large_type_means_large_type_and_large_targets(
    signed_in: Callable[[str], BrowserContext], places: dict[str, str], district: Running
) -> None:
    context = signed_in("resident")
    look(context, district.url, theme="elder")
    page = opened(context, places["own"], 390, [])
    size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.plain-cards p')).fontSize)")
    assert size >= 18
    small = page.evaluate(
        "[...document.querySelectorAll('button, .button, .tabs a, .rail nav a')].filter((n) => n.offsetParent)"
        ".filter((n) => n.getBoundingClientRect().height < 59.5).map((n) => n.outerHTML.slice(0, 90))"
    )
    assert small == []
    page.close()


def test_screens_can_be_read_without_scripts(
    chromium: object, signed_in: Callable[[str], BrowserContext], district: Running, places: dict[str, str]
) -> None:
    state = signed_in("cdc").storage_state()
    context = chromium.new_context(base_url=district.url, java_script_enabled=False, storage_state=state)  # type: ignore[attr-defined]  # a Browser
    page = context.new_page()
    page.goto("/cockpit")
    assert "朱家角镇" in page.inner_text(".towns") or "Zhujiajiao" in page.inner_text(".towns")
    assert page.locator(".trend table tbody tr").count() > 3
    page.goto(places["person"])
    assert page.locator(".person .name").inner_text()
    page.goto("/arrivals?state=refused")
    assert page.locator("#arrival-list tbody tr").count() > 0
    context.close()


@pytest.mark.parametrize("path", ["/cockpit", "/arrivals", "{person}?tab=results", "/measures"])
def test_a_page_weighs_less_than_sixty_kilobytes(
    path: str, signed_in: Callable[[str], BrowserContext], places: dict[str, str]
) -> None:
    answer = signed_in("cdc").request.get(path.format(**places))
    assert answer.ok
    assert len(answer.body()) < 60_000
