"""A small world to try the FHIR interface in: two districts, three institutions, three residents, every role."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from starlette.applications import Starlette

from healthbrain import access, audit, exchange, identity
from healthbrain.api import create_api
from healthbrain.runtime import Platform
from healthbrain.settings import Settings
from healthbrain.store import patient_key
from healthbrain.terms import systems

PASSWORD = "Sunny-Day-42"
BASE = "http://testserver/fhir"
ID_A, ID_B, ID_C = "310118195001011233", "310118198506152342", "310104197203033415"


@dataclass
class World:
    """The running interface. `tokens` and `cookies` by who it is."""

    platform: Platform
    client: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    persons: dict[str, str] = field(default_factory=dict)

    def headers(self, who: str | None) -> dict[str, str]:
        if who is None:
            return {}
        if who in self.tokens:
            return {"authorization": f"Bearer {self.tokens[who]}"}
        cookie = self.cookies[who]
        return {"cookie": f"hb_session={cookie}", "x-csrf": access.csrf_token(cookie)}

    async def ask(self, method: str, path: str, who: str | None = "QP00", **more: Any) -> httpx.Response:
        """One request as somebody; paths are below /fhir."""
        headers = {**self.headers(who), **more.pop("headers", {})}
        url = path if path.startswith("http") else f"/fhir/{path}".rstrip("/") if path == "" else f"/fhir/{path}"
        return await self.client.request(method, url, headers=headers, **more)

    async def events(self, request_id: str | None = None) -> list[audit.Event]:
        """What the log has now, oldest first, of one request or of all."""
        await self.platform.audit.flush()
        async with self.platform.pool.connection() as connection:
            records, _ = await audit.search(connection, audit.Query(), count=1000)
        found = [record.event for record in reversed(records)]
        return found if request_id is None else [event for event in found if event.request == request_id]


@asynccontextmanager
async def world(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[World]:
    """An empty platform behind its interface."""
    platform = Platform(Settings(data=folder, **settings), dsn=dsn)
    async with platform:
        app = Starlette(routes=create_api(platform))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            made = World(platform, client)
            await _organisations(made)
            yield made


@asynccontextmanager
async def own_world(postgres: str, template: str, folder: Path, **settings: Any) -> AsyncIterator[World]:
    """A world in a database of its own, for all tests of a module."""
    name = f"hb_world_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    try:
        async with world(make_conninfo(postgres, dbname=name), folder, **settings) as made:
            yield made
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


async def _organisations(world: World) -> None:
    tree = [
        ("SH", "上海市", "municipality", None),
        ("QP00", "青浦区", "district", "SH"),
        ("XH00", "徐汇区", "district", "SH"),
        ("QPZS", "中山医院青浦分院", "institution", "QP00"),
        ("QPXY", "夏阳街道社区卫生服务中心", "institution", "QP00"),
        ("XHZX", "徐汇区中心医院", "institution", "XH00"),
    ]
    async with world.platform.pool.connection() as connection:
        for code, name, kind, parent in tree:
            world.keys[code] = await access.put_organisation(
                connection, code=code, name=name, kind=kind, fhir_id=f"org-{code}",
                parent=world.keys[parent] if parent else None,
            )  # fmt: skip
            source = await exchange.put_source(
                connection,
                code=f"s-{code}",
                name=name,
                organisation=world.keys[code],
                door="fhir",
                at=datetime.now(UTC),
            )
            world.tokens[code] = await access.issue_token(
                connection, name=f"system-{code}", organisation=world.keys[code], source=source.key
            )


async def inhabited(world: World) -> None:
    """Residents A (at two institutions), B (one) and C (the other district), with an observation each, and people."""
    await _put(world, "QPZS", patient("a-zs", ID_A, "张伟", "1950-01-01", "male"))
    await _put(world, "QPXY", patient("a-xy", ID_A, "张伟", "1950-01-01", "male"))
    await _put(world, "QPZS", patient("b-zs", ID_B, "李娜", "1985-06-15", "female"))
    await _put(world, "XHZX", patient("c-zx", ID_C, "王强", "1972-03-03", "male"))
    await _put(world, "QP00", {"resourceType": "Practitioner", "id": "prac-1", "name": [{"text": "陈医生"}]})
    for owner, id_ in (("QPZS", "a-zs"), ("QPXY", "a-xy"), ("QPZS", "b-zs"), ("XHZX", "c-zx")):
        await _put(world, owner, observation(f"o-{id_}", id_))
    await _put(world, "QPXY", contract("contract-a", "a-xy", "prac-1"))
    async with world.platform.pool.connection() as connection:
        keys = {name: patient_key(name) for name in ("a-zs", "b-zs", "c-zx")}
        persons = await identity.person_of(connection, list(keys.values()))
        world.persons = {name: persons[key] for name, key in keys.items()}
        people: list[tuple[str, str, str, dict[str, str]]] = [
            ("leader", "leader", "QP00", {}),
            ("cdc", "cdc", "QP00", {}),
            ("manager", "manager", "QPZS", {}),
            ("doctor", "doctor", "QPXY", {"practitioner": "prac-1"}),
            ("resident", "resident", "QP00", {"person": world.persons["a-zs"]}),
            ("administrator", "administrator", "QP00", {}),
        ]
        for name, role, code, more in people:
            await access.create_account(
                connection, name=name, password=PASSWORD, role=role, organisation=world.keys[code], display=name,
                **more,  # type: ignore[arg-type]
            )  # fmt: skip
    async with world.platform.pool.connection() as connection:
        for name, *_ in people:
            session = await access.sign_in(connection, name, PASSWORD, world.platform.clock())
            world.cookies[name] = session.cookie


async def _put(world: World, who: str, resource: dict[str, Any]) -> None:
    answer = await world.ask("PUT", f"{resource['resourceType']}/{resource['id']}", who, json=resource)
    assert answer.status_code == 201, answer.text


def patient(id_: str, id_card: str, name: str, born: str, gender: str) -> dict[str, Any]:
    """A Patient with a verified identity card number."""
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": systems.ID_CARD, "value": id_card}],
        "name": [{"text": name}],
        "gender": gender,
        "birthDate": born,
    }


def observation(id_: str, patient_id: str, value: float = 6.1) -> dict[str, Any]:
    """A fasting glucose."""
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": systems.LOINC, "code": "14771-0"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": "2026-01-05T08:00:00+08:00",
        "valueQuantity": {"value": value, "unit": "mmol/L", "system": systems.UCUM, "code": "mmol/L"},
    }


def contract(id_: str, patient_id: str, doctor: str) -> dict[str, Any]:
    """A family-doctor contract."""
    return {
        "resourceType": "EpisodeOfCare",
        "id": id_,
        "status": "active",
        "type": [{"coding": [{"system": systems.SERVICE, "code": systems.FAMILY_DOCTOR}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "careManager": {"reference": f"Practitioner/{doctor}"},
        "period": {"start": "2025-01-01"},
    }
