"""Which FHIR resource a signed-in person is: the claim fhirUser."""

from __future__ import annotations

from healthbrain import identity
from healthbrain.api.lending import ask
from healthbrain.api.oauth.desk import Desk
from healthbrain.scope import Principal


async def fhir_user(desk: Desk, principal: Principal) -> str:
    """`Practitioner/<id>`, or the first `Patient/<id>` of a resident; "" for people who are no resource."""
    if principal.practitioner:
        return f"Practitioner/{principal.practitioner}"
    person = principal.person
    if person is None:
        return ""
    records = await ask(desk.platform.readers, lambda c: identity.patient_ids(c, person))
    return f"Patient/{min(id_ for id_, _ in records)}" if records else ""
