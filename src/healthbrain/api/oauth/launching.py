"""POST /oauth/launch: our own screens start an application with what is open on them (EHR launch).

That is a resident, a visit, and other resources such as an imaging study or a report (SMART App Launch 2.2, fhirContext).
Whoever starts it must be able to read them, and those that are about somebody must be about this resident.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import csrf_holds, find_client
from healthbrain.access.smart.authorising import Context
from healthbrain.access.smart.launches import begin_launch
from healthbrain.api.lending import ask, lend
from healthbrain.api.oauth.desk import Desk, each_once, form_of
from healthbrain.api.oauth.residents import chosen
from healthbrain.errors import Forbidden, Incorrect, NotFound, Unauthenticated
from healthbrain.fhir import reference
from healthbrain.scope import Principal
from healthbrain.store import Stored

_OWN_FIELDS = frozenset({"Patient", "Encounter"})
_MOST_RESOURCES = 20


async def launch(desk: Desk, request: Request) -> Response:
    """Fields: csrf, client; patient and encounter (logical ids), context (references, blanks between them) are optional."""
    visitor = await desk.visitor(request)
    if visitor is None:
        raise Unauthenticated("sign in first")
    principal, cookie, _ = visitor
    form = each_once(await form_of(request))
    if not csrf_holds(cookie, form.get("csrf", "")):
        raise Forbidden("this form is too old or not from this session; reload the page and try again")
    context = Context()
    if "patient" in form:
        patient = await chosen(desk, principal, form["patient"])
        if patient is None:
            raise NotFound("there is no such patient")
        context = Context(patient.choice.id, patient.key, patient.person)
    if "encounter" in form:
        context = replace(context, encounter=form["encounter"])
        stored = await _open(desk, principal, "Encounter", form["encounter"])
        if stored.patient is None or stored.patient != context.patient:
            raise Incorrect("the encounter is not one of this patient")
    if "context" in form:
        context = replace(context, resources=await _resources(desk, principal, form["context"], context))
    async with lend(desk.platform.pool) as connection:
        client = await find_client(connection, form.get("client", ""))
        goal = await begin_launch(
            connection, client, principal.account, context, issuer=desk.fhir_base(request), at=desk.platform.clock()
        )
        patients = (context.patient,) if context.patient is not None else ()
        await audit.record(connection, [desk.event(request, "launch", principal, client=client.id, patients=patients)])
    return RedirectResponse(goal, 303, {"cache-control": "no-store"})


async def _resources(desk: Desk, principal: Principal, text: str, context: Context) -> tuple[str, ...]:
    """References to what else is open on the screen. Raises Incorrect, NotFound, Forbidden."""
    found = list(dict.fromkeys(text.split()))
    if len(found) > _MOST_RESOURCES:
        raise Incorrect(f"an application is started with at most {_MOST_RESOURCES} resources")
    for one in found:
        target = reference.read(one)
        if target.form != "relative" or target.version or target.type in _OWN_FIELDS:
            raise Incorrect(
                "'context' holds references such as ImagingStudy/1; patient and encounter have their own fields"
            )
        stored = await _open(desk, principal, target.type, target.id)
        if stored.patient not in (None, context.patient):
            raise Incorrect("a resource in 'context' is not about this patient")
    return tuple(found)


async def _open(desk: Desk, principal: Principal, type_: str, id_: str) -> Stored:
    scope = await desk.gate.decide(principal, "read", type_, desk.platform.clock())
    read = desk.platform.store.read
    return await ask(desk.platform.readers, lambda c: read(c, type_, id_, scope=scope))
