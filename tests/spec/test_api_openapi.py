"""The OpenAPI description: every address in it is there, and every answer is as it says (schemathesis, bounded)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from tests.api_world import World, inhabited, own_world

from healthbrain.api import openapi

for kind in ("application/fhir+ndjson", "application/graphql"):
    schemathesis.serializer.alias(kind, "text/plain")
CASES = 8  # for each address and method
CHECKS = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance, checks.response_headers_conformance,
]  # fmt: skip
EXAMPLES = {
    "{type}": "Patient",
    "{compartment}": "Patient",
    "{id}": "a-zs",
    "{version}": "1",
    "{job}": "x",
    "{file}": "y",
}
ELSEWHERE = (
    "/AuditEvent/",
    "/Subscription/",
    "/Group/",
    "/$bulk/",
    "/ViewDefinition/",
)  # where none of the world's examples is


@pytest.fixture(scope="module")
def portal() -> Iterator[anyio.from_thread.BlockingPortal]:
    """A loop in a thread, since schemathesis is synchronous."""
    with anyio.from_thread.start_blocking_portal() as made:
        yield made


@pytest.fixture(scope="module")
def hb(
    portal: anyio.from_thread.BlockingPortal, postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("hb")
    with portal.wrap_async_context_manager(own_world(postgres, template, folder)) as made:
        portal.call(inhabited, made)
        yield made


def spec(portal: anyio.from_thread.BlockingPortal, hb: World) -> Any:
    answer = portal.call(hb.ask, "GET", "openapi.json", None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def test_the_description_is_open_and_valid(portal: anyio.from_thread.BlockingPortal, hb: World) -> None:
    found = spec(portal, hb)
    assert found["openapi"] == "3.0.3"
    assert found["servers"] == [{"url": "http://testserver/fhir"}]
    schemathesis.openapi.from_dict(found).validate()


@pytest.mark.parametrize(("address", "method"), openapi.addresses())
def test_what_is_described_is_there(
    portal: anyio.from_thread.BlockingPortal, hb: World, address: str, method: str
) -> None:
    for name, value in EXAMPLES.items():
        address = address.replace(name, value)
    answer = portal.call(hb.ask, method.upper(), address.lstrip("/"), "QPZS")
    assert answer.status_code not in (405, 501), answer.text
    assert answer.status_code != 404 or address.startswith(ELSEWHERE), answer.text


def test_every_answer_is_as_described(portal: anyio.from_thread.BlockingPortal, hb: World) -> None:
    schema = schemathesis.openapi.from_dict(spec(portal, hb))
    seen: set[int] = set()

    def send(case: Any) -> None:
        how = case.as_transport_kwargs(base_url="http://testserver/fhir")
        request = hb.client.build_request(
            how["method"], how["url"], params=how.get("params"), headers={**how.get("headers", {}), **hb.headers("QPZS")},
            **({"json": how["json"]} if "json" in how else {"content": how["data"]} if isinstance(how.get("data"), (bytes, str)) else {"data": how.get("data")}),
        )  # fmt: skip
        response = portal.call(hb.client.send, request)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()
        test = hypothesis.settings(
            max_examples=CASES, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )(hypothesis.given(case=strategy)(send))  # fmt: skip
        test()
    assert {200, 204, 400, 404, 422} <= seen
