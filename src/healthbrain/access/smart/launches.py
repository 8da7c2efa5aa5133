"""Launching an application from our own screens (EHR launch): a handle that stands for a patient, an encounter and other resources.

The handle goes through the browser; only the application it was made for, used by the same account, gets the context
it stands for, within five minutes.
"""

from __future__ import annotations

import secrets as random
from datetime import datetime, timedelta
from urllib.parse import urlencode

from healthbrain.access import secrets
from healthbrain.access.smart.authorising import Context
from healthbrain.access.smart.clients import Client
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.database import Connection
from healthbrain.errors import Incorrect

LIVES = timedelta(minutes=5)

_INSERT = """
insert into launch (digest, client, account, patient_id, patient, person, encounter, until_at, resources)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_READ = """
select patient_id, patient, person, encounter, resources from launch
where digest = %s and client = %s and account = %s and until_at > %s"""
_PRUNE = """
delete from launch where digest in (
    select digest from launch where until_at < %s limit 100 for update skip locked)"""


async def begin_launch(
    connection: Connection, client: Client, account: str, context: Context, *, issuer: str, at: datetime
) -> str:
    """Where the browser goes to start the application. `issuer` is our FHIR base. The caller has checked that the
    account may see the patient. Raises Incorrect when the application cannot be launched from here."""
    if not client.launch_uri or client.disabled_at is not None:
        raise Incorrect("this application has no launch address or is disabled")
    handle = random.token_urlsafe(24)
    await connection.execute(_PRUNE, (at,))
    await connection.execute(
        _INSERT,
        (
            secrets.digest(handle), client.id, account, context.patient_id, context.patient, context.person,
            context.encounter, at + LIVES, list(context.resources),
        ),
    )  # fmt: skip
    joint = "&" if "?" in client.launch_uri else "?"
    return f"{client.launch_uri}{joint}{urlencode({'iss': issuer, 'launch': handle})}"


async def launch_context(connection: Connection, client: Client, account: str, handle: str, at: datetime) -> Context:
    """What a launch handle stands for. Raises OAuthRefusal when it is not this application's and account's, or is old."""
    row = await (await connection.execute(_READ, (secrets.digest(handle), client.id, account, at))).fetchone()
    if row is None:
        raise OAuthRefusal("invalid_request", "the launch has expired or was for another application or account")
    patient_id, patient, person, encounter, resources = row
    return Context(patient_id, patient, person, encounter, tuple(resources))
