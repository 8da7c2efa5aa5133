"""How `hb` speaks: text for people, one JSON document with `--json`, errors on stderr with a fitting exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from healthbrain.errors import Conflict, Forbidden, HealthBrainError, Incorrect, NotFound, Unauthenticated, Unavailable

F = TypeVar("F", bound=Callable[..., Any])

OK, FAULT, WRONG, DOWN, CLASH, PARTLY = 0, 1, 2, 3, 4, 5

_EXIT: tuple[tuple[type[HealthBrainError], int], ...] = (
    (Incorrect, WRONG),
    (NotFound, WRONG),
    (Forbidden, WRONG),
    (Unauthenticated, WRONG),
    (Unavailable, DOWN),
    (Conflict, CLASH),
)


def json_option(function: F) -> F:
    """Adds `--json` to a verb."""
    option: Callable[[F], F] = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
    )
    return option(function)


def show(result: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """Print `result` as JSON, or `text`."""
    print(json.dumps(result, ensure_ascii=False, default=str) if as_json else text, flush=True)


def fail(error: HealthBrainError) -> int:
    """Say `error` on stderr; returns the exit code."""
    print(f"hb: {error.message}", file=sys.stderr)
    for issue in error.issues[:20]:
        where = f"{issue.expression}: " if issue.expression else ""
        print(f"  {where}{issue.text}", file=sys.stderr)
    if len(error.issues) > 20:
        print(f"  … and {len(error.issues) - 20} more", file=sys.stderr)
    return next((code for kind, code in _EXIT if isinstance(error, kind)), FAULT)
