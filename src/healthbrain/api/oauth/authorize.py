"""GET /oauth/authorize and the answer of the person: from an application's request to a code.

The request travels with the consent page and is read and checked afresh with the answer, so nothing is kept between
the two. The answer counts only from our own page in the person's own session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import csrf_holds, csrf_token, session_began, sign_out
from healthbrain.access.smart.authorising import Context, authorise
from healthbrain.access.smart.consents import remember, remembered
from healthbrain.access.smart.grammar import read_scope
from healthbrain.access.smart.launches import launch_context
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.api.lending import lend
from healthbrain.api.oauth.asking import Asked, check_request, read_request, within_reach
from healthbrain.api.oauth.desk import SESSION_COOKIE, Desk, each_once, fields_of, form_of
from healthbrain.api.oauth.page import Consent, consent_page, refusal_page, tag_of
from healthbrain.api.oauth.residents import chosen, found, own_records
from healthbrain.api.oauth.words import in_words
from healthbrain.errors import Forbidden, HealthBrainError
from healthbrain.scope import Principal
from healthbrain.store import patient_key

_FRESH = timedelta(seconds=60)  # a session this young counts as signed in for this request
FIND = "hb_find"  # our own field on the page: whom the person looks for


async def authorize(desk: Desk, request: Request) -> Response:
    """GET, or POST, which becomes a GET so that the session cookie comes along; except from our own page, where the
    person looks for a resident: names and numbers do not belong into an address."""
    try:
        pairs = await form_of(request) if request.method == "POST" else fields_of(request.url.query.encode())
        fields = each_once(pairs)
        sought = fields.pop(FIND, "")
        if request.method == "POST" and not any(name == FIND for name, _ in pairs):
            return RedirectResponse(f"/oauth/authorize?{urlencode(pairs)}", 303)
        async with lend(desk.platform.pool) as connection:
            asked = await read_request(connection, fields, desk.issuer(request))
    except HealthBrainError as error:
        return _shown(desk, request, error)
    try:
        return await _ask(desk, request, asked, sought)
    except OAuthRefusal as refusal:
        _note_refusal(desk, request, asked, refusal, None)
        return RedirectResponse(asked.refuse(refusal), 303)


async def _ask(desk: Desk, request: Request, asked: Asked, sought: str) -> Response:
    check_request(asked, desk.fhir_base(request))
    visitor = await desk.visitor(request)
    if visitor is None or await _too_old(desk, asked, visitor[1]):
        if asked.prompt == "none":
            raise OAuthRefusal("login_required", "nobody is signed in")
        return await _to_sign_in(desk, asked, visitor[1] if visitor else "")
    principal, cookie, must_change = visitor
    if must_change:
        return RedirectResponse("/password", 303)
    scopes = within_reach(asked, principal)
    context = await _launched(desk, asked, principal, scopes)
    if (known := await _remembered(desk, asked, principal, scopes, context)) is not None:
        goal = await _give(desk, request, asked, principal, cookie, scopes, known)
        return RedirectResponse(goal, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
    if asked.prompt == "none":
        raise OAuthRefusal("consent_required", "the person has to be asked")
    tag = tag_of(request, desk.platform.settings.language)
    needs = needs_patient(scopes)
    resident = principal.role == "resident"
    patient = await chosen(desk, principal, context.patient_id) if needs and context.patient_id else None
    choices = []
    if needs and patient is None:
        choices = await own_records(desk, principal) if resident else await found(desk, principal, sought)
    if choices:
        shown = [patient_key(choice.id) for choice in choices]
        desk.platform.audit.note(
            desk.event(request, "authorize", principal, client=asked.client.id, patients=shown, detail="to choose from")
        )
    tree = await desk.gate.tree(asked.client.organisation)
    page = Consent(
        application=asked.client.name,
        owner=tree.name(asked.client.organisation),
        person=principal.display,
        returns_to=urlsplit(asked.redirect_uri).netloc or asked.redirect_uri,
        query=urlencode(dict(asked.fields)),
        csrf=csrf_token(cookie),
        resources=[(text, in_words(text, tag)) for text in scopes if read_scope(text)],
        besides=list(dict.fromkeys(in_words(text, tag) for text in scopes if not read_scope(text))),
        needs_patient=needs,
        patient=patient.choice if patient else None,
        choices=choices,
        searches=needs and not resident and not context.patient_id,
        sought=sought,
    )
    return consent_page(request, desk.platform.settings.language, page, asked.redirect_uri)


async def answer(desk: Desk, request: Request) -> Response:
    """POST /oauth/consent: what the person decided."""
    try:
        _check_same_site(request)
        form = await form_of(request)
        single = each_once([(name, value) for name, value in form if name != "scope"])
        visitor = await desk.visitor(request)
        if visitor is None or visitor[2] or not csrf_holds(visitor[1], single.get("csrf", "")):
            raise Forbidden("the answer does not come from our page in your session; go back to the application")
        fields = each_once(fields_of(single.get("query", "").encode()))
        async with lend(desk.platform.pool) as connection:
            asked = await read_request(connection, fields, desk.issuer(request))
    except HealthBrainError as error:
        return _shown(desk, request, error)
    principal, cookie, _ = visitor
    try:
        check_request(asked, desk.fhir_base(request))
        if single.get("decision") != "allow":
            raise OAuthRefusal("access_denied", "the person refused")
        kept = [value for name, value in form if name == "scope"]
        lasting = single.get("remember", "") == "yes"
        goal = await _allow(desk, request, asked, principal, cookie, kept, single.get("patient", ""), lasting)
    except OAuthRefusal as refusal:
        _note_refusal(desk, request, asked, refusal, principal)
        goal = asked.refuse(refusal)
    return RedirectResponse(goal, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})


async def _allow(
    desk: Desk,
    request: Request,
    asked: Asked,
    principal: Principal,
    cookie: str,
    kept: Sequence[str],
    patient_id: str,
    lasting: bool,
) -> str:
    offered = within_reach(asked, principal)
    scopes = tuple(text for text in offered if read_scope(text) is None or text in kept)
    context = await _launched(desk, asked, principal, offered)
    if needs_patient(scopes):
        patient = await chosen(desk, principal, context.patient_id or patient_id)
        if patient is None:
            raise OAuthRefusal("access_denied", "no resident was chosen whom this person may see")
        context = replace(context, patient_id=patient.choice.id, patient=patient.key, person=patient.person)
    if lasting:
        launched = "launch" in scopes and bool(asked.fields.get("launch"))
        async with lend(desk.platform.pool) as connection:
            chosen_id = None if launched else context.patient_id
            await remember(connection, principal.account, asked.client, scopes, chosen_id, desk.platform.clock())
    return await _give(desk, request, asked, principal, cookie, scopes, context)


async def _remembered(
    desk: Desk, asked: Asked, principal: Principal, scopes: Sequence[str], context: Context
) -> Context | None:
    """The context of a consent that the person gave before and that covers this request; None: they are asked."""
    if "consent" in asked.prompt or "select_account" in asked.prompt:
        return None
    async with lend(desk.platform.pool) as connection:
        known = await remembered(connection, principal.account, asked.client, desk.platform.clock())
    if known is None or not set(scopes) <= known.scopes:
        return None
    if not needs_patient(scopes):
        return context
    wanted = context.patient_id or known.patient_id
    patient = await chosen(desk, principal, wanted) if wanted else None
    if patient is None:
        return None
    return replace(context, patient_id=patient.choice.id, patient=patient.key, person=patient.person)


async def _give(
    desk: Desk,
    request: Request,
    asked: Asked,
    principal: Principal,
    cookie: str,
    scopes: Sequence[str],
    context: Context,
) -> str:
    """Where the browser goes with the code."""
    at = desk.platform.clock()
    async with lend(desk.platform.pool) as connection:
        code = await authorise(
            connection, asked.client, principal, scopes=scopes, context=context, redirect_uri=asked.redirect_uri,
            challenge=asked.fields["code_challenge"], at=at, session=cookie, nonce=asked.fields.get("nonce", ""),
            signed_in_at=await session_began(connection, cookie),
        )  # fmt: skip
        patients = (context.patient,) if context.patient is not None else ()
        event = desk.event(
            request, "authorize", principal, client=asked.client.id, patients=patients, detail=" ".join(scopes)
        )
        await audit.record(connection, [event])
    return asked.back({"code": code})


def needs_patient(scopes: Sequence[str]) -> bool:
    """Whether a patient has to be in context."""
    return "launch/patient" in scopes or any((a := read_scope(text)) and a.level == "patient" for text in scopes)


async def _launched(desk: Desk, asked: Asked, principal: Principal, scopes: Sequence[str]) -> Context:
    handle = asked.fields.get("launch", "")
    if not handle or "launch" not in scopes:
        return Context()
    async with lend(desk.platform.pool) as connection:
        return await launch_context(connection, asked.client, principal.account, handle, desk.platform.clock())


async def _too_old(desk: Desk, asked: Asked, cookie: str) -> bool:
    """Whether the application wants the person to sign in afresh."""
    wanted = _FRESH if "login" in asked.prompt else None
    if "max_age" in asked.fields:
        wanted = max(_FRESH, timedelta(seconds=min(int(asked.fields["max_age"]), 10**9)))
    if wanted is None:
        return False
    async with lend(desk.platform.pool) as connection:
        began = await session_began(connection, cookie)
    return began is None or desk.platform.clock() - began > wanted


async def _to_sign_in(desk: Desk, asked: Asked, cookie: str) -> Response:
    goal = f"/oauth/authorize?{urlencode(dict(asked.fields))}"
    response = RedirectResponse(f"/login?{urlencode({'next': goal})}", 303)
    if cookie:
        async with lend(desk.platform.pool) as connection:
            await sign_out(connection, cookie, desk.platform.clock())
        response.delete_cookie(SESSION_COOKIE, path="/")
    return response


def _check_same_site(request: Request) -> None:
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in (None, "same-origin") or (
        site is None and origin and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise Forbidden("this form was sent from another site")


def _shown(desk: Desk, request: Request, error: HealthBrainError) -> Response:
    response = refusal_page(request, desk.platform.settings.language, error)
    desk.platform.audit.note(desk.event(request, "authorize", None, detail=type(error).__name__, outcome=audit.REFUSED))
    return response


def _note_refusal(
    desk: Desk, request: Request, asked: Asked, refusal: OAuthRefusal, principal: Principal | None
) -> None:
    desk.platform.audit.note(
        desk.event(request, "authorize", principal, client=asked.client.id, detail=refusal.code, outcome=audit.REFUSED)
    )
