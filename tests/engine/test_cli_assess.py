"""`hb assess` and `hb monitor`: schemes and runs on the command line, what is wrong said, the exit code of a failed proof."""

from __future__ import annotations

import json

import pytest

from tests.running import Running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A data folder made by `hb init`; nothing runs on it."""
    running = Running(tmp_path_factory.mktemp("cli") / "data")
    running.hb("init", "--password", "Harbour-Light-42")
    return running


def test_schemes_are_listed_checked_and_kept_and_a_run_without_figures_is_refused(folder: Running) -> None:
    listed = json.loads(folder.hb("assess", "list", "--json").stdout)
    assert {"bphs-institution", "region-resources"} <= {one["id"] for one in listed["schemes"]}
    assert listed["runs"] == []
    file = folder.data.parent / "own.yaml"
    text = "title: {zh: 本区方案}\nlevel: institution\nperiod: quarter\ngrades: {excellent: '90', good: '80', pass: '60'}\n"
    text += (
        "groups: [{id: a, title: {zh: 甲}, items: [{measure: BPHS-OLD01, weight: '%s', rule: ratio, target: '80'}]}]\n"
    )
    file.write_text("id: own\n" + text % "90", "utf-8")
    wrong = folder.hb("assess", "scheme", str(file), "--save", check=False)
    assert (wrong.returncode, "the weights add to 90, not to 100" in wrong.stderr) == (2, True)
    file.write_text("id: own\n" + text % "100", "utf-8")
    kept = json.loads(folder.hb("assess", "scheme", str(file), "--save", "--by", "王敏", "--json").stdout)
    assert kept["id"] == "OWN-1"
    refused = folder.hb("assess", "run", "OWN-1", "2026-Q3", check=False)
    assert (refused.returncode, "no measure of this scheme has a figure" in refused.stderr) == (2, True)
    for arguments in (("show", "7"), ("verify", "7"), ("run", "nothing", "2026"), ("scheme", "nothing.yaml")):
        assert folder.hb("assess", *arguments, check=False).returncode == 2, arguments


def test_monitors_are_listed_and_judged_without_any(folder: Running) -> None:
    assert json.loads(folder.hb("monitor", "list", "--json").stdout) == {"monitors": []}
    assert folder.hb("monitor", "judge").returncode == 0
