"""Assessments for other systems and as files: the permissions and hidden figures are those of the screens."""

from __future__ import annotations

from pathlib import Path

import httpx
from starlette.applications import Starlette
from tests.engine.test_assessments import AT, World, made, told

from healthbrain import access
from healthbrain.api.assessments import Assessments
from healthbrain.database import Connection
from healthbrain.measure import assessment
from healthbrain.runtime import Platform
from healthbrain.web import create_web

PASSWORD = "Harbour-Light-42"


def client(platform: Platform) -> httpx.AsyncClient:
    app = Starlette(routes=[*Assessments(platform).routes(), *create_web(platform)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver")


async def token(connection: Connection, world: World, code: str) -> dict[str, str]:
    secret = await access.issue_token(connection, name=f"t-{code}", organisation=world.keys[code])
    await connection.commit()
    return {"authorization": f"Bearer {secret}"}


def test_a_token_reads_the_runs_of_its_organisation_with_every_item_and_the_proof(dsn: str, tmp_path: Path) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)
        await assessment.publish(connection, id_, by="cdc", at=AT)
        district, centre, other = [await token(connection, world, code) for code in ("D1", "C2", "C9")]
        async with client(platform) as http:
            listed = (await http.get("/api/assessments", headers=district)).json()["assessments"]
            assert [(one["id"], one["state"], one["period"]) for one in listed] == [(id_, "published", "2026-Q3")]
            whole = (await http.get(f"/api/assessments/{id_}", headers=district)).json()
            assert [(one["unit"], one["total"], one["rank"]) for one in whole["results"]] == [
                ("C1", 90.0, 1),
                ("C2", 51.43, 2),
            ]
            item = whole["results"][0]["items"][0]
            assert (item["measure"], item["points"], item["numerator"], item["periods"]) == (
                "BPHS-EHR02",
                60.0,
                90,
                ["2026-09"],
            )
            proof = (await http.get(f"/api/assessments/{id_}/verify", headers=centre)).json()
            assert (proof["same"], proof["kept"]) == (True, whole["digest"])
            own = (await http.get(f"/api/assessments/{id_}", headers=centre)).json()
            assert ([one["unit"] for one in own["results"]], own["units"]) == (["C2"], 2)
            assert (await http.get(f"/api/assessments/{id_}", headers=other)).status_code == 404
            assert (await http.get("/api/assessments", headers=other)).json() == {"assessments": []}
            schemes = (await http.get("/api/assessment-schemes", headers=other)).json()["schemes"]
            assert "OWN-1" not in {one["id"] for one in schemes}
            for path in ("/api/assessments", f"/api/assessments/{id_}", "/api/assessment-schemes"):
                assert (await http.get(path)).status_code == 401, path

    told(dsn, tmp_path, story)


def test_files_and_pages_keep_small_figures_from_a_leader_and_other_units_from_a_manager(
    dsn: str, tmp_path: Path
) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)
        await assessment.publish(connection, id_, by="cdc", at=AT)
        for name, role, code in (("lead", "leader", "D1"), ("cdc", "cdc", "D1"), ("boss", "manager", "C2")):
            await access.create_account(connection, name=name, password=PASSWORD, role=role, organisation=world.keys[code], display=name)  # fmt: skip
        await connection.commit()
        cookies = {}
        for name in ("lead", "cdc", "boss"):
            signed = await access.sign_in(connection, name, PASSWORD, platform.clock())
            cookies[name] = {"cookie": f"hb_session={signed.cookie}"}
        await connection.commit()
        async with client(platform) as http:
            seen = {name: (await http.get(f"/assessments/{id_}?format=csv", headers=cookies[name])).text for name in ("lead", "cdc")}  # fmt: skip
            line = {name: next(row for row in text.splitlines() if ",C2," in row and "BPHS-OLD01" in row) for name, text in seen.items()}  # fmt: skip
            assert ",3,7," in line["cdc"]
            assert "51.43" in line["cdc"]
            assert ",*,*,*," in line["lead"]
            assert "51.43" not in seen["lead"], "the total would give the hidden item away"
            assert "21.43" not in seen["lead"]
            page = await http.get(f"/assessments/{id_}", headers=cookies["lead"])
            assert "51.43" not in page.text
            sheet = await http.get(f"/assessments/{id_}/units/{world.keys['C2']}", headers=cookies["lead"])
            assert "51.43" not in sheet.text
            assert "42.85" not in sheet.text
            boss = await http.get(f"/assessments/{id_}", headers=cookies["boss"])
            assert (boss.status_code, boss.headers["location"]) == (303, f"/assessments/{id_}/units/{world.keys['C2']}")
            assert "51.43" in (await http.get(boss.headers["location"], headers=cookies["boss"])).text
            other = await http.get(f"/assessments/{id_}/units/{world.keys['C1']}", headers=cookies["boss"])
            assert other.status_code == 403
            answer = {"csrf": access.csrf_token(cookies["boss"]["cookie"].partition("=")[2]), "kind": "answer", "text": "x", "answers": "1", "outcome": "upheld"}  # fmt: skip
            assert (await http.post(boss.headers["location"], data=answer, headers=cookies["boss"])).status_code == 403
            publish = {"csrf": answer["csrf"], "action": "close"}
            assert (await http.post(f"/assessments/{id_}", data=publish, headers=cookies["boss"])).status_code == 403

    told(dsn, tmp_path, story)
