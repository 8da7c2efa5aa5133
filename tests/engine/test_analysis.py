"""Ad-hoc questions: the pivot equals counting row by row, hidden counts cannot be worked out, limits hold."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from statistics import fmean, median
from typing import Any

import pytest

from healthbrain.errors import Incorrect, NotFound, TooLarge
from healthbrain.lake import Lake, sof
from healthbrain.measure.analysis import (
    Pivot,
    Question,
    Reader,
    Stopped,
    answer,
    blur,
    look_ahead,
    members,
    pivot,
    query,
    question_of,
    run,
    sources,
)
from healthbrain.measure.analysis.blur import STEP
from healthbrain.measure.analysis.protect import Place, hidden_places
from healthbrain.measure.suppression import THRESHOLD
from tests.engine.twin_lake import AT, TwinLake

EVERYBODY = Reader(None, people=True)
FIGURES = Reader(None, people=False)
CHINA = timezone(timedelta(hours=8))


@pytest.fixture(scope="module")
def twin() -> TwinLake:
    return TwinLake(seed=5, residents=160)


@pytest.fixture(scope="module")
def lake(twin: TwinLake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return twin.lake(tmp_path_factory.mktemp("analysis"))


def ask(lake: Lake, raw: dict[str, Any], reader: Reader = EVERYBODY) -> Pivot:
    return asyncio.run(answer(lake, question_of(raw), reader, AT)).table


def rows_of(twin: TwinLake, source: str) -> Iterator[dict[str, Any]]:
    """The view's rows with owner, person and town, resource by resource."""
    view = next(one.view for one in sources() if one.id == source)
    town = {}
    for resource, _ in twin.rows:
        if resource["resourceType"] == "Patient":
            extensions = [e for address in resource.get("address", ()) for e in address.get("extension", ())]
            division = [e["valueString"] for e in extensions if e["url"].endswith(":division")]
            own = twin.own(0, resource, twin.organisations[0]["code"])
            town[own["_patient"]] = (division[0][:9] if division else "", resource.get("gender", ""))
    for number, (resource, sender) in enumerate(twin.rows):
        if resource["resourceType"] == view.resource:
            own = twin.own(number, resource, sender)
            patient = own["_patient"]
            for row in sof.evaluate(view.parsed(), [resource]):
                yield {
                    **row, "_institution": str(own["_owner"]), "person": twin.persons.get(patient, f"patient:{patient}"),
                    "_town": town.get(patient, ("", ""))[0], "_sex": town.get(patient, ("", ""))[1],
                }  # fmt: skip


def month(value: str | None) -> str:
    if not value:
        return ""
    return value[:7] if len(value) <= 10 else datetime.fromisoformat(value).astimezone(CHINA).strftime("%Y-%m")


def test_a_pivot_equals_counting_row_by_row(twin: TwinLake, lake: Lake) -> None:
    table = ask(
        lake,
        {
            "source": "emr.visit", "rows": ["start:month", "_institution"], "columns": ["_sex"],
            "measures": ["count", "persons", "share_row"],
        },
    )  # fmt: skip
    expected: dict[Place, list[str]] = defaultdict(list)
    for row in rows_of(twin, "emr.visit"):
        key, column = (month(row["start"]), row["_institution"]), (row["_sex"],)
        for place in ((key, column), (key, None), (None, column), (None, None)):
            expected[place].append(row["person"])
    assert len(table.rows) > 20
    assert len(table.columns) == 2
    assert set(table.cells) == set(expected)
    for place, persons in expected.items():
        cell = table.cells[place]
        share = 100 * len(persons) / len(expected[place[0], None])
        assert cell.values == (len(persons), len(set(persons)), pytest.approx(share)), place
        assert not cell.hidden


