"""Questions over published figures: every cell is one figure, totals are those that were published, nothing is told twice differently."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from healthbrain.errors import Incorrect
from healthbrain.measure import Figure, definition
from healthbrain.measure.analysis import Pivot, question_of
from healthbrain.measure.analysis.figures import tabulated
from healthbrain.measure.compute import Coverage
from healthbrain.measure.published import Reach, protected
from healthbrain.measure.suppression import THRESHOLD

NOW = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
ID = "BPHS-HTN02"
ALL = Reach(whole=True, people=True)
COUNTS = {"310118001": 40, "310118002": 3, "310118003": 25, "310118004": 12}
MONTHS = {"2026-09": 0, "2026-10": 2, "2026-11": 4}


def figure(
    above: float, below: float, *, level: Any = "district", key: str = "", period: str = "2026-11", stratum: str = ""
) -> Figure:
    month = int(period[5:])
    return Figure(
        ID, "1.0", period, level, key, date(2026, month, 1), date(2026, month, 28), True, above, below, 100 * above / below,
        None, None, False, Coverage(22, 24), NOW, NOW, "sex" if stratum else "", stratum,
    )  # fmt: skip


def figures() -> list[Figure]:
    found = []
    for period, more in MONTHS.items():
        found.append(figure(sum(COUNTS.values()) + more, 160, period=period))
        found += [
            figure(count + (more if key.endswith("1") else 0), count + 20, level="town", key=key, period=period)
            for key, count in COUNTS.items()
        ]
        found += [figure(30, 70, period=period, stratum="male"), figure(50 + more, 90, period=period, stratum="female")]
    return found


def ask(raw: dict[str, Any], reach: Reach = ALL, found: list[Figure] | None = None) -> Pivot:
    only = [{"column": "measure", "operator": "in", "values": [ID]}]
    asked = question_of(
        {"source": "figures.published", "measures": ["figure:value", "figure:numerator"], **raw, "filters": [*only, *raw.get("filters", ())]}
    )  # fmt: skip
    return tabulated(asked, figures() if found is None else found, reach)


def test_every_cell_is_the_published_figure_and_totals_are_the_district_s() -> None:
    table = ask({"rows": ["period:month"], "columns": ["_town"]})
    assert [row for (row,) in table.rows] == list(MONTHS)
    assert [column for (column,) in table.columns] == list(COUNTS)
    for one in figures():
        if not one.stratifier:
            column = (one.key,) if one.level == "town" else None
            assert table.cell((one.period,), column).values == (one.value, one.numerator)
    assert table.cell(None, None).values == (None, None)  # over periods nothing was published


def test_without_periods_the_latest_within_the_filter_is_shown() -> None:
    assert ask({"rows": ["_town"]}).cell(("310118001",), None).values[1] == 44
    until = [{"column": "period", "operator": "between", "values": ["", "2026-10-31"]}]
    assert ask({"rows": ["_town"], "filters": until}).cell(("310118001",), None).values[1] == 42
    assert ask({}).total.values[1] == 84


def test_strata_have_the_figure_of_all_as_their_total_unless_a_filter_leaves_some_out() -> None:
    table = ask({"rows": ["sex"]})
    assert {row: table.cell(row, None).values[1] for row in table.rows} == {("female",): 54, ("male",): 30}
    assert table.total.values[1] == 84
    some = ask({"rows": ["sex"], "filters": [{"column": "sex", "operator": "in", "values": ["male"]}]})
    assert (some.rows, some.total.values) == ((("male",),), (None, None))


@pytest.mark.parametrize(
    "change",
    [
        {"filters": []}, {"measures": ["count"]}, {"rows": ["_town", "_institution"]}, {"rows": ["sex", "age_group"]}, {"rows": ["period:day"]},
        {"rows": ["period:month"], "columns": ["period:year"]}, {"rows": ["value:5"]},
        {"filters": [{"column": "measure", "operator": "in", "values": [ID, "HTN-MANAGED"]}]},
        {"filters": [{"column": "measure", "operator": "starts", "values": ["B"]}]},
        {"filters": [{"column": "measure", "operator": "in", "values": [str(n) for n in range(21)]}]},
    ],
    ids=["no-measure", "count", "two-places", "two-strata", "day", "two-grains", "bands", "two-measures", "starts", "many"],
)  # fmt: skip
def test_a_question_whose_cells_would_not_be_one_figure_is_refused(change: dict[str, Any]) -> None:
    whole = {
        "source": "figures.published",
        "measures": ["figure:value"],
        "filters": [{"column": "measure", "operator": "in", "values": [ID]}],
    }
    with pytest.raises(Incorrect):
        question_of({**whole, **change})


def test_a_published_number_is_not_asked_of_a_view() -> None:
    with pytest.raises(Incorrect):
        question_of({"source": "emr.blood_pressure", "measures": ["figure:systolic"]})


def test_what_one_question_hides_is_hidden_in_every_other() -> None:
    shown = protected(figures(), definition(ID))
    hidden = {(one.period, one.level, one.key) for one in shown if one.suppressed}
    assert any(key == "310118002" for _, _, key in hidden)
    for period in MONTHS:
        assert len({key for when, level, key in hidden if (when, level) == (period, "town")}) >= 2
    reach = Reach(whole=True)
    for raw in (
        {"rows": ["_town"]}, {"rows": ["period:month"], "columns": ["_town"]},
        {"rows": ["_town"], "filters": [{"column": "_town", "operator": "in", "values": ["310118002", "310118004"]}]},
    ):  # fmt: skip
        table = ask(raw, reach, shown)
        seen = {place for place, cell in table.cells.items() if cell.hidden}
        assert seen
        for row, column in table.cells:
            town = next((part for part in (*(row or ()), *(column or ())) if part.startswith("310118")), "")
            if town and "2026-11" in (*(row or ()), *(column or ()), "2026-11"):
                assert table.cells[row, column].hidden == (("2026-11", "town", town) in hidden)
    assert all((one.numerator or 0) >= THRESHOLD for one in shown if not one.suppressed)


def test_an_institution_sees_its_own_figures_and_no_total_of_the_district() -> None:
    reach = Reach(whole=False, institution="7", people=True)
    found = [
        figure(12, 30, level="institution", key="7"),
        figure(30, 50, level="institution", key="8"),
        figure(80, 160),
    ]
    mine = [one for one in found if reach.open(one)]
    assert [one.key for one in mine] == ["7"]
    table = ask({"rows": ["_institution"]}, reach, mine)
    assert (table.rows, table.total.values) == ((("7",),), (None, None))
    assert ask({}, reach, mine).total.values[1] == 12
