"""Registering the twin's district on a platform: organisations, sources, tokens, and the demo's accounts.

This is what an administrator does by hand for a real district; everything else comes through the doors.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthbrain import access, exchange, identity
from healthbrain.database import Connection
from healthbrain.twin import District, Institution

DEMO_PASSWORD = "Qingpu-2026"  # noqa: S105  # of the demo's accounts only; shown on its sign-in page


@dataclass(frozen=True, slots=True)
class Account:
    """A demo account as it is shown to its user."""

    name: str
    password: str
    role: str
    display: str


async def register(connection: Connection, district: District, at: datetime) -> dict[str, str]:
    """Organisations, sources and staff accounts; returns a bearer token for each institution that sends FHIR."""
    keys: dict[str, int] = {}
    tokens: dict[str, str] = {}
    for institution in district.organisations():
        keys[institution.code] = await access.put_organisation(
            connection, code=institution.code, name=institution.name, kind=institution.kind,
            parent=keys.get(institution.parent), fhir_id=institution.fhir_id,
            facility_class=institution.facility_class, division=institution.division, at=at,
        )  # fmt: skip
        if institution.door:
            source = await _source(connection, institution, keys[institution.code], at)
            if institution.door == "fhir":
                tokens[institution.code] = await access.issue_token(
                    connection, name=institution.name, organisation=keys[institution.code], source=source, days=365
                )
    await _staff_accounts(connection, district, keys)
    return tokens


async def _source(connection: Connection, institution: Institution, organisation: int, at: datetime) -> int:
    source = await exchange.put_source(
        connection, code=institution.code, name=institution.name, organisation=organisation,
        organisation_code=institution.code, door=institution.door, at=at,
        facility=institution.code if institution.door == "hl7v2" else "",
        charset=institution.charset, code_set=institution.lab_map,
    )  # fmt: skip
    return source.key


async def _staff_accounts(connection: Connection, district: District, keys: dict[str, int]) -> None:
    cast = district.cast()
    people: tuple[tuple[str, str, str, str, str | None], ...] = (
        ("leader", "leader", "QP00", "区卫健委领导", None),
        ("cdc", "cdc", "QP01", "疾控流行病学医师", None),
        ("manager", "manager", cast.hospital.code, f"{cast.hospital.name}院长", None),
        ("doctor", "doctor", cast.centre.code, f"{cast.doctor.name.text} 家庭医生", cast.doctor.fhir_id),
        ("admin", "administrator", "QP00", "信息中心管理员", None),
    )
    for name, role, code, display, practitioner in people:
        await _account(connection, name, role, keys[code], display, practitioner=practitioner)


async def follow_up(connection: Connection, district: District) -> None:
    """The resident's account needs the person id, which identity has given by now."""
    elder = district.cast().elder
    persons = await identity.find(connection, identifier=elder.id_card)
    tree = await access.organisations(connection)
    if persons and tree.root:
        await _account(connection, "resident", "resident", tree.root.key, elder.name.text, person=persons[0])


async def _account(
    connection: Connection,
    name: str,
    role: str,
    organisation: int,
    display: str,
    *,
    person: str | None = None,
    practitioner: str | None = None,
) -> None:
    if any(account.name == name for account in await access.accounts(connection)):
        return
    await access.create_account(
        connection, name=name, password=DEMO_PASSWORD, role=role, organisation=organisation, display=display,
        person=person, practitioner=practitioner,
    )  # fmt: skip


async def accounts_of(connection: Connection) -> list[Account]:
    """The demo's accounts, as they are printed and listed on the sign-in page."""
    return [
        Account(account.name, DEMO_PASSWORD, account.role, account.display)
        for account in await access.accounts(connection)
    ]
