"""Index values of one element: how each data type answers a token, reference, string, date, quantity or uri search.

The table at the end pairs a parameter type with an element type, as in R4 search, section "Search Parameter Types".
A converter appends to the lists of `Found`, once for each parameter the element serves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import inf, isfinite
from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import Definitions
from healthbrain.fhir.intervals import date_interval, number_interval
from healthbrain.fhir.values import Composite, DateRange, Number, Reference, Text, Token, Uri

Params = tuple[str, ...]
Amount = tuple[float, float, float, str, str, str]
Convert = Callable[[Any, Params, "Found"], None]

_new = tuple.__new__
_SAMPLE = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_CURRENCY = "urn:iso:std:iso:4217"


class Found:
    """What has been found in a resource so far."""

    __slots__ = ("amounts", "composites", "dates", "numbers", "references", "resource", "texts", "tokens", "uris")

    def __init__(self, resource: dict[str, Any], amounts: dict[int, Amount] | None = None) -> None:
        self.resource = resource
        self.amounts: dict[int, Amount] = {} if amounts is None else amounts  # quantities already read, by identity
        self.tokens: list[Token] = []
        self.references: list[Reference] = []
        self.texts: list[Text] = []
        self.dates: list[DateRange] = []
        self.numbers: list[Number] = []
        self.uris: list[Uri] = []
        self.composites: list[Composite] = []


def _token(params: Params, found: Found, system: str, code: str, text: str) -> None:
    append = found.tokens.append
    for param in params:
        append(_new(Token, (param, system, code, text, "", "")))


def _coding(value: dict[str, Any], params: Params, found: Found) -> None:
    get = value.get
    _token(params, found, get("system", ""), get("code", ""), get("display", ""))


def _concept(value: dict[str, Any], params: Params, found: Found) -> None:
    text = value.get("text", "")
    append = found.tokens.append
    for coding in value.get("coding", ()):
        get = coding.get
        system, code, display = get("system", ""), get("code", ""), get("display", "")
        if display == text:
            text = ""
        for param in params:
            append(_new(Token, (param, system, code, display, "", "")))
    if text:
        _token(params, found, "", "", text)


def _identifier(value: dict[str, Any], params: Params, found: Found) -> None:
    system, code = value.get("system", ""), value.get("value", "")
    if not system and not code:
        return
    kind = value.get("type")
    if kind is None:
        _token(params, found, system, code, "")
        return
    text = kind.get("text", "")
    codings: list[dict[str, str]] = kind.get("coding") or [{}]
    for coding in codings:
        for param in params:
            kind_of = coding.get("system", ""), coding.get("code", "")
            found.tokens.append(_new(Token, (param, system, code, text or coding.get("display", ""), *kind_of)))


def _contact_point(value: dict[str, Any], params: Params, found: Found) -> None:
    if "value" in value:
        _token(params, found, "", value["value"], "")


def _boolean(value: object, params: Params, found: Found) -> None:
    _token(params, found, "", "true" if value else "false", "")


def _plain(value: str, params: Params, found: Found) -> None:
    _token(params, found, "", value, "")


def code_with_system(systems: Mapping[str, str]) -> Convert:
    """A code whose required binding tells the system."""

    def convert(value: str, params: Params, found: Found) -> None:
        _token(params, found, systems.get(value, ""), value, "")

    return convert


def references_to(definitions: Definitions) -> Convert:
    """A Reference: literal, logical, or both."""
    types = frozenset(definitions.types)

    def convert(value: dict[str, Any], params: Params, found: Found) -> None:
        text = value.get("reference")
        append = found.references.append
        if text:
            kind, _, id = text.partition("/")
            if kind in types and id and "/" not in id:
                for param in params:
                    append(_new(Reference, (param, kind, id, "", "", "", "")))
            elif text.startswith("urn:"):
                for param in params:
                    append(_new(Reference, (param, "", "", text, "", "", "")))
            else:
                _other_reference(text, params, found)
        identifier = value.get("identifier")
        if identifier and "value" in identifier:
            kind = value.get("type", "")
            for param in params:
                append(Reference(param, kind, system=identifier.get("system", ""), value=identifier["value"]))

    return convert


def _other_reference(text: str, params: Params, found: Found) -> None:
    target = reference.read(text)
    parts = ("", "", "", "", "", "")
    if target.form == "relative":
        parts = (target.type, target.id, "", target.version, "", "")
    elif target.form == "conditional" and target.value:
        parts = (target.type, "", "", "", target.system, target.value)
    elif target.form in ("absolute", "urn"):
        parts = ("", "", text, "", "", "")
    if any(parts):
        for param in params:
            found.references.append(_new(Reference, (param, *parts)))


def _canonical(value: str, params: Params, found: Found) -> None:
    url, _, version = value.partition("|")
    url, version = url.partition("#")[0], version.partition("#")[0]
    if url:  # a mere fragment points into the resource itself
        for param in params:
            found.references.append(Reference(param, url=url, version=version))


def _resource(value: dict[str, Any], params: Params, found: Found) -> None:
    for param in params:
        found.references.append(Reference(param, value.get("resourceType", ""), value.get("id", "")))


def resource_of(wanted: str) -> Convert:
    """A resource held inside (the first entry of a document or message Bundle), if it is of the type."""

    def convert(value: dict[str, Any], params: Params, found: Found) -> None:
        if value.get("resourceType") == wanted:
            _resource(value, params, found)

    return convert


def _attachment_reference(value: dict[str, Any], params: Params, found: Found) -> None:
    if "url" in value:
        _canonical(value["url"], params, found)


def _texts(values: Iterable[str | None], params: Params, found: Found) -> None:
    for text in dict.fromkeys(values):  # a name often repeats itself as text
        if text:
            for param in params:
                found.texts.append(_new(Text, (param, text)))


def _string(value: str, params: Params, found: Found) -> None:
    for param in params:
        found.texts.append(_new(Text, (param, value)))


def _human_name(value: dict[str, Any], params: Params, found: Found) -> None:
    get = value.get
    family, given = get("family"), _strings(get("given"))
    whole = get("text") or _whole_name(family or "", given)
    parts = (whole, family, *given, *_strings(get("prefix")), *_strings(get("suffix")))
    _texts(parts, params, found)


def _whole_name(family: str, given: list[str]) -> str:
    """The name as people write it: 张伟, but Ada Lovelace."""
    if family and not family[0].isascii() and "\u2e80" <= family[0] <= "\uffef":
        return family + "".join(given)
    return " ".join((*given, family)).strip()


def _address(value: dict[str, Any], params: Params, found: Found) -> None:
    get = value.get
    parts = [get(key) for key in ("text", "state", "city", "district", "postalCode", "country")]
    _texts((*_strings(get("line")), *parts), params, found)


def _strings(values: list[str | None] | None) -> list[str]:
    """The values of a repeating string; those given only by extension are null."""
    return [value for value in values if value] if values else []


def _date(value: str, params: Params, found: Found) -> None:
    low, high = date_interval(value)
    for param in params:
        found.dates.append(_new(DateRange, (param, low, high)))


def _period(value: dict[str, Any], params: Params, found: Found) -> None:
    start, end = value.get("start"), value.get("end")
    if start or end:
        low = date_interval(start).low if start else None
        high = date_interval(end).high if end else None
        for param in params:
            found.dates.append(_new(DateRange, (param, low, high)))


def _timing(value: dict[str, Any], params: Params, found: Found) -> None:
    """The outer limits of a schedule."""
    lows: list[datetime | None] = []
    highs: list[datetime | None] = []
    for event in _strings(value.get("event")):
        low, high = date_interval(event)
        lows.append(low)
        highs.append(high)
    bounds = value.get("repeat", {}).get("boundsPeriod", {})
    if start := bounds.get("start"):
        lows.append(date_interval(start).low)
    if end := bounds.get("end"):
        highs.append(date_interval(end).high)
    if lows or highs:
        open_low, open_high = (bounds and not start), (bounds and not end)
        low = None if open_low or None in lows else min((one for one in lows if one), default=None)
        high = None if open_high or None in highs else max((one for one in highs if one), default=None)
        for param in params:
            found.dates.append(DateRange(param, low, high))


def _number(value: float, params: Params, found: Found) -> None:
    low, high = number_interval(value)
    for param in params:
        found.numbers.append(Number(param, low, high, float(value)))


def _quantity(value: dict[str, Any], params: Params, found: Found) -> None:
    amount = found.amounts.get(id(value))
    if amount is None:
        get = value.get
        number = get("value")
        if number is None:
            return
        low, high = number_interval(number)
        if "comparator" in value:
            low, high = (-inf, high) if value["comparator"][0] == "<" else (low, inf)
        amount = (low, high, float(number), get("system", ""), get("code", ""), get("unit", ""))
        found.amounts[id(value)] = amount
    for param in params:
        found.numbers.append(_new(Number, (param, *amount)))


def _money(value: dict[str, Any], params: Params, found: Found) -> None:
    number = value.get("value")
    if number is not None:
        low, high = number_interval(number)
        currency = value.get("currency", "")
        for param in params:
            system = _CURRENCY if currency else ""
            found.numbers.append(Number(param, low, high, float(number), system, currency, currency))


def _range(value: dict[str, Any], params: Params, found: Found) -> None:
    lower, upper = value.get("low", {}), value.get("high", {})
    least, most = lower.get("value"), upper.get("value")
    if least is None and most is None:
        return
    low = -inf if least is None else number_interval(least).low
    high = inf if most is None else number_interval(most).high
    middle = float(most if least is None else least if most is None else (least + most) / 2)
    unit = lower if least is not None else upper
    names = unit.get("system", ""), unit.get("code", ""), unit.get("unit", "")
    for param in params:
        found.numbers.append(Number(param, low, high, middle, *names))


def _sampled_data(value: dict[str, Any], params: Params, found: Found) -> None:
    """The span of the samples; E, U and L stand for error and out of range and are passed over, as is what is no number."""
    origin, factor = value.get("origin", {}), float(value.get("factor", 1))
    samples = [float(word) for word in value.get("data", "").split() if _SAMPLE.fullmatch(word)]
    if samples and "value" in origin:
        ends = sorted(float(origin["value"]) + factor * sample for sample in (min(samples), max(samples)))
        if not all(map(isfinite, ends)):
            return
        names = origin.get("system", ""), origin.get("code", ""), origin.get("unit", "")
        for param in params:
            found.numbers.append(Number(param, ends[0], ends[1], sum(ends) / 2, *names))


def _uri(value: str, params: Params, found: Found) -> None:
    for param in params:
        found.uris.append(_new(Uri, (param, value)))


def _canonical_uri(value: str, params: Params, found: Found) -> None:
    """A canonical as uri: found with its version and without."""
    _uri(value, params, found)
    url, bar, _ = value.partition("|")
    if bar:
        _uri(url, params, found)


# (parameter type, element type) -> converter; what is absent does not answer such a search (an Age is no date)
CONVERTERS: dict[tuple[str, str], Convert] = {
    ("token", "CodeableConcept"): _concept,
    ("token", "Coding"): _coding,
    ("token", "Identifier"): _identifier,
    ("token", "ContactPoint"): _contact_point,
    ("token", "boolean"): _boolean,
    **{("token", kind): _plain for kind in ("code", "string", "id", "uri")},
    **{("reference", kind): _canonical for kind in ("canonical", "uri")},
    ("reference", "Resource"): _resource,
    ("reference", "Attachment"): _attachment_reference,
    **{("string", kind): _string for kind in ("string", "markdown")},
    ("string", "HumanName"): _human_name,
    ("string", "Address"): _address,
    **{("date", kind): _date for kind in ("date", "dateTime", "instant")},
    ("date", "Period"): _period,
    ("date", "Timing"): _timing,
    **{("number", kind): _number for kind in ("integer", "decimal", "positiveInt", "unsignedInt")},
    ("number", "Range"): _range,
    **{("quantity", kind): _quantity for kind in ("Quantity", "Age", "Duration", "Count", "Distance")},
    ("quantity", "Money"): _money,
    ("quantity", "Range"): _range,
    ("quantity", "SampledData"): _sampled_data,
    **{("uri", kind): _uri for kind in ("uri", "url")},
    ("uri", "canonical"): _canonical_uri,
}
