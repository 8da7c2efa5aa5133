"""Districts are virtual tenants (HUB-05), by every further way: exports, imports, operations, GraphQL, lists, texts, filters,
conditional writes, subscriptions, HL7 v2 and replays. Whoever asks, what is the other district's is as if it were not there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import ID_A, ID_C, World, inhabited, observation, patient, world
from tests.bulk_client import ASYNC, exported
from tests.spec.test_districts import CLINICAL, EVERYBODY, OTHER, OWN, _applications, _entangle, _put, _second_district
from tests.subscriber import Receiver, receiver, subscription, work

from healthbrain import exchange
from healthbrain.exchange import Arrival, bulkdata
from healthbrain.exchange.hl7v2.message import parse
from healthbrain.exchange.hl7v2.translate import translate
from healthbrain.fhir import dump
from healthbrain.runtime.jobs import desk
from healthbrain.terms import systems

pytestmark = pytest.mark.anyio

SYSTEMS = [who for who in EVERYBODY if who.split(" ")[0] in ("QP00", "QPZS", "XH00", "XHZX")]
SECRET = {"qp": ("c-zx", ID_C, "王强", "XHZX"), "xh": ("a-zs", ID_A, "张伟", "QPZS")}  # what the others have


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_districts_operations"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        await _second_district(made)
        await _entangle(made)
        await _applications(made)
        for owner, mine, theirs in (("QPZS", "a-zs", "c-zx"), ("XHZX", "c-zx", "a-zs")):
            members = [{"entity": {"reference": f"Patient/{one}"}} for one in (mine, theirs)]
            await _put(made, owner, {"resourceType": "Group", "id": f"group-{owner}", "type": "person", "actual": True, "member": members})  # fmt: skip
            entries = [{"item": {"reference": f"Observation/o-{one}"}} for one in (mine, theirs)]
            await _put(made, owner, {"resourceType": "List", "id": f"list-{owner}", "status": "current", "mode": "working", "entry": entries})  # fmt: skip
            note = {
                **observation(f"tag-{owner}", mine),
                "meta": {"tag": [{"system": "urn:tag", "code": f"of-{owner}"}]},
            }
            await _put(made, owner, {**note, "note": [{"text": f"随访记录 {owner}"}]})
            # what is said of somebody nobody has is compared with what is said of somebody only the others have
            await _put(made, owner, observation(f"of-ghost-{owner}", "ghost"))
        yield made


def names(answer: Any) -> set[str]:
    """Every id of a clinical resource, and every reference to one, anywhere in an answer."""
    found: set[str] = set()
    if isinstance(answer, dict):
        if isinstance(answer.get("id"), str):
            found.add(answer["id"])
        if isinstance(answer.get("reference"), str):
            found.add(answer["reference"].partition("/")[2])
        for value in answer.values():
            found |= names(value)
    elif isinstance(answer, list):
        for value in answer:
            found |= names(value)
    return found


def foreign(who: str) -> set[str]:
    """Ids that only the other district has, and that nothing of one's own district refers to."""
    other = OTHER[EVERYBODY[who]]
    return (OWN[other] - {"a-zs", "c-zx", "e-qp", "e-xh"}) | {f"tag-{'XHZX' if other == 'xh' else 'QPZS'}"}


@pytest.mark.parametrize("who", SYSTEMS)
@pytest.mark.parametrize("path", ["$export", "Patient/$export", "$export?_type=Observation,Patient,Group,List"])
async def test_exports_hold_only_the_own_district(hb: World, who: str, path: str) -> None:
    found = {one.partition("/")[2] for one in await exported(hb, path, who)}
    assert found
    assert not found & (OWN[OTHER[EVERYBODY[who]]] | foreign(who))


@pytest.mark.parametrize("who", ["QPZS", "XHZX", "QPZS through an application", "XHZX through an application"])
async def test_a_group_that_names_others_exports_none_of_them(hb: World, who: str) -> None:
    found = {one.partition("/")[2] for one in await exported(hb, f"Group/group-{who.split(' ')[0]}/$export", who)}
    assert found & OWN[EVERYBODY[who]]
    assert not found & OWN[OTHER[EVERYBODY[who]]]
    theirs = "group-XHZX" if EVERYBODY[who] == "qp" else "group-QPZS"
    assert (await hb.ask("GET", f"Group/{theirs}/$export", who, headers=ASYNC)).status_code == 404


