"""Every screen in a real browser: accessible, within its width, without errors, in both languages and all looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import look
from tests.browser.walk import CHINESE, DARK, LOOKS, opened, walk_around
from tests.running import Running

pytestmark = pytest.mark.browser

VISITS = "/analysis?source=emr.visit&row=start:month&col=_sex&measure=count&measure=persons"
PAGES = {
    "leader": [
        "/", "/cockpit", "/cockpit?area=310118102", "/cockpit/wall", "/measures", "/measures/BPHS-HTN02", "/cockpit/persons?measure=BPHS-HTN02",
        "/catalogue", "/catalogue/major-disease/hypertension", "/catalogue/medical-service/visit_cost", "/hubs", "/help", "/plans", "/plans/qingpu",
        "/plans/qingpu/indicators/IND-Q-04", "/plans/qingpu/notices?more=1", "/supervision", "/supervision/3", "/food-safety-index",
        "/quality-control?indicator=qc-antibiotics", "/data-services", "/partners", VISITS + "&chart=heat", "/dashboards/district-overview",
    ],
    "cdc": [
        "/residents", "{person}", "{person}?tab=timeline", "{person}?tab=results", "{person}?tab=medicines", "{person}?tab=vaccinations", "{record}",
        "/arrivals", "/sources", "{arrival}", "/entries?measure=IND-Q-04", "/entries/1", "/reports", "/programmes", "/programmes/elderly",
        "/programmes/report?period=2026", "/programmes/reports", "/programmes/quality", "/programmes/own", "/analysis",
        VISITS + "&chart=line&ahead=3", "/analysis/monitors", "/workbench", "/dashboards", "/dashboards/chronic-care/tiles/t6", "/assessments",
        "{run}?verify=1&today=1", "{unit}", "/assessments/schemes/new", "/assessments/schemes/primary-care",
    ],
    "doctor": ["/residents"],
    "manager": ["/", "/cockpit", "/arrivals", "/assessments", "/supervision/1", "/dashboards/chronic-care?period=2026-06"],
    "resident": ["/", "{own}", "{own}/access", "{own}?tab=results", "/sessions", "/password", "/second-factor", "/my/applications"],
    "admin": ["/sources", "/admin", "/admin/tokens", "/admin/organisations", "/admin/erasures", "/admin/applications", "/admin/audit?verify=1", "/nothing-here"],
}  # fmt: skip
ALL = [(role, path) for role, paths in PAGES.items() for path in paths]
# the same template, or the same parts, as another entry with other data: large type would find nothing new
AGAIN = {
    ("manager", "/cockpit"), ("manager", "/arrivals"), ("manager", "/assessments"), ("manager", "/"), ("leader", "/cockpit?area=310118102"),
    ("manager", "/dashboards/chronic-care?period=2026-06"), ("admin", "/sources"), ("leader", "/plans"), ("leader", "/supervision/3"),
    ("leader", "/plans/qingpu/notices?more=1"), ("cdc", "/entries/1"), ("cdc", VISITS + "&chart=line&ahead=3"),
    ("cdc", "/dashboards/chronic-care/tiles/t6"), ("leader", "/catalogue/medical-service/visit_cost"),
}  # fmt: skip
DRAWN = {
    "/cockpit",
    "{person}?tab=results",
    "/arrivals",
    "{arrival}",
}  # loaded in the dark too: their drawings follow the theme


@pytest.fixture(scope="module")
def places(signed_in: Callable[[str], BrowserContext]) -> dict[str, str]:
    """Addresses that depend on the data."""
    page = signed_in("cdc").new_page()
    page.goto("/cockpit/persons?measure=BPHS-HTN02")
    person = page.get_attribute("a[href^='/residents/P']", "href") or ""
    record = page.get_attribute("a[href^='/records/']", "href") or ""
    page.goto("/assessments")
    run = page.locator("a.rowlink", has_text="基本公共卫生服务机构考核").first.get_attribute("href") or ""
    page.goto(run)
    unit = page.locator("#ranking a.rowlink").first.get_attribute("href") or ""
    page.goto("/arrivals?state=refused")
    arrival = page.get_attribute("a[href^='/arrivals/']:not([href*='?'])", "href") or ""
    page.close()
    mine = signed_in("resident").new_page()
    mine.goto("/")
    own = mine.get_attribute("a.door[href^='/residents/P']", "href") or ""
    mine.close()
    return {"person": person, "record": record, "arrival": arrival, "own": own, "run": run, "unit": unit}


@pytest.mark.parametrize(("role", "path"), ALL)
def test_a_screen_has_no_grave_barrier_and_stays_within_its_width(
    role: str,
    path: str,
    signed_in: Callable[[str], BrowserContext],
    places: dict[str, str],
    district: Running,
    axe: str,
) -> None:
    looks: tuple[tuple[str, str, tuple[int, ...]], ...] = (CHINESE,) if (role, path) in AGAIN else LOOKS
    looks = (*looks, DARK) if path in DRAWN else looks
    errors = walk_around(signed_in(role), district.url, path.format(**places), axe, name=role, looks=looks)
    expected = ["404"] if path == "/nothing-here" else []
    assert [e for e in errors if not any(word in e for word in expected)] == []


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
    page.goto("/cockpit?measure=IND-Q-10")
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