def test_spectrum_and_flow_by_month_reconcile_with_the_totals(twin: TwinLake, lake: Lake) -> None:
    visits, diagnoses = list(rows_of(twin, "emr.visit")), list(rows_of(twin, "emr.diagnosis"))
    flow = ask(lake, {"source": "emr.visit", "rows": ["start:month", "_town"], "columns": ["_institution"]})
    months = ask(lake, {"source": "emr.visit", "rows": ["start:month"]})
    for (when,) in months.rows:
        inside = [row for row in flow.rows if row[0] == when]
        cells = [flow.cell(row, column).rows or 0 for row in inside for column in flow.columns]
        assert sum(cells) == months.cell((when,), None).rows == sum(month(row["start"]) == when for row in visits)
    assert len({town for _, town in flow.rows}) > 5
    spectrum = ask(lake, {"source": "emr.diagnosis", "rows": ["icd10"], "columns": ["recorded:month"]})
    assert spectrum.total.rows == len(diagnoses)
    assert sum(spectrum.cell(row, None).rows or 0 for row in spectrum.rows) == len(diagnoses)


def test_sums_means_and_medians_of_bands_equal_those_row_by_row(twin: TwinLake, lake: Lake) -> None:
    filters = [
        {"column": "systolic", "operator": "between", "values": ["120", ""]},
        {"column": "at", "operator": "between", "values": ["2026-06-01", "2026-09-30"]},
    ]
    table = ask(
        lake,
        {
            "source": "emr.blood_pressure", "rows": ["diastolic:10"], "filters": filters,
            "measures": ["sum:systolic", "mean:systolic", "median:systolic"],
        },
    )  # fmt: skip
    expected = defaultdict(list)
    for row in rows_of(twin, "emr.blood_pressure"):
        if row["systolic"] is None or row["systolic"] < 120 or not "2026-06" <= month(row["at"]) <= "2026-09":
            continue
        band = "" if row["diastolic"] is None else str(float(row["diastolic"] // 10 * 10))
        expected[band].append(float(row["systolic"]))
    assert {row[0] for row in table.rows} == set(expected)
    assert len(expected) > 3
    for band, values in expected.items():
        assert table.cell((band,), None).values == pytest.approx((sum(values), fmean(values), median(values)))


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("in", ["I10"], lambda code: code == "I10"),
        ("not_in", ["I10", "E11.9"], lambda code: code not in {"I10", "E11.9"}),
        ("starts", ["J"], lambda code: code.startswith("J")),
        ("contains", ["1"], lambda code: "1" in code),
        ("given", [], bool),
        ("empty", [], lambda code: not code),
    ],
    ids=["in", "not-in", "starts", "contains", "given", "empty"],
)
def test_a_filter_leaves_the_rows_that_it_names(
    operator: str, values: list[str], holds: Any, twin: TwinLake, lake: Lake
) -> None:
    only = {"column": "icd10", "operator": operator, "values": values}
    table = ask(lake, {"source": "emr.diagnosis", "filters": [only]})
    assert table.total.values == (sum(bool(holds(row["icd10"] or "")) for row in rows_of(twin, "emr.diagnosis")),)


def test_only_rows_of_the_readers_organisations_are_counted(twin: TwinLake, lake: Lake) -> None:
    raw = {"source": "emr.visit", "rows": ["_institution"]}
    whole = ask(lake, raw)
    mine = int(whole.rows[0][0])
    own = ask(lake, raw, Reader((mine,), people=True))
    assert own.rows == ((str(mine),),)
    assert own.total == whole.cell(whole.rows[0], None)
    assert ask(lake, raw, Reader((), people=True)).total.rows == 0