async def test_the_files_of_an_export_are_of_those_who_asked(hb: World) -> None:
    place = (await hb.ask("GET", "$export", "QPZS", headers=ASYNC)).headers["content-location"]
    while await bulkdata.work_export(desk(hb.platform)):
        pass
    ready = (await hb.ask("GET", place, "QPZS")).json()
    for who in ("XHZX", "XH00", "XHZX through an application"):
        assert (await hb.ask("GET", place, who)).status_code == 404
        assert (await hb.ask("DELETE", place, who)).status_code == 404
        for file in ready["output"]:
            assert (await hb.ask("GET", file["url"], who)).status_code in (403, 404)


@pytest.mark.parametrize("who", EVERYBODY)
async def test_searches_by_every_means_find_nothing_and_say_the_same_as_for_what_never_was(hb: World, who: str) -> None:
    id_, card, name, owner = SECRET[EVERYBODY[who]]
    pairs = [
        (f"Patient?identifier={systems.ID_CARD}|{card}&_total=accurate", f"Patient?identifier={systems.ID_CARD}|310118200001011230&_total=accurate"),
        (f"Patient?name={name}&_total=accurate", "Patient?name=无此人&_total=accurate"),
        (f"Patient?_filter=name eq {name}", "Patient?_filter=name eq 无此人"),
        (f"Observation?_filter=subject eq Patient/{id_} and _id eq o-{id_}", "Observation?_filter=subject eq Patient/nobody and _id eq nothing"),
        (f"Observation?_text=随访记录 {owner}", "Observation?_text=从未写过"),
        (f"Observation?_content={owner}", "Observation?_content=NOWHERE"),
        (f"Observation?_tag=urn:tag|of-{owner}&_total=accurate", "Observation?_tag=urn:tag|of-nobody&_total=accurate"),
        (f"Observation?_id=o-{id_}&_has:List:item:_id=list-{owner}", "Observation?_id=none&_has:List:item:_id=none"),
        (f"Group?member=Patient/{id_}&_id=group-{owner}", "Group?member=Patient/none&_id=none"),
        (f"Observation?_list=list-{owner}", "Observation?_list=never-was"),
        (f"Patient/{id_}/Observation?_id=o-{id_}", "Patient/never-was/Observation?_id=none"),
        (f"Patient/{id_}/$everything?_type=Observation", "Patient/ghost/$everything?_type=Observation"),
        (f"Observation/$lastn?patient={id_}&_id=o-{id_}", "Observation/$lastn?patient=never-was&_id=none"),
        (f"Patient/{id_}/$meta", "Patient/never-was/$meta"),
        (f"Patient/{id_}/_history", "Patient/never-was/_history"),
    ]  # fmt: skip
    for secret, nothing in pairs:
        one, other = await hb.ask("GET", secret, who), await hb.ask("GET", nothing, who)
        assert one.status_code == other.status_code, (secret, one.text, other.text)
        left, right = one.json(), other.json()
        assert [i.get("code") for i in left.get("issue", ())] == [i.get("code") for i in right.get("issue", ())], secret
        assert left.get("total") == right.get("total"), secret
        assert len(left.get("entry", ())) == len(right.get("entry", ())), (secret, left)
        assert name not in one.text
        assert card not in one.text.replace(secret, "") or "identifier=" in secret


@pytest.mark.parametrize("who", EVERYBODY)
async def test_sums_and_labels_are_of_the_own_district(hb: World, who: str) -> None:
    code = f"{systems.LOINC}|14771-0"
    id_ = SECRET[EVERYBODY[who]][0]
    answer = await hb.ask("GET", f"Observation/$stats?code={code}&subject=Patient/{id_}&statistic=count", who)
    if answer.status_code == 200:
        counts = [p.get("valueSimpleQuantity", p) for p in answer.json()["parameter"]]
        own = await hb.ask("GET", f"Observation?subject=Patient/{id_}&_summary=count", who)
        assert str(own.json()["total"]) in json.dumps(counts) or own.json()["total"] == 0
    labels = (await hb.ask("GET", "$meta", who)).text
    assert f"of-{SECRET[EVERYBODY[who]][3]}" not in labels
    labels = (await hb.ask("GET", "Observation/$meta", who)).text
    assert f"of-{SECRET[EVERYBODY[who]][3]}" not in labels


