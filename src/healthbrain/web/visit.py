"""One request: who is here, in which language and look, and what they may do."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request

from healthbrain import access, audit
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Unauthenticated
from healthbrain.scope import Action, Principal, Scope
from healthbrain.web import guard, language
from healthbrain.web.language import Language

if TYPE_CHECKING:
    from healthbrain.runtime import Platform

Theme = Literal["light", "dark", "elder"]
THEMES: tuple[Theme, ...] = ("light", "dark", "elder")
LANGUAGE_COOKIE = "hb_language"
THEME_COOKIE = "hb_theme"


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page handler gets. `principal` is None only on pages open to everybody."""

    request: Request
    platform: Platform
    language: Language
    theme: Theme
    at: datetime
    principal: Principal | None = None
    session: str = ""
    must_change: bool = False

    @property
    def who(self) -> Principal:
        """The signed-in principal; raises Unauthenticated."""
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    @property
    def csrf(self) -> str:
        """What forms of this session carry."""
        return access.csrf_token(self.session) if self.session else ""

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters, last value of each."""
        return dict(self.request.query_params)

    @property
    def path(self) -> str:
        """The path asked for."""
        return self.request.url.path

    @property
    def here(self) -> str:
        """Path and query: where to come back to."""
        query = self.request.url.query
        return f"{self.path}?{query}" if query else self.path

    def at_url(self, **changes: object) -> str:
        """This page with some query parameters changed; None or '' removes one."""
        query = {**self.query, **changes}
        kept = {key: value for key, value in query.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path

    def may(self, action: Action, type: str) -> bool:
        """Whether the permission table has a row for this at all."""
        try:
            access.permitted(self.who, action, type)
        except (Forbidden, Unauthenticated):
            return False
        return True

    async def decide(self, connection: Connection, action: Action, type: str) -> Scope:
        """What this visitor may touch; raises Forbidden."""
        return await self.platform.decide(connection, self.who, action, type)

    async def administered(self, connection: Connection) -> Container[int]:
        """The organisations whose accounts, tokens, sources and applications this visitor looks after: the own one and
        those below it. Raises Forbidden."""
        await self.decide(connection, "administer", "administration")
        return (await self.platform.tree(connection)).subtree(self.who.organisation)

    def note(
        self,
        action: audit.AuditAction,
        type: str = "",
        id: str | None = None,
        *,
        patients: Iterable[int] = (),
        detail: str = "",
        interaction: str = "page",
        outcome: int = audit.FINE,
    ) -> None:
        """Leave a trace of what this visitor saw or did. Called before the answer goes out."""
        self.platform.audit.note(
            self.event(action, type, id, patients=patients, detail=detail, interaction=interaction, outcome=outcome)
        )

    def event(
        self,
        action: audit.AuditAction,
        type: str = "",
        id: str | None = None,
        *,
        patients: Iterable[int] = (),
        detail: str = "",
        interaction: str = "page",
        outcome: int = audit.FINE,
    ) -> audit.Event:
        """An audit event of this visitor."""
        return audit.Event.of(
            self.who, self.at, action, type, id, patients=patients, outcome=outcome, detail=detail,
            interaction=interaction, address=self.address,
        )  # fmt: skip

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.request.client.host if self.request.client else ""

    async def form(self) -> FormData:
        """The submitted form."""
        return await self.request.form()


async def open_visit(platform: Platform, request: Request) -> Visit:
    """The visit of this request; signed in when its cookie says so."""
    at = platform.clock()
    cookies = request.cookies
    tag = cookies.get(LANGUAGE_COOKIE)
    if tag not in language.TAGS:
        tag = language.best(request.headers.get("accept-language", ""), platform.settings.language)
    theme = cookies.get(THEME_COOKIE)
    principal, must_change = None, False
    session = cookies.get(guard.SESSION_COOKIE, "")
    if session:
        try:
            async with platform.pool.connection() as connection:
                principal, must_change = await access.find_session(connection, session, at)
        except Unauthenticated:
            session = ""
    return Visit(
        request=request,
        platform=platform,
        language=language.language(tag),
        theme=theme if theme in THEMES else "light",
        at=at,
        principal=principal,
        session=session,
        must_change=must_change,
    )