def test_every_view_answers_by_its_first_column_that_can_divide(lake: Lake) -> None:
    for source in (one for one in sources() if not one.published):
        column = next(one for one in source.columns if one.kind == "category")
        across = [] if column.name == "_institution" else ["_institution"]
        table = ask(lake, {"source": source.id, "rows": [column.name], "columns": across})
        assert table.total.rows == sum(table.cell(row, None).rows or 0 for row in table.rows), source.id
        if source.personal:
            ask(lake, {"source": source.id, "rows": ["_age_group"], "measures": ["persons"]}, FIGURES)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": ["start"]}, {"rows": ["id"]}, {"rows": ["class:month"]}, {"rows": ["nothing"]}, {"measures": []},
        {"measures": ["sum"]}, {"measures": ["mean:class"]}, {"rows": ["class", "class"]}, {"sort": "9"}, {"more": 1},
        {"filters": [{"column": "start", "operator": "between", "values": ["today", ""]}]},
        {"filters": [{"column": "class", "operator": "between", "values": ["a", "b"]}]},
        {"filters": [{"column": "class", "operator": "in", "values": []}]},
        {"filters": [{"column": "patient", "operator": "in", "values": ["x"]}]}, {"ahead": 99}, {"columns": [1, 2]},
        {"rows": ["class\" union select 1 --"]}, {"measures": ["sum:1); drop table x"]},
    ],
    ids=lambda change: str(change)[:40],
)  # fmt: skip
def test_a_question_that_does_not_fit_its_view_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Incorrect):
        question_of({"source": "emr.visit", **change})


def test_a_view_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        question_of({"source": "pg_catalog.pg_shadow"})


def test_values_are_never_read_as_sql(lake: Lake) -> None:
    nasty = "' or 1=1; drop view Patient; --"
    only = [{"column": "class", "operator": operator, "values": [nasty]} for operator in ("in", "starts", "contains")]
    assert ask(lake, {"source": "emr.visit", "filters": only}).total.rows == 0
    assert ask(lake, {"source": "emr.visit"}).total.rows


def test_a_question_comes_back_from_its_json_as_it_was() -> None:
    asked = question_of(
        {
            "source": "emr.blood_pressure", "rows": ["at:quarter", "systolic:10"], "columns": ["_town"],
            "measures": ["persons", "mean:systolic"], "sort": "1", "descending": True, "chart": "heat", "ahead": 3,
            "filters": [{"column": "systolic", "operator": "between", "values": ["90", ""]}],
            "watch": {"side": "above", "value": 140},
        }
    )  # fmt: skip
    assert isinstance(asked, Question)
    assert question_of(asked.as_json()) == asked


def test_small_counts_are_hidden_from_who_may_not_see_people_and_only_from_them(lake: Lake) -> None:
    raw = {"source": "emr.diagnosis", "rows": ["icd10"], "columns": ["_town"], "measures": ["count", "persons"]}
    seen, shown = ask(lake, raw), ask(lake, raw, FIGURES)
    small = {place for place, cell in seen.cells.items() if 0 < (cell.persons or 0) < THRESHOLD}
    assert small
    for place in small:
        assert shown.cells[place].hidden
        assert shown.cells[place].values == (None, None)
        assert shown.cells[place].persons is None
    for place, cell in shown.cells.items():
        if not cell.hidden:
            for value, true in zip(cell.values, seen.cells[place].values, strict=True):
                assert value is not None
                assert true is not None
                assert value % STEP == 0
                assert abs(value - true) < STEP


def test_the_same_persons_have_the_same_number_in_every_question(lake: Lake) -> None:
    visits: dict[str, Any] = {"source": "emr.visit", "measures": ["persons", "count"]}
    whole = ask(lake, visits, FIGURES).total
    by_sex = ask(lake, {**visits, "rows": ["_sex"]}, FIGURES)
    assert by_sex.total == whole
    for (sex,) in by_sex.rows:
        alone = {**visits, "filters": [{"column": "_sex", "operator": "in", "values": [sex]}]}
        assert ask(lake, alone, FIGURES).total == by_sex.cell((sex,), None)
        assert ask(lake, {**alone, "columns": ["_sex"]}, FIGURES).total == by_sex.cell((sex,), None)


