"""The delivery ledger: what is acknowledged is there exactly once, what is not is listed with its reason."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthbrain.access import put_organisation
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Busy, Conflict, HealthBrainError, Incorrect, NotFound
from healthbrain.exchange import (
    Arrival,
    Filter,
    Interaction,
    Ledger,
    Source,
    arrivals,
    attempts,
    coverage,
    delivery,
    import_paths,
    put_source,
    raw,
    reasons,
    receive,
    receive_ndjson,
    refused_lines,
    replay,
    replay_all,
    source_for_mllp,
    summary,
)
from healthbrain.exchange.listing import containing
from healthbrain.identity import link
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
STORE = Store()
World = Callable[[Pool, Ledger, dict[str, Source]], Awaitable[None]]


def adt(
    control: str = "A1",
    *,
    event: str = "A01",
    name: str = "张^伟",
    numbers: str = "M1^^^QP001^MR~310118199001011217^^^^NI",
    facility: str = "QP001",
    charset: str = "UNICODE UTF-8",
    codec: str = "utf-8",
) -> bytes:
    return (
        f"MSH|^~\\&|HIS|{facility}|HB|QP00|20261122115900||ADT^{event}|{control}|P|2.5|||||CHN|{charset}\r"
        f"EVN|{event}|20261122110000\rPID|1||{numbers}||{name}||19900101|M\r"
        f"PV1|1|O|||||D1^李^医生||||||||||||V1{'|' * 25}20261122103000\r"
    ).encode(codec)


def oru(control: str, value: str = "4.1", status: str = "F", code: str = "K^钾^L") -> bytes:
    return (
        f"MSH|^~\\&|LIS|QP001|HB|QP00|20261122115900||ORU^R01|{control}|P|2.5\rPID|1||M1^^^QP001^MR||张伟||19900101|M\r"
        f"OBR|1|P1|F1|ELEC^电解质^L|||20261122090000|||||||||||||||20261122100000||LAB|F\rOBX|1|NM|{code}||{value}|mmol/L|3.5-5.3|N|||{status}\r"
    ).encode()


def run(dsn: str, world: World, **options: Any) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=6)
        try:
            async with pool.connection() as c:
                district = await put_organisation(c, code="QP00", name="青浦区", kind="district")
                owners = [
                    await put_organisation(c, code=code, name=name, kind="institution", parent=district)
                    for code, name in (("QP001", "中山医院青浦分院"), ("QP002", "朱家角医院"))
                ]
                made = {
                    "his": await put_source(
                        c,
                        code="his",
                        name="HIS",
                        organisation=owners[0],
                        door="hl7v2",
                        facility="QP001",
                        code_set="his-a",
                        at=AT,
                    ),
                    "fhir": await put_source(c, code="fhir", name="FHIR", organisation=owners[0], door="fhir", at=AT),
                    "files": await put_source(
                        c, code="files", name="Files", organisation=owners[0], door="ndjson", at=AT
                    ),
                }
            await world(pool, Ledger(pool, STORE, [link], **options), made)
        finally:
            await pool.close()

    asyncio.run(whole())


async def v2(ledger: Ledger, message: bytes, at: datetime = AT) -> tuple[str, str, int | None]:
    receipt = await ledger.receive(Arrival("hl7v2", None, message, at), at=at)
    lines = receipt.response.decode("utf-8", "replace").split("\r")
    return receipt.state, lines[1].split("|")[1], receipt.delivery


async def count(pool: Pool, statement: str) -> int:
    async with pool.connection() as c:
        row = await (await c.execute(statement)).fetchone()
        return int(row[0]) if row else 0


async def found(pool: Pool, kind: str, *parameters: tuple[str, str]) -> list[dict[str, Any]]:
    async with pool.connection() as c:
        return [one.resource for one in (await STORE.search(c, kind, parameters)).matches]


def test_what_is_accepted_is_kept_raw_and_linked_to_what_it_wrote(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        state, verdict, number = await v2(ledger, adt())
        assert (state, verdict) == ("accepted", "AA")
        assert number is not None
        async with pool.connection() as c:
            row = await delivery(c, number)
            assert await raw(c, number) == adt()
            stored = (await STORE.search(c, "Patient", [("name", "张伟")])).matches[0]
        assert stored.delivery == number
        assert stored.owner == sources["his"].organisation
        assert (row.source, row.control_id, row.message_type, row.entries, row.written, row.size) == (
            sources["his"].key,
            "A1",
            "ADT^A01",
            2,
            2,
            len(adt()),
        )
        assert row.message_at == datetime(2026, 11, 22, 3, 59, tzinfo=UTC)
        assert await count(pool, "select count(*) from person_link") == 1

    run(dsn, world)


def test_a_message_sent_again_is_acknowledged_again_and_written_once(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        first = await v2(ledger, adt())
        again = await v2(ledger, adt())
        assert (first[:2], again[:2]) == (("accepted", "AA"), ("duplicate", "AA"))
        async with pool.connection() as c:
            assert again[2] is not None
            assert (await delivery(c, again[2])).original == first[2]
        assert await count(pool, "select count(*) from resource_history") == 0
        assert await count(pool, "select count(*) from resource") == 2

    run(dsn, world)


def test_the_same_message_at_the_same_moment_is_taken_in_once(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        for n in range(5):
            message = adt(f"C{n}", numbers=f"M{n}^^^QP001^MR").replace(b"|V1|", f"|V{n}|".encode())
            outcomes = await asyncio.gather(*(v2(ledger, message) for _ in range(5)))
            assert sorted(state for state, *_ in outcomes) == ["accepted", *["duplicate"] * 4]
            assert {verdict for _, verdict, _ in outcomes} == {"AA"}

    run(dsn, world)


def test_a_used_number_with_other_content_is_a_conflict(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        await v2(ledger, adt())
        state, verdict, number = await v2(ledger, adt(name="王^芳"))
        assert (state, verdict) == ("refused", "AE")
        async with pool.connection() as c:
            assert number is not None
            row = await delivery(c, number)
            assert row.issues[0]["code"] == "conflict"
            assert await raw(c, number) == adt(name="王^芳")
        assert [p["name"][0]["text"] for p in await found(pool, "Patient")] == ["张伟"]

    run(dsn, world)


@pytest.mark.parametrize(
    ("message", "state", "verdict", "says"),
    [
        (adt().replace(b"ADT^A01", b"ZZZ^Z99"), "refused", "AR", "MSH-9"),
        (adt().replace(b"19900101", b"20300101"), "refused", "AE", "PID-7"),
        (adt().replace(b"|A1|", b"||"), "refused", "AE", "MSH-10"),
        (b"MSH|^~\\&|HIS|QP001", "refused", "AE", "MSH-10"),
        (b"hello", "refused", "AR", "MSH"),
        (b"", "refused", "AR", "MSH"),
        (adt(charset="ASCII"), "refused", "AR", "MSH-18"),
        (adt()[:-60].replace("张".encode(), b"\xe5\xbc"), "refused", "AR", "MSH-18"),
    ],
)
def test_what_is_wrong_is_refused_listed_and_writes_nothing(
    dsn: str, message: bytes, state: str, verdict: str, says: str
) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        assert (await v2(ledger, message))[:2] == (state, verdict)
        async with pool.connection() as c:
            page = await arrivals(c)
            assert [one.state for one in page.deliveries] == ["refused"]
            assert says in page.deliveries[0].reason
            assert await raw(c, page.deliveries[0].id) == message
        assert await count(pool, "select count(*) from resource") == 0

    run(dsn, world)


def test_gb18030_is_answered_in_gb18030(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        message = adt(charset="GB 18030-2000", codec="gb18030", name="欧阳^娜娜")
        receipt = await ledger.receive(Arrival("hl7v2", None, message, AT), at=AT)
        assert receipt.state == "accepted"
        assert "GB 18030-2000" in receipt.response.decode("gb18030").split("\r")[0]
        assert [p["name"][0]["text"] for p in await found(pool, "Patient", ("name", "欧阳娜娜"))] == ["欧阳娜娜"]

    run(dsn, world)


def test_a_stranger_is_taken_into_quarantine_or_refused_by_setting(dsn: str) -> None:
    async def accepting(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        assert (await v2(ledger, adt(facility="UNKNOWN")))[:2] == ("accepted", "AA")
        async with pool.connection() as c:
            stranger = await source_for_mllp(c, "HIS", "UNKNOWN")
            assert stranger is not None
            assert not stranger.verified
            assert (
                await count(
                    pool,
                    f"select count(*) from organisation where key = {stranger.organisation} and kind = 'quarantine'",
                )
                == 1
            )
        strict = Ledger(pool, STORE, [link], unknown_sources="refuse")
        state, verdict, number = await v2(strict, adt("A2", facility="STRANGER"))
        assert (state, verdict) == ("refused", "AR")
        async with pool.connection() as c:
            assert number is not None
            assert (await delivery(c, number)).source is None

    run(dsn, accepting)


def test_a_result_before_its_patient_and_a_poorer_copy_lose_nothing(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        await v2(ledger, oru("R1"))
        await v2(ledger, adt("A1"))
        await v2(ledger, oru("R2", "4.4", "C"))
        await v2(ledger, adt("A2", event="A08", numbers="M1^^^QP001^MR"))
        (patient,) = await found(pool, "Patient")
        assert {i["system"] for i in patient["identifier"]} == {
            "urn:healthbrain:org:QP001:mrn",
            "urn:oid:2.16.156.10011.1.3",
        }
        (observation,) = await found(pool, "Observation")
        assert (observation["status"], observation["valueQuantity"]["value"]) == ("corrected", 4.4)
        (encounter,) = await found(pool, "Encounter")
        assert encounter["status"] == "in-progress"
        await v2(ledger, adt("A3", event="A03"))
        await v2(ledger, adt("A4", event="A08"))
        assert (await found(pool, "Encounter"))[0]["status"] == "finished"

    run(dsn, world)


def test_our_own_mistake_is_failed_and_can_be_replayed(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        async def broken(*_: Any) -> None:
            raise ZeroDivisionError("张伟")

        wrong = Ledger(pool, STORE, [link, broken])
        state, verdict, number = await v2(wrong, adt())
        assert (state, verdict) == ("failed", "AE")
        assert await count(pool, "select count(*) from resource") == 0
        assert await count(pool, "select count(*) from person_link") == 0
        assert number is not None
        receipt = await replay(ledger, number, by="管理员", at=AT + timedelta(hours=1))
        assert receipt.state == "accepted"
        async with pool.connection() as c:
            row = await delivery(c, number)
            assert (row.state, row.attempt, row.reason) == ("accepted", 2, "")
            (former,) = await attempts(c, number)
            assert (former["state"], former["replayed_by"]) == ("failed", "管理员")
            assert "张" not in json.dumps(former["issues"], ensure_ascii=False)
        assert (await v2(ledger, adt()))[0] == "duplicate"

    run(dsn, world)


def test_all_refused_of_a_source_are_replayed_after_the_cause_is_gone(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        future = datetime(2026, 11, 20, tzinfo=UTC)
        for n in range(3):
            assert (await v2(ledger, adt(f"C{n}", numbers=f"M{n}^^^QP001^MR"), at=future))[0] == "refused"
        async with pool.connection() as c:
            (why,) = await reasons(c, Filter(source=sources["his"].key))
            assert (why.count, why.sources) == (3, 1)
            assert why.reason.startswith("PV1-44")
            for text, found in (("lies in", 3), ("LIES IN", 3), ("%", 0), ("_V1", 0), ("PV1-4_", 0)):
                page = await arrivals(c, Filter(reason_like=[containing("nothing has this"), containing(text)]))
                assert len(page.deliveries) == found, text
            assert len((await arrivals(c, Filter(reason=why.reason))).deliveries) == 3
            assert (await arrivals(c, Filter(reason=why.reason[:-1]))).deliveries == []
        wanted = Filter(source=sources["his"].key, states=["refused"])
        assert [receipt.state async for _, receipt in replay_all(ledger, wanted, by="管理员", clock=lambda: AT)] == [
            "accepted"
        ] * 3
        async with pool.connection() as c:
            assert (await arrivals(c, wanted)).deliveries == []
            with pytest.raises(NotFound):
                await replay(ledger, 10**9, by="x", at=AT)

    run(dsn, world)


def bundle(kind: str, *names: str, wrong: bool = False) -> dict[str, Any]:
    entries = [
        {
            "fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{n}",
            "resource": {
                "resourceType": "Patient",
                "name": [{"text": name}],
                **({"gender": "x"} if wrong and n == 1 else {}),
            },
            "request": {"method": "POST", "url": "Patient"},
        }
        for n, name in enumerate(names)
    ]
    return {"resourceType": "Bundle", "type": kind, "timestamp": "2026-11-22T11:00:00+08:00", "entry": entries}


def fhir(source: Source, body: Any, **more: Any) -> Arrival:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Arrival("fhir", source.key, sent, AT, "application/fhir+json", **more)


def test_bundles_are_whole_or_not_at_all_and_batches_may_be_partly(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        good = await ledger.receive(fhir(sources["fhir"], bundle("transaction", "甲", "乙")), at=AT)
        assert (good.state, len(good.response["entry"])) == ("accepted", 2)
        bad = await ledger.receive(fhir(sources["fhir"], bundle("transaction", "丙", "丁", wrong=True)), at=AT)
        assert bad.state == "refused"
        assert bad.error is not None
        assert "gender" in bad.issues[0].expression
        assert len(await found(pool, "Patient")) == 2
        partly = await ledger.receive(fhir(sources["fhir"], bundle("batch", "丙", "丁", wrong=True)), at=AT)
        assert partly.state == "partly"
        assert len(await found(pool, "Patient")) == 3
        async with pool.connection() as c:
            assert partly.delivery is not None
            row = await delivery(c, partly.delivery)
            assert (row.entries, row.written, row.refused) == (2, 1, 1)
            assert row.message_at == datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    run(dsn, world)


def test_rest_writes_go_through_the_ledger_and_can_be_replayed(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        patient = {"resourceType": "Patient", "id": "p1", "gender": "male"}
        put = fhir(sources["fhir"], patient, interaction=Interaction("PUT", "Patient", "p1"), message_type="Patient")
        assert (await ledger.receive(put, at=AT)).written[0].created
        assert not (await ledger.receive(put, at=AT)).written[0].changed
        stale = fhir(
            sources["fhir"],
            {**patient, "gender": "female"},
            interaction=Interaction("PUT", "Patient", "p1", if_match=9),
        )
        refused = await ledger.receive(stale, at=AT)
        assert refused.state == "refused"
        assert isinstance(refused.error, Conflict)
        conditional = fhir(
            sources["fhir"],
            {"resourceType": "Patient"},
            interaction=Interaction("POST", "Patient", if_none_exist="gender=male"),
        )
        assert (await ledger.receive(conditional, at=AT)).response["status"].startswith("200")
        gone = Arrival("fhir", sources["fhir"].key, b"", AT, interaction=Interaction("DELETE", "Patient", "p1"))
        assert (await ledger.receive(gone, at=AT)).state == "accepted"
        assert await found(pool, "Patient") == []
        async with pool.connection() as c:
            first = (await arrivals(c)).deliveries[-1]
        assert (await replay(ledger, first.id, by="x", at=AT)).state == "accepted"
        assert [p["id"] for p in await found(pool, "Patient")] == ["p1"]

    run(dsn, world)


def test_an_idempotency_key_makes_a_bundle_count_once(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        once = fhir(sources["fhir"], bundle("transaction", "甲"), control_id="key-1", message_type="Bundle")
        assert [(await ledger.receive(once, at=AT)).state for _ in range(2)] == ["accepted", "duplicate"]
        anonymous = fhir(sources["fhir"], bundle("transaction", "甲"))
        assert [(await ledger.receive(anonymous, at=AT)).state for _ in range(2)] == ["accepted", "accepted"]
        assert len(await found(pool, "Patient")) == 3

    run(dsn, world)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","type":"nonsense"}', b"\xff\xfe{"]
)
def test_broken_json_is_refused_and_listed(dsn: str, body: bytes) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        receipt = await receive(pool, fhir(sources["fhir"], body), store=STORE, at=AT)
        assert receipt.state == "refused"
        assert receipt.error is not None
        assert receipt.error.message
        async with pool.connection() as c:
            assert [one.state for one in (await arrivals(c)).deliveries] == ["refused"]

    run(dsn, world)


def lines(n: int, wrong: tuple[int, ...] = ()) -> list[bytes]:
    return [
        b'{"resourceType":"Patient","id":"p%d","gender":"%s"}\n' % (k, b"x" if k in wrong else b"male")
        for k in range(1, n + 1)
    ]


def test_a_file_of_lines_is_taken_in_with_each_refused_line_listed(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        content = [*lines(2500, wrong=(7, 1500)), b"{oops\n", b"\n", b'{"id":"x"}\n']
        seen: list[int] = []
        standing = await receive_ndjson(
            ledger, content, sources["files"], name="p.ndjson", key="k", at=AT, progress=lambda s: seen.append(s.lines)
        )
        assert (standing.state, standing.lines, standing.written, standing.refused) == ("partly", 2503, 2498, 4)
        assert seen == [1000, 2000, 2503]
        async with pool.connection() as c:
            refused = await refused_lines(c, standing.delivery)
            assert [number for number, _ in refused] == [7, 1500, 2501, 2503]
            assert refused[0][1][0]["expression"] == "Patient.gender"
            assert await raw(c, standing.delivery) == b"".join(content)
        again = await receive_ndjson(ledger, content, sources["files"], name="p.ndjson", key="k", at=AT)
        assert again == standing
        receipt = await replay(ledger, standing.delivery, by="x", at=AT)
        assert receipt.state == "partly"

    run(dsn, world)


def test_a_file_that_broke_off_is_taken_up_where_it_was(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        def until(n: int):
            for number, line in enumerate(lines(3000), 1):
                if number > n:
                    raise ConnectionResetError
                yield line

        with pytest.raises(ConnectionResetError):
            await receive_ndjson(ledger, until(1700), sources["files"], name="p", key="k", at=AT)
        async with pool.connection() as c:
            (held,) = (await arrivals(c)).deliveries
            assert (held.state, held.entries) == ("held", 1000)
        standing = await receive_ndjson(ledger, lines(3000), sources["files"], name="p", key="k", at=AT)
        assert (standing.state, standing.lines, standing.written) == ("accepted", 3000, 3000)
        assert standing.delivery == held.id
        async with pool.connection() as c:
            assert await raw(c, held.id) == b"".join(lines(3000))

    run(dsn, world)


def test_folders_of_every_kind_are_imported_once(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.json").write_text(json.dumps(bundle("transaction", "甲"), indent=1))
    (tmp_path / "b.json").write_text(json.dumps({"resourceType": "Patient", "id": "single"}))
    (tmp_path / "c.json").write_text(
        json.dumps(
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": {"resourceType": "Patient", "id": "c1"}}],
            }
        )
    )
    (tmp_path / "d.ndjson.gz").write_bytes(gzip.compress(b"".join(lines(5))))
    (tmp_path / "sub" / "e.hl7").write_bytes(
        b"\xef\xbb\xbf" + adt("E1").replace(b"\r", b"\n") + adt("E2", event="A08").replace(b"\r", b"\n")
    )
    (tmp_path / "f.ndjson").write_text(
        json.dumps(bundle("transaction", "乙"))
        + "\n"
        + json.dumps(bundle("transaction", "丙", "丁", wrong=True))
        + "\n"
    )
    (tmp_path / "g.json").write_text("not json")
    (tmp_path / "h.gz").write_bytes(gzip.compress(b"x" * 100)[:20])

    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        reports = {one.path.name: one for one in await import_paths(ledger, [tmp_path], sources["files"])}
        assert {name: one.state for name, one in reports.items()} == {
            "a.json": "accepted", "b.json": "accepted", "c.json": "accepted", "d.ndjson.gz": "accepted", "e.hl7": "accepted",
            "f.ndjson": "partly", "g.json": "refused", "h.gz": "refused",
        }  # fmt: skip
        assert (reports["d.ndjson.gz"].entries, reports["e.hl7"].entries) == (5, 2)
        assert reports["g.json"].problems
        before = await count(pool, "select count(*) from resource")
        assert before == 1 + 1 + 1 + 5 + 2 + 1
        again = {one.path.name: one.state for one in await import_paths(ledger, [tmp_path], sources["files"])}
        assert again["a.json"] == "duplicate"
        assert await count(pool, "select count(*) from resource") == before
        assert await count(pool, "select count(*) from resource_history") == 0
        with pytest.raises(NotFound):
            await import_paths(ledger, [tmp_path / "missing"], sources["files"])

    run(dsn, world)


def test_the_arrivals_page_filters_pages_counts_and_finds_the_silent(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        for n in range(7):
            at = AT + timedelta(minutes=n)
            await v2(ledger, adt(f"C{n}", numbers=f"M{n}^^^QP001^MR"), at=at)
        await v2(ledger, adt("C9").replace(b"19900101", b"20300101"), at=AT + timedelta(minutes=9))
        async with pool.connection() as c:
            page = await arrivals(c, count=3)
            seen = [one.id for one in page.deliveries]
            while page.next:
                page = await arrivals(c, count=3, cursor=page.next)
                seen += [one.id for one in page.deliveries]
            assert len(seen) == len(set(seen)) == 8
            times = [(await delivery(c, one)).received_at for one in seen]
            assert times == sorted(times, reverse=True)
            (day,) = await summary(c, Filter(organisation=sources["his"].organisation))
            assert (day.total, day.accepted, day.refused, str(day.day)) == (8, 7, 1, "2026-11-22")
            assert day.delay_median is not None
            assert 60 <= day.delay_median <= 600
            assert (await arrivals(c, Filter(organisations=[]))).deliveries == []
            assert (
                len(
                    (
                        await arrivals(c, Filter(organisations=[sources["his"].organisation], states=["refused"]))
                    ).deliveries
                )
                == 1
            )
            share = await coverage(c, since=AT - timedelta(days=1), until=AT + timedelta(days=1))
            assert share.share == 0.5
            assert [one.code for one in share.silent] == ["QP002"]
            with pytest.raises(Incorrect):
                await arrivals(c, cursor="nonsense")
            with pytest.raises(Incorrect):
                await arrivals(c, Filter(states=["lost"]))

    run(dsn, world)


def test_facts_of_the_future_are_refused_at_the_fhir_door(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        late = {"resourceType": "Patient", "id": "late", "birthDate": "2026-11-23"}
        refused = await ledger.receive(
            fhir(sources["fhir"], late, interaction=Interaction("PUT", "Patient", "late")), at=AT
        )
        assert [(one.expression, refused.state) for one in refused.issues] == [("Patient.birthDate", "refused")]
        mixed = bundle("batch", "甲", "乙", "丙")
        mixed["entry"][1]["resource"]["birthDate"] = "2027-01-01"
        partly = await ledger.receive(fhir(sources["fhir"], mixed), at=AT)
        assert partly.state == "partly"
        assert [one["response"]["status"][:3] for one in partly.response["entry"]] == ["201", "422", "201"]
        assert partly.issues[0].expression == "Bundle.entry[1].resource.birthDate"
        whole = await ledger.receive(fhir(sources["fhir"], {**mixed, "type": "transaction"}), at=AT)
        assert whole.state == "refused"
        planned = {
            "resourceType": "Encounter",
            "id": "e",
            "status": "planned",
            "class": {"code": "IMP"},
            "period": {"start": "2027-01-01"},
        }
        taken = await ledger.receive(
            fhir(sources["fhir"], planned, interaction=Interaction("PUT", "Encounter", "e")), at=AT
        )
        assert taken.state == "accepted"
        standing = await receive_ndjson(ledger, [json.dumps(late).encode()], sources["files"], name="x", key="x", at=AT)
        assert standing.state == "refused"

    run(dsn, world)


def test_what_was_taken_in_stays_taken_in_when_a_replay_fails(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, _: dict[str, Source]) -> None:
        number = (await v2(ledger, adt()))[2]
        assert number is not None

        async def broken(*_: Any) -> None:
            raise ZeroDivisionError

        receipt = await replay(Ledger(pool, STORE, [broken]), number, by="管理员", at=AT)
        assert receipt.state in {"failed", "accepted"}
        again = Ledger(pool, STORE, [link])
        earlier = AT - timedelta(days=3)
        async with pool.connection() as c:
            await c.execute("update source set charset = 'ASCII', facility = 'QP001'")
        assert (await replay(again, number, by="管理员", at=earlier)).state == "refused"
        async with pool.connection() as c:
            row = await delivery(c, number)
            assert row.state == "accepted"
            assert "refused" in [one["state"] for one in await attempts(c, number)]

    run(dsn, world)


def test_two_sources_cannot_send_under_one_name(dsn: str) -> None:
    async def world(pool: Pool, _: Ledger, sources: dict[str, Source]) -> None:
        async with pool.connection() as c:
            with pytest.raises(Conflict, match="MSH-4"):
                await put_source(
                    c,
                    code="second",
                    name="x",
                    organisation=sources["his"].organisation,
                    door="hl7v2",
                    facility="QP001",
                    at=AT,
                )
            assert await source_for_mllp(c, "", "QP001") == sources["his"]
            for wrong in ({"door": "fax"}, {"charset": "KLINGON"}, {"code_set": "none"}):
                with pytest.raises(HealthBrainError):
                    await put_source(
                        c,
                        **{
                            "code": "w",
                            "name": "w",
                            "organisation": sources["his"].organisation,
                            "door": "hl7v2",
                            "at": AT,
                            **wrong,
                        },
                    )

    run(dsn, world)


class Collisions:
    """An observer that reports a collision the first `n` times, as the store does when two writers block each other."""

    def __init__(self, n: int) -> None:
        self.left = n

    async def __call__(self, *_: Any) -> None:
        if self.left:
            self.left -= 1
            raise Busy("somebody else writes the same resources")


def test_a_collision_is_tried_again_and_is_nobodys_fault(dsn: str, tmp_path: Path) -> None:
    async def world(pool: Pool, _: Ledger, sources: dict[str, Source]) -> None:
        assert (await v2(Ledger(pool, STORE, [Collisions(2)]), adt()))[:2] == ("accepted", "AA")
        assert (await v2(Ledger(pool, STORE, [Collisions(99)]), adt("A2")))[:2] == ("failed", "AE")
        standing = await receive_ndjson(
            Ledger(pool, STORE, [Collisions(1)]), lines(3), sources["files"], name="x", key="x", at=AT
        )
        assert (standing.state, standing.refused) == ("accepted", 0)
        file = tmp_path / "y.ndjson"
        file.write_bytes(b"".join(lines(5)))
        (report,) = await import_paths(Ledger(pool, STORE, [Collisions(99)]), [file], sources["files"])
        assert (report.state, report.refused) == ("failed", 0)
        (report,) = await import_paths(Ledger(pool, STORE), [file], sources["files"])
        assert (report.state, report.entries) == ("accepted", 5)

    run(dsn, world)


def test_an_import_without_a_database_says_so(dsn: str, tmp_path: Path) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        file = tmp_path / "y.ndjson"
        file.write_bytes(b"".join(lines(5)))
        other = await open_pool(dsn, size=1)
        await other.close()
        (report,) = await import_paths(Ledger(other, STORE), [file], sources["files"])
        assert report.state == "failed"
        assert "database" in report.problems[0]

    run(dsn, world)
