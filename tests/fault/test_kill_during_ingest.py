"""What was acknowledged is there exactly once, whatever is killed while messages come in (issue: the spine)."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.mllp_client import Sender, acknowledgment, admission
from tests.running import Running

from healthbrain.database import Embedded

pytestmark = pytest.mark.fault

SYSTEM = "urn:test:bundle"


class Ingest:
    """Senders that resend until acknowledged, as real interface engines do."""

    def __init__(self, platform: Running, token: str) -> None:
        self.platform, self.token = platform, token
        self.stop = threading.Event()
        self.messages: set[str] = set()  # acknowledged control ids
        self.bundles: set[str] = set()  # acknowledged bundle identifiers
        self.refused: list[str] = []

    def send_messages(self, lane: int) -> None:
        number = 0
        sender: Sender | None = None
        while not self.stop.is_set():
            control_id = f"L{lane}-{number}"
            try:
                sender = sender or Sender(self.platform.mllp_port, timeout=10)
                code = acknowledgment(sender.send(admission(control_id, lane * 100_000 + number)))
            except OSError:
                if sender:
                    sender.close()
                sender = None
                time.sleep(0.05)
                continue
            if code == "AA":
                self.messages.add(control_id)
                number += 1
            elif code == "AE":  # a fault on the other side: resend later
                time.sleep(0.05)
            else:
                self.refused.append(control_id)
                break
        if sender:
            sender.close()

    def send_bundles(self, lane: int) -> None:
        number = 0
        while not self.stop.is_set():
            name = f"B{lane}-{number}"
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.post(
                    f"{self.platform.url}/fhir",
                    json=bundle(name),
                    headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"},
                    timeout=10,
                )
                if answer.status_code == 200:
                    self.bundles.add(name)
                    number += 1
                    continue
                if answer.status_code < 500 and answer.status_code != 429:
                    self.refused.append(f"{name}: {answer.status_code} {answer.text[:300]}")
                    return
            time.sleep(0.05)


def bundle(name: str) -> dict[str, object]:
    """A patient and three observations; conditional, so that resending it is safe."""
    patient = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"
    entries: list[dict[str, object]] = [
        {
            "fullUrl": patient,
            "resource": {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": name}]},
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|{name}"},
        }
    ]
    for n in range(3):
        value = f"{name}-{n}"
        observation = {
            "resourceType": "Observation",
            "identifier": [{"system": SYSTEM, "value": value}],
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": patient},
            "valueQuantity": {"value": 60 + n, "unit": "/min"},
        }
        request = {"method": "POST", "url": "Observation", "ifNoneExist": f"identifier={SYSTEM}|{value}"}
        entries.append({"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": observation, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.mark.parametrize("rounds", [3])
def test_every_acknowledged_message_is_there_exactly_once_after_kill_dash_nine(tmp_path: Path, rounds: int) -> None:
    platform = Running(tmp_path / "data").start()
    ingest = Ingest(platform, platform.token())
    threads = [
        *(threading.Thread(target=ingest.send_messages, args=(lane,)) for lane in range(2)),
        *(threading.Thread(target=ingest.send_bundles, args=(lane,)) for lane in range(2)),
    ]
    try:
        for thread in threads:
            thread.start()
        for round_ in range(rounds):
            before = len(ingest.messages), len(ingest.bundles)
            wait_for(lambda b=before: len(ingest.messages) > b[0] + 20 and len(ingest.bundles) > b[1] + 20)
            if round_ % 2:
                platform.kill_database()  # the supervisor brings it back, senders resend
                wait_for(platform.healthy)
            else:
                platform.kill_everything()
                platform.start()
        before = len(ingest.messages), len(ingest.bundles)
        wait_for(lambda: len(ingest.messages) > before[0] + 20 and len(ingest.bundles) > before[1] + 20)
        ingest.stop.set()
        for thread in threads:
            thread.join(30)
        assert not ingest.refused
        check_messages(platform, ingest)
        check_bundles(platform, ingest)
        assert platform.stop() == 0
    finally:
        ingest.stop.set()
        if platform.process:
            platform.process.terminate()
            platform.process.wait(30)


def check_messages(platform: Running, ingest: Ingest) -> None:
    """One accepted delivery for each acknowledged message, and what it wrote."""
    with psycopg.connect(Embedded(platform.data / "postgres").dsn) as connection:
        rows = connection.execute(
            "select control_id, count(*) from delivery where state = 'accepted' and door = 'hl7v2' group by 1"
        ).fetchall()
        accepted = dict(rows)
        missing = ingest.messages - accepted.keys()
        assert not missing
        assert set(accepted.values()) == {1}
        orphans = connection.execute(
            """select count(*) from delivery d where d.state = 'accepted' and d.door = 'hl7v2'
               and not exists (select from resource r where r.delivery = d.id)"""
        ).fetchone()
        assert orphans == (0,)


def check_bundles(platform: Running, ingest: Ingest) -> None:
    """Each acknowledged bundle's patient once, each of its observations once."""
    headers = {"Authorization": f"Bearer {ingest.token}"}
    with httpx.Client(base_url=f"{platform.url}/fhir", headers=headers, timeout=20) as client:
        for name in sorted(ingest.bundles):
            found = client.get("/Patient", params={"identifier": f"{SYSTEM}|{name}"}).json()
            assert len(found.get("entry", [])) == 1, name
            for n in range(3):
                found = client.get("/Observation", params={"identifier": f"{SYSTEM}|{name}-{n}"}).json()
                assert len(found.get("entry", [])) == 1, f"{name}-{n}"


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
