"""One walk around a screen, the same for all of them: no grave barrier, no error, nothing wider than the window.

It is loaded in Chinese and in English with large type, looked at from 390 to 1920 pixels, and its colours are looked at again in
the dark. Files of this folder hold only what is their own; a screen with a fixed address stands in `test_screens`.
"""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import keep, look, settle

GRAVE = {"serious", "critical"}
CHINESE = ("zh-CN", "light", (1920, 768, 390))
LARGE = ("en", "elder", (390, 768, 1920))
DARK = ("zh-CN", "dark", (1440,))
LOOKS = (CHINESE, LARGE)


def walk_around(
    context: BrowserContext, url: str, path: str, axe: str, *, name: str = "", looks: tuple[tuple[str, str, tuple[int, ...]], ...] = LOOKS
) -> list[str]:  # fmt: skip
    """Hold the screen at `path` to all of it; returns what the console called errors."""
    errors: list[str] = []
    for language, theme, widths in looks:
        look(context, url, language=language, theme=theme)
        page = opened(context, path, widths[0], errors)
        grave = barriers(page, axe)
        assert not grave, f"{path} {language} {theme}: {grave}"
        assert page.evaluate("document.documentElement.lang") == language
        if theme != "elder" and name:
            keep(page, f"{name}{re.sub(r'[^a-zA-Z0-9]+', '-', path)}-{theme}")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 844 if width < 500 else 1080})
            page.wait_for_timeout(40)
            wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide[0] <= wide[1], f"{path} {theme} scrolls sideways at {width}: {wide}"
        if theme == "light":
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            page.wait_for_timeout(200)
            grave = barriers(page, axe, only=["color-contrast"])
            assert not grave, f"{path} in the dark: {grave}"
        page.close()
    look(context, url)
    return errors


def opened(context: BrowserContext, path: str, width: int, errors: list[str]) -> Page:
    """The page, ready, in a window of this width."""
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce")  # colours change at once
    page.set_viewport_size({"width": width, "height": 844 if width < 500 else 1080})
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path)
    expect(page.locator(".waits")).to_have_count(0, timeout=20_000)  # tiles that come later
    settle(page)
    return page


def barriers(page: Page, axe: str, *, only: list[str] | None = None) -> list[tuple[str, list[str]]]:
    """What axe-core finds grave, by all of its rules or by some."""
    page.evaluate(axe)
    asked = {"resultTypes": ["violations"], **({"runOnly": only} if only else {})}
    found = page.evaluate("(asked) => axe.run(document, asked).then((r) => r.violations)", asked)
    return [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found if v["impact"] in GRAVE]
