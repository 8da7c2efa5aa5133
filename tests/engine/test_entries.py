"""Values from outside on a real database: checked, kept with their document, corrected with a reason, shown as results."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime

import psycopg
import pytest
from openpyxl import Workbook, load_workbook

from healthbrain.database import open_pool
from healthbrain.errors import Conflict, Forbidden, Incorrect, Malformed, TooLarge
from healthbrain.measure import entries, queries, trend
from healthbrain.measure.entries import Given
from healthbrain.measure.load import definition_of
from healthbrain.web.language import language
from healthbrain.web.paper import sheets

pytestmark = pytest.mark.anyio
AT = datetime(2026, 3, 1, 2, tzinfo=UTC)
ZH = language("zh-CN")
VALUE = """
id: T-LITERACY
version: "1.0"
title: {zh: 居民健康素养水平, en: Literacy}
source: {document: 测试, clause: "1"}
formula: {zh: 调查, en: survey}
kind: entered
unit: "%"
direction: up
period: year
periods: "6"
entry: {parts: value, low: "0", high: "100"}
"""
FRACTION = (
    VALUE.replace("T-LITERACY", "T-CONNECTED").replace("period: year", "period: quarter")
    .replace("parts: value", "parts: fraction").replace("entry:", 'per: "100"\nentry:')
)  # fmt: skip
GIVEN = Given("T-LITERACY", "2024", "健康素养监测通报", date(2025, 6, 1), value=35.4)


@pytest.fixture(autouse=True)
def two_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [definition_of(VALUE, "value"), definition_of(FRACTION, "fraction")]
    for room in (entries, queries):
        monkeypatch.setattr(room, "built_in", lambda: tuple(known))


async def test_a_value_counts_at_once_and_a_correction_needs_a_reason_and_keeps_the_old_one(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        first = await entries.enter(connection, GIVEN, by="cdc", at=AT)
        assert [one.value for one in await trend(connection, "T-LITERACY")] == [35.4]
        with pytest.raises(Incorrect, match="reason"):
            await entries.enter(connection, replace(GIVEN, value=36.0), by="cdc", at=AT)
        second = await entries.enter(
            connection, replace(GIVEN, value=36.0, reason="笔误"), by="cdc", at=AT, replaces=first
        )
        with pytest.raises(Conflict):
            await entries.enter(connection, replace(GIVEN, value=37.0, reason="再改"), by="cdc", at=AT, replaces=first)
        assert [one.value for one in await trend(connection, "T-LITERACY")] == [36.0]
        assert [(one.id, one.reason) for one in await entries.history(connection, first)] == [
            (second, "笔误"),
            (first, ""),
        ]
        assert [one.id for one in await entries.entered(connection)] == [second]
    await pool.close()


async def test_a_fraction_keeps_both_parts_and_nobody_rewrites_what_was_entered(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        given = Given("T-CONNECTED", "2025-Q4", "接入统计", date(2026, 1, 10), numerator=18, denominator=24)
        await entries.enter(connection, given, by="cdc", at=AT)
        (shown,) = await trend(connection, "T-CONNECTED")
        assert (shown.value, shown.numerator, shown.denominator) == (75.0, 18, 24)
        assert (shown.start, shown.to) == (date(2025, 10, 1), date(2025, 12, 31))
        await connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(b"update measure_entry set value = 99")
        await connection.rollback()
    await pool.close()


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"measure": "IND-Q-08"}, "not one whose values are entered"),
        ({"period": "2024-10"}, "write the period"),
        ({"period": "0000"}, "write the period"),
        ({"period": "2027"}, "not over"),
        ({"period": "1980"}, "before 1990"),
        ({"value": None}, "give the value"),
        ({"value": 101.0}, "at most 100"),
        ({"value": float("nan")}, "no number"),
        ({"document": " "}, "name the document"),
        ({"dated": date(2026, 3, 2)}, "future"),
        ({"level": "town"}, "not entered by town"),
        ({"measure": "T-CONNECTED", "period": "2025-Q1"}, "numerator and the denominator"),
        ({"measure": "T-CONNECTED", "period": "2025-Q1", "numerator": 1.0, "denominator": 0.0}, "above 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_value_that_cannot_be_right_is_refused_with_what_is_wrong(changed: dict[str, object], wrong: str) -> None:
    with pytest.raises(Incorrect, match=wrong):
        entries.check(replace(GIVEN, **changed), date(2026, 3, 1))  # type: ignore[arg-type]  # fields of the table above


def test_the_template_filled_in_is_read_back() -> None:
    book = load_workbook(io.BytesIO(sheets.template(ZH, entries.enterable(), 2025)))
    sheet = book.worksheets[0]
    assert [cell.value for cell in sheet[1]][:4] == ["指标编号", "指标", "单位", "统计周期"]
    sheet["E2"], sheet["H2"], sheet["I2"] = 35.4, "监测通报", datetime(2026, 1, 31)
    buffer = io.BytesIO()
    book.save(buffer)
    (row,) = sheets.rows_of(ZH, "a.xlsx", buffer.getvalue())
    assert row.given == Given("T-LITERACY", "2025", "监测通报", date(2026, 1, 31), value=35.4)


@pytest.mark.parametrize("charset", ["utf-8-sig", "gb18030"])
def test_a_csv_of_either_charset_is_read_and_a_bad_line_says_why(charset: str) -> None:
    text = "指标编号,统计周期,数值,出处,文件日期\nT-LITERACY,2024,35.4%,通报,2025/6/1\nT-LITERACY,2023,高,通报,2024-06-01\n,,,,\n"
    good, bad = sheets.rows_of(ZH, "a.csv", text.encode(charset))
    assert good.given is not None
    assert good.given.value == 35.4
    assert (bad.number, bad.given, bad.error) == (3, None, "the value is no number")


def test_files_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(Malformed, match="headings"):
        sheets.rows_of(ZH, "a.csv", b"a,b\n1,2\n")
    with pytest.raises(Malformed, match="Excel"):
        sheets.rows_of(ZH, "a.xlsx", b"not a zip")
    with pytest.raises(Malformed, match="neither"):
        sheets.rows_of(ZH, "a.csv", b"\xff\xff\xff")
    with pytest.raises(TooLarge):
        sheets.rows_of(ZH, "a.csv", bytes(sheets.LARGEST + 1))
    book = Workbook()
    book.active.append(["measure", "period", "document", "dated", "value"])  # type: ignore[union-attr]  # it has a sheet
    for _ in range(sheets.MOST_ROWS + 5):
        book.active.append(["T-LITERACY", "2024", "d", "2025-01-01", 1])  # type: ignore[union-attr]  # it has a sheet
    buffer = io.BytesIO()
    book.save(buffer)
    with pytest.raises(TooLarge, match="lines"):
        sheets.rows_of(ZH, "a.xlsx", buffer.getvalue())


async def test_an_entry_that_needs_a_review_counts_when_a_second_person_has_approved_it(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        first = await entries.enter(connection, GIVEN, by="cdc", at=AT, review=True)
        assert await trend(connection, "T-LITERACY") == []
        assert [one.id for one in await entries.waiting(connection)] == [first]
        with pytest.raises(Forbidden):
            await entries.review(connection, first, "approved", by="cdc", at=AT)
        await entries.review(connection, first, "approved", by="second", at=AT)
        assert [one.value for one in await trend(connection, "T-LITERACY")] == [35.4]
        with pytest.raises(Conflict):
            await entries.review(connection, first, "returned", by="second", at=AT, reason="再想想")
        wrong = await entries.enter(connection, replace(GIVEN, value=53.4, reason="更正"), by="cdc", at=AT, review=True)
        assert [one.id for one in await entries.entered(connection)] == [first], "the approved one goes on holding"
        with pytest.raises(Incorrect, match="why"):
            await entries.review(connection, wrong, "returned", by="second", at=AT)
        await entries.review(connection, wrong, "returned", by="second", at=AT, reason="两位数写反")
        assert [one.value for one in await trend(connection, "T-LITERACY")] == [35.4]
        third = await entries.enter(connection, replace(GIVEN, value=35.5, reason="更正"), by="cdc", at=AT, review=True)
        await entries.review(connection, third, "approved", by="second", at=AT)
        assert [one.value for one in await trend(connection, "T-LITERACY")] == [35.5]
        told = [
            (one.id, one.state, one.verdict_by, one.verdict_reason) for one in await entries.history(connection, first)
        ]
        assert told == [
            (third, "approved", "second", ""),
            (wrong, "returned", "second", "两位数写反"),
            (first, "approved", "second", ""),
        ]
        assert await entries.waiting(connection) == []
    await pool.close()


async def test_a_first_value_that_was_returned_is_entered_again_without_being_a_correction(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        first = await entries.enter(connection, GIVEN, by="cdc", at=AT, review=True)
        await entries.review(connection, first, "returned", by="second", at=AT, reason="文件不对")
        second = await entries.enter(connection, replace(GIVEN, document="另一文件"), by="cdc", at=AT, review=True)
        assert [one.id for one in await entries.waiting(connection)] == [second]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("delete from measure_entry_review")
    await pool.close()
