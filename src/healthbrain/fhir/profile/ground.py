"""Where rules are evaluated: the resource an element is in, what contains that, and what is worked out once for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Scope:
    """The resource an element is in, its container (itself unless contained), functions rules may use, and the time."""

    resource: Any
    root: Any
    functions: Functions
    at: datetime | None = None
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def contained_ids(self) -> frozenset[Any]:
        """The ids of the resources contained in the container."""
        found: frozenset[Any] | None = self.known.get("contained_ids")
        if found is None:
            contained = self.root.get("contained") if isinstance(self.root, dict) else None
            ids = (one.get("id") for one in contained or () if isinstance(one, dict))
            found = self.known["contained_ids"] = frozenset(one for one in ids if isinstance(one, str))
        return found
