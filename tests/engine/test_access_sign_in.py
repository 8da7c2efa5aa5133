"""Signing in, staying signed in and being a system, against the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from healthbrain import access
from healthbrain.access.guard import FREE_FAILURES
from healthbrain.access.signin import IDLE
from healthbrain.database import Connection, Pool, open_pool
from healthbrain.errors import Busy, Conflict, Forbidden, Incorrect, NotFound, Unauthenticated

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PASSWORD = "Sunny-Day-42"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    opened = await open_pool(dsn, size=4)
    yield opened
    await opened.close()


async def an_account(connection: Connection, name: str = "wang", **more: object) -> None:
    key = await access.put_organisation(connection, code="QP00", name="青浦区", kind="district", at=AT)
    values = {"role": "cdc", "display": "王敏", "at": AT, **more}
    await access.create_account(connection, name=name, password=PASSWORD, organisation=key, **values)  # type: ignore[arg-type]
    await connection.commit()


async def test_a_session_says_who_it_is_until_it_is_signed_out(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        session = await access.sign_in(connection, " WANG ", PASSWORD, AT)
        assert session.principal.account == "wang"
        assert session.principal.purpose == "PUBHLTH"
        assert await access.session(connection, session.cookie, AT) == session.principal
        await access.sign_out(connection, session.cookie, AT)
        with pytest.raises(Unauthenticated):
            await access.session(connection, session.cookie, AT)


async def test_a_session_ends_when_idle_and_at_the_latest_after_its_time(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        session = await access.sign_in(connection, "wang", PASSWORD, AT, lasts=timedelta(hours=3))
        at = AT
        for _ in range(5):
            at += IDLE / 2
            await access.session(connection, session.cookie, at)
        with pytest.raises(Unauthenticated):
            await access.session(connection, session.cookie, AT + timedelta(hours=3))
        other = await access.sign_in(connection, "wang", PASSWORD, AT)
        with pytest.raises(Unauthenticated):
            await access.session(connection, other.cookie, AT + IDLE)


async def test_neither_cookie_nor_token_nor_password_is_in_the_database(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        session = await access.sign_in(connection, "wang", PASSWORD, AT)
        token = await access.issue_token(connection, name="lis", organisation=1, at=AT)
        for table in ("account", "session", "token"):
            rows = await (await connection.execute(f"select t::text from {table} t".encode())).fetchall()
            assert rows
            for secret in (session.cookie, token, PASSWORD):
                assert not any(secret in row[0] for row in rows)


async def test_unknown_names_and_wrong_passwords_get_the_same_answer(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        with pytest.raises(Unauthenticated) as wrong:
            await access.sign_in(connection, "wang", "Wrong-Pass-42", AT)
        with pytest.raises(Unauthenticated) as unknown:
            await access.sign_in(connection, "nobody", "Wrong-Pass-42", AT)
        assert wrong.value.message == unknown.value.message


@pytest.mark.parametrize("name", ["wang", "nobody"])
async def test_repeated_failures_lock_the_name_for_a_growing_time(pool: Pool, name: str) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        for _ in range(FREE_FAILURES):
            with pytest.raises(Unauthenticated):
                await access.sign_in(connection, name, "Wrong-Pass-42", AT)
        with pytest.raises(Busy, match="31 seconds"):
            await access.sign_in(connection, name, PASSWORD, AT)
        with pytest.raises(Unauthenticated):
            await access.sign_in(connection, name, "Wrong-Pass-42", AT + timedelta(seconds=31))
        with pytest.raises(Busy, match="61 seconds"):
            await access.sign_in(connection, name, PASSWORD, AT + timedelta(seconds=31))


async def test_failures_are_remembered_although_the_caller_rolls_back(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
    for _ in range(FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            async with pool.connection() as connection:
                await access.sign_in(connection, "wang", "Wrong-Pass-42", AT)
    async with pool.connection() as connection:
        with pytest.raises(Busy):
            await access.sign_in(connection, "wang", PASSWORD, AT)


async def test_a_right_password_forgets_the_failures(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        for _ in range(3):
            for _ in range(FREE_FAILURES - 1):
                with pytest.raises(Unauthenticated):
                    await access.sign_in(connection, "wang", "Wrong-Pass-42", AT)
            await access.sign_in(connection, "wang", PASSWORD, AT)


async def test_a_closed_or_expired_account_cannot_sign_in_and_its_sessions_end(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        await an_account(connection, "temp", valid_until=AT + timedelta(minutes=30))
        session = await access.sign_in(connection, "wang", PASSWORD, AT)
        brief = await access.sign_in(connection, "temp", PASSWORD, AT)
        await access.disable_account(connection, "wang", at=AT)
        for cookie, at in ((session.cookie, AT), (brief.cookie, AT + timedelta(minutes=31))):
            with pytest.raises(Unauthenticated):
                await access.session(connection, cookie, at)
        with pytest.raises(Unauthenticated):
            await access.sign_in(connection, "wang", PASSWORD, AT)
        await access.enable_account(connection, "wang", at=AT)
        await access.sign_in(connection, "wang", PASSWORD, AT)


async def test_a_password_chosen_by_somebody_else_must_be_changed_first(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection, must_change=True)
        session = await access.sign_in(connection, "wang", PASSWORD, AT)
        assert session.must_change
        gate = access.Gate(pool.connection, nobody)
        with pytest.raises(Forbidden, match="password"):
            await gate.by_cookie(session.cookie, AT)
        with pytest.raises(Incorrect):
            await access.set_password(connection, "wang", "easy", at=AT)
        await access.set_password(connection, "wang", "Rainy-Day-43", at=AT)
        with pytest.raises(Unauthenticated):
            await access.session(connection, session.cookie, AT)
        assert not (await access.sign_in(connection, "wang", "Rainy-Day-43", AT)).must_change


async def test_sessions_are_listed_and_ended_one_by_one(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        one = await access.sign_in(connection, "wang", PASSWORD, AT, address="10.0.0.1", agent="A")
        two = await access.sign_in(connection, "wang", PASSWORD, AT + timedelta(seconds=1), address="10.0.0.2")
        listed = await access.sessions(connection, "wang", AT + timedelta(seconds=2))
        assert [entry.address for entry in listed] == ["10.0.0.2", "10.0.0.1"]
        await access.revoke_session(connection, "wang", listed[1].handle, AT)
        with pytest.raises(Unauthenticated):
            await access.session(connection, one.cookie, AT)
        await access.session(connection, two.cookie, AT)


async def test_another_purpose_needs_a_reason_and_a_role_that_knows_it(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection, role="leader")
        session = await access.sign_in(connection, "wang", PASSWORD, AT)
        with pytest.raises(Incorrect):
            await access.declare_purpose(connection, session.cookie, "PUBHLTH", "", AT)
        with pytest.raises(Forbidden):
            await access.declare_purpose(connection, session.cookie, "TREAT", "because I want", AT)
        await access.declare_purpose(connection, session.cookie, "PUBHLTH", "流感暴发处置", AT)
        assert (await access.session(connection, session.cookie, AT)).purpose == "PUBHLTH"


async def test_names_are_taken_once_and_written_one_way(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        with pytest.raises(Conflict):
            await an_account(connection, "Ｗang")
        for bad in ("", "a b", "-x", "x" * 65):
            with pytest.raises(Incorrect):
                await an_account(connection, bad)
        await an_account(connection, "张医生")
        with pytest.raises(Incorrect):
            await an_account(connection, "r1", role="resident")
        with pytest.raises(Incorrect):
            await an_account(connection, "s1", role="system")


async def test_a_token_works_until_it_expires_or_is_revoked(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection)
        token = await access.issue_token(connection, name="lis", organisation=1, days=10, at=AT)
        who = await access.principal_of_token(connection, token, AT + timedelta(days=9))
        assert (who.account, who.role, who.organisation, who.purpose) == ("lis", "system", 1, "TREAT")
        (listed,) = await access.tokens(connection)
        assert token.startswith(listed.prefix)
        assert listed.last_used_at == AT + timedelta(days=9)
        for bad, at in ((token, AT + timedelta(days=10)), (token[:-1], AT), (token + "x", AT), ("", AT), ("hb_\0", AT)):
            with pytest.raises(Unauthenticated):
                await access.principal_of_token(connection, bad, at)
        await access.revoke_token(connection, listed.prefix, AT)
        with pytest.raises(Unauthenticated):
            await access.principal_of_token(connection, token, AT)
        with pytest.raises(NotFound):
            await access.revoke_token(connection, "hb_00000000", AT)


async def test_a_gate_notices_a_revocation_within_its_trust_and_at_once_when_told(pool: Pool) -> None:
    clock = [0.0]
    here = access.Gate(pool.connection, nobody, monotonic=lambda: clock[0])
    elsewhere = access.Gate(pool.connection, nobody, monotonic=lambda: clock[0])
    async with pool.connection() as connection:
        await an_account(connection)
        token = await access.issue_token(connection, name="lis", organisation=1, at=AT)
        (listed,) = await access.tokens(connection)
    for gate in (here, elsewhere):
        await gate.by_token(token, AT)
    async with pool.connection() as connection:
        await access.revoke_token(connection, listed.prefix, AT)
    here.forget()
    with pytest.raises(Unauthenticated):
        await here.by_token(token, AT)
    assert await elsewhere.by_token(token, AT)  # still trusted
    clock[0] += 1.01
    with pytest.raises(Unauthenticated):
        await elsewhere.by_token(token, AT)


async def test_breaking_the_glass_opens_one_person_for_an_hour_and_waits_for_another_reviewer(pool: Pool) -> None:
    async with pool.connection() as connection:
        await an_account(connection, "doctor", role="doctor", practitioner="p1")
        who = (await access.sign_in(connection, "doctor", PASSWORD, AT)).principal
        with pytest.raises(Incorrect):
            await access.break_glass(connection, who, "P1", "  ", AT)
        grant = await access.break_glass(connection, who, "P1", "昏迷送诊，无家属在场", AT)
        assert await access.granted(connection, "doctor", AT + timedelta(minutes=59)) == ("P1",)
        assert await access.granted(connection, "doctor", AT + timedelta(minutes=61)) == ()
        with pytest.raises(NotFound):
            await access.review(connection, grant.id, reviewer=who, justified=True, at=AT)
        await an_account(connection, "boss", role="manager")
        boss = (await access.sign_in(connection, "boss", PASSWORD, AT)).principal
        with pytest.raises(Forbidden):
            await access.break_glass(connection, boss, "P1", "I am curious", AT)
        assert [one.id for one in await access.unreviewed(connection)] == [grant.id]
        await access.review(connection, grant.id, reviewer=boss, justified=False, at=AT)
        assert await access.unreviewed(connection) == []


async def test_changes_of_the_tree_by_many_writers_do_not_wait_for_each_other(dsn: str, pool: Pool) -> None:
    async with pool.connection() as connection:
        root = await access.put_organisation(connection, code="R", name="R", kind="district", at=AT)
    async with pool.connection() as first, pool.connection() as second:
        await second.execute("set lock_timeout = '2s'")
        await access.put_organisation(first, code="A", name="A", kind="institution", parent=root, at=AT)
        await access.put_organisation(second, code="B", name="B", kind="institution", parent=root, at=AT)
        await access.put_organisation(second, code="R", name="R", kind="district", at=AT)  # as it is
    with psycopg.connect(dsn) as check:
        count = check.execute("select count(*) from organisation").fetchone()
        changes = check.execute("select count(*) from access_change").fetchone()
    assert count == (3,)
    assert changes == (3,)  # the repeated one changed nothing


async def test_a_tree_is_never_bent_into_a_ring(pool: Pool) -> None:
    async with pool.connection() as connection:
        a = await access.put_organisation(connection, code="A", name="A", kind="district", at=AT)
        b = await access.put_organisation(connection, code="B", name="B", kind="institution", parent=a, at=AT)
        with pytest.raises(Incorrect, match="below itself"):
            await access.put_organisation(connection, code="A", name="A", kind="district", parent=b, at=AT)
        with pytest.raises(Incorrect, match="kind"):
            await access.put_organisation(connection, code="C", name="C", kind="galaxy", at=AT)


async def nobody(connection: Connection, persons: object) -> tuple[int, ...]:
    return ()
