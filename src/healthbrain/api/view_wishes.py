"""What is asked of a run or an export of views, beside the views: format, header, number of rows, since when, about whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.api.call import Call
from healthbrain.api.media import NotAcceptable
from healthbrain.api.parameters import Asked
from healthbrain.errors import Incorrect
from healthbrain.exchange.bulkdata.wishes import instant
from healthbrain.lake.sof.files import MEDIA, Format, Layout, format_of

TYPE = "ViewDefinition"
RUN = ("$viewdefinition-run", "$run")
EXPORT = ("$viewdefinition-export", "$export")
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_FHIR = "fhir"


def has_own_formats(segments: list[str]) -> bool:
    """Whether what is at this address answers in formats of its own, such as CSV."""
    return bool(segments) and segments[-1] in (*RUN, *EXPORT) and (len(segments) == 1 or segments[0] == TYPE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a run or an export, beside the views."""

    format: Format
    fhir: bool
    header: bool
    limit: int | None
    since: datetime | None
    patients: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def layout(self) -> Layout:
        """How the rows are written."""
        return Layout(self.format, self.header, limit=self.limit)


def wanted(call: Call, given: Asked) -> Wanted:
    """The parameters that are about rows. Raises Incorrect."""
    format_, fhir = _format(call, given)
    header = given.text("header").lower() or "true"
    if header not in ("true", "false"):
        raise Incorrect("'header' is true or false")
    limit = given.text("_limit")
    if limit and (not limit.isdigit() or not 0 < int(limit) < 2**31):
        raise Incorrect("'_limit' is a whole number from 1 on")
    since = given.text("_since")
    return Wanted(
        format_, fhir, header == "true", int(limit) if limit else None, instant(since, "_since") if since else None,
        tuple(_target(one, "patient", "Patient") for one in given.all("patient")),
        tuple(_target(one, "group", "Group") for one in given.all("group")),
    )  # fmt: skip


def _format(call: Call, given: Asked) -> tuple[Format, bool]:
    """The format, and whether the rows are told as Parameters."""
    named = given.texts("_format")
    code = (named[-1] if named else "").partition(";")[0].strip().lower().replace(" ", "+")
    if not code:
        for part in call.header(b"accept").lower().split(","):
            kind = part.partition(";")[0].strip()
            if kind in MEDIA:
                return MEDIA[kind], False
            if kind in ("application/fhir+json",):
                return "ndjson", True
            if kind in ("", "*/*", "application/*", "text/*"):
                return ("csv" if kind == "text/*" else "ndjson"), False
        raise NotAcceptable("rows are text/csv, application/ndjson, application/json or application/vnd.apache.parquet")
    if code in (_FHIR, "application/fhir+json"):
        return "ndjson", True
    return format_of(code), False


def resources_of(given: Asked) -> list[Mapping[str, Any]] | None:
    """The resources that were sent to be run on; None when there are none."""
    found = given.all("resource")
    if any(not isinstance(one, dict) for one in found):
        raise Incorrect("each 'resource' is a resource in the body")
    return found or None


def reference_text(value: Any, name: str) -> str:
    """The text of a reference, however it was written."""
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str) or not text:
        raise Incorrect(f"'{name}' is a reference such as ViewDefinition/[id], or a canonical url")
    return text


def _target(value: Any, name: str, type_: str) -> str:
    text = reference_text(value, name)
    head, _, id_ = text.rpartition("/")
    if head.rpartition("/")[2] not in ("", type_) or not ID.fullmatch(id_):
        raise Incorrect(f"'{name}' is a reference to a {type_}")
    return id_
