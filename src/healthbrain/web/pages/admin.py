"""Administration: accounts, tokens, organisations, and the audit log with the proof that nobody changed it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from starlette.responses import RedirectResponse, Response

from healthbrain import access, audit
from healthbrain.access import Account, Tree
from healthbrain.audit import Query, Record
from healthbrain.database import Connection
from healthbrain.errors import Conflict, HealthBrainError, Incorrect, NotFound
from healthbrain.web import labels, wording
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_TABS = (
    ("accounts", N_("Accounts")),
    ("tokens", N_("Tokens")),
    ("organisations", N_("Organisations")),
    ("applications", N_("Applications")),
    ("erasures", N_("Erasure of persons")),
    ("audit", N_("Audit log")),
)
_ROLES = ("leader", "cdc", "manager", "doctor", "resident", "administrator")
_EVENTS = 50
_OUTCOMES = {
    audit.FINE: (N_("done"), "ok"),
    audit.REFUSED: (N_("refused"), "warn"),
    audit.FAILED: (N_("failed"), "bad"),
}
_LONGEST_CODE, _LONGEST_NAME = 64, 200


@dataclass(frozen=True, slots=True)
class Tab:
    """One part of the administration."""

    label: str
    url: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account."""

    name: str
    display: str
    role: str
    organisation: str
    last: str
    disabled: bool
    own: bool


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One bearer token."""

    prefix: str
    name: str
    organisation: str
    ends: str
    last: str
    state: str
    look: str
    live: bool


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One organisation."""

    name: str
    code: str
    kind: str
    parent: str
    town: str


@dataclass(frozen=True, slots=True)
class EventLine:
    """One entry of the log."""

    time: str
    account: str
    role: str
    purpose: str
    what: str
    detail: str
    address: str
    outcome: str
    look: str


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What the log is searched for, as the address has it."""

    account: str = ""
    type: str = ""
    since: str = ""
    until: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """What checking the chain came to."""

    text: str
    look: str


@dataclass(frozen=True, slots=True)
class AdminPage:
    """Context of admin.html."""

    tab: str
    title: str
    tabs: Sequence[Tab]
    secret: str = ""
    error: str = ""
    roles: Sequence[str] = _ROLES
    organisations: Sequence[tuple[str, str]] = ()
    towns: Sequence[tuple[str, str]] = ()
    accounts: Sequence[AccountLine] = ()
    tokens: Sequence[TokenLine] = ()
    nodes: Sequence[NodeLine] = ()
    query: AuditQuery = AuditQuery()
    events: Sequence[EventLine] = ()
    older: str = ""
    newer: str = ""
    chain: Chain | None = None


async def admin(visit: Visit) -> Response:
    """Accounts, the first part."""
    return await accounts(visit)


async def accounts(visit: Visit, *, secret: str = "", error: str = "", status: int = 200) -> Response:
    """The accounts."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        own = await visit.administered(connection)
        tree = await visit.platform.tree(connection)
        known = [one for one in await access.accounts(connection) if one.organisation in own]
    lines = [_account(visit, tree, one) for one in known]
    page = AdminPage(
        "accounts",
        said.say(N_("Accounts")),
        _tabs(visit, "accounts"),
        secret,
        error,
        organisations=_places(tree, own),
        accounts=lines,
    )
    return show(visit, "admin.html", page, crumbs=_crumbs(visit), toast=_toast(visit), status=status)


async def create_account(visit: Visit) -> Response:
    """Make an account; its first password is shown once and must be changed."""
    form = {key: str(value).strip() for key, value in (await visit.form()).items()}
    password = access.make_password()
    try:
        async with visit.platform.pool.connection() as connection:
            own = await visit.administered(connection)
            node = (await visit.platform.tree(connection)).by_code(form.get("organisation", ""))
            if node is None or node.key not in own:
                raise Incorrect("choose an organisation")
            made = await access.create_account(
                connection, name=form.get("name", ""), password=password, role=form.get("role", ""),
                organisation=node.key, display=form.get("display", ""), person=form.get("person") or None,
                practitioner=form.get("practitioner") or None, must_change=True, at=visit.at,
            )  # fmt: skip
            await audit.record(connection, [visit.event("C", "account", made.name, detail=made.role)])
    except HealthBrainError as error:
        return await accounts(visit, error=wording.tell(visit.language, error.message), status=400)
    return await accounts(visit, secret=_once(visit, f"{made.name} / {password}"))


async def disable_account(visit: Visit) -> Response:
    """Close an account."""
    return await _switch(visit, "disable")


async def enable_account(visit: Visit) -> Response:
    """Open a closed account again."""
    return await _switch(visit, "enable")


async def reset_password(visit: Visit) -> Response:
    """Give an account a new password that must be changed at first use."""
    name, password = str((await visit.form()).get("name", "")), access.make_password()
    async with visit.platform.pool.connection() as connection:
        await _own_account(visit, connection, name)
        await access.set_password(connection, name, password, at=visit.at, must_change=True)
        await audit.record(connection, [visit.event("U", "account", name, detail="password")])
    return await accounts(visit, secret=_once(visit, f"{name} / {password}"))


