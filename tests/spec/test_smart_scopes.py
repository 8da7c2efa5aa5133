"""A grant narrows every interaction: types, letters, the patient in context and search restrictions, wherever one asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import ID_B, World, inhabited, observation, world
from tests.smart_world import App, register, system

from healthbrain.terms import systems

pytestmark = pytest.mark.anyio

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB = f"category={CATEGORY}|laboratory"
A = {"a-zs", "a-xy"}  # the two records of one person


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_smart_scopes"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        await _more(made)
        yield made


async def _more(hb: World) -> None:
    """A laboratory and a vital-signs result for A, a condition, an encounter they belong to."""
    for id_, category in (("lab-a", "laboratory"), ("vital-a", "vital-signs")):
        await put(
            hb, "QPZS", of_category(observation(id_, "a-zs"), category) | {"encounter": {"reference": "Encounter/e-a"}}
        )
    changed = of_category(observation("moved-a", "a-zs", 5.0), "vital-signs")
    await put(hb, "QPZS", changed)
    await put(hb, "QPZS", of_category(changed, "laboratory"))
    condition = {"resourceType": "Condition", "id": "cond-a", "subject": {"reference": "Patient/a-zs"}}
    encounter = {
        "resourceType": "Encounter", "id": "e-a", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": "Patient/a-zs"}, "participant": [{"individual": {"reference": "Practitioner/prac-1"}}],
    }  # fmt: skip
    await put(hb, "QPZS", condition)
    await put(hb, "QPZS", encounter)


def of_category(resource: dict[str, Any], code: str) -> dict[str, Any]:
    return {**resource, "category": [{"coding": [{"system": CATEGORY, "code": code}]}]}


async def put(hb: World, who: str, resource: dict[str, Any]) -> None:
    answer = await hb.ask("PUT", f"{resource['resourceType']}/{resource['id']}", who, json=resource)
    assert answer.status_code in (200, 201), answer.text


@pytest.fixture(scope="module")
async def app(hb: World) -> App:
    return await register(hb)


async def shown(hb: World, who: str, path: str, status: int = 200) -> set[str]:
    """The Type/id an answer shows."""
    answer = await hb.ask("GET", path, who)
    assert answer.status_code == status, (path, answer.text)
    return names(answer.json())


def names(bundle: dict[str, Any]) -> set[str]:
    resources = [entry["resource"] for entry in bundle.get("entry", ()) if "resource" in entry]
    inner = [one for one in resources if one["resourceType"] == "Bundle"]
    found = {f"{one['resourceType']}/{one['id']}" for one in resources if one["resourceType"] != "Bundle"}
    return found.union(*(names(one) for one in inner))


def patients(found: set[str]) -> set[str]:
    return {name.removeprefix("Patient/") for name in found if name.startswith("Patient/")}


# -- types and letters


async def test_only_granted_types_are_read_searched_or_listed(hb: World, app: App) -> None:
    who = await app.bearer("observations", "doctor", "user/Observation.rs")
    assert (await hb.ask("GET", "Observation/lab-a", who)).status_code == 200
    assert "Observation/lab-a" in await shown(hb, who, "Observation?_count=100")
    for path in ("Patient/a-zs", "Patient", "Condition/cond-a", "Patient/_history", "Patient/a-zs/_history",
                 "Patient/a-zs/_history/1", "Patient/a-zs/$everything", "AuditEvent"):  # fmt: skip
        assert (await hb.ask("GET", path, who)).status_code == 403, path


async def test_includes_and_chains_bring_only_granted_types(hb: World, app: App) -> None:
    who = await app.bearer("narrow", "doctor", "user/Observation.rs user/Encounter.r")
    found = await shown(hb, who, "Observation?_include=Observation:subject&_include=Observation:encounter&_count=100")
    assert patients(found) == set()
    assert "Encounter/e-a" in found  # reading it is granted, and the reference names it
    assert await shown(hb, who, "Observation?subject:Patient.gender=male") == set()
    assert await shown(hb, who, "Observation?encounter:Encounter.class=AMB") == set()  # searching it is not
    other = await app.bearer("patients", "doctor", "user/Patient.rs")
    assert patients(await shown(hb, other, "Patient?_revinclude=Observation:subject")) == A
    assert await shown(hb, other, "Patient?_revinclude=Observation:subject") == {f"Patient/{id_}" for id_ in A}
    assert await shown(hb, other, "Patient?_has:Observation:subject:code=14771-0") == set()
    both = await app.bearer("both", "doctor", "user/Patient.rs user/Observation.rs")
    assert patients(await shown(hb, both, "Patient?_has:Observation:subject:code=14771-0")) == A
    assert {"Observation/lab-a", "Patient/a-zs"} <= await shown(hb, both, "Patient?_revinclude=Observation:subject")


async def test_counting_counts_only_what_is_granted(hb: World, app: App) -> None:
    lab = await app.bearer("counts lab", "doctor", f"user/Observation.rs?{LAB}")
    everything = await app.bearer("counts all", "doctor", "user/*.rs")

    async def total(who: str) -> int:
        return int((await hb.ask("GET", "Observation?_summary=count", who)).json()["total"])

    assert await total(lab) == 2
    assert await total(everything) >= 5


async def test_everything_and_system_history_show_granted_types_only(hb: World, app: App) -> None:
    who = await app.bearer("some", "doctor", "user/Patient.rs user/Condition.rs")
    assert await shown(hb, who, "Patient/a-zs/$everything") == {"Patient/a-zs", "Condition/cond-a"}
    types = {name.partition("/")[0] for name in await shown(hb, who, "_history?_count=500")}
    assert types == {"Patient", "Condition"}
    searching = await app.bearer("searching", "doctor", "user/Patient.s")
    assert (await hb.ask("GET", "Patient/a-zs", searching)).status_code == 403
    assert patients(await shown(hb, searching, "Patient")) == A


async def test_bundles_do_what_is_granted_entry_by_entry(hb: World, app: App) -> None:
    who = await app.bearer("in bundles", "doctor", "user/Observation.r user/Patient.s")
    gets = [{"request": {"method": "GET", "url": url}} for url in ("Observation/lab-a", "Patient?gender=male")]
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": gets})
    assert answer.status_code == 200, answer.text
    assert names(answer.json()) == {"Observation/lab-a", "Patient/a-zs", "Patient/a-xy"}
    for url in ("Patient/a-zs", "Observation?code=14771-0", "Condition/cond-a", "Observation/lab-a/_history/1"):
        for kind in ("batch", "transaction"):
            entry = [{"request": {"method": "GET", "url": url}}]
            answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": kind, "entry": entry})
            if url.endswith("_history/1"):
                assert names(answer.json()) == {"Observation/lab-a"}
            else:
                assert not names(answer.json()), (url, kind)
                statuses = [e["response"]["status"] for e in answer.json().get("entry", ())] or [
                    str(answer.status_code)
                ]
                assert statuses == ["403"], (url, kind, answer.text)


# -- writing


async def test_each_letter_opens_its_own_way_of_writing(hb: World) -> None:
    ways: dict[str, tuple[str, str, Any]] = {
        "c": ("POST", "Observation", lambda id_: {k: v for k, v in observation(id_, "b-zs").items() if k != "id"}),
        "u": ("PUT", "Observation/w-1", lambda id_: observation("w-1", "b-zs", 7.7)),
        "d": ("DELETE", "Observation/w-2", lambda id_: None),
    }
    for id_ in ("w-1", "w-2"):
        await put(hb, "QPZS", observation(id_, "b-zs"))
    for granted in ("c", "u", "d", "rs"):
        who = await system(hb, f"writes {granted}", "QPZS", [f"system/Observation.{granted}"])
        for letter, (method, path, body) in ways.items():
            if letter == granted:
                continue
            answer = await hb.ask(method, path, who, json=body("x")) if body("x") else await hb.ask(method, path, who)
            assert answer.status_code == 403, (granted, letter, answer.text)
            entry: dict[str, Any] = {"request": {"method": method, "url": path}}
            if body("x"):
                entry["resource"] = body("x")
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
            assert (await hb.ask("POST", "", who, json=bundle)).status_code == 403, (granted, letter)
    for letter in ("c", "u", "d"):
        method, path, body = ways[letter]
        answer = await hb.ask(method, path, f"writes {letter}", **({"json": body("x")} if body("x") else {}))
        assert answer.status_code in (200, 201, 204), (letter, answer.text)


async def test_writing_keeps_to_the_search_restriction_before_and_after(hb: World) -> None:
    who = await system(hb, "lab system", "QPZS", [f"system/Observation.cruds?{LAB}"])
    lab, vital = (of_category(observation(f"kept-{c}", "b-zs"), c) for c in ("laboratory", "vital-signs"))
    await put(hb, who, lab)
    assert (await hb.ask("PUT", "Observation/kept-vital-signs", who, json=vital)).status_code == 403
    await put(hb, "QPZS", vital)
    moved = of_category(vital, "laboratory")
    assert (await hb.ask("PUT", "Observation/kept-vital-signs", who, json=moved)).status_code == 403
    assert (await hb.ask("DELETE", "Observation/kept-vital-signs", who)).status_code == 403
    moved = of_category(lab, "vital-signs")
    assert (await hb.ask("PUT", "Observation/kept-laboratory", who, json=moved)).status_code == 403
    assert (await hb.ask("GET", "Observation/kept-laboratory", who)).status_code == 200
    assert (await hb.ask("DELETE", "Observation/kept-laboratory", who)).status_code == 204


async def test_a_conditional_create_does_not_find_what_may_not_be_searched(hb: World) -> None:
    who = await system(hb, "creates only", "QPZS", ["system/Observation.c"])
    body = {k: v for k, v in observation("x", "b-zs").items() if k != "id"}
    answer = await hb.ask("POST", "Observation", who, json=body, headers={"if-none-exist": "_id=lab-a"})
    assert answer.status_code in (201, 403)
    assert "lab-a" not in answer.text


async def test_a_scope_never_gives_what_the_role_may_not(hb: World, app: App) -> None:
    said = await app.tokens("doctor", "user/*.cruds")
    assert said["scope"] == "user/*.crus"
    hb.tokens["wide doctor"] = said["access_token"]
    assert patients(await shown(hb, "wide doctor", "Patient?_count=100")) == A
    assert (await hb.ask("DELETE", "Observation/lab-a", "wide doctor")).status_code == 403
    foreign = {**observation("o-a-zs", "a-zs"), "status": "amended"}
    assert (await hb.ask("PUT", "Observation/o-a-zs", "wide doctor", json=foreign)).status_code == 403
    for path in ("Patient/c-zx", "Observation/o-c-zx"):
        assert (await hb.ask("GET", path, "wide doctor")).status_code == 404


# -- the patient in context


async def test_patient_scopes_show_the_person_in_context_and_open_types(hb: World, app: App) -> None:
    who = await app.bearer("context", "cdc", "launch/patient patient/*.rs", patient="a-zs")
    assert patients(await shown(hb, who, "Patient")) == A
    assert {n for n in await shown(hb, who, "Observation?_count=100") if n.endswith(("b-zs", "c-zx"))} == set()
    for path in ("Patient/b-zs", "Patient/b-zs/_history", "Patient/b-zs/_history/1", "Observation/o-b-zs"):
        assert (await hb.ask("GET", path, who)).status_code == 404, path
    assert (await hb.ask("GET", "Patient/b-zs/$everything", who)).status_code == 404
    assert await shown(hb, who, "Patient?_id=b-zs&_revinclude=Observation:subject") == set()
    assert patients(await shown(hb, who, "Patient/_history?_count=100")) == A
    seen = await shown(hb, who, "_history?_count=500")
    assert patients(seen) == A
    assert not any(name.endswith("b-zs") for name in seen)
    assert "Practitioner/prac-1" in await shown(hb, who, "Encounter?_include=Encounter:participant")
    wide = await shown(hb, "cdc", "Patient?_count=100")
    assert patients(wide) == {"a-zs", "a-xy", "b-zs"}


async def test_patient_and_user_scopes_stand_beside_each_other(hb: World, app: App) -> None:
    who = await app.bearer("mixed", "cdc", "launch/patient patient/Observation.rs user/Patient.rs", patient="a-zs")
    assert "b-zs" in patients(await shown(hb, who, "Patient?_count=100"))
    assert "Observation/o-b-zs" not in await shown(hb, who, "Observation?_count=100")
    found = await shown(hb, who, "Patient?_revinclude=Observation:subject&_count=100")
    assert "Patient/b-zs" in found
    assert "Observation/o-b-zs" not in found
    assert "Observation/o-a-zs" in found


async def test_writing_for_a_patient_in_context_reaches_no_other_patient(hb: World) -> None:
    doctor = await register(hb)
    who = await doctor.bearer("writes for a", "doctor", "launch/patient patient/*.cruds", patient="a-xy")
    own = observation("d-1", "a-xy")
    await put(hb, who, own)
    for resource in (
        observation("d-2", "b-zs"),
        observation("d-1", "b-zs"),
        {"resourceType": "Basic", "id": "d-3", "code": {"text": "x"}},
    ):
        path = f"{resource['resourceType']}/{resource['id']}"
        assert (await hb.ask("PUT", path, who, json=resource)).status_code == 403, path


# -- search restrictions


async def test_a_search_restriction_holds_by_every_way_of_asking(hb: World, app: App) -> None:
    who = await app.bearer("lab", "doctor", f"user/Observation.rs?{LAB} user/Patient.rs user/Encounter.rs")
    lab = {"Observation/lab-a", "Observation/moved-a"}
    assert await shown(hb, who, "Observation?_count=100") == lab
    assert (await hb.ask("GET", "Observation/lab-a", who)).status_code == 200
    assert (await hb.ask("GET", "Observation/vital-a", who)).status_code == 404
    assert (await hb.ask("GET", "Observation/vital-a/_history", who)).status_code in (200, 404)
    assert await shown(hb, who, "Observation/_history?_count=100") == lab
    found = await shown(hb, who, "Patient?_revinclude=Observation:subject")
    assert {n for n in found if n.startswith("Observation")} == lab
    assert {n for n in await shown(hb, who, "Patient/a-zs/$everything") if n.startswith("Observation")} == lab
    assert {n for n in await shown(hb, who, "_history?_count=500") if n.startswith("Observation")} == lab
    vital = f"Patient?_has:Observation:subject:category={CATEGORY}|vital-signs"
    assert await shown(hb, who, vital) == set()
    assert patients(await shown(hb, who, f"Patient?_has:Observation:subject:{LAB}")) == {"a-zs"}
    gets = [{"request": {"method": "GET", "url": url}} for url in ("Observation?_count=100", "Observation/vital-a")]
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": gets})
    assert names(answer.json()) == lab


async def test_a_version_from_before_the_restriction_held_is_not_shown(hb: World, app: App) -> None:
    who = await app.bearer("lab history", "doctor", f"user/Observation.rs?{LAB}")
    assert (await hb.ask("GET", "Observation/moved-a/_history/2", who)).status_code == 200
    assert (await hb.ask("GET", "Observation/moved-a/_history/1", who)).status_code == 404
    bundle = (await hb.ask("GET", "Observation/moved-a/_history", who)).json()
    assert [entry["resource"]["meta"]["versionId"] for entry in bundle["entry"]] == ["2"]


async def test_several_restrictions_add_up_and_values_are_alternatives(hb: World, app: App) -> None:
    either = await app.bearer("either", "doctor", "user/Observation.rs?category=laboratory,vital-signs")
    assert {"Observation/lab-a", "Observation/vital-a"} <= await shown(hb, either, "Observation?_count=100")
    both = await app.bearer("both rules", "doctor", f"user/Observation.rs?{LAB}&code=14771-0")
    assert await shown(hb, both, "Observation?_count=100") == {"Observation/lab-a", "Observation/moved-a"}
    none = await app.bearer("none", "doctor", f"user/Observation.rs?{LAB}&code=85354-9")
    assert await shown(hb, none, "Observation?_count=100") == set()
    visit = await app.bearer("visit", "doctor", "user/Observation.rs?encounter=Encounter/e-a")
    assert await shown(hb, visit, "Observation?_count=100") == {"Observation/lab-a", "Observation/vital-a"}
    subject = await app.bearer("subject", "doctor", "user/Observation.rs?subject=Patient/a-xy")
    assert await shown(hb, subject, "Observation?_count=100") - {"Observation/d-1"} == {"Observation/o-a-xy"}
    assert (await hb.ask("GET", "Observation/lab-a", subject)).status_code == 404


async def test_a_system_sees_the_patients_its_identifier_restriction_names(hb: World) -> None:
    who = await system(hb, "one person", "QPZS", [f"system/Patient.rs?identifier={systems.ID_CARD}|{ID_B}"])
    assert patients(await shown(hb, who, "Patient")) == {"b-zs"}
    assert (await hb.ask("GET", "Patient/a-zs", who)).status_code == 404
    assert patients(await shown(hb, who, f"Patient?identifier={ID_B}")) == {"b-zs"}


# -- audit log


async def test_the_audit_log_through_an_application_is_narrowed_too(hb: World, app: App) -> None:
    await hb.ask("GET", "Patient/a-zs", "QPZS")
    await hb.ask("GET", "Patient/b-zs", "QPZS")
    await hb.platform.audit.flush()
    who = await app.bearer("log", "manager", "launch/patient patient/AuditEvent.rs", patient="a-zs")
    bundle = (await hb.ask("GET", "AuditEvent?_count=1000", who)).json()
    told = str(bundle)
    assert "Patient/a-zs" in told
    assert "Patient/b-zs" not in told
    blind = await app.bearer("no log", "manager", "user/Patient.rs")
    assert (await hb.ask("GET", "AuditEvent", blind)).status_code == 403
