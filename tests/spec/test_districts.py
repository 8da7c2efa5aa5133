"""Districts are virtual tenants (HUB-05): each has its own institutions, accounts, sources, tokens and applications, and
whoever belongs to one sees nothing of the other, by whatever way it is asked, even where data of the two refer to each
other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import PASSWORD, World, inhabited, observation, patient, world
from tests.smart_world import App, register, system

from healthbrain import access

pytestmark = pytest.mark.anyio

# who asks -> its district. Each also asks through an application that was granted everything.
OF: dict[str, str] = {
    "QP00": "qp", "QPZS": "qp", "cdc": "qp", "leader for public health": "qp", "manager": "qp",
    "administrator on a case": "qp",
    "XH00": "xh", "XHZX": "xh", "xh-cdc": "xh", "xh-leader for public health": "xh", "xh-manager": "xh",
    "xh-administrator on a case": "xh",
}  # fmt: skip
THROUGH = {f"{who} through an application": district for who, district in OF.items()}
EVERYBODY = {**OF, **THROUGH}
CLINICAL = ("Patient", "Observation", "Encounter", "EpisodeOfCare")


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_districts"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        await _second_district(made)
        await _entangle(made)
        await _applications(made)
        yield made


async def _second_district(hb: World) -> None:
    """People of the other district, and sessions of both with the purposes that open records."""
    people = [("xh-cdc", "cdc", "XH00"), ("xh-leader", "leader", "XH00"), ("xh-administrator", "administrator", "XH00")]
    people.append(("xh-manager", "manager", "XHZX"))
    at = hb.platform.clock()
    async with hb.platform.pool.connection() as connection:
        for name, role, code in people:
            await access.create_account(
                connection, name=name, password=PASSWORD, role=role, organisation=hb.keys[code], display=name
            )
    async with hb.platform.pool.connection() as connection:
        for name, *_ in people:
            hb.cookies[name] = (await access.sign_in(connection, name, PASSWORD, at)).cookie
        for prefix in ("", "xh-"):
            for account, purpose, label in (
                ("leader", "PUBHLTH", "leader for public health"), ("administrator", "HOPERAT", "administrator on a case"),
            ):  # fmt: skip
                session = await access.sign_in(connection, prefix + account, PASSWORD, at)
                await access.declare_purpose(connection, session.cookie, purpose, "因公需要查阅", at)  # type: ignore[arg-type]  # one of the purposes
                hb.cookies[prefix + label] = session.cookie


async def _entangle(hb: World) -> None:
    """Data of each district that refer to patients and visits of the other."""
    await _put(hb, "QPZS", encounter("e-qp", "a-zs"))
    await _put(hb, "XHZX", encounter("e-xh", "c-zx"))
    await _put(hb, "XHZX", observation("x-about-qp", "a-zs") | {"encounter": {"reference": "Encounter/e-qp"}})
    await _put(hb, "QPZS", observation("q-about-xh", "c-zx") | {"encounter": {"reference": "Encounter/e-xh"}})
    await _put(hb, "XHZX", patient("c2-zx", "310104198001011239", "赵敏", "1980-01-01", "female"))
    await _put(hb, "XHZX", {**patient("c2-zx", "310104198001011239", "赵敏", "1980-01-01", "female"), "active": True})
    await _put(hb, "XHZX", observation("x-gone", "c2-zx"))
    assert (await hb.ask("DELETE", "Observation/x-gone", "XHZX")).status_code == 204
    await _put(hb, "QPZS", observation("q-gone", "a-zs"))
    assert (await hb.ask("DELETE", "Observation/q-gone", "QPZS")).status_code == 204


async def _applications(hb: World) -> None:
    app: App = await register(hb, owner="SH")
    for who in OF:
        if who in hb.tokens:
            await system(hb, f"{who} through an application", who, ["system/*.cruds"])
        else:
            await app.bearer(f"{who} through an application", who, "user/*.rs")


def encounter(id_: str, patient_id: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": id_, "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }  # fmt: skip


async def _put(hb: World, who: str, resource: dict[str, Any]) -> None:
    answer = await hb.ask("PUT", f"{resource['resourceType']}/{resource['id']}", who, json=resource)
    assert answer.status_code in (200, 201), answer.text


OWN = {
    "qp": {"a-zs", "a-xy", "b-zs", "o-a-zs", "o-a-xy", "o-b-zs", "e-qp", "q-about-xh", "q-gone", "contract-a"},
    "xh": {"c-zx", "c2-zx", "o-c-zx", "e-xh", "x-about-qp", "x-gone"},
}
OTHER = {"qp": "xh", "xh": "qp"}


def ids(bundle: dict[str, Any]) -> set[str]:
    found = set()
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource")
        if resource is None:  # a deletion in a history
            found.add(entry.get("request", {}).get("url", "").rpartition("/")[2])
        elif resource["resourceType"] == "Bundle":
            found |= ids(resource)
        elif resource["resourceType"] in CLINICAL:
            found.add(resource["id"])
    return found


async def shown(hb: World, who: str, path: str) -> set[str]:
    answer = await hb.ask("GET", path, who)
    assert answer.status_code == 200, (who, path, answer.text)
    return ids(answer.json())


@pytest.mark.parametrize("who", EVERYBODY)
async def test_nothing_of_the_other_district_is_found_by_any_question(hb: World, who: str) -> None:
    own, foreign = OWN[EVERYBODY[who]], OWN[OTHER[EVERYBODY[who]]]
    questions = [
        "Patient?_count=100", "Observation?_count=100", "Encounter?_count=100",
        "Patient?_revinclude=Observation:subject&_revinclude=Encounter:subject&_count=100",
        "Observation?_include=Observation:subject&_include=Observation:encounter&_count=100",
        "Organization?_revinclude=Patient:organization", "Practitioner?_revinclude=EpisodeOfCare:care-manager",
        "Patient/_history?_count=100", "Observation/_history?_count=100", "_history?_count=500",
    ]  # fmt: skip
    seen: set[str] = set()
    for question in questions:
        found = await shown(hb, who, question)
        assert not found & foreign, (question, found & foreign)
        assert found <= own, (question, found - own)
        seen |= found
    assert seen


@pytest.mark.parametrize("who", EVERYBODY)
async def test_nothing_of_the_other_district_is_read_by_name(hb: World, who: str) -> None:
    foreign = OWN[OTHER[EVERYBODY[who]]]
    for type_ in CLINICAL:
        for id_ in foreign:
            for path in (f"{type_}/{id_}", f"{type_}/{id_}/_history/1", f"{type_}/{id_}/_history"):
                assert (await hb.ask("GET", path, who)).status_code == 404, path
    for id_ in foreign & {"a-zs", "b-zs", "c-zx", "c2-zx"}:
        answer = await hb.ask("GET", f"Patient/{id_}/$everything", who)
        assert answer.status_code == 404 or not ids(answer.json()) & foreign


@pytest.mark.parametrize("who", EVERYBODY)
async def test_chains_and_counts_do_not_betray_the_other_district(hb: World, who: str) -> None:
    district = EVERYBODY[who]
    secret = {"qp": "Observation?subject:Patient.name=王强", "xh": "Observation?subject:Patient.name=张伟"}[district]
    assert await shown(hb, who, secret) == set()
    visit = {"qp": "Observation?encounter:Encounter.subject=Patient/c-zx", "xh": "Observation?encounter:Encounter.subject=Patient/a-zs"}[
        district
    ]  # fmt: skip
    assert await shown(hb, who, visit) == set()
    has = {"qp": "a-zs", "xh": "c-zx"}[district]
    about = {"qp": "x-about-qp", "xh": "q-about-xh"}[district]
    assert await shown(hb, who, f"Patient?_id={has}&_has:Observation:subject:_id={about}") == set()
    counted = (await hb.ask("GET", "Patient?_summary=count", who)).json()["total"]
    assert counted == len(await shown(hb, who, "Patient?_count=100"))


@pytest.mark.parametrize("who", EVERYBODY)
async def test_bundles_stay_in_the_district(hb: World, who: str) -> None:
    foreign = OWN[OTHER[EVERYBODY[who]]]
    some = {"qp": ("Patient/c-zx", "Observation/o-c-zx"), "xh": ("Patient/a-zs", "Observation/o-a-zs")}[EVERYBODY[who]]
    urls = [*some, f"{some[0]}/_history/1", "Patient?_count=100", "Observation?_include=Observation:subject&_count=100"]
    gets = [{"request": {"method": "GET", "url": url}} for url in urls]
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": gets})
    assert answer.status_code == 200, answer.text
    statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert statuses == ["404", "404", "404", "200", "200"]
    assert not ids(answer.json()) & foreign


@pytest.mark.parametrize("who", [who for who in EVERYBODY if who.split(" ")[0] in ("QP00", "QPZS", "XH00", "XHZX")])
async def test_nothing_of_the_other_district_is_changed(hb: World, who: str) -> None:
    id_ = {"qp": "o-c-zx", "xh": "o-a-zs"}[EVERYBODY[who]]
    about = {"qp": "c-zx", "xh": "a-zs"}[EVERYBODY[who]]
    changed = observation(id_, about, 9.9)
    assert (await hb.ask("PUT", f"Observation/{id_}", who, json=changed)).status_code == 403
    assert (await hb.ask("DELETE", f"Observation/{id_}", who)).status_code == 403
    for method in ("PUT", "DELETE"):
        entry: dict[str, Any] = {"request": {"method": method, "url": f"Observation/{id_}"}}
        if method == "PUT":
            entry["resource"] = changed
        answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        assert answer.status_code == 403
    # a condition finds nothing of the other side: neither matched nor betrayed
    answer = await hb.ask("DELETE", f"Observation?_id={id_}", who)
    assert answer.status_code in (204, 404)
    owner = {"qp": "XHZX", "xh": "QPZS"}[EVERYBODY[who]]
    assert (await hb.ask("GET", f"Observation/{id_}", owner)).json()["valueQuantity"]["value"] == 6.1


@pytest.mark.parametrize("who", ["administrator", "xh-administrator"])
async def test_the_audit_log_of_a_district_is_its_own(hb: World, who: str) -> None:
    await hb.ask("GET", "Patient/a-zs", "QPZS")
    await hb.ask("GET", "Patient/c-zx", "XHZX")
    await hb.platform.audit.flush()
    bundle = (await hb.ask("GET", "AuditEvent?_count=1000", who)).json()
    assert bundle["entry"]
    sites = {entry["resource"]["source"]["site"] for entry in bundle["entry"]}
    qingpu = {"青浦区", "中山医院青浦分院", "夏阳街道社区卫生服务中心"}
    xuhui = {"徐汇区", "徐汇区中心医院"}
    assert sites <= (qingpu if who == "administrator" else xuhui)
    foreign = "a-zs" if who.startswith("xh") else "c-zx"
    by_patient = (await hb.ask("GET", f"AuditEvent?patient=Patient/{foreign}&_count=1000", who)).json()
    assert {e["resource"]["source"]["site"] for e in by_patient.get("entry", ())} <= sites


async def test_a_district_needs_nothing_but_rows_and_begins_empty(hb: World) -> None:
    async with hb.platform.pool.connection() as connection:
        hb.keys["PT00"] = await access.put_organisation(
            connection, code="PT00", name="普陀区", kind="district", parent=hb.keys["SH"], fhir_id="org-PT00"
        )
        hb.tokens["PT00"] = await access.issue_token(connection, name="system-PT00", organisation=hb.keys["PT00"])
    assert await shown(hb, "PT00", "Patient") == set()
    assert await shown(hb, "PT00", "_history") == set()
    await _put(hb, "PT00", patient("p-pt", "310107199001011230", "孙丽", "1990-01-01", "female"))
    assert await shown(hb, "PT00", "Patient") == {"p-pt"}
    assert "p-pt" not in await shown(hb, "QP00", "Patient?_count=100")
    assert "p-pt" in await shown(hb, "SH", "Patient?_count=100")
