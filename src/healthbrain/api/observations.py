"""Observation/$lastn and Observation/$stats: the last values of each kind, and figures over values (R4 observation).

Both read all observations that the caller sees and that the question finds, a page at a time and up to a limit, so
that neither answers from a part without saying so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson

from healthbrain.access import Gate
from healthbrain.api import bundles
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call, Params
from healthbrain.api.lending import ask
from healthbrain.api.parameters import Asked, asked
from healthbrain.api.platform import Platform
from healthbrain.api.queries import described
from healthbrain.api.reading import add_form, instant
from healthbrain.api.statistics import STATISTICS, Sample, figures, samples_of
from healthbrain.errors import Forbidden, Incorrect, TooLarge
from healthbrain.fhir import dump
from healthbrain.scope import Scope
from healthbrain.store import Page, Stored

MOST = 20_000  # observations that one question may go over
_PAGE = 1000
_STATS = ("subject", "code", "system", "coding", "duration", "period", "statistic", "include", "limit")
_STATISTIC_SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-statistics"


class Observations:
    """The two operations."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    async def lastn(self, call: Call) -> Answer:
        """GET /Observation/$lastn?patient=&category=&code=&max="""
        if call.method == "POST":
            await add_form(call)
        call.trace.detail = f"$lastn {described(call.params)}"
        params = list(call.params)
        most = _whole(call.param("max") or "1", "max")
        asked_for = {name.partition(":")[0].partition(".")[0] for name, _ in params}
        if not asked_for & {"patient", "subject"}:
            raise Incorrect(
                "$lastn is asked about somebody: give patient or subject, and code or category to narrow it"
            )
        scope = await self._scope(call)
        question = [one for one in params if one[0] not in ("max", "_count", "_sort", "_format", "_pretty")]
        groups: dict[tuple[str, str], _Group] = {}
        ordered: list[_Group] = []
        async for one in self._all(call, [*question, ("_sort", "-date")], scope):
            keys = _codings(one)
            group = next((groups[key] for key in keys if key in groups), None)
            if group is None:
                group = _Group()
                ordered.append(group)
            for key in keys:
                groups.setdefault(key, group)
            group.add(one, most)
        chosen = [one for group in ordered for one in group.kept]
        self._shown(call, chosen)
        page = Page(chosen, [], None, len(chosen))
        return Answer(200, bundles.searchset(page, call.base, "Observation/$lastn", params))

    async def stats(self, call: Call) -> Answer:
        """GET or POST /Observation/$stats"""
        given = await asked(call)
        given.only(_STATS)
        call.trace.detail = "$stats"
        subject, wanted = given.text("subject"), _statistics(given)
        if not subject:
            raise Incorrect("$stats is asked about one subject, as in subject=Patient/1")
        codes = _codes(given)
        since, until = _span(given, call.at)
        scope = await self._scope(call)
        question: Params = [("subject", _escaped(subject)), ("combo-code", ",".join(codes)), ("_sort", "-date")]
        question += [("date", f"ge{since.isoformat()}")] if since else []
        question += [("date", f"le{until.isoformat()}")] if until else []
        limit = _whole(given.text("limit") or str(MOST), "limit")
        found = [one async for one in self._all(call, question, scope)][:limit]
        self._shown(call, found)
        results = []
        for code in codes:
            samples, unit, total = samples_of([one.body for one in found], code)
            results.append(_result(subject, code, wanted, samples, unit, total, since, until))
        parts: list[dict[str, Any]] = [{"name": "statistics", "resource": one} for one in results]
        if given.text("include") == "true":
            parts += [{"name": "source", "resource": one.resource} for one in found]
        return Answer(200, dump({"resourceType": "Parameters", "parameter": parts}))

    async def _scope(self, call: Call) -> Scope:
        call.trace.interaction, call.trace.action, call.trace.type = "operation", "E", "Observation"
        scope = await self._gate.decide(call.who, "search", "Observation", call.at)
        if not scope.identified:
            raise Forbidden(f"as {call.who.role} you see figures, not single residents")
        return scope

    async def _all(self, call: Call, question: Params, scope: Scope) -> AsyncIterator[Stored]:
        search, cursor, seen = self._platform.store.search, "", 0
        how: dict[str, Any] = {"scope": scope, "strict": call.prefers("handling") != "lenient"}
        while True:
            params = [*question, ("_count", str(_PAGE)), *([("_cursor", cursor)] if cursor else [])]
            page = await ask(self._platform.readers, partial(search, type="Observation", parameters=params, **how))
            seen += len(page.matches)
            if seen > MOST:
                raise TooLarge(f"this is about more than {MOST} observations; narrow it by code, category or date")
            for one in page.matches:
                yield one
            if not page.next:
                return
            cursor = page.next

    def _shown(self, call: Call, shown: Sequence[Stored]) -> None:
        call.trace.patients.update(one.patient for one in shown if one.patient is not None)


