"""A small district on a running platform, and a browser that walks through it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.running import HB, Running

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "artefacts"
CHROMIUM = os.environ.get("HB_CHROMIUM") or shutil.which("chromium") or ""
PASSWORD = "Qingpu-2026"
ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
]  # fmt: skip

# A page is ready when every chart and map on it has said so.
READY = "[...document.querySelectorAll('[data-chart],[data-map]')].every((node) => node.dataset.ready)"


@pytest.fixture(scope="session")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform that serves a synthetic district of a few people."""
    running = Running(tmp_path_factory.mktemp("web") / "data", HB_DEMO="true")
    made = subprocess.run(
        [*HB, "demo", "--residents", "120", "--months", "8", "--load-only"],
        env=running.environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for one file: while it is open its loop runs in this thread, and no other test could start one."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (tools/browser.py installs it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, district: Running) -> Iterator[Callable[[str], BrowserContext]]:
    """The browser context of a role; signs in once per role."""
    contexts: dict[str, BrowserContext] = {}

    def of(name: str) -> BrowserContext:
        if name not in contexts:
            context = chromium.new_context(base_url=district.url, locale="zh-CN")
            context.set_default_timeout(12_000)
            page = context.new_page()
            page.goto("/login")
            page.fill("#name", name)
            page.fill("#password", PASSWORD)
            page.click("form.sign button")
            page.wait_for_selector(".account")
            page.close()
            contexts[name] = context
        return contexts[name]

    yield of
    for context in contexts.values():
        context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, fetched and checked like every other library."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "fetch_assets.py"), "--tests"], check=True)
    folder = ROOT / "build" / "test-vendor"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return (folder / manifest["axe.js"]["file"]).read_text("utf-8")


def look(context: BrowserContext, url: str, *, language: str = "zh-CN", theme: str = "light") -> None:
    """Set language and look for this browser."""
    context.add_cookies(
        [{"name": "hb_language", "value": language, "url": url}, {"name": "hb_theme", "value": theme, "url": url}]
    )


def settle(page: Page) -> None:
    """Wait until the page and everything drawn on it is there."""
    page.wait_for_load_state("load")
    for _ in range(100):  # wait_for_function evaluates text in the page, which the policy forbids
        if page.evaluate(READY):
            return
        page.wait_for_timeout(150)
    raise AssertionError(f"a chart or map on {page.url} never became ready")


def keep(page: Page, name: str) -> None:
    """Keep a picture among the artefacts."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page="wall" not in name)
