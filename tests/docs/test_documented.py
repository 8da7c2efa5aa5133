"""Nothing public is undocumented: commands, errors, links, coverage rows, glossary."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from healthbrain import errors
from healthbrain.cli.command import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_verb_of_hb_and_its_options_are_documented(name: str) -> None:
    text = (DOCS / "reference" / "cli.md").read_text("utf-8")
    command = cli.commands[name]
    assert f"## hb {name}" in text
    section = text.split(f"## hb {name}\n", 1)[1].split("\n## ", 1)[0]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[-1]}`" in section, f"{parameter.opts[-1]} of hb {name}"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_verb_has_help(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


def test_every_error_is_documented() -> None:
    text = (DOCS / "reference" / "errors.md").read_text("utf-8")
    for cls in errors.STATUS:
        row = next((line for line in text.splitlines() if line.startswith(f"| `{cls.__name__}` ")), None)
        assert row, cls.__name__
        assert f"| {errors.STATUS[cls][0]} |" in row


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_coverage_rows_name_a_test_that_exists() -> None:
    with (DOCS / "coverage.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {row["state"] for row in rows} <= {"works", "first step"}
    for row in rows:
        path, _, name = row["test"].partition("::")
        text = (ROOT / path).read_text("utf-8")
        assert not name or f"def {name}(" in text, f"{row['row']}: no test {row['test']}"
        assert (ROOT / row["where"]).exists(), f"{row['row']}: {row['where']} does not exist"


def test_both_readmes_have_the_same_sections_and_links() -> None:
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert english.count("\n## ") == chinese.count("\n## ")
    links = [set(re.findall(r"\]\((docs/[^)]+)\)", text)) for text in (english, chinese)]
    assert links[0] == links[1]


def test_no_file_names_a_package_registry_or_a_path_of_a_machine() -> None:
    forbidden = re.compile(r"(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com|net)|(?<![\w.])/(?:work|root)/")
    for path in ROOT.rglob("*"):
        relative = path.relative_to(ROOT)
        if path.is_file() and relative.parts[0] not in {".git", ".venv", ".demo", "artefacts", "build", "dist"}:
            if path == Path(__file__) or "vendor" in relative.parts or "__pycache__" in relative.parts:
                continue
            if path.suffix in {
                ".py",
                ".md",
                ".txt",
                ".in",
                ".toml",
                ".yaml",
                ".json",
                ".lock",
                ".csv",
                ".js",
                ".html",
                ".css",
            }:
                found = forbidden.search(path.read_text("utf-8", "replace"))
                assert not found, f"{relative}: {found.group() if found else ''}"
