"""From what a resource is found by (fhir.IndexValues) to what its database rows hold. Pure."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from math import isinf, log10

from healthbrain.fhir.values import Composite, DateRange, IndexValues, Number, Reference, Text, Token, Uri
from healthbrain.store import keys
from healthbrain.store.arrays import lower_bound, upper_bound
from healthbrain.store.types import TypeIndex

COMPARTMENT = 0  # the parameter number under which further patients of a resource are kept
CONTAINED = "contained"  # the form under which a resource is found by the types of what it contains
UNITS = -1  # the parameter number under which the list of texts keeps the UCUM codes in use
UCUM = "http://unitsofmeasure.org"
LABELS = frozenset({"_tag", "_security"})
LONGEST_STRING = 512  # characters of a string that are searchable
_NEARLY = 1e-3
_NO_TOKEN = bytes(8)


@dataclass(slots=True)
class Rows:
    """Everything the index of one resource version consists of. Times in PostgreSQL's microseconds."""

    tokens: set[bytes] = field(default_factory=set)
    dates: list[tuple[int, int, int]] = field(default_factory=list)  # param, low, high
    numbers: list[tuple[int, float, float, int, int, int]] = field(
        default_factory=list
    )  # param, low, high, unit, label, code
    strings: list[tuple[int, str]] = field(default_factory=list)  # param, value
    concepts: set[tuple[int, str, bytes]] = field(default_factory=set)  # param, text of many rows, its token
    patient: int | None = None
    code: int | None = None
    at_low: int | None = None
    at_high: int | None = None
    extended: bool = False  # with the parameters added at run time


def index_rows(index: TypeIndex, id_: str, values: IndexValues) -> Rows:
    """The rows of a resource of this type and id."""
    rows = Rows()
    add_rows(rows, index, values)
    _set_patient(rows, index, id_, values)
    return rows


def add_rows(rows: Rows, index: TypeIndex, values: IndexValues) -> None:
    """Add what these values are found by."""
    _add_tokens(rows, index, values)
    _add_references(rows, index, values)
    _add_texts(rows, index, values)
    _add_dates(rows, index, values)
    for number in values.numbers:
        _add_number(rows, index, number)
    for composite in values.composites:
        _add_composite(rows, index, composite)
    for position in values.positions:  # a row of two coordinates: the index is on `high`, the latitude
        param = index.numbers[position.param]
        rows.tokens.add(keys.present(param))
        rows.numbers.append((param, position.longitude, position.latitude, 0, 0, 0))
    for name in values.contained:
        rows.tokens.add(keys.form(COMPARTMENT, CONTAINED, name))


def _add_tokens(rows: Rows, index: TypeIndex, values: IndexValues) -> None:
    numbers, unstored, tokens = index.numbers, index.unstored, rows.tokens
    main: set[str] = set()
    for token in values.tokens:
        param = token.param
        if param in unstored:
            continue
        number = numbers[param]
        tokens.add(keys.present(number))
        if token.code:
            tokens.update(keys.coded(number, token.system, token.code))
            if param in LABELS:
                label = f"{token.system}|{token.code}"[:LONGEST_STRING]
                rows.concepts.add((listing(number), label, keys.coded(number, token.system, token.code)[1]))
            if param == index.main_code:
                main.add(token.code)
        if token.text:
            text = fold(token.text)[:LONGEST_STRING]
            token_of_text = text_token(number, text)
            tokens.add(token_of_text)
            rows.concepts.add((number, text, token_of_text))
        if token.type_code:
            tokens.add(keys.form(number, "type", f"{token.type_system}|{token.type_code}|{token.code}"))
    if main:
        rows.code = main_code(main.pop()) if len(main) == 1 else 0
    for uri in values.uris:
        if uri.param in unstored:
            continue
        number = numbers[uri.param]
        tokens.add(keys.present(number))
        found = keys.form(number, "uri", uri.value)
        tokens.add(found)
        if uri.param == "_profile":  # the same few everywhere
            rows.concepts.add((number, uri.value[:LONGEST_STRING], found))
        elif uri.param == "_source":  # each message may have its own, beneath few beginnings
            beginning = source_beginning(uri.value)
            token_of_beginning = keys.form(number, "beginning", beginning)
            tokens.add(token_of_beginning)
            rows.concepts.add((number, beginning[:LONGEST_STRING], token_of_beginning))
            if "#" in uri.value:
                tokens.add(keys.form(number, "beginning", uri.value.partition("#")[0]))
        elif not uri.param.startswith("_"):
            rows.strings.append((number, uri.value[:LONGEST_STRING]))


