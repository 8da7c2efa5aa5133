"""A run as one text: scheme, frozen figures and results in their one way of writing, its digest, and the proof that the
results follow from the other two.

`METHOD` is the number of the arithmetic in `rules` and `score`; a change there that moves a point needs a new number and
keeps the old code, so that old runs go on being reproduced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from healthbrain.errors import Fault
from healthbrain.measure.assessment.scheme import Scheme, scheme_of
from healthbrain.measure.assessment.score import Column, Figure, Inputs, Score, Unit, score

METHOD = 1


@dataclass(frozen=True, slots=True)
class Verified:
    """What recomputing a run says."""

    same: bool  # the digest of what is recomputed is the one kept
    kept: str
    recomputed: str


def content_of(scheme: Scheme, inputs: Inputs, scores: Sequence[Score]) -> str:
    """The text of a run: JSON with sorted keys."""
    content = {
        "method": METHOD,
        "scheme": {"version": scheme.version, **scheme.as_raw()},
        "inputs": asdict(inputs),
        "results": [_result(one) for one in scores],
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def digest_of(content: str) -> str:
    """SHA-256 of a run's text."""
    return hashlib.sha256(content.encode()).hexdigest()


def verify(content: str, digest: str) -> Verified:
    """Recompute everything from the frozen scheme and figures and compare it with what was kept."""
    scheme, inputs = parts_of(content)
    again = digest_of(content_of(scheme, inputs, score(scheme, inputs)))
    return Verified(again == digest, digest, again)


def parts_of(content: str) -> tuple[Scheme, Inputs]:
    """The scheme and the figures of a run."""
    raw: dict[str, Any] = orjson.loads(content)
    if raw.get("method") != METHOD:
        raise Fault("this run was scored by a method that this version does not know; upgrade the platform")
    kept = dict(raw["scheme"])
    version = int(kept.pop("version"))
    return scheme_of(kept, f"scheme {kept.get('id', '')}", version), _inputs(raw["inputs"])


def _inputs(raw: dict[str, Any]) -> Inputs:
    return Inputs(
        raw["period"],
        tuple(Unit(**one) for one in raw["units"]),
        tuple(
            Column(
                one["measure"], one["version"], one["side"], one["target"],
                {key: Figure(**{**figure, "periods": tuple(figure["periods"])}) for key, figure in one["figures"].items()},
            )
            for one in raw["columns"]
        ),
    )  # fmt: skip


def _result(one: Score) -> dict[str, Any]:
    """A score with its decimals as text, so that no reader rounds them."""
    return {
        "unit": one.unit,
        "items": {
            key: {"state": item.state, "points": str(item.points), "most": str(item.most), "why": item.why}
            for key, item in one.items.items()
        },
        "groups": {
            key: {"points": str(part.points), "most": str(part.most)} for key, part in one.groups.items()
        },
        "earned": str(one.earned),
        "available": str(one.available),
        "total": None if one.total is None else str(one.total),
        "grade": one.grade,
        "rank": one.rank,
    }  # fmt: skip
