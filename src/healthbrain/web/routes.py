"""Every address of the screens in one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.web.pages import (
    admin,
    analysis,
    analysis_saved,
    applications,
    arrivals,
    catalogue,
    cockpit,
    entries,
    erasures,
    home,
    hubs,
    measures,
    persons,
    plan_notices,
    plans,
    records,
    replays,
    reports,
    resident,
    residents,
    second_factor,
    signin,
    sources,
    supervision,
)
from healthbrain.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Page:
    """One address: what answers it, and whether a stranger may see it."""

    method: str
    path: str
    handler: Callable[[Visit], Awaitable[Response]]
    public: bool = False


PAGES: tuple[Page, ...] = (
    Page("GET", "/login", signin.login, public=True),
    Page("POST", "/login", signin.enter, public=True),
    Page("POST", "/sign-out", signin.leave),
    Page("POST", "/preferences", signin.prefer, public=True),
    Page("GET", "/password", signin.password),
    Page("POST", "/password", signin.change_password),
    Page("GET", "/second-factor", second_factor.second_factor_page, public=True),
    Page("POST", "/second-factor", second_factor.act, public=True),
    Page("GET", "/sessions", signin.sessions),
    Page("POST", "/sessions", signin.end_session),
    Page("POST", "/purpose", signin.state_purpose),
    Page("GET", "/", home.home),
    Page("GET", "/cockpit", cockpit.cockpit),
    Page("GET", "/cockpit/wall", cockpit.wall),
    Page("GET", "/cockpit/persons", persons.persons),
    Page("GET", "/hubs", hubs.six_hubs),
    Page("GET", "/catalogue", catalogue.catalogue_page),
    Page("GET", "/catalogue/{library}/{view}", catalogue.view_page),
    Page("GET", "/catalogue/{library}/{view}/preview", catalogue.preview_page),
    Page("GET", "/analysis", analysis.analysis_page),
    Page("GET", "/analysis/rows", analysis.rows_page),
    Page("POST", "/analysis/saved", analysis_saved.save),
    Page("POST", "/analysis/saved/{question:int}", analysis_saved.act),
    Page("GET", "/measures", measures.measures),
    Page("GET", "/measures/{measure}", measures.one_measure),
    Page("GET", "/plans", plans.all_plans),
    Page("GET", "/plans/{plan}", plans.one_plan),
    Page("GET", "/plans/{plan}/indicators/{indicator}", plans.one_indicator),
    Page("POST", "/plans/{plan}/indicators/{indicator}/duty", plans.put_duty),
    Page("GET", "/plans/{plan}/notices", plan_notices.preview),
    Page("POST", "/plans/{plan}/notices", plan_notices.issue),
    Page("GET", "/entries", entries.overview),
    Page("POST", "/entries", entries.enter),
    Page("GET", "/entries/template", entries.template),
    Page("POST", "/entries/import", entries.preview),
    Page("POST", "/entries/import/confirm", entries.confirm),
    Page("GET", "/entries/{entry:int}", entries.history),
    Page("GET", "/reports", reports.overview),
    Page("POST", "/reports", reports.make),
    Page("GET", "/reports/{report:int}", reports.one_report),
    Page("POST", "/reports/{report:int}", reports.change),
    Page("GET", "/reports/{report:int}/file.{format}", reports.file),
    Page("GET", "/supervision", supervision.overview),
    Page("POST", "/supervision/withdraw", supervision.withdraw),
    Page("GET", "/supervision/{task:int}", supervision.one_task),
    Page("POST", "/supervision/{task:int}", supervision.act),
    Page("GET", "/supervision/{task:int}/files/{number:int}", supervision.file),
    Page("GET", "/residents", residents.residents),
    Page("POST", "/residents", residents.search),
    Page("GET", "/residents/{person}", resident.resident),
    Page("GET", "/residents/{person}/access", resident.viewers),
    Page("POST", "/residents/{person}/open", resident.break_glass),
    Page("GET", "/records/{type}/{id}", records.record),
    Page("GET", "/arrivals", arrivals.arrivals),
    Page("POST", "/arrivals/replay", replays.replay_all),
    Page("GET", "/arrivals/replays/{job}", replays.progress),
    Page("GET", "/arrivals/{delivery:int}", arrivals.arrival),
    Page("GET", "/arrivals/{delivery:int}/raw", arrivals.raw_file),
    Page("POST", "/arrivals/{delivery:int}/replay", arrivals.replay_one),
    Page("GET", "/sources", sources.sources),
    Page("POST", "/sources/{source:int}/verify", sources.verify),
    Page("POST", "/sources/{source:int}/release", sources.release),
    Page("POST", "/sources/{source:int}/block", sources.block),
    Page("POST", "/sources/{source:int}/unblock", sources.unblock),
    Page("GET", "/admin", admin.admin),
    Page("GET", "/admin/accounts", admin.admin),
    Page("POST", "/admin/accounts", admin.create_account),
    Page("POST", "/admin/accounts/disable", admin.disable_account),
    Page("POST", "/admin/accounts/enable", admin.enable_account),
    Page("POST", "/admin/accounts/password", admin.reset_password),
    Page("GET", "/admin/tokens", admin.tokens),
    Page("POST", "/admin/tokens", admin.issue_token),
    Page("POST", "/admin/tokens/revoke", admin.revoke_token),
    Page("GET", "/admin/organisations", admin.organisations),
    Page("POST", "/admin/organisations", admin.create_organisation),
    Page("GET", "/admin/erasures", erasures.erasures),
    Page("POST", "/admin/erasures", erasures.erase),
    Page("GET", "/admin/applications", applications.applications),
    Page("POST", "/admin/applications", applications.change),
    Page("GET", "/my/applications", applications.mine),
    Page("POST", "/my/applications", applications.withdraw),
    Page("GET", "/admin/audit", admin.audit_log),
    Page("GET", "/help", home.help_page, public=True),
    Page("GET", "/offline", home.offline, public=True),
)
