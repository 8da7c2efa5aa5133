"""An audit record as FHIR R4 AuditEvent: each field where the standard wants it."""

from __future__ import annotations

from datetime import UTC, datetime

from healthbrain.audit import FAILED, REFUSED, Event, Record, as_fhir
from healthbrain.fhir import validate

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def a_record(**more: object) -> Record:
    values = {
        "at": AT, "action": "R", "account": "zhang", "role": "doctor", "organisation": 4, "purpose": "TREAT",
        "type": "Observation", "id": "o1", "patients": (77,), "interaction": "read", "address": "10.0.0.1", "request": "abc",
    }  # fmt: skip
    return Record("3.14.0", Event(**{**values, **more}))  # type: ignore[arg-type]


def test_who_did_what_to_whom_when_and_why() -> None:
    found = as_fhir(a_record(), site="夏阳社区卫生服务中心")
    assert found["id"] == "3.14.0"
    assert found["recorded"] == "2026-03-02T08:00:00.000Z"
    assert found["action"] == "R"
    assert found["outcome"] == "0"
    assert found["subtype"][0]["code"] == "read"
    assert found["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert found["agent"][0]["who"]["identifier"]["value"] == "zhang"
    assert found["agent"][0]["network"] == {"address": "10.0.0.1", "type": "2"}
    assert found["source"]["site"] == "夏阳社区卫生服务中心"
    assert found["entity"][0]["what"]["reference"] == "Observation/o1"
    assert found["entity"][1]["what"]["identifier"]["value"] == "77"


def test_every_rendered_event_is_valid_r4() -> None:
    records = [
        a_record(),
        a_record(id=None, patients=()),
        a_record(account="", role="", purpose="", type="", id=None, outcome=REFUSED),
        a_record(outcome=FAILED, detail="Unavailable", interaction="sign-in", type=""),
        a_record(interaction="", address="", request=""),
    ]
    for record in records:
        assert [issue for issue in validate(as_fhir(record)) if issue.severity in ("error", "fatal")] == []