async def tokens(visit: Visit, *, secret: str = "", error: str = "", status: int = 200) -> Response:
    """The bearer tokens."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        own = await visit.administered(connection)
        tree = await visit.platform.tree(connection)
        known = [one for one in await access.tokens(connection) if one.organisation in own]
    lines = [_token(visit, tree, one) for one in reversed(known)]
    page = AdminPage(
        "tokens",
        said.say(N_("Tokens")),
        _tabs(visit, "tokens"),
        secret,
        error,
        organisations=_places(tree, own),
        tokens=lines,
    )
    return show(visit, "admin.html", page, crumbs=_crumbs(visit), status=status)


async def issue_token(visit: Visit) -> Response:
    """Issue a token; it is shown once."""
    form = {key: str(value).strip() for key, value in (await visit.form()).items()}
    try:
        async with visit.platform.pool.connection() as connection:
            own = await visit.administered(connection)
            node = (await visit.platform.tree(connection)).by_code(form.get("organisation", ""))
            days = form.get("days", "")
            if node is None or node.key not in own or not days.isdecimal():
                raise Incorrect("choose an organisation and a number of days")
            token = await access.issue_token(
                connection, name=form.get("name", ""), organisation=node.key, days=int(days), at=visit.at
            )
            await audit.record(connection, [visit.event("C", "token", detail=form.get("name", ""))])
    except HealthBrainError as error:
        return await tokens(visit, error=wording.tell(visit.language, error.message), status=400)
    return await tokens(visit, secret=_once(visit, token))


async def revoke_token(visit: Visit) -> Response:
    """End a token."""
    prefix = str((await visit.form()).get("prefix", ""))
    async with visit.platform.pool.connection() as connection:
        own = await visit.administered(connection)
        if all(one.prefix != prefix or one.organisation not in own for one in await access.tokens(connection)):
            raise NotFound("there is no token with this prefix")
        await access.revoke_token(connection, prefix, visit.at)
        await audit.record(connection, [visit.event("D", "token", prefix)])
    return RedirectResponse("/admin/tokens", 303)


async def organisations(visit: Visit, *, error: str = "", status: int = 200) -> Response:
    """The organisation tree."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        own = await visit.administered(connection)
        tree = await visit.platform.tree(connection)
    nodes = [
        NodeLine(
            "　" * len(tree.ancestors(o.key)) + o.name,
            o.code,
            o.kind,
            tree.name(o.parent) if o.parent else "",
            _town(said, o.division),
        )
        for o in tree
        if o.key in own
    ]
    kinds = ("municipality", "district", "institution")
    places = [(o.code, o.name) for o in tree if o.kind in kinds and o.key in own]
    known = [(town.code, town.said(said)) for town in towns().values()]
    page = AdminPage(
        "organisations",
        said.say(N_("Organisations")),
        _tabs(visit, "organisations"),
        error=error,
        organisations=places,
        towns=known,
        nodes=nodes,
    )
    return show(visit, "admin.html", page, crumbs=_crumbs(visit), status=status)


async def create_organisation(visit: Visit) -> Response:
    """Make an organisation, or change the one with this code."""
    form = {key: str(value).strip() for key, value in (await visit.form()).items()}
    try:
        async with visit.platform.pool.connection() as connection:
            own = await visit.administered(connection)
            tree = await visit.platform.tree(connection)
            parent, known = tree.by_code(form.get("parent", "")), tree.by_code(form.get("code", ""))
            if parent is None or parent.key not in own or not form.get("code") or not form.get("name"):
                raise Incorrect("give a code, a name and the organisation it belongs to")
            if len(form["code"]) > _LONGEST_CODE or len(form["name"]) > _LONGEST_NAME:
                raise Incorrect("the code has at most 64 characters, the name at most 200")
            if known is not None and (known.key not in own or known.key == visit.who.organisation):
                raise Conflict("this code belongs to an organisation you do not administer")
            await access.put_organisation(
                connection, code=form["code"], name=form["name"], kind=form.get("kind", ""), parent=parent.key,
                fhir_id=f"org-{form['code']}", division=form.get("division", ""), at=visit.at,
            )  # fmt: skip
            await audit.record(connection, [visit.event("C", "organisation", form["code"])])
    except HealthBrainError as error:
        return await organisations(visit, error=wording.tell(visit.language, error.message), status=400)
    return RedirectResponse("/admin/organisations", 303)


