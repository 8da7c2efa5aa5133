"""FHIR XML and JSON, in and out, chosen by Content-Type, Accept and _format (R4 http, 3.1.0.1.11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, own_world

from healthbrain.fhir import parse
from healthbrain.fhir.xml import from_xml, to_xml

pytestmark = pytest.mark.anyio

XML = {"content-type": "application/fhir+xml; charset=utf-8"}
JSON_KIND, XML_KIND = "application/fhir+json; charset=utf-8", "application/fhir+xml; charset=utf-8"
OBSERVATION = (
    b'\xef\xbb\xbf<?xml version="1.0"?><Observation xmlns="http://hl7.org/fhir"><text><status value="generated"/>'
    b'<div xmlns="http://www.w3.org/1999/xhtml"><p>one <b>two</b> three</p></div></text><status value="final"/>'
    b'<code><text value="x"/></code><valueQuantity><value value="72.50"/></valueQuantity></Observation>'
)


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        yield made


@pytest.mark.parametrize(
    ("accept", "format_", "status", "kind"),
    [
        (None, "", 200, JSON_KIND),
        ("*/*", "", 200, JSON_KIND),
        ("application/fhir+xml", "", 200, XML_KIND),
        ("text/xml", "", 200, XML_KIND),
        ("application/fhir+json;q=0.5, application/fhir+xml", "", 200, XML_KIND),
        ("application/fhir+xml;q=0, application/json", "", 200, JSON_KIND),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", 200, JSON_KIND),
        ("application/fhir+json", "xml", 200, XML_KIND),
        ("application/fhir+xml", "json", 200, JSON_KIND),
        ("application/fhir+xml", "application/fhir+json", 200, JSON_KIND),
        (None, "application/fhir%2Bxml", 200, XML_KIND),
        (None, "text/xml", 200, XML_KIND),
        (None, "turtle", 406, JSON_KIND),
        ("text/turtle", "", 406, JSON_KIND),
        ("application/fhir+xml;q=0", "", 406, JSON_KIND),
    ],
)
async def test_the_format_is_negotiated(hb: World, accept: str | None, format_: str, status: int, kind: str) -> None:
    headers = {"accept": accept} if accept else {"accept": ""}
    path = "Patient/a-zs" + (f"?_format={format_}" if format_ else "")
    answer = await hb.ask("GET", path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    resource = from_xml(answer.content) if "xml" in kind else parse(answer.content)
    assert resource["resourceType"] == ("Patient" if status == 200 else "OperationOutcome")


async def test_a_resource_comes_in_as_xml_and_leaves_exactly_so_in_both(hb: World) -> None:
    made = await hb.ask("POST", "Observation", content=OBSERVATION, headers={**XML, "accept": "application/fhir+xml"})
    assert (made.status_code, made.headers["content-type"]) == (201, XML_KIND)
    id_ = from_xml(made.content)["id"]
    json_ = await hb.ask("GET", f"Observation/{id_}")
    assert b'"value":72.50' in json_.content
    assert from_xml((await hb.ask("GET", f"Observation/{id_}?_format=xml")).content) == parse(json_.content)
    again = await hb.ask("PUT", f"Observation/{id_}", content=to_xml(parse(json_.content)), headers=XML)
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')


@pytest.mark.parametrize("path", ["Patient?_count=2", "Patient/a-zs/_history", "Patient/a-zs/$everything", "metadata"])
async def test_bundles_and_statements_read_the_same_in_both_formats(hb: World, path: str) -> None:
    join = "&" if "?" in path else "?"
    xml = from_xml((await hb.ask("GET", f"{path}{join}_format=xml")).content)
    json_ = parse((await hb.ask("GET", f"{path}{join}_format=json")).content)
    for one in (xml, json_):
        one.pop("link", None)  # they name the format
    assert xml == json_


async def test_a_transaction_may_be_xml(hb: World) -> None:
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": {"resourceType": "Patient", "name": [{"text": "王芳"}]},
                "request": {"method": "POST", "url": "Patient"},
            }
        ],
    }
    answer = await hb.ask("POST", "?_format=xml", content=to_xml(bundle), headers=XML)
    assert answer.status_code == 200, answer.text
    assert from_xml(answer.content)["entry"][0]["response"]["status"] == "201 Created"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<Observation", 400),
        (b'<Observation xmlns="http://hl7.org/fhir"><wrong value="1"/></Observation>', 422),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><Observation xmlns="http://hl7.org/fhir"/>', 400),
        (b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/></Observation>', 422),
        (b'<Patient xmlns="http://hl7.org/fhir"/>', 400),
    ],
)
async def test_errors_come_in_the_format_that_was_asked_for(hb: World, body: bytes, status: int) -> None:
    answer = await hb.ask("POST", "Observation", content=body, headers={**XML, "accept": "application/fhir+xml"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, XML_KIND), answer.text
    assert from_xml(answer.content)["resourceType"] == "OperationOutcome"


async def test_pretty_indents_xml_and_leaves_the_narrative_alone(hb: World) -> None:
    made = await hb.ask("POST", "Observation", content=OBSERVATION, headers=XML)
    path = f"Observation/{made.json()['id']}?_format=xml"
    plain, pretty = await hb.ask("GET", path), await hb.ask("GET", f"{path}&_pretty=true")
    assert b"\n  <status" in pretty.content
    assert b"<p>one <b>two</b> three</p>" in pretty.content
    assert from_xml(pretty.content) == from_xml(plain.content)


async def test_validate_reads_xml(hb: World) -> None:
    answer = await hb.ask("POST", "Observation/$validate", content=OBSERVATION, headers=XML)
    assert answer.status_code == 200
    assert answer.json()["issue"][0]["severity"] == "information"


async def test_a_body_in_another_format_is_refused(hb: World) -> None:
    for kind in ("text/plain", "application/fhir+turtle", "application/fhir+json; charset=gbk"):
        answer = await hb.ask("POST", "Patient", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415