def test_a_question_less_one_person_does_not_tell_about_that_person(twin: TwinLake, lake: Lake) -> None:
    """Leaving single days out changes the exact count by very few; what is shown moves by whole steps, or not at all."""
    raw = {"source": "emr.blood_pressure", "measures": ["persons", "sum:systolic", "mean:systolic"]}
    days = sorted({str(row["at"])[:10] for row in rows_of(twin, "emr.blood_pressure")})[:25]
    exact, shown = [], []
    for day in days:
        after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        asked = {**raw, "filters": [{"column": "at", "operator": "between", "values": [after, ""]}]}
        exact.append(ask(lake, asked).total.values)
        shown.append(ask(lake, asked, FIGURES).total.values)
    steps = {abs((b[0] or 0) - (a[0] or 0)) for a, b in pairwise(shown)}
    assert {step % STEP for step in steps} == {0}
    told = [
        (round((a[1] or 0) - (b[1] or 0), 6), round((c[1] or 0) - (d[1] or 0), 6))
        for (a, b), (c, d) in zip(pairwise(exact), pairwise(shown), strict=True)
        if a[1] != b[1]
    ]
    assert told
    assert all(true != seen for true, seen in told)


def test_blurred_counts_are_right_on_average_and_never_a_step_away() -> None:
    for count in (5, 6, 13, 27, 104):
        drawn = [blur.counted(count, key) for key in range(0, blur.KEYS, 997)]
        assert {abs(one - count) < STEP for one in drawn} == {True}
        assert fmean(drawn) == pytest.approx(count, abs=0.2)
        assert {one % STEP for one in drawn} == {0}
    moved = [blur.moved("mean", 130.0, 15.0, 10, key) for key in range(0, blur.KEYS, 997)]
    assert fmean(moved) == pytest.approx(130.0, abs=0.2)
    assert max(abs(one - 130.0) for one in moved) <= 3.0


def test_words_that_few_share_are_one_group(lake: Lake) -> None:
    raw = {"source": "emr.diagnosis", "rows": ["disease"], "measures": ["persons"]}
    seen, shown = ask(lake, raw), ask(lake, raw, FIGURES)
    rare = {row for row in seen.rows if (seen.cell(row, None).persons or 0) < THRESHOLD}
    assert rare
    assert not rare & set(shown.rows)
    assert ("…",) in shown.rows


def worlds(rows: int, columns: int, seed: int) -> tuple[list[tuple[str]], list[tuple[str]], dict[Place, int]]:
    dice = random.Random(seed)
    lines, across = [(f"r{n}",) for n in range(rows)], [(f"c{n}",) for n in range(columns)]
    inner = {(r, c): dice.choice([0, 0, 1, 2, 4, 5, 6, 9, 30]) for r in lines for c in across or [None]}
    table: dict[Place, int] = defaultdict(int)
    for (r, c), n in inner.items():
        for place in {(r, c), (r, None), (None, c), (None, None)}:
            table[place] += n
    return lines, across, dict(table)


def free(lines: list[Any], across: list[Any], hidden: set[Place], place: Place, table: dict[Place, int]) -> bool:
    """Whether another table of whole numbers with the same shown numbers has another value at `place`: a walk that adds one
    here, takes one there, and comes back to where it began."""
    every: list[Any] = [*lines, None]
    wide: list[Any] = [*across, None]

    def sign(one: Place) -> int:
        return (-1 if one[0] is None else 1) * (-1 if one[1] is None else 1)

    def can(one: Place, change: int) -> bool:
        return one in hidden and table.get(one, 0) + change * sign(one) >= 0

    for first in (1, -1):
        if not can(place, first):
            continue
        row, goal = place
        # nodes: (line, change wanted in it); alternate along rows and columns until the first column is met again
        waiting, seen = [(row, -first, True)], {(row, -first, True)}
        while waiting:
            node, change, is_row = waiting.pop()
            for other in wide if is_row else every:
                one = (node, other) if is_row else (other, node)
                if one == place or not can(one, change):
                    continue
                if is_row and other == goal and change == -first:
                    return True
                step = (other, -change, not is_row)
                if step not in seen:
                    seen.add(step)
                    waiting.append(step)
    return False