async def audit_log(visit: Visit) -> Response:
    """The log: search, and on demand the proof of the chain."""
    said = visit.language
    query = AuditQuery(**{name: visit.query.get(name, "").strip() for name in AuditQuery.__slots__})
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "search", "AuditEvent")
        await visit.platform.audit.flush()
        records, more = await audit.search(
            connection,
            Query(
                account=query.account,
                type=query.type,
                outcomes=(audit.REFUSED, audit.FAILED) if query.refused else (),
                since=_day(query.since),
                until=_day(query.until, after=1),
            ),
            scope=await visit.decide(connection, "search", "AuditEvent"),
            count=_EVENTS,
            after=visit.query.get("after", ""),
        )
        chain = _chain(said, await audit.verify(connection)) if visit.query.get("verify") else None
    visit.note("R", "AuditEvent", interaction="audit-search")
    page = AdminPage(
        "audit", said.say(N_("Audit log")), _tabs(visit, "audit"), query=query,
        events=[_event(said, record) for record in records],
        older=visit.at_url(after=more) if more else "", newer=visit.at_url(after=None) if visit.query.get("after") else "",
        chain=chain,
    )  # fmt: skip
    return show(visit, "admin.html", page, crumbs=_crumbs(visit))


async def _switch(visit: Visit, what: str) -> Response:
    name = str((await visit.form()).get("name", ""))
    if name == visit.who.account:
        raise Incorrect("nobody closes their own account")
    async with visit.platform.pool.connection() as connection:
        await _own_account(visit, connection, name)
        change = access.disable_account if what == "disable" else access.enable_account
        await change(connection, name, at=visit.at)
        await audit.record(connection, [visit.event("U", "account", name, detail=what)])
    return RedirectResponse(f"/admin?said={what}d&name={name}", 303)


async def _own_account(visit: Visit, connection: Connection, name: str) -> None:
    """Raises NotFound for an account that is not this visitor's to change, as for one that does not exist."""
    if (await access.account(connection, name)).organisation not in await visit.administered(connection):
        raise NotFound("there is no account of this name")


def _toast(visit: Visit) -> Toast | None:
    said, name = visit.query.get("said"), visit.query.get("name", "")
    if said == "disabled":
        text = visit.language.say(N_("Account %(name)s is closed.")) % {"name": name}
        return Toast(text, "/admin/accounts/enable", {"name": name})
    if said == "enabled":
        text = visit.language.say(N_("Account %(name)s is open again.")) % {"name": name}
        return Toast(text, "/admin/accounts/disable", {"name": name})
    return None


def _once(visit: Visit, secret: str) -> str:
    return visit.language.say(N_("Shown once, copy it now: %(secret)s")) % {"secret": secret}


def _account(visit: Visit, tree: Tree, one: Account) -> AccountLine:
    last = visit.language.ago(one.last_sign_in_at, visit.at)
    return AccountLine(
        one.name,
        one.display,
        one.role,
        tree.name(one.organisation),
        last,
        not one.usable(visit.at),
        one.name == visit.who.account,
    )


def _token(visit: Visit, tree: Tree, one: access.Token) -> TokenLine:
    said = visit.language
    if one.revoked_at:
        state, look = N_("revoked"), "bad"
    elif one.expires_at <= visit.at:
        state, look = N_("expired"), "warn"
    else:
        state, look = N_("in force"), "ok"
    return TokenLine(
        one.prefix,
        one.name,
        tree.name(one.organisation),
        said.short_day(one.expires_at),
        said.ago(one.last_used_at, visit.at),
        said.say(state),
        look,
        look == "ok",
    )


def _event(said: Language, record: Record) -> EventLine:
    event = record.event
    outcome, look = _OUTCOMES.get(event.outcome, _OUTCOMES[audit.FAILED])
    thing = "/".join(part for part in (event.type, event.id or "") if part)
    interaction = said.say(labels.INTERACTIONS.get(event.interaction, event.interaction))
    what = " · ".join(part for part in (said.say(labels.ACTIONS[event.action]), interaction, thing) if part)
    return EventLine(
        said.time(event.at, seconds=True), event.account, said.say(labels.ROLES[event.role]) if event.role in labels.ROLES else "",
        said.say(labels.PURPOSES.get(event.purpose, event.purpose)), what, event.detail, event.address, said.say(outcome), look,
    )  # fmt: skip


def _chain(said: Language, result: audit.Verification) -> Chain:
    if result.whole:
        return Chain(
            said.say(N_("The chain is whole: %(number)s events, none changed or missing."))
            % {"number": said.number(result.events)},
            "ok",
        )
    return Chain(said.say(N_("The chain is broken. Keep the database as it is and call the security officer.")), "bad")


def _places(tree: Tree, own: Container[int]) -> list[tuple[str, str]]:
    return [(node.code, node.name) for node in tree if node.kind != "quarantine" and node.key in own]


def _town(said: Language, division: str) -> str:
    return towns()[division[:9]].said(said) if division[:9] in towns() else ""


def _day(text: str, after: int = 0) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA) + timedelta(days=after)
    except ValueError:
        return None


def _tabs(visit: Visit, chosen: str) -> list[Tab]:
    return [Tab(visit.language.say(label), f"/admin/{tab}", tab == chosen) for tab, label in _TABS]


def _crumbs(visit: Visit) -> list[Crumb]:
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Administration")), "/admin")]
