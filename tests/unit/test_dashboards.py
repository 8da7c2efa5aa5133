"""Boards as data: what is taken and what is refused, where tiles go, files that come back as they were."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson
import pytest

from healthbrain.errors import HealthBrainError, Incorrect
from healthbrain.measure import dashboards
from healthbrain.measure.dashboards import Board, board_of, board_of_text
from healthbrain.web.pages import dashboard_tiles

SIZES = ("small", "small", "small", "medium", "medium", "wide", "small")


def board(sizes: tuple[str, ...] = SIZES) -> Board:
    tiles = [{"id": f"t{n}", "kind": "note", "size": size, "text": f"第{n}块"} for n, size in enumerate(sizes, start=1)]
    return board_of({"name": "我的看板", "tiles": tiles})


def order(one: Board) -> str:
    return "".join(tile.id[1:] for tile in one.tiles)


@pytest.mark.parametrize(
    ("tile", "direction", "expected"),
    [
        ("t2", "left", "2134567"), ("t2", "right", "1324567"), ("t1", "left", "1234567"), ("t7", "right", "1234567"),
        ("t4", "up", "4123567"), ("t5", "up", "1523467"), ("t1", "down", "2341567"), ("t6", "up", "1236457"), ("t1", "up", "1234567"),
        ("t6", "down", "1234576"),
    ],
)  # fmt: skip
def test_a_tile_moves_by_a_place_or_to_the_nearest_place_of_the_next_row(
    tile: str, direction: str, expected: str
) -> None:
    assert order(dashboards.moved(board(), tile, direction)) == expected


def test_rows_follow_from_the_sizes_and_nothing_overlaps() -> None:
    assert dashboards.rows(board()) == [[(0, 0), (1, 2), (2, 4)], [(3, 0), (4, 3)], [(5, 0)], [(6, 0)]]


@pytest.mark.parametrize(
    ("before", "expected"), [("t1", "4123567"), ("", "1235674"), ("t4", "1234567"), ("t7", "1235647")]
)
def test_a_dragged_tile_is_put_before_another_or_at_the_end(before: str, expected: str) -> None:
    assert order(dashboards.placed(board(), "t4", before)) == expected


def test_tiles_are_added_with_a_new_id_changed_resized_and_removed() -> None:
    one = dashboards.added(board(), dashboards.tile_of({"kind": "note", "text": "新"}, "new"))
    assert one.tiles[-1].id == "t8"
    assert dashboards.sized(one, "t8", "wide").tile("t8").size == "wide"
    assert order(dashboards.without(one, "t3")) == "1245678"
    assert dashboards.without(one, "t8").next_id() == "t8"
    with pytest.raises(HealthBrainError):
        dashboards.without(one, "t99")
    with pytest.raises(Incorrect):
        dashboards.sized(one, "t1", "huge")
    with pytest.raises(Incorrect):
        dashboards.moved(one, "t1", "out")


def test_a_board_has_a_limit_of_tiles() -> None:
    full = board(("small",) * dashboards.MOST_TILES)
    with pytest.raises(Incorrect, match="at most 24 tiles"):
        dashboards.added(full, full.tiles[0])
    with pytest.raises(Incorrect, match="at most 24 tiles"):
        board(("small",) * 25)


@pytest.mark.parametrize(
    "tile",
    [
        {"kind": "magic"}, {"kind": "trend"}, {"kind": "trend", "measure": "NO-SUCH"}, {"kind": "note"}, {"kind": "question"},
        {"kind": "question", "question": {"source": "no.view"}}, {"kind": "question", "question": {"source": "emr.visit"}, "saved": 3},
        {"kind": "dataset", "dataset": "emr.nothing"}, {"kind": "note", "text": "x" * 2001}, {"kind": "note", "text": "x", "size": "vast"},
        {"kind": "note", "text": {"zh": "x"}}, {"kind": "note", "text": "x", "script": "y"}, {"kind": "question", "saved": "3; drop"}, "note", None,
    ],
    ids=[
        "kind", "no-measure", "unknown-measure", "empty-note", "no-question", "unknown-view", "two-questions", "unknown-dataset",
        "long", "size", "one-language", "unknown-member", "saved", "text", "none",
    ],
)  # fmt: skip
def test_a_wrong_tile_is_refused_with_its_place(tile: Any) -> None:
    with pytest.raises(Incorrect, match=r"^tile 2: "):
        board_of({"name": "x", "tiles": [{"kind": "note", "text": "a"}, tile]})


@pytest.mark.parametrize(
    "text", ["", "[1]", "name: [", "name: x\ntiles: 3", "tiles: []", "name: x\nowner: me", "{" * 100_000, "a" * 300_000, "name: !!python/object:os.system x"],
    ids=["empty", "list", "broken", "tiles", "no-name", "unknown", "deep", "long", "tag"],
)  # fmt: skip
def test_a_wrong_file_is_refused(text: str) -> None:
    with pytest.raises(Incorrect):
        board_of_text(text)


def test_a_kept_tile_that_no_longer_fits_stays_in_its_place_and_says_why() -> None:
    raw = {
        "name": "x",
        "tiles": [
            {"id": "t1", "kind": "trend", "size": "wide", "measure": "GONE-1"},
            {"id": "t2", "kind": "note", "size": "small", "text": "b"},
        ],
    }
    one = board_of(raw, kept=True)
    assert "GONE-1" in one.tiles[0].fault
    assert one.as_json() == raw
    assert dashboards.sized(one, "t1", "small").as_json()["tiles"][0]["measure"] == "GONE-1"


def test_built_in_boards_come_back_from_yaml_and_json_as_they_were() -> None:
    known = dashboards.built_in()
    assert len(known) == 2
    for one in known:
        made = one.board.as_json()
        assert board_of_text(dashboards.as_yaml(made)) == one.board
        assert board_of(orjson.loads(dashboards.as_json(made))) == one.board
        assert one.board.name["zh"] != one.board.name["en"]
        assert {tile.kind for tile in one.board.tiles} >= {"figure", "trend", "ranking", "question", "dataset"}


@pytest.mark.parametrize(
    ("label", "first", "last"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31)), ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)), ("2026-12", date(2026, 12, 1), date(2026, 12, 31)), ("", None, None),
    ],
    ids=lambda value: str(value),
)  # fmt: skip
def test_a_period_of_the_board_has_a_first_and_a_last_day(label: str, first: date | None, last: date | None) -> None:
    assert (dashboard_tiles.first_of(label), dashboard_tiles.last_day(label)) == (first, last)


@pytest.mark.parametrize("label", ["2026-13", "26", "2026-Q5", "' or 1", "2026-10-01"])
def test_a_period_in_another_form_is_refused(label: str) -> None:
    with pytest.raises(Incorrect):
        dashboard_tiles.wanted_of("", label)
