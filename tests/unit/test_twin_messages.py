"""What the simulated institutions send: deterministic, valid where it should be, wrong where it should be."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from healthbrain.errors import HealthBrainError
from healthbrain.exchange.hl7v2.message import parse as parse_hl7
from healthbrain.exchange.hl7v2.translate import translate
from healthbrain.exchange.sender import Sender
from healthbrain.fhir import parse, validate
from healthbrain.twin import District, Outgoing, faults
from healthbrain.twin.__main__ import main

END = date(2026, 11, 1)
ARRIVED = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def district() -> District:
    return District(1, 500, end=END)


@pytest.fixture(scope="module")
def messages(district: District) -> list[Outgoing]:
    return list(district.messages())


def digest(messages: list[Outgoing]) -> str:
    total = hashlib.sha256()
    for message in messages:
        total.update(f"{message.source}{message.sent_at}{message.fault}{message.cut}".encode() + message.payload)
    return total.hexdigest()


def test_the_same_seed_gives_the_same_bytes(district: District, messages: list[Outgoing]) -> None:
    assert digest(list(District(1, 500, end=END).messages())) == digest(messages)
    assert digest(list(District(2, 500, end=END).messages())) != digest(messages)


def test_a_district_sorted_in_runs_on_disk_sends_the_same(
    messages: list[Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthbrain.twin.district.RUN", 700)
    assert digest(list(District(1, 500, end=END).messages())) == digest(messages)


def test_messages_come_in_order_of_time_and_none_from_the_future(messages: list[Outgoing]) -> None:
    times = [message.sent_at for message in messages]
    assert times == sorted(times)
    assert times[-1] < datetime(END.year, END.month, END.day)


def test_volume_is_that_of_a_real_platform(district: District, messages: list[Outgoing]) -> None:
    per_resident = sum(m.resources for m in messages if not m.fault) / len(district.people())
    assert 25 <= per_resident <= 52
    assert {m.source for m in messages} == {o.code for o in district.organisations() if o.door}


def test_every_fhir_bundle_that_should_be_accepted_is_valid(messages: list[Outgoing]) -> None:
    for message in messages:
        if message.door == "fhir" and not message.fault:
            bundle = parse(message.payload)
            assert validate(bundle) == [], message.kind
            assert len(bundle["entry"]) == message.resources


def test_every_reference_points_at_what_the_source_or_the_commission_sent_before(messages: list[Outgoing]) -> None:
    directory: set[str] = set()
    known: dict[str, set[str]] = defaultdict(set)
    for message in messages:
        if message.door != "fhir" or message.fault:
            continue
        mine = known[message.source]
        mine.update(re.findall(r'"url":"([A-Za-z]+/[^"]+)"\}\}', message.payload.decode()))
        if message.kind == "directory":
            directory |= mine
        for reference in re.findall(r'"reference":"([^"]+)"', message.payload.decode()):
            # the directory's own bundles refer to each other forwards
            assert reference in mine or reference in directory or message.kind == "directory", reference


def test_every_hl7_message_that_should_be_accepted_translates(district: District, messages: list[Outgoing]) -> None:
    senders = {o.code: Sender(o.code, o.code, o.charset, o.lab_map) for o in district.organisations()}
    kinds: Counter[str] = Counter()
    for message in messages:
        if message.door == "hl7v2" and not message.fault:
            sender = senders[message.source]
            done = translate(parse_hl7(message.payload, registered=sender.charset), sender, at=ARRIVED)
            assert not done.refused, done.issues
            assert {i.text for i in done.issues} <= {"kept but not translated: segments PR1"}
            kinds.update(made.type for made in done.made)
            for made in done.made:
                assert validate({**made.once, **made.resource}) == []
    assert set(kinds) >= {"Patient", "Encounter", "Condition", "Observation", "DiagnosticReport", "MedicationRequest"}


def test_local_laboratory_codes_become_loinc(district: District, messages: list[Outgoing]) -> None:
    local = [m for m in messages if m.kind == "result" and not m.fault]
    assert local
    for message in local[:200]:
        org = next(o for o in district.organisations() if o.code == message.source)
        sender = Sender(org.code, org.code, org.charset, org.lab_map)
        for made in translate(parse_hl7(message.payload, registered=org.charset), sender, at=ARRIVED).made:
            if made.type == "Observation":
                assert made.resource["code"]["coding"][0]["system"] == "http://loinc.org"


def test_faulty_messages_are_few_and_of_every_kind() -> None:
    sent = list(District(5, 2500, end=END).messages())
    wrong = Counter(m.fault for m in sent if m.fault)
    refused = sum(n for name, n in wrong.items() if name not in ("duplicate", "cut-frame"))
    assert 0.006 < refused / len(sent) < 0.02
    assert set(wrong) >= {*faults.FHIR, *faults.HL7, "duplicate", "cut-frame"}


@pytest.mark.parametrize("name", [*faults.FHIR, *faults.HL7])
def test_a_faulty_message_is_refused_for_its_fault(district: District, name: str) -> None:
    tried = refused = 0
    senders = {o.code: Sender(o.code, o.code, o.charset, o.lab_map) for o in district.organisations()}
    for message in District(9, 400, end=END).messages():
        makers = faults.FHIR if message.door == "fhir" else faults.HL7
        if message.fault or name not in makers or message.kind in ("directory", "load"):
            continue
        payload = makers[name](message.payload)
        if payload != message.payload and tried < 40:
            tried += 1
            refused += is_refused(payload, message, senders[message.source])
    assert tried == 40
    if name == "future-date" and name in faults.FHIR:
        return  # a structural validator has no clock: the door judges dates
    assert refused >= tried * 0.9


def is_refused(payload: bytes, message: Outgoing, sender: Sender) -> bool:
    try:
        if message.door == "fhir":
            return any(issue.severity in ("error", "fatal") for issue in validate(parse(payload)))
        return translate(parse_hl7(payload, registered=sender.charset), sender, at=ARRIVED).refused
    except HealthBrainError:
        return True


def test_the_same_resident_is_known_under_other_numbers_elsewhere(district: District) -> None:
    seen: dict[int, set[tuple[str, str]]] = defaultdict(set)
    owners: dict[tuple[str, str], int] = {}
    for row in district.truth():
        seen[row.person].add((row.source, row.mrn))
        assert owners.setdefault((row.source, row.mrn), row.person) == row.person
    assert sum(len(known) >= 3 for known in seen.values()) > len(seen) * 0.4
    digits = [{re.sub(r"\D", "", mrn)[-6:] for _, mrn in known} for known in seen.values() if len(known) > 2]
    assert sum(len(one) > 1 for one in digits) == len(digits)


def test_hospitals_miss_id_cards_as_often_as_real_ones(district: District) -> None:
    big = District(6, 6000, end=END)
    missing: dict[str, list[bool]] = defaultdict(list)
    for row in big.truth():
        missing[row.source].append("no-card" in row.flaws)
    for source in ("QPH01", "QPH02", "QPH05", "QPH06", "QPH07"):
        share = sum(missing[source]) / len(missing[source])
        assert 0.12 < share < 0.48, source
    assert sum(missing["QP00"]) == 0


def test_a_newborn_gets_its_own_name_and_number_later(district: District) -> None:
    babies = [
        who
        for who in District(6, 3000, end=END).people()
        if date(2025, 6, 1) < who.born < date(2026, 6, 1) and not who.left
    ]
    assert babies
    sent = [m for m in District(6, 3000, end=END).messages() if m.source == "QP00" and m.kind == "register"]
    with_card = sum(any(who.id_card.encode() in m.payload for m in sent) for who in babies if not who.died)
    assert with_card == sum(not who.died for who in babies)
    newborns = [row for row in District(6, 3000, end=END).truth() if "newborn-card" in row.flaws]
    assert newborns
    assert any("newborn-name" in row.flaws for row in newborns if row.source == "QPH03")


def test_the_cast_can_carry_the_demonstration(district: District, messages: list[Outgoing]) -> None:
    cast = district.cast()
    sources = {row.source for row in district.truth() if row.person == cast.elder.key}
    assert {"QPC01", "QPH01", "QPH02"} <= sources
    patient = next(f"{cast.centre.code}-" + str(face.number) for face in [district._face(cast.elder, cast.centre)])
    mine = [
        parse(m.payload)
        for m in messages
        if m.source == cast.centre.code and not m.fault and f"Patient/{patient}".encode() in m.payload
    ]
    resources = [
        e["resource"]
        for b in mine
        for e in b["entry"]
        if f"Patient/{patient}" in json.dumps(e["resource"], default=str)
    ]
    types = Counter(r["resourceType"] for r in resources)
    services = Counter(
        r["type"][0]["coding"][0]["code"] for r in resources if r["resourceType"] in ("Encounter", "EpisodeOfCare")
    )
    assert services["htn-followup"] >= 6
    assert services["dm-followup"] >= 6
    assert services["htn-management"] == services["dm-management"] == services["family-doctor"] == 1
    assert types["MedicationRequest"] > 5
    assert cast.doctor.organisation == cast.centre.code
    assert any(m.kind == "allergy" for m in messages)


def test_the_files_hold_the_district(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--residents", "60", "--end", "2026-11-01", "--out", str(tmp_path), "--without-faults"]) == 0
    assert "residents" in capsys.readouterr().out
    for line in (tmp_path / "QPC01" / "bundles.ndjson").read_bytes().splitlines():
        assert parse(line)["resourceType"] == "Bundle"
    frames = (tmp_path / "QPH01" / "messages.hl7").read_bytes().split(b"\x1c\r")
    assert all(frame.startswith(b"\x0bMSH|") for frame in frames[:-1])
    assert (tmp_path / "truth.ndjson").exists()
