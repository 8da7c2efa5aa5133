"""read, vread, history, search and $everything: decide, ask the store, send its bytes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from healthbrain.access import Gate
from healthbrain.api import bundles
from healthbrain.api.answer import Answer, of_version
from healthbrain.api.call import Call, decode_params
from healthbrain.api.lending import ask
from healthbrain.api.media import UnsupportedMedia
from healthbrain.api.platform import Platform
from healthbrain.api.queries import described
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.fhir import date_interval, summary
from healthbrain.scope import Action, Scope
from healthbrain.store import Care, Page, Stored

_MOST = 1000
_USUAL = 50
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_OF_HISTORY = frozenset({"_since", "_at", "_count", "_format", "_pretty", bundles.CURSOR})


class Reading:
    """The reading interactions."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    async def read(self, call: Call, type_: str, id_: str) -> Answer:
        """GET /Type/id"""
        call.trace.interaction, call.trace.id = "read", id_
        scope = await self._scope(call, "read", type_)
        read = self._platform.store.read
        stored = await ask(self._platform.singles, lambda connection: read(connection, type_, id_, scope=scope))
        return self._one(call, stored)

    async def vread(self, call: Call, type_: str, id_: str, version: str) -> Answer:
        """GET /Type/id/_history/version"""
        call.trace.interaction, call.trace.id = "vread", id_
        scope = await self._scope(call, "read", type_)
        if not version.isascii() or not version.isdigit() or len(version) > 9:
            raise NotFound(f"{type_}/{id_} has no such version")
        vread, number = self._platform.store.vread, int(version)
        stored = await ask(self._platform.readers, lambda c: vread(c, type_, id_, number, scope=scope))
        return self._one(call, stored)

    async def history(self, call: Call, type_: str | None, id_: str | None) -> Answer:
        """GET /_history, /Type/_history, /Type/id/_history"""
        level = "instance" if id_ else "type" if type_ else "system"
        call.trace.interaction, call.trace.id = f"history-{level}", id_
        scope = await self._scope(call, "read" if id_ else "search", type_ or "Bundle")
        since = instant(call.param("_since"), "_since") if call.param("_since") else None
        during = date_interval_of(call.param("_at")) if call.param("_at") else None
        unknown = {key for key, _ in call.params} - _OF_HISTORY
        if unknown and call.prefers("handling") != "lenient":
            raise Incorrect("a history takes _since, _at and _count; it is sorted newest first")
        history, count, cursor = self._platform.store.history, count_of(call, _USUAL), call.param(bundles.CURSOR)
        page = await ask(
            self._platform.readers,
            lambda c: history(
                c, type_, id_, since=since, during=during, count=count, cursor=cursor or None, scope=scope
            ),
        )
        self._shown(call, page)
        path = "/".join(part for part in (type_, id_, "_history") if part)
        return Answer(200, bundles.history(page, call.base, path, call.params))

    async def search(self, call: Call, type_: str | None, within: tuple[str, str] | None = None) -> Answer:
        """GET /Type?..., /?_type=..., /Patient/id/Type?..., and the same POSTed to _search"""
        call.trace.interaction, call.trace.action = "search-type" if type_ else "search-system", "E"
        if call.method == "POST":
            await add_form(call)
        path = "/".join([*(within or ()), *([type_] if type_ else ["*"] if within else [])])
        call.trace.detail = described(call.params, "/".join(within) if within else "")
        scope: Scope | dict[str, Scope] = (
            await self._scope(call, "search", type_) if type_ else await self._scopes(call, within)
        )
        if type_ and call.param("_contained") in ("true", "both"):  # any type may contain one
            scope = await self._scopes(call, None)
            call.trace.type = type_
        strict = call.prefers("handling") != "lenient"
        cut = summary.wanted(call.param("_summary"), call.param("_elements"))
        search, params = self._platform.store.search, call.params
        page = await ask(
            self._platform.readers, lambda c: search(c, type_, params, scope=scope, strict=strict, within=within)
        )
        self._shown(call, page)
        bodies = None
        if cut:
            bodies = [summary.cut(one.body, cut) for one in page.matches]
            bodies += [one.body for one in page.included]
        return Answer(200, bundles.searchset(page, call.base, path, call.params, bodies=bodies))

    async def _scopes(self, call: Call, within: tuple[str, str] | None) -> dict[str, Scope]:
        """The scope of each type that is searched. A type the role may not search is left out, unless asked by name."""
        call.trace.type = within[0] if within else ""
        asked = [name for name in call.param("_type").split(",") if name]
        scopes: dict[str, Scope] = {}
        for name in asked or self._platform.definitions.types:
            if name == "AuditEvent" or not self._platform.definitions.is_resource(name):
                if asked:
                    raise Incorrect("'_type' is a list of FHIR R4 resource types; AuditEvent is searched alone")
                continue
            try:
                scope = await self._gate.decide(call.who, "search", name, call.at)
            except Forbidden:
                if asked:
                    raise
                continue
            if scope.identified:
                scopes[name] = scope
        if not scopes:
            raise Forbidden(f"as {call.who.role} you see figures, not single residents")
        return scopes

    async def everything(self, call: Call, id_: str) -> Answer:
        """GET /Patient/id/$everything"""
        call.trace.interaction, call.trace.id, call.trace.action = "operation", id_, "E"
        call.trace.detail = "$everything"
        care = care_of(call, self._platform.definitions.types)
        scope = await self._scope(call, "search", "Patient")
        everything, count, cursor = self._platform.store.everything, count_of(call, _USUAL), call.param(bundles.CURSOR)
        page = await ask(
            self._platform.readers,
            lambda c: everything(c, id_, scope=scope, count=count, cursor=cursor or None, care=care),
        )
        if not page.matches and not cursor:  # nothing to show: say whether the patient is unknown, hidden or deleted
            await ask(self._platform.readers, lambda c: self._platform.store.read(c, "Patient", id_, scope=scope))
        self._shown(call, page)
        return Answer(200, bundles.searchset(page, call.base, f"Patient/{id_}/$everything", call.params))

    async def _scope(self, call: Call, action: Action, type_: str) -> Scope:
        call.trace.type = type_ if type_ != "Bundle" else ""
        scope = await self._gate.decide(call.who, action, type_, call.at)
        if not scope.identified:
            raise Forbidden(
                f"as {call.who.role} you see figures, not single residents; declare a purpose of use that allows it first"
            )
        return scope

    def _shown(self, call: Call, page: Page) -> None:
        for group in (page.matches, page.included):
            for one in group:
                if one.patient is not None:
                    call.trace.patients.add(one.patient)

    def _one(self, call: Call, stored: Stored) -> Answer:
        if stored.patient is not None:
            call.trace.patients.add(stored.patient)
        answer = of_version(200, stored.body, stored.version, stored.updated)
        if _not_modified(call, stored):
            return Answer(304, None, answer.headers)
        cut = summary.wanted(call.param("_summary"), call.param("_elements")) if call.query_string else None
        if cut:
            answer.body = summary.cut(stored.body, cut)
        return answer


