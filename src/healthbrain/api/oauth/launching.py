"""POST /oauth/launch: our own screens start an application with the resident who is open on them (EHR launch)."""

from __future__ import annotations

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


async def launch(desk: Desk, request: Request) -> Response:
    """Fields: csrf, client, patient and encounter (logical ids, optional)."""
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
        context = Context(context.patient_id, context.patient, context.person, form["encounter"])
        scope = await desk.gate.decide(principal, "read", "Encounter", desk.platform.clock())
        read = desk.platform.store.read
        stored = await ask(desk.platform.readers, lambda c: read(c, "Encounter", form["encounter"], scope=scope))
        if stored.patient is None or stored.patient != context.patient:
            raise Incorrect("the encounter is not one of this patient")
    async with lend(desk.platform.pool) as connection:
        client = await find_client(connection, form.get("client", ""))
        goal = await begin_launch(
            connection, client, principal.account, context, issuer=desk.fhir_base(request), at=desk.platform.clock()
        )
        patients = (context.patient,) if context.patient is not None else ()
        await audit.record(connection, [desk.event(request, "launch", principal, client=client.id, patients=patients)])
    return RedirectResponse(goal, 303, {"cache-control": "no-store"})
