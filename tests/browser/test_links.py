"""Every link a role meets leads to a page that it may see, in its language: the screens offer nothing they refuse."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import look
from tests.running import Running

pytestmark = pytest.mark.browser

EACH = 2  # addresses of one shape that are followed
STATEFUL = {"tab", "only", "state", "format"}  # parameters whose value makes another page
VARYING = (
    (r"/residents/P\d+", "/residents/P"),
    (r"/records/(\w+)/.*", r"/records/\1"),
    (r"/(measures|catalogue)/.+", r"/\1/one"),
    (r"/assessments/schemes/(?!new)[^/]+", "/assessments/schemes/one"),
    (r"/programmes/(?!report)[^/]+", "/programmes/one"),
    (r"/plans/[^/]+", "/plans/one"),
    (r"/indicators/[^/]+", "/indicators/one"),
    (r"/\d+", "/0"),
)
ENGLISH = re.compile(r"\b[A-Za-z][a-z]{2,}(?: [a-z]+){2,}\b")
UNSAID = {"code", "pre", "kbd", "script", "style", "textarea", "svg"}
VOID = {"meta", "link", "input", "img", "br", "hr", "use", "path", "rect", "col", "wbr", "source"}


class Reading(HTMLParser):
    """The links of a page and its texts, without codes and without what is marked as another language."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.texts: list[str] = []
        self._quiet: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag: its link, its spoken attributes, and whether what it holds is no text."""
        known = dict(attrs)
        if tag == "a" and known.get("href"):
            self.links.append(known["href"] or "")
        self.texts += [
            value for name, value in attrs if name in {"aria-label", "title", "placeholder", "alt"} and value
        ]
        if tag not in VOID:
            words = (known.get("class") or "").split()
            self._quiet.append(tag in UNSAID or "mono" in words or known.get("lang") == "en")

    def handle_endtag(self, tag: str) -> None:
        """Leave the tag."""
        if tag not in VOID and self._quiet:
            self._quiet.pop()

    def handle_data(self, data: str) -> None:
        """A text."""
        if data.strip() and not any(self._quiet):
            self.texts.append(data.strip())


def shape(path: str) -> str:
    """What an address has in common with others that show the same page with other data."""
    address = urlsplit(path)
    name = address.path
    for pattern, instead in VARYING:
        name = re.sub(pattern, instead, name)
    keys = sorted(f"{key}={value}" if key in STATEFUL else key for key, value in parse_qsl(address.query))
    return f"{name}?{'&'.join(keys)}"


def walk(context: BrowserContext, base: str) -> Iterator[tuple[str, str, int, Reading | None]]:
    """Follow links from the start page: address, where it was found, status, and the page when it is one."""
    waiting, seen, followed = deque([("/", "")]), {"/"}, Counter[str]()
    while waiting:
        path, found_on = waiting.popleft()
        followed[shape(path)] += 1
        if followed[shape(path)] > EACH:
            continue
        answer = context.request.get(path)
        page = None
        if answer.headers.get("content-type", "").startswith("text/html"):
            page = Reading()
            page.feed(answer.text())
        yield path, found_on, answer.status, page
        for link in page.links if page else []:
            goal = urldefrag(urljoin(f"{base}{path}", link)).url
            if goal.startswith(f"{base}/") and goal not in seen:
                seen.add(goal)
                waiting.append((goal.removeprefix(base), path))


@pytest.mark.parametrize("role", ["leader", "cdc", "manager", "doctor", "resident", "admin"])
def test_every_link_leads_somewhere_and_every_page_speaks_chinese(
    role: str, signed_in: Callable[[str], BrowserContext], district: Running
) -> None:
    context = signed_in(role)
    look(context, district.url)
    dead, english, pages = [], [], 0
    for path, found_on, status, page in walk(context, district.url):
        pages += 1
        if status >= 400:
            dead.append((path, found_on, status))
        if page and not path.startswith("/records/"):  # a record shows the words that its source sent
            english += [(path, text[:80]) for text in page.texts if ENGLISH.search(text)]
    assert dead == []
    assert english == []
    assert pages > 10