@pytest.mark.parametrize("seed", range(60))
def test_no_hidden_count_follows_from_the_totals_and_the_others(seed: int) -> None:
    rows, columns = 1 + seed % 6, (0, 2, 3, 5)[seed % 4]
    lines, across, table = worlds(rows, columns, seed)
    small = {place: 0 < n < THRESHOLD for place, n in table.items()}
    hidden = hidden_places(lines, across, table, small, THRESHOLD)
    assert {place for place, is_small in small.items() if is_small} <= hidden
    for place in hidden:
        if not small.get(place) or (None, None) in hidden:
            continue
        if across:
            assert free(lines, across, hidden, place, table), place
        else:  # one total: this gives one to another, or takes one
            assert [one for one in hidden if one != place], place


def test_the_walk_finds_a_number_that_follows_from_the_total() -> None:
    lines, across, table = [("a",), ("b",)], [("x",), ("y",)], {(("a",), ("x",)): 3}
    assert not free(lines, across, {(("a",), ("x",))}, (("a",), ("x",)), table)


def test_rows_behind_a_cell_are_those_that_it_counts(lake: Lake) -> None:
    asked = question_of({"source": "emr.visit", "rows": ["start:month"], "columns": ["_sex"]})
    table = asyncio.run(answer(lake, asked, EVERYBODY, AT)).table
    row, column = table.rows[2], table.columns[0]
    found = asyncio.run(members(lake, asked, EVERYBODY, AT, (*row, *column), 500))
    assert len(found.rows) == table.cell(row, column).rows
    assert len(found.patients) > 1
    whole = asyncio.run(members(lake, asked, EVERYBODY, AT, (*row, None), 500))
    assert len(whole.rows) == table.cell(row, None).rows


def test_a_question_that_takes_too_long_is_stopped(lake: Lake) -> None:
    asked = question_of({"source": "emr.laboratory_result", "rows": ["name", "_institution", "at:day"]})
    with pytest.raises(TooLarge, match="seconds"):
        asyncio.run(answer(lake, asked, EVERYBODY, AT, seconds=0))


def test_a_question_is_stopped_when_nobody_waits_for_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_LOOK", 0.005)
    asked = question_of({"source": "emr.laboratory_result", "rows": ["name", "_institution", "at:day"]})

    async def gone() -> bool:
        return True

    with pytest.raises(Stopped):
        asyncio.run(answer(lake, asked, EVERYBODY, AT, gone=gone))


def test_a_table_with_too_many_cells_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pivot, "MOST_CELLS", 50)
    monkeypatch.setattr(query, "MOST_CELLS", 50)
    raw = {"source": "emr.laboratory_result", "rows": ["at:day", "name"], "columns": ["_institution"]}
    with pytest.raises(TooLarge, match="cells"):
        ask(lake, raw)


def test_a_forecast_leaves_out_the_open_period_and_says_when_it_cannot_be_made(lake: Lake) -> None:
    table = ask(lake, {"source": "emr.visit", "rows": ["start:month"], "ahead": 3})
    today = AT.astimezone(CHINA).date()
    (one,) = look_ahead(table, today)
    assert one.why == ""
    assert one.periods == ("2026-10", "2026-11", "2026-12")
    assert all(value.low <= value.value <= value.high for value in one.values)
    widths = [value.high - value.low for value in one.values]
    assert widths == sorted(widths)
    assert one.values[0].error is not None
    (few,) = look_ahead(table, date.fromisoformat(f"{table.rows[2][0]}-15"))
    assert (few.why, few.points) == ("few", 2)
    yearly = ask(lake, {"source": "emr.visit", "rows": ["start:year"], "ahead": 2})
    assert look_ahead(yearly, today)[0].why == "few"
    assert look_ahead(ask(lake, {"source": "emr.visit", "rows": ["class"], "ahead": 2}), today) == []


assert AT.tzinfo is UTC
