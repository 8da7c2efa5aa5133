"""`hb measure`: what is counted, with which parameters, and counting again."""

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


def test_a_city_sets_a_parameter_otherwise_and_sees_the_national_value_beside_it(folder: Running) -> None:
    why = ("--reason", "本市规定三十天", "--document", "卫健〔2026〕1号", "--by", "王敏")
    made = json.loads(folder.hb("measure", "adjust", "BPHS-CHD01", "within=30", *why, "--json").stdout)
    assert made["version"].endswith("-r1")
    shown = json.loads(folder.hb("measure", "show", "BPHS-CHD01", "--json").stdout)
    (parameter,) = [one for one in shown["parameters"] if one["name"] == "within"]
    assert (parameter["value"], parameter["national"]) == (30, 28)
    wrong = folder.hb("measure", "adjust", "BPHS-CHD01", "nonsense=30", *why, check=False)
    assert (wrong.returncode, "it has within" in wrong.stderr) == (2, True)


def test_measures_are_listed_by_words_and_an_unknown_one_is_refused(folder: Running) -> None:
    listed = json.loads(folder.hb("measure", "list", "高血压", "规范", "--json").stdout)["measures"]
    assert "IND-Q-08" in {one["id"] for one in listed}
    unknown = folder.hb("measure", "show", "IND-X-99", check=False)
    assert (unknown.returncode, "there is no measure IND-X-99" in unknown.stderr) == (2, True)
