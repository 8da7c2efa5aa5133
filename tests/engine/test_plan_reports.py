"""Reports of plans: worded from the figures, frozen when published, and the same in every file."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date, datetime

import orjson
import psycopg
import pytest
from docx import Document
from openpyxl import load_workbook

from healthbrain.access import Tree
from healthbrain.database import open_pool
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.measure import reports
from healthbrain.measure.load import built_in
from healthbrain.measure.monitoring import Status, standing
from healthbrain.measure.plans import plan
from healthbrain.web.language import language
from healthbrain.web.paper import drawing, fonts
from healthbrain.web.paper.content import Paper, build, end_of, paper_of
from healthbrain.web.paper.excel import excel
from healthbrain.web.paper.narrative import worded
from healthbrain.web.paper.pdf import pdf
from healthbrain.web.paper.word import word
from tests.unit.test_plan_monitoring import figure

AT = datetime(2025, 7, 1, 2, tzinfo=UTC)
ZH, EN = language("zh-CN"), language("en")


def paper(tag: str = "zh", kind: reports.ReportKind = "monthly") -> Paper:
    qingpu = plan("qingpu")
    known = {one.id: one for one in built_in()}
    series = {
        "IND-Q-08": [figure(f"2024-{m:02d}", 60.0 + m, version="0.9") for m in range(1, 7)]
        + [figure(f"2025-{m:02d}", 70.0 + m, version="1.0") for m in range(1, 7)],
        "IND-Q-09": [figure(f"2024-{m:02d}", 78.0 + m) for m in range(1, 13)]
        + [figure(f"2025-{m:02d}", 90.0 + m / 2) for m in range(1, 7)],
        "IND-Q-10": [figure("2025-05", 20.0)],
    }
    standings = [
        standing(one, known.get(one.measure), series.get(one.id, []), date(2025, 6, 30)) for one in qingpu.indicators
    ]
    said = ZH if tag == "zh" else EN
    bare = build(
        said, Status(qingpu, AT, tuple(standings)), Tree([]), [], kind=kind, period="2025-06" if kind == "monthly" else "2025",
        until=date(2025, 6, 30), edition=1, at=AT,
    )  # fmt: skip
    return worded(said, bare)


def test_the_words_say_what_the_table_shows() -> None:
    made = paper()
    texts = {section.key: section.text for section in made.sections}
    lights = {line.id: line.light for line in made.lines}
    assert lights["IND-Q-09"] == "met"
    assert lights["IND-Q-10"] == "off_track"
    assert "糖尿病规范化管理率：93 %" in texts["met"]
    assert "常住居民签约率" in texts["behind"]
    assert "自2025-01起口径由v0.9改为v1.0" in texts["data"]
    assert f"已达标{sum(light == 'met' for light in lights.values())}项" in texts["overview"]
    assert "高血压" not in texts["changes"]  # its definition changed: nothing to compare with
    assert "糖尿病" in texts["changes"]
    assert [s.key for s in paper(kind="final").sections][1] == "result"
    assert "outlook" in [s.key for s in paper(kind="interim").sections]


def test_a_report_reads_back_as_it_was_kept() -> None:
    made = paper("en")
    kept = orjson.loads(orjson.dumps(made.as_json()))
    assert reports.digest_of(paper_of(kept).as_json()) == reports.digest_of(made.as_json())
    assert not re.search(r"[\u4e00-\u9fff]", " ".join(section.text for section in made.sections))


def test_word_and_excel_hold_the_words_the_table_and_the_charts() -> None:
    made = paper()
    document = Document(io.BytesIO(word(ZH, made, "")))
    paragraphs = [one.text for one in document.paragraphs]
    for section in made.sections:
        assert section.heading in paragraphs
    assert len(document.tables[0].rows) == len(made.lines) + 1
    assert document.tables[0].rows[9].cells[4].text == "93"
    assert len(document.inline_shapes) == sum(bool(drawing.shapes(line)) for line in made.lines) == 2
    book = load_workbook(io.BytesIO(excel(ZH, made, "")))
    table = book.worksheets[1]
    assert table.cell(10, 5).value == 93
    names = zipfile.ZipFile(io.BytesIO(excel(ZH, made, ""))).namelist()
    assert sum("charts/chart" in name for name in names) == 2


def test_the_pdf_embeds_the_glyphs_of_its_font() -> None:
    made = pdf(ZH, paper(), "ab" * 32)
    assert made.startswith(b"%PDF-")
    # the library names its default font once, without drawing a letter in it
    named = set(re.findall(rb"/BaseFont /([^\s/]+)", made)) - {b"Helvetica"}
    assert named
    assert all(b"NotoSansSC" in name for name in named)
    assert b"/FontFile2" in made
    assert len(made) < 400_000


def test_a_chart_draws_values_target_forecast_and_break_and_nothing_for_one_value() -> None:
    lines = {line.id: line for line in paper().lines}
    inks = {shape.ink for shape in drawing.shapes(lines["IND-Q-08"])}
    assert inks >= {"value", "ahead", "band", "target", "break"}
    assert drawing.shapes(lines["IND-Q-10"]) == []
    assert drawing.svg(lines["IND-Q-10"], "x") == ""
    assert 'aria-label="&lt;b&gt;"' in drawing.svg(lines["IND-Q-08"], "<b>")
    assert drawing.picture(lines["IND-Q-08"], fonts.path("regular")).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "period", "wrong"),
    [
        ("weekly", "2025-06", "kind"),
        ("monthly", "2025", "write the period"),
        ("monthly", "2025-13", "write the period"),
        ("monthly", "2025-08", "future"),
        ("interim", "2026", "future"),
        ("interim", "2022", "a year of the plan"),
        ("final", "2024", "last year"),
    ],
)
def test_a_period_that_cannot_be_is_refused(kind: str, period: str, wrong: str) -> None:
    with pytest.raises(Incorrect, match=wrong):
        end_of(kind, period, plan("qingpu"), date(2025, 7, 1))


def test_a_report_ends_with_its_period_or_today() -> None:
    assert end_of("monthly", "2025-06", plan("qingpu"), date(2025, 7, 1)) == date(2025, 6, 30)
    assert end_of("final", "2025", plan("qingpu"), date(2025, 7, 1)) == date(2025, 7, 1)


@pytest.mark.anyio
async def test_a_draft_is_changed_published_and_then_frozen_even_in_the_database(dsn: str) -> None:
    pool = await open_pool(dsn)
    made = paper()
    async with pool.connection() as connection:
        id = await reports.begin(connection, "qingpu", "monthly", "2025-06", steps=3, by="cdc", at=AT)
        with pytest.raises(Conflict, match="draft"):
            await reports.begin(connection, "qingpu", "monthly", "2025-06", steps=3, by="cdc", at=AT)
        await reports.note_progress(connection, id, 2)
        await reports.finish(connection, id, made.as_json())
        await reports.change(connection, id, {"overview": "领导批示：加快进度。", "no such": "x"}, by="cdc", at=AT)
        digest = await reports.publish(connection, id, by="leader", at=AT)
        report, content = await reports.read(connection, id)
        assert report.state == "published"
        assert digest == report.digest == reports.digest_of(content)
        assert [s["text"] for s in content["sections"] if s["edited"]] == ["领导批示：加快进度。"]
        for step in (
            reports.change(connection, id, {"overview": "改"}, by="cdc", at=AT),
            reports.publish(connection, id, by="cdc", at=AT),
            reports.drop(connection, id),
        ):
            with pytest.raises(Conflict):
                await step
        await connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(b"update plan_report set content = '{}'")
        await connection.rollback()
        again = await reports.begin(connection, "qingpu", "monthly", "2025-06", steps=3, by="cdc", at=AT)
        assert (await reports.read(connection, again))[0].edition == 2
        await reports.fail(connection, again)
        await reports.drop(connection, again)
        with pytest.raises(NotFound):
            await reports.read(connection, again)
    await pool.close()