@pytest.mark.parametrize("who", EVERYBODY)
async def test_graphql_shows_nothing_of_the_other_district(hb: World, who: str) -> None:
    id_ = SECRET[EVERYBODY[who]][0]
    queries = [
        "{PatientList{id name{text}}}",
        "{ObservationList(_count: 100){id subject{reference resource{... on Patient{id name{text}}}}}}",
        f'{{Patient(id: "{id_}"){{id name{{text}}}}}}',
        "{ObservationConnection(_count: 100){count edges{resource{id}}}}",
    ]
    for query in queries:
        answer = await hb.ask("POST", "$graphql", who, json={"query": query})
        assert answer.status_code in (200, 404), answer.text
        assert not names(answer.json().get("data") or {}) & foreign(who), (query, answer.text)
        assert SECRET[EVERYBODY[who]][2] not in answer.text, query


@pytest.mark.parametrize("who", SYSTEMS)
async def test_conditions_of_writes_match_nothing_of_the_other_district(hb: World, who: str) -> None:
    id_, card, _, owner = SECRET[EVERYBODY[who]]
    before = (await hb.ask("GET", f"Patient/{id_}", owner)).json()
    found = f"identifier={systems.ID_CARD}|{card}"
    label = who.replace(" ", "-").lower()
    sent = {"resourceType": "Basic", "code": {"text": "a"}, "identifier": [{"system": "urn:b", "value": label}]}
    await _put(hb, owner, {**sent, "id": f"theirs-{label}"})
    answer = await hb.ask("POST", "Basic", who, json=sent, headers={"if-none-exist": f"identifier=urn:b|{label}"})
    assert answer.status_code == 201, answer.text
    made = answer.json()["id"]
    assert (await hb.ask("DELETE", f"Basic/{made}", who)).status_code == 204
    answer = await hb.ask("PUT", f"Basic?identifier=urn:b|{label}", who, json=sent)
    assert answer.status_code == 201
    assert answer.json()["id"] != f"theirs-{label}"
    assert (await hb.ask("DELETE", f"Basic/{answer.json()['id']}", who)).status_code == 204
    assert (await hb.ask("DELETE", f"Basic?identifier=urn:b|{label}", who)).status_code in (204, 404)
    patch = [{"op": "replace", "path": "/code/text", "value": "b"}]
    content = {"content-type": "application/json-patch+json"}
    answer = await hb.ask("PATCH", f"Basic?identifier=urn:b|{label}", who, json=patch, headers=content)
    assert answer.status_code == 404
    never = await hb.ask("PATCH", "Basic/never-was", who, json=patch, headers=content)
    theirs = await hb.ask("PATCH", f"Basic/theirs-{label}", who, json=patch, headers=content)
    assert (theirs.status_code, never.status_code) in ((404, 404), (403, 404))
    reference = {**observation(f"by-{label}", "x"), "subject": {"reference": f"Patient?{found}"}}
    entry = {"fullUrl": "urn:uuid:0d5b4b0e-8c0f-4a0e-9f6f-3a5cf2a1b001", "resource": reference, "request": {"method": "POST", "url": "Observation"}}  # fmt: skip
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.status_code in (400, 404, 412, 422), answer.text
    assert f"Patient/{id_}" not in answer.text
    assert (await hb.ask("GET", f"Patient/{id_}", owner)).json() == before


@pytest.mark.parametrize("who", ["QPZS", "XHZX", "QPZS through an application"])
async def test_an_import_changes_nothing_of_the_other_district(hb: World, who: str) -> None:
    id_, _, _, owner = SECRET[EVERYBODY[who]]
    before = (await hb.ask("GET", f"Patient/{id_}", owner)).json()
    own = f"imp-{who.replace(' ', '-').lower()}"
    body = b"\n".join([
        dump({"resourceType": "Patient", "id": id_, "active": False}),
        dump({"resourceType": "Basic", "id": own, "code": {"text": "a"}}),
    ])  # fmt: skip
    answer = await hb.ask(
        "POST", "$import", who, content=body, headers={**ASYNC, "content-type": "application/fhir+ndjson"}
    )
    assert answer.status_code == 202, answer.text
    while await bulkdata.work_import(desk(hb.platform), ()):
        pass
    assert (await hb.ask("GET", f"Patient/{id_}", owner)).json() == before
    assert (await hb.ask("GET", f"Basic/{own}", who)).status_code == 200
    assert (await hb.ask("GET", answer.headers["content-location"], owner)).status_code == 404