class _Group:
    """Observations of one kind, newest first; of those at the same time as the last one kept, all are."""

    def __init__(self) -> None:
        self.kept: list[Stored] = []
        self._last: str | None = None

    def add(self, one: Stored, most: int) -> None:
        at = _effective(one)
        if len(self.kept) < most or (at is not None and at == self._last):
            self.kept.append(one)
            self._last = at


def _effective(one: Stored) -> str | None:
    body = orjson.loads(one.body)
    period = body.get("effectivePeriod") or {}
    text = body.get("effectiveDateTime") or body.get("effectiveInstant") or period.get("end") or period.get("start")
    return str(text) if text else None


def _codings(one: Stored) -> list[tuple[str, str]]:
    """The codes by which an observation is of one kind with others; its text when it has none."""
    code = orjson.loads(one.body).get("code", {})
    codings = [(str(c.get("system", "")), str(c.get("code", ""))) for c in code.get("coding", ()) if c.get("code")]
    return codings or [("text", str(code.get("text", "")))]


def _statistics(given: Asked) -> list[str]:
    names = [name for text in given.texts("statistic") for name in text.split(",")]
    unknown = [name for name in names if name not in STATISTICS]
    if not names or unknown:
        raise Incorrect(f"'statistic' names what is wanted, one or more of {', '.join(STATISTICS)}")
    return list(dict.fromkeys(names))


def _codes(given: Asked) -> list[str]:
    """What is asked for, as search tokens."""
    system = given.text("system")
    codes = [f"{_escaped(system)}|{_escaped(code)}" if system else _escaped(code) for code in given.texts("code")]
    for coding in given.all("coding"):
        if isinstance(coding, dict) and coding.get("code"):
            codes.append(f"{_escaped(str(coding.get('system', '')))}|{_escaped(str(coding['code']))}")
        elif isinstance(coding, str):
            codes.append(coding)
    if not codes:
        raise Incorrect("$stats needs a code (with system) or a coding")
    if len(codes) > 20:
        raise TooLarge("$stats takes up to 20 codes at once")
    return codes


def _span(given: Asked, now: datetime) -> tuple[datetime | None, datetime | None]:
    if text := given.text("duration"):
        try:
            return now - timedelta(hours=float(text)), now
        except (ValueError, OverflowError):
            raise Incorrect("'duration' is a number of hours") from None
    for period in given.all("period"):
        if not isinstance(period, dict):
            start, _, end = str(period).partition("/")
            period = {"start": start, "end": end}
        bounds = [instant(str(period[key]), "period") if period.get(key) else None for key in ("start", "end")]
        if bounds[1] is not None and len(str(period["end"])) == 10:
            bounds[1] += timedelta(days=1)
        return bounds[0], bounds[1]
    return None, None


def _result(
    subject: str,
    code: str,
    wanted: Sequence[str],
    samples: Sequence[Sample],
    unit: str,
    total: int,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    system, _, value = code.rpartition("|")
    coding = {"system": system.replace("\\", ""), "code": value.replace("\\", "")}
    result: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{key: text for key, text in coding.items() if text}]},
        "subject": {"reference": subject},
    }
    period = {"start": since, "end": until}
    if any(period.values()):
        result["effectivePeriod"] = {key: at.isoformat(timespec="seconds") for key, at in period.items() if at}
    components = []
    for name, number, has_unit in figures(wanted, samples, total):
        part: dict[str, Any] = {"code": {"coding": [{"system": _STATISTIC_SYSTEM, "code": name}]}}
        if number is None:
            part["dataAbsentReason"] = {"text": "too few values"}
        else:
            quantity: dict[str, Any] = {"value": number}
            if unit and has_unit:
                quantity |= {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
            part["valueQuantity"] = quantity
        components.append(part)
    result["component"] = components
    return result


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= MOST:
        raise Incorrect(f"'{name}' is a whole number from 1 to {MOST}")
    return int(text)


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\,$|" else char for char in text)
