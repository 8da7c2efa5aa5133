"""`hb` leaves with the exit code that docs/reference/cli.md promises, also when a verb ends by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from healthbrain.cli import main


def left_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["hb", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


@pytest.fixture(autouse=True)
def _an_empty_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HB_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("HB_DATABASE_URL", raising=False)


def test_status_of_a_platform_that_does_not_run_is_3(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_with(monkeypatch, "status") == 3


def test_a_verb_that_does_not_exist_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_with(monkeypatch, "nonsense") == 2


def test_migrating_nothing_clashes_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_with(monkeypatch, "migrate") == 4


def test_help_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_with(monkeypatch, "--help") == 0
