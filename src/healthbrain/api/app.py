"""The FHIR REST interface as one ASGI application: who, what, when it is too much, and one audit event each.

A request passes: the gangway (how many at once), the time limit, authentication, routing, its handler, the audit log,
the answer. Whatever goes wrong becomes an OperationOutcome. The audit event is kept before the first byte of the answer
leaves; when it cannot be kept, nothing is shown.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import psycopg

from healthbrain import audit, identity
from healthbrain.access import Gate, csrf_holds
from healthbrain.api import agreed, capability, lending, media, openapi
from healthbrain.api.answer import Answer, MethodNotAllowed, of_error, send
from healthbrain.api.audits import Audits
from healthbrain.api.bulk import Bulk
from healthbrain.api.call import Call, Receive, Scope, Send
from healthbrain.api.deadlines import Deadlines
from healthbrain.api.offers import Offers
from healthbrain.api.operations import Operations
from healthbrain.api.platform import Platform
from healthbrain.api.rates import Rates, client_of
from healthbrain.api.reading import Reading
from healthbrain.api.streamed import Streamed
from healthbrain.api.subscriptions import Subscriptions
from healthbrain.api.view_wishes import TYPE, has_own_formats
from healthbrain.api.views import Views
from healthbrain.api.witness import event_of
from healthbrain.api.writing import Writing
from healthbrain.errors import (
    Conflict,
    Fault,
    Forbidden,
    HealthBrainError,
    Incorrect,
    Issue,
    NotFound,
    Unauthenticated,
    Unavailable,
    Unsupported,
    http_status,
)
from healthbrain.runtime.partners import Partner

log = logging.getLogger("healthbrain.api")

READ_SECONDS = 30.0
WRITE_SECONDS = 300.0
SESSION_COOKIE = "hb_session"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_SAFE = ("GET", "HEAD")
_OPEN = (["metadata"], ["openapi.json"])  # they tell what the server does, to whoever asks

Handler = Callable[[], Awaitable[Answer]]


class Fhir:
    """ASGI application below /fhir."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gangway = lending.Gangway()
        self._deadlines = Deadlines()
        self._rates = Rates(platform.settings.rate_limit, platform.settings.data / "rates")
        self._agreed_rates: dict[int, Rates] = {}
        self._since = platform.clock()
        self._gate = Gate(lambda: lending.lend(platform.pool), identity.patients_of)
        self._reading = Reading(platform, self._gate)
        self._writing = Writing(platform, self._gate, self._route)
        self._audits = Audits(platform, self._gate)
        self._subscriptions = Subscriptions(platform, self._gate)
        self._bulk = Bulk(platform, self._gate)
        self._views = Views(platform, self._gate)
        self._operations = Operations(platform, self._gate)
        self._offers = Offers(platform, self._gate, self._writing)

    @property
    def gate(self) -> Gate:
        """Who is who and may do what, remembered for this process."""
        return self._gate

    async def __call__(self, scope: Scope, receive: Receive, send_message: Send) -> None:
        """One request."""
        began = time.perf_counter()
        call = Call(scope, receive, at=self._platform.clock(), max_body=self._platform.settings.max_body)
        error: HealthBrainError | None = None
        try:
            with self._gangway:
                answer = await self._limited(call)
        except HealthBrainError as known:
            error, answer = known, of_error(known)
        except psycopg.Error as broken:
            error = _database_error(broken)
            answer = of_error(error)
        except Exception as mistake:
            _log_mistake(call, mistake)
            error = Fault(f"an error on our side; nothing was stored. Ask about request {call.request_id}")
            answer = of_error(error)
        answer = self._audited(call, answer, error)
        if call.partner is None:
            await _sent(answer, call, send_message)
        else:
            await self._measured(call.partner, answer, call, send_message, began)

    async def _measured(self, partner: Partner, answer: Answer, call: Call, send_message: Send, began: float) -> None:
        """Send it, and count what went to a partner and how long it took."""
        size = 0

        async def counting(message: MutableMapping[str, Any]) -> None:
            nonlocal size
            size += len(message.get("body", b""))
            await send_message(message)

        try:
            await _sent(answer, call, counting)
        finally:
            seconds = time.perf_counter() - began
            self._platform.partners.note(partner, call.interface, call.at, answer.status, size, seconds)

    async def _limited(self, call: Call) -> Answer:
        seconds = READ_SECONDS if call.method in _SAFE else WRITE_SECONDS
        try:
            with self._deadlines.within(seconds):  # leaving by cancellation cancels the query in the database
                return await self._answer(call)
        except TimeoutError:
            text = f"it took longer than {seconds:.0f} s and was stopped; ask for less at once"
            raise Unavailable(text, issues=[Issue("error", "timeout", "", text)]) from None

    async def _answer(self, call: Call) -> Answer:
        if not has_own_formats(call.segments):
            media.wanted_format(call)
        if call.segments not in _OPEN:
            try:
                await self._authenticate(call)
            except Unauthenticated:
                self._rates.admit(call.address)
                raise
        await self._agreed(call)
        self._rates.admit(client_of(call.principal) if call.principal else call.address)
        return await self._route(call)()

    async def _agreed(self, call: Call) -> None:
        """Hold a partner to its agreement. Raises Forbidden, Throttled."""
        desk, who = self._platform.partners, call.principal
        if who is None:
            return
        if not desk.fresh:
            await desk.read()
        partner = call.partner = desk.of(who)
        if partner is None:
            return
        interfaces, type_ = agreed.needed(call.method, call.segments)
        if type_ and not (self._platform.definitions.is_resource(type_) or type_ == TYPE):
            type_ = ""  # the routes say that there is no such type
        call.interface = agreed.told(interfaces, type_)
        partner.check(interfaces, type_, call.at)
        limits = self._agreed_rates.get(partner.per_minute)
        if limits is None:
            limits = Rates(partner.per_minute, self._platform.settings.data / "rates-of-partners")
            self._agreed_rates[partner.per_minute] = limits
        limits.admit(f"partner {partner.code}")
        call.principal = partner.narrowed(who)

    async def _authenticate(self, call: Call) -> None:
        authorization = call.header(b"authorization")
        if authorization:
            kind, _, token = authorization.partition(" ")
            if kind.lower() != "bearer" or not token:
                raise Unauthenticated("send Authorization: Bearer and a token")
            call.principal = await self._gate.by_token(token.strip(), call.at)
            return
        cookie = _cookie(call.header(b"cookie"), SESSION_COOKIE)
        if not cookie:
            raise Unauthenticated("sign in, or send Authorization: Bearer and a token")
        call.principal = await self._gate.by_cookie(cookie, call.at)
        if call.method not in _SAFE and not csrf_holds(cookie, call.header(b"x-csrf")):
            raise Forbidden("a change with a session cookie needs the header X-CSRF of that session")

    def _route(self, call: Call) -> Handler:
        if (handlers := self._bulk.handlers(call) or self._subscriptions.handlers(call)) is not None:
            return self._choose(call, handlers)
        if (handlers := self._views.handlers(call) or self._offers.handlers(call)) is not None:
            return self._choose(call, handlers)
        match call.segments:
            case []:
                return self._choose(
                    call, {"GET": lambda: self._reading.search(call, None), "POST": lambda: self._writing.bundle(call)}
                )
            case ["_search"]:
                return self._choose(call, {"POST": lambda: self._reading.search(call, None)})
            case ["_history"]:
                return self._choose(call, {"GET": lambda: self._reading.history(call, None, None)})
            case ["metadata"]:
                return self._choose(call, {"GET": lambda: self._metadata(call)})
            case ["openapi.json"]:
                return self._choose(call, {"GET": lambda: self._openapi(call)})
            case [type_, *rest]:
                if not self._platform.definitions.is_resource(type_):
                    raise NotFound("there is no resource type of this name in FHIR R4; names are written as in Patient")
                call.trace.type = type_
                return self._route_audit(call, rest) if type_ == "AuditEvent" else self._route_type(call, type_, rest)
        raise NotFound("there is nothing at this address")

    def _route_type(self, call: Call, type_: str, rest: list[str]) -> Handler:
        reading, writing = self._reading, self._writing
        match rest:
            case []:
                return self._choose(
                    call,
                    {
                        "GET": lambda: reading.search(call, type_),
                        "POST": lambda: writing.create(call, type_),
                        "PUT": lambda: writing.update_matching(call, type_),
                        "PATCH": lambda: writing.patch_matching(call, type_),
                        "DELETE": lambda: writing.delete_matching(call, type_),
                    },
                )
            case ["_search"]:
                return self._choose(call, {"POST": lambda: reading.search(call, type_)})
            case ["_history"]:
                return self._choose(call, {"GET": lambda: reading.history(call, type_, None)})
            case ["$validate"]:
                return self._choose(call, {"POST": lambda: self._operations.validate(call, type_, None)})
            case [id_, "$validate"]:
                self._check_id(call, id_)
                return self._choose(call, {"POST": lambda: self._operations.validate(call, type_, id_)})
            case [id_, "$everything"] if type_ == "Patient":
                self._check_id(call, id_)
                return self._choose(call, {"GET": lambda: reading.everything(call, id_)})
            case [_, "$summary"] if type_ == "Patient":
                raise Unsupported("the patient summary (IPS) is not built yet; $everything gives the whole record")
            case [*_, operation] if operation.startswith("$"):
                raise Unsupported("this operation is not offered here; /metadata lists those that are")
            case [id_]:
                self._check_id(call, id_)
                return self._choose(
                    call,
                    {
                        "GET": lambda: reading.read(call, type_, id_),
                        "PUT": lambda: writing.update(call, type_, id_),
                        "PATCH": lambda: writing.patch(call, type_, id_),
                        "DELETE": lambda: writing.delete(call, type_, id_),
                    },
                )
            case [id_, "_history"]:
                self._check_id(call, id_)
                return self._choose(call, {"GET": lambda: reading.history(call, type_, id_)})
            case [id_, "_history", version]:
                self._check_id(call, id_)
                return self._choose(call, {"GET": lambda: reading.vread(call, type_, id_, version)})
            case [id_, other, *more] if self._is_compartment(type_, other, more):
                self._check_id(call, id_)
                sought, within = None if other == "*" else other, (type_, id_)
                method = "POST" if more else "GET"
                return self._choose(call, {method: lambda: reading.search(call, sought, within)})
        raise NotFound("there is nothing at this address")

    def _is_compartment(self, type_: str, other: str, more: list[str]) -> bool:
        """Patient/1/Observation, Patient/1/*, and either with _search."""
        known = self._platform.definitions
        sought = other == "*" or (known.is_resource(other) and other != "AuditEvent")
        return type_ in known.compartments and sought and more in ([], ["_search"])

    def _route_audit(self, call: Call, rest: list[str]) -> Handler:
        match rest:
            case []:
                return self._choose(call, {"GET": lambda: self._audits.search(call)})
            case ["_search"]:
                return self._choose(call, {"POST": lambda: self._audits.search(call)})
            case [id_]:
                return self._choose(call, {"GET": lambda: self._audits.read(call, id_)})
        raise NotFound("audit events are read and searched, nothing else")

    def _choose(self, call: Call, handlers: dict[str, Handler]) -> Handler:
        method = "GET" if call.method == "HEAD" else call.method
        if method in handlers:
            return handlers[method]
        allow = tuple(handlers) + (("HEAD",) if "GET" in handlers else ())
        raise MethodNotAllowed(f"{call.method[:10]} is not possible here", allow)

    def _check_id(self, call: Call, id_: str) -> None:
        if _ID.fullmatch(id_):
            return
        if call.method in ("GET", "HEAD"):
            raise NotFound("there is no such resource")
        raise Incorrect("an id is 1 to 64 letters, digits, '-' or '.'")

    async def _metadata(self, call: Call) -> Answer:
        try:
            added = await lending.ask(self._platform.readers, self._platform.store.parameters)
        except (psycopg.OperationalError, Unavailable):  # the statement is for those, too, who look why nothing goes
            added = []
        return Answer(200, capability.statement(self._platform.definitions, call.base, self._since, added))

    async def _openapi(self, call: Call) -> Answer:
        return Answer(200, openapi.description(self._platform.definitions, call.base), kind=b"application/json")

    def _audited(self, call: Call, answer: Answer, error: HealthBrainError | None) -> Answer:
        """Keep the event of this request, unless the change brought its own or nothing was asked of the data."""
        if call.segments in _OPEN or (call.trace.written and error is None):
            return answer
        status = http_status(error) if error else answer.status
        fine = audit.REFUSED if call.trace.refused else audit.FINE
        outcome = fine if status < 400 else audit.FAILED if status >= 500 else audit.REFUSED
        if error is not None:
            call.trace.patients.clear()  # nothing was shown
        try:
            self._platform.audit.note(event_of(call, outcome, type(error).__name__ if error else ""))
        except Unavailable as unkept:
            return of_error(unkept)
        return answer


async def _sent(answer: Answer, call: Call, send_message: Send) -> None:
    await (answer.stream(call, send_message) if isinstance(answer, Streamed) else send(answer, call, send_message))


def _cookie(header: str, name: str) -> str:
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _database_error(error: psycopg.Error) -> HealthBrainError:
    if isinstance(error, (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)):
        return Conflict("somebody else changed the same resources at the same moment; send it again")
    if isinstance(error, psycopg.OperationalError):
        return Unavailable("the database does not answer; nothing was stored, try again in a few seconds")
    if isinstance(error, psycopg.errors.DataError):
        log.warning("refused by the database as data: %s (%s)", type(error).__name__, error.sqlstate)
        return Incorrect("it holds text or numbers that the database cannot compare or keep")
    log.error("database error %s (%s)", type(error).__name__, error.sqlstate)
    return Fault()


def _log_mistake(call: Call, mistake: Exception) -> None:
    # where it happened, not with which values
    where = "".join(traceback.format_tb(mistake.__traceback__, limit=-4))
    log.error("request %s failed with %s\n%s", call.request_id, type(mistake).__name__, where)