MESSAGE = (
    "MSH|^~\\&|HIS|{facility}|HB|HB|20260105080000||ADT^A01^ADT_A01|{control}|P|2.4|||||CHN|UNICODE UTF-8\r"
    "EVN|A01|20260105080000\rPID|1||{number}^^^{facility}^MR||某某^^^^^^L||19800101|M\rPV1|1|I|01^101^1||||||||||||||||V{number}^^^{facility}^VN|||||||||||||||||||||||||20260105080000\r"
)


async def test_hl7_v2_and_replays_stay_within_the_organisation_of_their_source(hb: World) -> None:
    """A message's patient has an id that anybody can work out; when another district owns it, the message is refused."""
    at = datetime.now(UTC)
    async with hb.platform.pool.connection() as connection:
        source = await exchange.put_source(
            connection, code="v2", name="v2", organisation=hb.keys["QPZS"], door="hl7v2", facility="QPZS", at=at
        )
    ledger = hb.platform.ledger
    first = MESSAGE.format(facility="QPZS", control="m1", number="0001").encode()
    receipt = await ledger.receive(Arrival("hl7v2", None, first, at), at=at)
    assert receipt.state == "accepted", receipt.issues
    # the id that the message will have can be worked out by anybody
    squatted = (
        translate(parse(MESSAGE.format(facility="QPZS", control="x", number="0002").encode()), source.sender, at=at)
        .made[0]
        .id
    )
    await _put(hb, "XHZX", {"resourceType": "Patient", "id": squatted, "active": True})
    second = MESSAGE.format(facility="QPZS", control="m2", number="0002").encode()
    refused = await ledger.receive(Arrival("hl7v2", None, second, at), at=at)
    assert refused.state == "refused"
    assert refused.delivery is not None
    again = await exchange.replay(ledger, refused.delivery, by="administrator", at=at)
    assert again.state == "refused"
    assert (await hb.ask("GET", f"Patient/{squatted}", "XHZX")).json()["meta"]["versionId"] == "1"


async def test_a_replay_of_a_fhir_write_reaches_no_further_than_its_sender(hb: World) -> None:
    answer = await hb.ask("PUT", "Observation/o-c-zx", "QPZS", json=observation("o-c-zx", "c-zx", 9.9))
    assert answer.status_code == 403
    async with hb.platform.pool.connection() as connection:
        row = await (await connection.execute("select max(id) from delivery where state = 'refused'")).fetchone()
    again = await exchange.replay(hb.platform.ledger, row[0], by="administrator", at=datetime.now(UTC))  # type: ignore[index]  # there is one
    assert again.state == "refused"
    assert (await hb.ask("GET", "Observation/o-c-zx", "XHZX")).json()["valueQuantity"]["value"] == 6.1


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.mark.parametrize(
    ("who", "writer"), [("QPZS", "XHZX"), ("XHZX", "QPZS"), ("QPZS through an application", "XHZX")]
)
async def test_a_subscription_hears_and_shows_nothing_of_the_other_district(
    hb: World, hook: Receiver, who: str, writer: str
) -> None:
    await work(hb)
    label = f"sub-{who.replace(' ', '-').lower()}"
    await _put(hb, who, {**subscription(hook.url, "Observation?code=14771-0"), "id": label})
    await work(hb)
    foreign_patient = SECRET[EVERYBODY[who]][0]
    await _put(hb, writer, observation(f"{label}-theirs", foreign_patient))
    own_patient = SECRET[OTHER[EVERYBODY[who]]][0]
    await _put(hb, writer, observation(f"{label}-about-ours", own_patient))
    await _put(hb, who.split(" ")[0], observation(f"{label}-own", own_patient))
    await work(hb)
    assert {focus for _, focus in hook.events()} == {f"Observation/{label}-own"}
    for operation in ("$status", "$events", "$dead-letters", "$get-ws-binding-token"):
        path = f"Subscription/{label}/{operation}"
        assert (await hb.ask("GET", path, writer)).status_code == 404, operation
    assert (await hb.ask("GET", f"Subscription/{label}", writer)).status_code == 404
    changed = {**subscription(hook.url, "Observation"), "id": label}
    assert (await hb.ask("PUT", f"Subscription/{label}", writer, json=changed)).status_code == 403
    assert (await hb.ask("DELETE", f"Subscription/{label}", who.split(" ")[0])).status_code == 204


def test_every_clinical_type_of_the_matrix_is_one_of_a_resident() -> None:
    assert set(CLINICAL) <= {"Patient", "Observation", "Encounter", "EpisodeOfCare"}
    assert patient("x", ID_A, "a", "1980-01-01", "male")["resourceType"] == "Patient"
