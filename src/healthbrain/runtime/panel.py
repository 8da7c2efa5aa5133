"""A family doctor's panel (签约居民), kept from the contracts that arrive (APP-FD-01).

A contract is an EpisodeOfCare of type family-doctor with the doctor as care manager; it opens the record of the
resident's person to that doctor while it is active.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from healthbrain import access, identity
from healthbrain.database import Connection
from healthbrain.store import WriteContext, Written
from healthbrain.terms import systems


async def fill_panel(connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
    """Store observer: put or take residents on or off the panel of the doctor named in their contract."""
    contracts = [w for w in written if w.type == "EpisodeOfCare" and w.resource and is_family_doctor(w.resource)]
    if not contracts:
        return
    persons = await identity.person_of(connection, [w.patient for w in contracts if w.patient is not None])
    joined: list[tuple[str, str]] = []
    left: list[tuple[str, str]] = []
    for contract in contracts:
        resource = contract.resource or {}
        person = persons.get(contract.patient or 0)
        doctor = practitioner_of(resource)
        if person and doctor:
            (joined if resource.get("status") == "active" and not contract.deleted else left).append((doctor, person))
    if joined:
        await access.put_panel(connection, joined)
    if left:
        await access.take_off_panel(connection, left)


def is_family_doctor(resource: dict[str, Any]) -> bool:
    """Whether an EpisodeOfCare is a family-doctor contract (家庭医生签约)."""
    return any(
        coding.get("system") == systems.SERVICE and coding.get("code") == systems.FAMILY_DOCTOR
        for concept in resource.get("type", ())
        for coding in concept.get("coding", ())
    )


def practitioner_of(resource: dict[str, Any]) -> str:
    """Logical id of the care manager, or ''."""
    reference = str(resource.get("careManager", {}).get("reference", ""))
    return reference.removeprefix("Practitioner/") if reference.startswith("Practitioner/") else ""
