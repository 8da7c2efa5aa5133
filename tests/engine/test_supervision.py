"""Notices to units on a real database: sent late enough to be taken back, answered, reviewed, closed, never rewritten."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from healthbrain import access
from healthbrain.database import Connection, open_pool
from healthbrain.errors import Conflict, Incorrect, NotFound, TooLarge
from healthbrain.measure import monitoring, supervision
from healthbrain.measure.supervision import UNDO, Attachment, Notice

pytestmark = pytest.mark.anyio
AT = datetime(2025, 7, 1, 2, tzinfo=UTC)
SENT = AT + UNDO + timedelta(seconds=1)
COMMISSION = {"side": "commission", "by": "leader", "role": "leader"}
UNIT = {"side": "unit", "by": "manager", "role": "manager"}


async def unit(connection: Connection, code: str = "QP00") -> int:
    return await access.put_organisation(connection, code=code, name=f"单位{code}", kind="institution", at=AT)


async def issued(connection: Connection, *, due: date = date(2025, 7, 20), batch: str = "b1") -> int:
    organisation = await unit(connection)
    notice = Notice(
        "qingpu", "IND-Q-08", organisation, "高血压规范管理率低于序时进度，请限期整改。", due, {"value": 61.2}
    )
    (made,) = await supervision.issue(connection, [notice], batch=batch, by="leader", role="leader", at=AT)
    return made


async def test_a_notice_can_be_taken_back_until_it_is_sent_and_the_unit_sees_it_only_then(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        id = await issued(connection)
        assert (await supervision.task(connection, id, AT)).state == "queued"
        assert await supervision.tasks(connection, AT, unit=True) == []
        assert await supervision.withdraw(connection, "b1", by="leader", role="leader", at=AT) == 1
        assert (await supervision.task(connection, id, SENT)).state == "withdrawn"
        assert await supervision.tasks(connection, SENT, unit=True) == []
        other = await issued(connection, batch="b2")
        with pytest.raises(Conflict, match="have been sent"):
            await supervision.withdraw(connection, "b2", by="leader", role="leader", at=SENT)
        assert [one.id for one in await supervision.tasks(connection, SENT, unit=True)] == [other]
    await pool.close()


async def test_a_task_goes_from_notice_to_answer_back_and_to_its_end_with_every_step_kept(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        id = await issued(connection)
        await supervision.act(connection, id, "accept", at=SENT, **UNIT)
        await supervision.act(
            connection,
            id,
            "answer",
            at=SENT,
            text="已补随访 120 人。",
            attachment=Attachment("C:\\整改\\清单.xlsx", b"PK.."),
            **UNIT,
        )
        back = await supervision.act(
            connection, id, "return", at=SENT, text="缺名单。", due=date(2025, 8, 1), **COMMISSION
        )
        assert (back.state, back.due) == ("returned", date(2025, 8, 1))
        await supervision.act(connection, id, "answer", at=SENT, text="补上名单。", **UNIT)
        assert (await supervision.inbox(connection, SENT)).to_review == 1
        closed = await supervision.act(connection, id, "close", at=SENT, text="整改到位。", **COMMISSION)
        assert closed.closed_at == SENT
        again = await supervision.act(connection, id, "reopen", at=SENT, text="指标回落。", **COMMISSION)
        assert (again.state, again.closed_at) == ("returned", None)
        steps = await supervision.history(connection, id)
        assert [one.action for one in steps] == ["issue", "accept", "answer", "return", "answer", "close", "reopen"]
        assert steps[2].file == "清单.xlsx"
        file, media = await supervision.attachment(connection, id, 3)
        assert (file.content, "sheet" in media) == (b"PK..", True)
        with pytest.raises(NotFound):
            await supervision.attachment(connection, id, 1)
    await pool.close()


@pytest.mark.parametrize(
    ("action", "who"),
    [("close", UNIT), ("accept", COMMISSION), ("reopen", COMMISSION), ("escalate", UNIT), ("nonsense", COMMISSION)],
    ids=["unit closes", "commission accepts", "reopens what is open", "unit escalates", "unknown step"],
)
async def test_a_step_that_the_table_does_not_have_is_refused(dsn: str, action: str, who: dict[str, str]) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        id = await issued(connection)
        with pytest.raises(Conflict):
            await supervision.act(connection, id, action, at=SENT, text="任意说明", **who)  # type: ignore[arg-type]  # literals
        assert len(await supervision.history(connection, id)) == 1
    await pool.close()


async def test_what_is_missing_or_wrong_is_said(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        id = await issued(connection)
        with pytest.raises(Incorrect, match="text is empty"):
            await supervision.act(connection, id, "answer", at=SENT, text=" ", **UNIT)
        with pytest.raises(Incorrect, match="this kind"):
            await supervision.act(
                connection, id, "answer", at=SENT, text="见附件", attachment=Attachment("a.exe", b"MZ"), **UNIT
            )
        with pytest.raises(TooLarge):
            await supervision.act(
                connection,
                id,
                "answer",
                at=SENT,
                text="见附件",
                attachment=Attachment("a.pdf", bytes(5 * 1024 * 1024 + 1)),
                **UNIT,
            )
        with pytest.raises(Incorrect, match="past"):
            await issued(connection, due=date(2025, 6, 30))
        with pytest.raises(NotFound):
            await supervision.task(connection, 999, AT)
    await pool.close()


async def test_what_is_overdue_is_escalated_once_per_level_and_a_new_date_starts_afresh(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        id = await issued(connection, due=date(2025, 7, 10))
        assert await supervision.escalate(connection, datetime(2025, 7, 10, 12, tzinfo=UTC)) == []
        late = datetime(2025, 7, 11, 12, tzinfo=UTC)
        assert [one.id for one in await supervision.escalate(connection, late)] == [id]
        assert await supervision.escalate(connection, late) == []
        later = late + timedelta(days=7)
        assert len(await supervision.escalate(connection, later)) == 1
        assert (await supervision.inbox(connection, later)).escalated == 1
        fresh = await supervision.act(
            connection, id, "extend", at=later, text="同意延期。", due=date(2025, 8, 30), **COMMISSION
        )
        assert fresh.level == 0
        assert [s.text for s in await supervision.history(connection, id) if s.action == "escalate"] == ["1", "2"]
    await pool.close()


async def test_history_cannot_be_rewritten_even_in_the_database(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        await issued(connection)
        await connection.commit()
        for statement in (b"update supervision_event set text = 'x'", b"delete from supervision_event"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
            await connection.rollback()
    await pool.close()


async def test_who_answers_is_set_per_indicator_and_changed(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        organisation = await unit(connection)
        for person in ("张主任", "李主任"):
            await monitoring.put_duty(connection, "qingpu", "IND-Q-08", organisation, person, by="admin", at=AT)
        assert (await monitoring.duties(connection, "qingpu"))["IND-Q-08"].person == "李主任"
        with pytest.raises(NotFound):
            await monitoring.put_duty(connection, "qingpu", "IND-X", organisation, "", by="admin", at=AT)
    await pool.close()
