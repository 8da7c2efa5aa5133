"""From a page's context to HTML: templates, what they may call, and the frame around every page.

A template sees `page` (the page's own frozen context), `shell` (the frame) and the helpers set here; nothing else, and
an unknown name is an error. A request by htmx whose target is a block of the template gets that block alone, from the
same context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from healthbrain import __version__, access
from healthbrain.web import charts, guard, labels
from healthbrain.web.assets import Assets
from healthbrain.web.language import N_, Language, Tag, language
from healthbrain.web.visit import THEMES, Visit

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of where-am-I; the last has no link."""

    label: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class NavItem:
    """One workspace in the rail; `group` is the heading it stands under, empty for what belongs to everything."""

    label: str
    url: str
    icon: str
    note: str = ""
    group: str = ""


_STEER, _CARE, _FIGURES, _EXCHANGE = N_("Steering"), N_("People"), N_("Figures and data"), N_("Exchange and running")
_HOME = NavItem(N_("Home"), "/", "home", N_("Where everything starts"))
_HELP = NavItem(N_("Help"), "/help", "help", N_("Keyboard, terms, how to read the figures"))
_LEADING = frozenset({"leader", "cdc", "administrator"})
_FIGURED = _LEADING | {"manager"}
# who has a workspace, in the order of the rail: what asks for a decision first, what it rests on after it
_WORKSPACES: tuple[tuple[frozenset[str], NavItem], ...] = (
    (
        _FIGURED,
        NavItem(
            N_("Cockpit"),
            "/cockpit",
            "cockpit",
            N_("Indicators, map, trends and alerts; down to single institutions"),
            _STEER,
        ),
    ),
    (
        _LEADING,
        NavItem(
            N_("Plan monitoring"),
            "/plans",
            "target",
            N_("Targets of the plans: where each stands, where it is heading, who answers"),
            _STEER,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Supervision"),
            "/supervision",
            "flag",
            N_("Notices to units that are behind, answers and reviews"),
            _STEER,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Assessments"),
            "/assessments",
            "check",
            N_("Institutions and towns scored by weighted schemes, ranked, published, reproducible"),
            _STEER,
        ),
    ),
    (
        frozenset({"cdc", "manager", "doctor"}),
        NavItem(N_("Residents"), "/residents", "people", N_("Find a resident and see the whole record"), _CARE),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Indicators"),
            "/measures",
            "measure",
            N_("What each figure means, where it comes from, all its values"),
            _FIGURES,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Public health programmes"),
            "/programmes",
            "heart",
            N_("Who is due, who was served and the rate of each programme; the statutory report"),
            _FIGURES,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Data catalogue"),
            "/catalogue",
            "table",
            N_("Libraries, views and columns with counts, freshness, quality and lineage"),
            _FIGURES,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Medical quality control"),
            "/quality-control",
            "measure",
            N_(
                "Length of stay, readmission, antibiotics, costs by month and institution, from published data services"
            ),
            _FIGURES,
        ),
    ),
    (
        _LEADING,
        NavItem(
            N_("Food-safety index"),
            "/food-safety-index",
            "flag",
            N_("Index of the district and its towns by month, with components and the views it reads"),
            _FIGURES,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Ad-hoc analysis"),
            "/analysis",
            "search",
            N_("Ask your own question of any view: pivot table, chart, forecast, saved and shared"),
            _FIGURES,
        ),
    ),
    (
        _FIGURED,
        NavItem(
            N_("Dashboards"),
            "/dashboards",
            "cockpit",
            N_("Boards of your own from measures, questions and data sets; shared, on a wall, printed"),
            _FIGURES,
        ),
    ),
    (
        frozenset({"cdc", "administrator"}),
        NavItem(
            N_("Indicator workbench"),
            "/workbench",
            "edit",
            N_("Compose own indicators by form, preview and test them, have them reviewed and published"),
            _FIGURES,
        ),
    ),
    (
        _FIGURED,
        NavItem(N_("Six hubs"), "/hubs", "pulse", N_("What this platform is made of and what it holds now"), _FIGURES),
    ),
    (
        frozenset({"cdc", "manager", "administrator"}),
        NavItem(N_("Arrivals"), "/arrivals", "inbox", N_("What came from whom, what was refused and why"), _EXCHANGE),
    ),
    (
        frozenset({"cdc", "manager", "administrator"}),
        NavItem(N_("Sources"), "/sources", "source", N_("The systems that send us data"), _EXCHANGE),
    ),
    (
        frozenset({"leader", "cdc", "administrator"}),
        NavItem(
            N_("Partner platforms"),
            "/partners",
            "source",
            N_("Upper, sibling and lower platforms: agreements, volume and delay"),
            _EXCHANGE,
        ),
    ),
    (
        frozenset({"administrator"}),
        NavItem(
            N_("Administration"), "/admin", "admin", N_("Accounts, tokens, organisations and the audit log"), _EXCHANGE
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Toast:
    """A word on what was just done, and how to take it back."""

    text: str
    undo_url: str = ""
    undo: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Shell:
    """The frame around a page."""

    visit: Visit
    nav: Sequence[NavItem]
    crumbs: Sequence[Crumb]
    toast: Toast | None = None
    refresh: int = 0
    version: str = __version__

    @property
    def purpose(self) -> str:
        """The declared purpose of use when it is not the role's usual one."""
        who = self.visit.principal
        return "" if who is None or who.purpose == access.default_purpose(who.role) else who.purpose

    @property
    def usual_purpose(self) -> str:
        """What the role acts for unless it declares another purpose."""
        return access.default_purpose(self.visit.who.role)

    @property
    def groups(self) -> list[tuple[str, list[NavItem]]]:
        """The workspaces under their headings, in order."""
        return [(group, list(items)) for group, items in groupby(self.nav, key=lambda item: item.group)]

    @property
    def current(self) -> str:
        """Address of the workspace this page belongs to."""
        best = [item.url for item in self.nav if _belongs(self.visit.path, item.url)]
        return max(best, key=len, default="")


@cache
def assets() -> Assets:
    """The files of this installation."""
    return Assets()


def nav_for(visit: Visit) -> list[NavItem]:
    """The workspaces of a role, in the order of its work."""
    if visit.principal is None:
        return []
    role = visit.principal.role
    if role == "resident":
        own = _own(f"/residents/{visit.principal.person}")
        return [_HOME, *own, _HELP]
    return [_HOME, *(item for roles, item in _WORKSPACES if role in roles), _HELP]


def _own(url: str) -> tuple[NavItem, NavItem]:
    return (
        NavItem(N_("My health"), url, "heart", N_("My own record, from all institutions")),
        NavItem(
            N_("Who viewed my record"), f"{url}/access", "eye", N_("Every look at my record, with role and purpose")
        ),
    )


def show(
    visit: Visit,
    template: str,
    page: Any,
    *,
    crumbs: Sequence[Crumb] = (),
    toast: Toast | None = None,
    refresh: int = 0,
    status: int = 200,
) -> HTMLResponse:
    """The page (or the block that htmx asked for) as a response."""
    shell = Shell(visit, nav_for(visit), crumbs, toast, refresh)
    found = _environment(visit.language.tag).get_template(template)
    values = {"page": page, "shell": shell}
    block = visit.request.headers.get("hx-target", "").replace("-", "_")
    if visit.request.headers.get("hx-request") and block in found.blocks:
        html = "".join(found.blocks[block](found.new_context(values)))
    else:
        html = found.render(values)
    response = HTMLResponse(html, status, headers={"vary": "HX-Request, HX-Target, Cookie"})
    guard.protect(response)
    return response


@lru_cache(maxsize=4)
def _environment(tag: Tag) -> Environment:
    said: Language = language(tag)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(said.say, said.count, newstyle=True)  # type: ignore[attr-defined]  # added by the i18n extension
    environment.globals.update(
        asset=assets().url,
        labels=labels,
        say=said.say,
        spark=charts.spark,
        THEMES=THEMES,
        L=said,
    )
    environment.filters["json"] = lambda value: orjson.dumps(value).decode()
    environment.globals["ui"] = environment.get_template("parts.html").module
    return environment


def _belongs(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(f"{url}/"))
