"""Small resources and a running store, for the store's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from healthbrain.database import Pool, open_pool
from healthbrain.store import Write, WriteContext

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def context(minutes: int = 0, *, owner: int = 1, **more: Any) -> WriteContext:
    return WriteContext(owner=owner, at=AT + timedelta(minutes=minutes), **more)


def patient(id_: str | None = None, family: str = "张", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": family}], **more}
    return made if id_ is None else {"resourceType": "Patient", "id": id_, **made}


def observation(
    patient_id: str, code: str = "8480-6", value: float = 120, at: str = "2026-02-03", **more: Any
) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": at,
        "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        **more,
    }


def put(resource: dict[str, Any], if_match: int | None = None) -> Write:
    return Write("update", resource["resourceType"], resource["id"], resource, if_match)


def post(resource: dict[str, Any]) -> Write:
    return Write("create", resource["resourceType"], None, resource)


@asynccontextmanager
async def opened(dsn: str, size: int = 4) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, size=size)
    try:
        yield pool
    finally:
        await pool.close()