def _not_modified(call: Call, stored: Stored) -> bool:
    known = call.header(b"if-none-match")
    if known:
        tags = {tag.strip().removeprefix("W/").strip('"') for tag in known.split(",")}
        return "*" in tags or str(stored.version) in tags
    since = call.modified_since()
    return since is not None and stored.updated.replace(microsecond=0) <= since


async def add_form(call: Call) -> None:
    """The parameters of a POSTed search, after those in the URL."""
    kind = call.header(b"content-type").partition(";")[0].strip().lower()
    body = await call.body()
    if not body:
        return
    if kind != "application/x-www-form-urlencoded":
        raise UnsupportedMedia("a POSTed search is application/x-www-form-urlencoded")
    call.add_params(decode_params(body))


def care_of(call: Call, known: Sequence[str]) -> Care:
    """What $everything is narrowed to by start, end, _since and _type. Raises Incorrect."""
    types = tuple(name for text in (v for k, v in call.params if k == "_type") for name in text.split(",") if name)
    if wrong := [name for name in types if name not in known]:
        raise Incorrect(f"'_type' is a list of FHIR R4 resource types; {len(wrong)} of these are none")
    other = {key for key, _ in call.params} - {
        "start",
        "end",
        "_since",
        "_type",
        "_count",
        "_format",
        "_pretty",
        bundles.CURSOR,
    }
    if other and call.prefers("handling") != "lenient":
        raise Incorrect("$everything takes start, end, _since, _type and _count")
    times = {key: instant(call.param(key), key) if call.param(key) else None for key in ("start", "end", "_since")}
    end = times["end"]
    if end is not None and len(call.param("end")) == 10:
        end += timedelta(days=1)  # that day included
    return Care(types, times["start"], end, times["_since"])


def count_of(call: Call, usual: int) -> int:
    """`_count`, or what is usual. Raises Incorrect when it is not a number of at least 0."""
    text = call.param("_count")
    if not text:
        return usual
    if not text.isascii() or not text.isdigit():
        raise Incorrect("_count is a whole number")
    return min(int(text[:9]), _MOST)


def date_interval_of(text: str) -> tuple[datetime, datetime]:
    """The time that `_at` means, as far as it was written. Raises Incorrect."""
    try:
        low, high = date_interval(text.replace(" ", "+"))
    except (ValueError, OverflowError):
        raise Incorrect("_at is a date or time such as 2026-03 or 2026-03-01T08:00:00+08:00") from None
    return low or _EVER[0], high or _EVER[1]


def instant(text: str, name: str) -> datetime:
    """A FHIR instant or date as a time in UTC. Raises Incorrect."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Incorrect(f"{name} is a time such as 2026-03-01T08:00:00+08:00 ('+' is written %2B in a URL)") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
