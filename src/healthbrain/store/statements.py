"""The store's fixed statements, kept in statements.sql and named there."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _load() -> dict[str, bytes]:
    parts = _NAME.split((resources.files(__package__) / "statements.sql").read_text("utf-8"))
    return {name: _plain(body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _plain(body: str) -> bytes:
    lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    return " ".join(line.strip() for line in lines).rstrip(";").encode()


SQL = _load()
