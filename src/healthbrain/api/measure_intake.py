"""Measures and reports that other systems send: POST /fhir/MeasureReport and POST /fhir/Measure, alone or in a bundle.

Both are stored like any resource, through the ledger. Besides, a summary of an entered measure of this platform counts at once as
the value of the organisation that sends it, and a Measure that can be computed here becomes a draft of the workbench. What claims our
own form (our canonical, our table extension, our Library) and cannot be taken is refused and not stored; of others'
the answer tells what is missing. In a batch each entry is taken in as if sent alone; a transaction is refused as a whole when one of
its entries would be, and what counts is entered once everything is stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

from healthbrain import measure
from healthbrain.access import Gate, Tree, organisations
from healthbrain.api.answer import Answer, outcome
from healthbrain.api.call import Call
from healthbrain.api.platform import Platform
from healthbrain.api.writing import Writing
from healthbrain.errors import Conflict, Forbidden, HealthBrainError, Incorrect
from healthbrain.exchange import read_fhir
from healthbrain.fhir import dump, parse
from healthbrain.measure import entries, fhir
from healthbrain.measure.entries import Entered, Given
from healthbrain.measure.workbench import definition_from, drafts

REASON = "urn:healthbrain:ext:correction-reason"  # on a MeasureReport: why it replaces the value that holds
_MARKS = (b'"Measure"', b'"MeasureReport"', b"<Measure>", b"<MeasureReport>", b"<Measure ", b"<MeasureReport ")
_CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Draft:
    """A Measure that can be computed here, in our form."""

    text: str


class MeasureIntake:
    """Takes in what others measured, and how."""

    def __init__(self, platform: Platform, gate: Gate, writing: Writing) -> None:
        self._platform = platform
        self._gate = gate
        self._writing = writing

    async def create(self, call: Call, type_: str) -> Answer:
        """POST /MeasureReport or /Measure."""
        try:
            sent = await read_fhir(await call.body())
        except HealthBrainError:
            sent = {}  # the ledger lists it with what is wrong with it
        if sent.get("resourceType") != type_:
            return await self._writing.create(call, type_)
        try:
            wanted = _computable(sent) if type_ == "Measure" else await self._wanted(call, sent)
        except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
            return await self._writing.create(call, type_)  # its structure is wrong: refused there, with every place
        if isinstance(wanted, Given):
            return await self._report(call, wanted)
        answer = await self._writing.create(call, type_)
        if isinstance(wanted, Draft) and answer.status == 201:
            return self._told(call, answer, await self._drafted(call, wanted))
        return self._told(call, answer, wanted if isinstance(wanted, str) else "")

    async def bundle(self, call: Call) -> Answer:
        """POST / with a transaction or a batch; of a transaction its Measures and MeasureReports are taken in."""
        raw = await call.body()
        if not any(mark in raw for mark in _MARKS):  # nearly every bundle: not read twice
            return await self._writing.bundle(call)
        try:
            sent = await read_fhir(raw)
        except HealthBrainError:
            return await self._writing.bundle(call)  # refused there, and listed in the ledger
        if sent.get("resourceType") != "Bundle" or sent.get("type") != "transaction":
            return await self._writing.bundle(call)
        wanted = await self._wanted_of(call, sent.get("entry"))
        answer = await self._writing.bundle(call)
        if answer.status != 200 or not wanted:
            return answer
        response = parse(answer.body or b"{}")
        for number, one in wanted.items():
            made = response["entry"][number]["response"]
            if not str(made.get("status", "")).startswith("201"):
                continue
            text = await self._taken_in(call, one)
            if call.prefers("return") not in ("representation", "minimal"):
                made["outcome"] = outcome("information", "informational", text)
        return Answer(200, dump(response), answer.headers)

    async def _wanted_of(self, call: Call, sent: Any) -> dict[int, Draft | Given | str]:
        """What is to be done with the entries that create a Measure or a MeasureReport. Raises Incorrect with the place."""
        found: dict[int, Draft | Given | str] = {}
        seen: set[tuple[str, str, str, str]] = set()
        for number, entry in enumerate(sent if isinstance(sent, list) else ()):
            try:
                request, resource = entry["request"], entry["resource"]
                type_ = resource["resourceType"]
                if request["method"] != "POST" or request["url"] != type_ or type_ not in ("Measure", "MeasureReport"):
                    continue
                wanted = _computable(resource) if type_ == "Measure" else await self._wanted(call, resource)
                if isinstance(wanted, Given):
                    place = (wanted.measure, wanted.period, wanted.level, wanted.key)
                    if place in seen:
                        raise Incorrect("the bundle gives two values for the same measure, period and place")
                    seen.add(place)
                    await self._held(wanted)
                found[number] = wanted
            except Incorrect as error:
                raise Incorrect(f"Bundle.entry[{number}].resource: {error.message}", issues=error.issues) from None
            except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
                continue  # its structure is wrong: the store refuses it with every place
        return found

    async def _taken_in(self, call: Call, wanted: Draft | Given | str) -> str:
        """Do what is to be done once the resource is stored; what was done, in words."""
        if isinstance(wanted, Draft):
            return await self._drafted(call, wanted)
        return await self._entered(call, wanted) if isinstance(wanted, Given) else wanted

    async def _drafted(self, call: Call, draft: Draft) -> str:
        """Put a Measure among the drafts of the workbench, for who may compose indicators."""
        try:
            await self._gate.decide(call.who, "write", "indicator", call.at)
            async with self._platform.pool.connection() as connection:
                number = await drafts.take_in(connection, draft.text, call.who.organisation, call.who.account, call.at)
        except (Forbidden, Conflict) as error:
            return f"stored; it can be computed here, but is no draft of the workbench: {error.message}"
        return f"stored, and a draft of the workbench as {number}: it is counted when it is published there"

    async def _report(self, call: Call, wanted: Given) -> Answer:
        _, same = await self._held(wanted)
        answer = await self._writing.create(call, "MeasureReport")
        if answer.status != 201 or same:
            return self._told(call, answer, "this value holds already; nothing was entered")
        return self._told(call, answer, await self._entered(call, wanted))

    async def _held(self, wanted: Given) -> tuple[Entered | None, bool]:
        """The last entry for the same period and place, and whether it says the same. Raises Incorrect for a correction
        without a reason."""
        async with self._platform.pool.connection() as connection:
            held = await entries.latest(connection, wanted.measure, wanted.period, wanted.level, wanted.key)
        if held is None or held.state == "returned":
            return held, False
        same = (held.numerator, held.denominator) == (wanted.numerator, wanted.denominator)
        same = same and (wanted.value is None or held.value == wanted.value)
        if not same and len(wanted.reason.strip()) < 2:
            raise Incorrect(
                "there is a value for this period already; to correct it, give the reason in the extension " + REASON
            )
        return held, same

    async def _entered(self, call: Call, wanted: Given) -> str:
        """Enter a value whose report is stored."""
        held, same = await self._held(wanted)
        if same:
            return "this value holds already; nothing was entered"
        review = self._platform.settings.entry_approval
        async with self._platform.pool.connection() as connection:
            await entries.enter(
                connection, wanted, by=call.who.account, at=call.at, replaces=held.id if held else None, review=review
            )
        if review:
            return f"entered as the value of {wanted.measure} for {wanted.period}; it counts when a second person approves it"
        return f"entered as the value of {wanted.measure} for {wanted.period}"

    async def _wanted(self, call: Call, sent: Mapping[str, Any]) -> Given | str:
        """The value that a report gives, or why it gives none. Raises Incorrect for one of ours that cannot be right."""
        canonical = str(sent.get("measure", "")).partition("|")[0]
        known = {one.id: one for one in measure.built_in()}.get(canonical.removeprefix(fhir.CANONICAL))
        if not canonical.startswith(fhir.CANONICAL) or known is None:
            return "stored; it is about no measure of this platform, so no value was entered"
        if known.kind != "entered":
            return f"stored; {known.id} is computed here, so no value was entered"
        if sent.get("type") != "summary" or sent.get("status") != "complete":
            return "stored; only a complete report of type summary is entered as a value"
        try:
            scope = await self._gate.decide(call.who, "write", "indicator", call.at)
        except Forbidden:
            return "stored; you may not enter values of indicators, so none was entered"
        async with self._platform.pool.connection() as connection:
            tree = await organisations(connection)
        about = str(sent.get("subject", sent.get("reporter", {})).get("reference", ""))
        node = tree.by_fhir(about.rpartition("/")[2]) if about else tree[call.who.organisation]
        if node is None or (scope.organisations is not None and node.key not in scope.organisations):
            raise Incorrect("MeasureReport.subject or reporter is an organisation that you may enter values for")
        given = _given(sent, tree, node.key)
        entries.check(given, call.at.astimezone(_CHINA).date())
        return given

    def _told(self, call: Call, answer: Answer, text: str) -> Answer:
        """What was done besides storing, unless the client wants the resource or nothing back."""
        if answer.status != 201 or call.prefers("return") in ("representation", "minimal"):
            return answer
        return Answer(answer.status, dump(outcome("information", "informational", text)), answer.headers)


def _computable(sent: Mapping[str, Any]) -> Draft | str:
    """A Measure as a draft, or why it is none. Raises Incorrect when it claims our form and cannot be computed."""
    said = str(sent.get("id") or sent.get("name") or "").upper().removeprefix("OWN-")
    number = f"OWN-{re.sub('[^A-Z0-9]+', '-', said).strip('-')[:30] or 'MEASURE'}"
    try:
        text = fhir.text_from_measure(sent, number)
        definition_from(text, "Measure")
    except Incorrect as error:
        if fhir.claims_our_form(sent):
            raise
        return f"stored as it is; {error}"
    return Draft(text)


def _given(sent: Mapping[str, Any], tree: Tree, key: int) -> Given:
    """The report as an entry."""
    named, start, end, above, below, value = fhir.values_of(sent)
    definition = next(one for one in entries.enterable() if one.id == named)
    first, last = _day(start, "period.start"), _day(end, "period.end")
    label = _label(first, last)
    if entries.bounds(definition, label) != (first, last):
        raise Incorrect("MeasureReport.period is a whole year, quarter or month, as the measure has it")
    node = tree[key]
    whole = node.kind in ("district", "municipality")
    fraction = definition.entry is not None and definition.entry.parts == "fraction"
    identifiers = [str(one.get("value", "")) for one in sent.get("identifier", ())]
    reasons = [str(one.get("valueString", "")) for one in sent.get("extension", ()) if one.get("url") == REASON]
    dated = _day(str(sent.get("date") or end), "date")
    return Given(
        measure=named,
        period=label,
        document=f"MeasureReport {next(iter(identifiers), '')} {node.name}".replace("  ", " ")[:300],
        dated=dated,
        value=None if fraction else value,
        numerator=above if fraction else None,
        denominator=below if fraction else None,
        level="district" if whole else "institution",
        key="" if whole else str(tree.nearest(key, "institution") or key),
        reason=next(iter(reasons), ""),
    )


def _day(text: str, where: str) -> date:
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            return moment.astimezone(_CHINA).date() if moment.tzinfo else moment.date()
        return date.fromisoformat(text)
    except ValueError:
        raise Incorrect(f"MeasureReport.{where} is a day, as in 2026-10-31") from None


def _label(first: date, last: date) -> str:
    """The period from its first to its last day, as entries write it."""
    if (first.month, last.month) == (1, 12):
        return f"{first.year}"
    if first.month == last.month:
        return f"{first:%Y-%m}"
    return f"{first.year}-Q{(first.month + 2) // 3}"
