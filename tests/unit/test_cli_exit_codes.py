"""`hb` leaves with the exit code that docs/reference/cli.md promises, also when a verb ends by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from healthbrain.cli import main, operate
from healthbrain.database.migrations import MigrationState


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


@pytest.mark.parametrize(
    ("state", "good", "advice"),
    [
        (MigrationState(14, (), ()), True, "14 migrations applied"),
        (MigrationState(14, (), ("audit/0002",)), True, "`hb migrate --post`"),
        (MigrationState(12, ("store/0003",), ("audit/0002",)), False, "run `hb migrate`"),
    ],
)
def test_doctor_finds_fault_with_a_schema_only_when_this_version_needs_more(
    monkeypatch: pytest.MonkeyPatch, state: MigrationState, good: bool, advice: str
) -> None:
    monkeypatch.setattr(operate, "pending_migrations", lambda _: state)
    (finding,) = operate._check_schema("")
    assert finding.ok is good
    assert advice in finding.detail
