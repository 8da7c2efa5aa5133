"""The form of an assessment scheme: its fields from a scheme's kept form, and the kept form from what was typed.

English texts that the form does not show stay as they were where the Chinese did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from healthbrain.measure import assessment

FIELDS = (
    "group",
    "measure",
    "weight",
    "rule",
    "floor",
    "target",
    "steps",
    "per",
    "off",
    "direction",
    "take",
    "missing",
)

Typed = tuple[dict[str, str], list[dict[str, str]]]


def empty() -> Typed:
    """The form of a new scheme."""
    return {
        "excellent": "90",
        "good": "80",
        "pass": "60",
        "least": "50",
        "level": "institution",
        "period": "quarter",
    }, []


def typed_of(raw: Mapping[str, Any]) -> Typed:
    """A scheme's kept form as the fields of the form."""
    head = {
        "title": raw["title"].get("zh", ""), "title_en": raw["title"].get("en", ""),
        "about": raw.get("about", {}).get("zh", "") or raw.get("about", {}).get("en", ""),
        "source": raw.get("source", ""),
        "weights": raw.get("weights", {}).get("zh", "") or raw.get("weights", {}).get("en", ""),
        "peers": ", ".join(raw.get("peers", ())),
        **{name: raw.get(name, "") for name in ("level", "period", "missing", "small", "least")}, **raw["grades"],
    }  # fmt: skip
    rows = []
    for group in raw["groups"]:
        for item in group["items"]:
            row = {name: str(item.get(name, "")) for name in FIELDS if name != "steps"}
            row["group"] = group["title"].get("zh") or group["title"].get("en", "")
            row["steps"] = ", ".join(f"{bound}:{share}" for bound, share in item.get("steps", {}).items())
            row["note"] = item.get("note", "")
            rows.append(row)
    return head, rows


def from_form(items: Sequence[tuple[str, str]]) -> Typed:
    """The fields that were sent; lines without a measure and a weight are left out."""
    columns = {name: [value for key, value in items if key == f"item-{name}"] for name in (*FIELDS, "note")}
    count = max((len(values) for values in columns.values()), default=0)
    rows = [
        {name: values[n].strip() if n < len(values) else "" for name, values in columns.items()} for n in range(count)
    ]
    head = {key: value.strip() for key, value in items if not key.startswith("item-")}
    return head, [row for row in rows if row["measure"] or row["weight"]]


def raw_of(typed: Typed, keep: Mapping[str, Any]) -> dict[str, Any]:
    """The kept form of what was typed; English texts that the form does not show stay as they were, where the Chinese did."""
    head, rows = typed
    title = {"zh": head.get("title", ""), "en": head.get("title_en", "")}
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(_raw_item(row))
    english = {one["title"].get("zh", ""): one["title"].get("en", "") for one in keep.get("groups", ())}
    return {
        "title": {name: text for name, text in title.items() if text},
        "about": _texts(head.get("about", ""), keep.get("about", {})),
        "source": head.get("source", ""),
        "weights": _texts(head.get("weights", ""), keep.get("weights", {})),
        "level": head.get("level", ""),
        "period": head.get("period", ""),
        "peers": [one.strip() for one in head.get("peers", "").replace("，", ",").split(",") if one.strip()],
        "grades": {grade: head.get(grade, "") for grade in assessment.GRADES[:-1]},
        "missing": head.get("missing", "leave_out"),
        "small": head.get("small", "score"),
        "least": head.get("least", "50"),
        "groups": [
            {"id": str(number), "title": _named(name, english.get(name, "")), "items": items}
            for number, (name, items) in enumerate(groups.items(), start=1)
        ],
    }


def _texts(text: str, kept: Mapping[str, str]) -> dict[str, str]:
    if not text:
        return {}
    return dict(kept) if text == (kept.get("zh") or kept.get("en")) else {"zh": text}


def _named(name: str, english: str) -> dict[str, str]:
    return {"zh": name, "en": english} if english else {"zh": name}


def _raw_item(row: Mapping[str, str]) -> dict[str, Any]:
    raw: dict[str, Any] = {
        name: row[name] for name in (*FIELDS, "note") if name not in {"group", "steps"} and row[name]
    }
    raw["rule"] = row["rule"] or "linear"
    if row["steps"]:
        pairs = [
            one.partition(":") for one in row["steps"].replace("，", ",").replace("：", ":").split(",") if one.strip()
        ]
        raw["steps"] = {bound.strip(): share.strip() for bound, _, share in pairs}
    return raw