def source_beginning(uri: str) -> str:
    """A uri up to its last part: to the last slash, of a urn to the last colon."""
    path = uri.partition("#")[0]
    end = path.rfind("/") if "/" in path else path.rfind(":")
    return path[: end + 1]


def listing(number: int) -> int:
    """The number under which the list of texts keeps the labels in use, as `system|code`."""
    return -1 - number


def _add_references(rows: Rows, index: TypeIndex, values: IndexValues) -> None:
    numbers, tokens = index.numbers, rows.tokens
    for reference in values.references:
        if reference.param in index.unstored:
            continue
        number = numbers[reference.param]
        tokens.add(keys.present(number))
        if reference.type == "Patient" and reference.id and reference.param in index.patient_params:
            continue  # column `patient` says it
        tokens.update(reference_tokens(number, reference))


def reference_tokens(number: int, reference: Reference) -> Iterable[bytes]:
    """Under what a reference is found: its literal target, its url with and without version, its identifier."""
    if reference.type and reference.id:
        yield keys.referred(number, reference.type, reference.id)
    elif reference.url:
        yield keys.form(number, "uri", reference.url)
        if reference.version:
            yield keys.form(number, "uri", f"{reference.url}|{reference.version}")
    if reference.value:
        yield keys.form(number, "identifier", f"{reference.system}|{reference.value}")
        yield keys.form(number, "identifier-value", reference.value)


def _add_texts(rows: Rows, index: TypeIndex, values: IndexValues) -> None:
    for text in values.texts:
        if text.param in index.unstored:
            continue
        number = index.numbers[text.param]
        rows.tokens.add(keys.present(number))
        rows.tokens.add(keys.form(number, "exact", text.value))
        rows.strings.append((number, fold(text.value)[:LONGEST_STRING]))


def _add_dates(rows: Rows, index: TypeIndex, values: IndexValues) -> None:
    for date in values.dates:
        if date.param in index.unstored:
            continue
        number = index.numbers[date.param]
        rows.tokens.add(keys.present(number))
        low, high = lower_bound(date.low), upper_bound(date.high)
        if date.param == index.main_date:
            # several (a Timing's events): only the outer limits matter (R4 search, date)
            rows.at_low = low if rows.at_low is None else min(low, rows.at_low)
            rows.at_high = high if rows.at_high is None else max(high, rows.at_high)
        else:
            rows.dates.append((number, low, high))


def _add_number(rows: Rows, index: TypeIndex, number: Number) -> None:
    if number.param in index.unstored:
        return
    param = index.numbers[number.param]
    rows.tokens.add(keys.present(param))
    rows.numbers += number_rows(param, number, 0)
    _note_unit(rows, number)


def _note_unit(rows: Rows, number: Number) -> None:
    if number.system == UCUM and number.code:
        rows.concepts.add((UNITS, number.code, _NO_TOKEN))


def number_rows(param: int, number: Number, code: int) -> Iterable[tuple[int, float, float, int, int, int]]:
    """The rows of one quantity: by its unit's code, and by its written unit when that differs."""
    low, high = bounds(number)
    unit = keys.name_hash(f"{number.system}|{number.code}") if number.system and number.code else 0
    yield param, low, high, unit, keys.name_hash(number.code) if number.code else 0, code
    if number.unit and number.unit != number.code:
        yield param, low, high, 0, keys.name_hash(number.unit), code


def bounds(number: Number) -> tuple[float, float]:
    """Where a number lies, for comparisons: a single value is a point, because gt5.4 must not find 5.4.

    fhir gives the interval of its precision: a power of ten wide and centred on the value, which is then a multiple
    of that width. A Range or SampledData never is: the middle of a..b with last digit u lies on half a multiple of u.
    """
    if isinf(number.low):
        return number.low, number.value
    if isinf(number.high):
        return number.value, number.high
    single = is_multiple_of_power(number.value, number.high - number.low)
    return (number.value, number.value) if single else (number.low, number.high)


def is_multiple_of_power(value: float, width: float) -> bool:
    """Whether `width` is a power of ten (as nearly as floats tell) and `value` a multiple of it."""
    if width <= 0:
        return True
    power = round(log10(width))
    if abs(log10(width) - power) > _NEARLY:
        return False
    steps = value * 10.0**-power
    return abs(steps - round(steps)) < _NEARLY * max(1.0, abs(steps) * 1e-9)


def _add_composite(rows: Rows, index: TypeIndex, composite: Composite) -> None:
    if composite.param in index.unstored:
        return
    param = index.numbers[composite.param]
    rows.tokens.add(keys.present(param))
    *first, last = composite.parts
    if isinstance(last, Number):
        _note_unit(rows, last)
        if any(isinstance(part, Number) for part in first):
            _add_numbers_of_element(rows, param, composite)
            return
        for forms in product(*(part_forms(part) for part in first)):
            rows.numbers += number_rows(param, last, keys.name_hash("$".join(forms)))
        return
    for forms in product(*(part_forms(part) for part in composite.parts)):
        rows.tokens.add(keys.form(param, "parts", "$".join(forms)))


def _add_numbers_of_element(rows: Rows, param: int, composite: Composite) -> None:
    """A code with several numbers: a row each; `unit` is the number of the element, which ties them together."""
    element = 1 + max((row[3] for row in rows.numbers if row[0] == param), default=0)
    code, *numbers = composite.parts
    for form in part_forms(code):
        for place, number in enumerate(numbers):
            if isinstance(number, Number):
                rows.numbers.append((param, *bounds(number), element, 0, element_code(form, place)))


def element_code(form: str, place: int) -> int:
    """What column `code` holds for the n-th number of a composite with several."""
    return keys.name_hash(f"{form}${place}")


def part_forms(part: Token | Reference | Text | DateRange | Number | Uri) -> tuple[str, ...]:
    """How a component may be written in a composite search; () when only a range could find it."""
    match part:
        case Token():
            return (f"c{part.code}", f"s{part.system}|{part.code}")
        case Reference():
            return (f"r{part.type}/{part.id}",) if part.id else (f"u{part.url}",)
        case Uri():
            return (f"u{part.value}",)
        case Text():
            return (f"t{fold(part.value)}",)
        case _:
            return ()


def _set_patient(rows: Rows, index: TypeIndex, id_: str, values: IndexValues) -> None:
    """The patient that the resource is about; others in whose compartment it lies get compartment tokens."""
    if index.name == "Patient":
        rows.patient = keys.patient_key(id_)
        main = id_
    elif index.patient_params:
        main = next((r.id for r in values.references if r.type == "Patient" and r.param in index.patient_params), "")
    else:
        main = values.patients[0] if values.patients else ""
    if main:
        rows.patient = keys.patient_key(main)
    if len(values.patients) > 1 or not main:
        rows.tokens.update(keys.referred(COMPARTMENT, "Patient", other) for other in values.patients if other != main)


@functools.lru_cache(maxsize=16384)
def main_code(code: str) -> int:
    """What column `code` holds for a single main code."""
    return keys.name_hash(code)


@functools.lru_cache(maxsize=16384)
def text_token(number: int, text: str) -> bytes:
    """The token of a code's folded text."""
    return keys.form(number, "text", text)


@functools.lru_cache(maxsize=16384)
def fold(text: str) -> str:
    """A string as searches compare it: compatibility forms, case and accents folded, blanks single."""
    if text.isascii():
        return " ".join(text.lower().split())
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFC", kept).split())
