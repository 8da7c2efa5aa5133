"""Any resource that R4's structure allows, and seldom a usual one: made from the definitions, by chance with a seed.

Every element may come, with values at the edges of what is legal: numbers of twenty digits and with zeros at the end, the
first and the last year, leap seconds and offsets of fourteen hours, texts of a hundred thousand characters, primitives
that are only an extension, extensions in extensions, contained resources, every alternative of a choice.
"""

from __future__ import annotations

from random import Random
from typing import Any

from healthbrain.fhir import definitions, parse
from healthbrain.fhir.definitions import Element, TypeChoice
from healthbrain.fhir.primitives import is_primitive

TEXTS = [
    "x",
    "张伟",
    " a b ",
    "Ünïcode é",
    "a\tb\r\nc",
    "\u2028\u0085",
    "𠮷野家",
    "<&>\"'",
    "\\,|$",
    "0",
    "null",
    "ﬃ①",
    "ａｂ",
    "ß" * 300,
]
DECIMALS = [
    "0",
    "-0.0",
    "72.50",
    "1e3",
    "1E-7",
    "0.1",
    "100",
    "12345678901234567890.12",
    "-3.14159265358979323846",
    "5.40",
    "1e-30",
    "7.0e+2",
]
DATES = [
    "2026",
    "2026-02",
    "2024-02-29",
    "0001",
    "0001-01-01",
    "9999",
    "9999-12",
    "9999-12-31",
    "1900-01-01",
    "1582-10-10",
]
TIMES = [
    "2026-02-03T10:00:00Z", "2026-02-03T23:59:60Z", "2026-06-30T23:59:60.5+08:00", "2026-02-03T10:00:00.123456789+14:00",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-02-03T10:00:00.1-03:30", "2026-02-03T10:00:00.000Z",
]  # fmt: skip
URIS = [
    "urn:oid:2.16.156.10011.1.3",
    "urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100",
    "http://e.org/a|1.0",
    "http://e.org/a/b#c",
    "relative/x",
    "http://e.org/中",
]
WORDS = ["final", "a b", "x-1", "中", "%", "A1.b"]
IDS = ["a", "A-1.b", "x" * 64, "00"]
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">张<br/> &lt;<b>x</b></div>'
LEAST: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, -1, 2**31 - 1, -(2**31)],
    "unsignedInt": [0, 2**31 - 1],
    "positiveInt": [1, 2**31 - 1],
    "decimal": [parse(f'{{"v":{text}}}')["v"] for text in DECIMALS],
    "string": TEXTS,
    "markdown": [*TEXTS, "长" * 100_000],
    "base64Binary": ["aGk=", "aGkh", "aG kh"],
    "xhtml": [DIV],
    "date": DATES,
    "dateTime": [*DATES, *TIMES],
    "instant": TIMES,
    "time": ["00:00:00", "23:59:59.999", "12:30:60"],
    "uri": URIS,
    "url": URIS,
    "canonical": URIS,
    "oid": ["urn:oid:1.2.3"],
    "uuid": ["urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100"],
    "id": IDS,
    "code": WORDS,
}
_DEEPEST = 4


def legal(type_: str, random: Random, depth: int = 0) -> dict[str, Any]:
    """A resource of a type."""
    found: dict[str, Any] = {"resourceType": type_}
    _fill(found, type_, random, depth)
    if depth:
        for name in ("contained", "meta", "text", "implicitRules"):
            found.pop(name, None)
            found.pop(f"_{name}", None)
        found.setdefault("id", random.choice(IDS))
    elif "meta" in found:
        for name in ("versionId", "lastUpdated", "_versionId", "_lastUpdated"):  # the server says these
            found["meta"].pop(name, None)
        if not set(found["meta"]) - {"id"}:
            del found["meta"]
    return found


def _fill(found: dict[str, Any], type_: str, random: Random, depth: int) -> None:
    elements = list(definitions().type(type_).elements.values())
    chance = min(0.4, 3 / len(elements)) if depth < _DEEPEST else 0.0
    for element in elements:
        if element.min or random.random() < chance:
            _take(found, element, random, depth)


def _take(found: dict[str, Any], element: Element, random: Random, depth: int) -> None:
    key, choice = random.choice(list(element.keys().items()))
    count = random.choice([1, 1, 2, 3]) if element.repeats and depth < _DEEPEST else 1
    if not is_primitive(choice.code):
        values = [_complex(choice, element, random, depth) for _ in range(count)]
        found[key] = values if element.repeats else values[0]
        if key == "contained":
            for number, one in enumerate(values):
                one["id"] = f"c{number}"
        return
    bare = key in ("id", "url", "div", "linkId", "resourceType") or depth >= _DEEPEST
    pairs = [_primitive(choice, element, random, bare=bare) for _ in range(count)]
    for name, values in ((key, [pair[0] for pair in pairs]), (f"_{key}", [pair[1] for pair in pairs])):
        if any(value is not None for value in values):
            found[name] = values if element.repeats else values[0]


def _primitive(choice: TypeChoice, element: Element, random: Random, *, bare: bool) -> tuple[Any, Any]:
    codes = (
        element.binding and element.binding.strength == "required" and definitions().codes(element.binding.value_set)
    )
    listed = sorted(code for some in codes.values() for code in some) if codes else []
    if choice.code == "code" and element.binding and not listed and element.binding.value_set.endswith("/currencies"):
        listed = ["CNY"]
    value = random.choice(listed if listed and choice.code == "code" else LEAST[choice.code])
    extra = "" if bare or element.min else random.choice(["", "", "", "", "id", "both", "only"])
    if not extra:
        return value, None
    more: dict[str, Any] = {"id": random.choice(WORDS[2:3])}
    if extra != "id":
        more["extension"] = [_extension(random, 1)]
    return (None if extra == "only" else value), more


def _extension(random: Random, depth: int) -> dict[str, Any]:
    if depth < 6 and random.random() < 0.5:
        return {"url": "urn:deep", "extension": [_extension(random, depth + 1) for _ in range(random.choice([1, 2]))]}
    kind = random.choice(["String", "Decimal", "DateTime", "Boolean", "Quantity", "Coding"])
    values = {
        "Quantity": {"value": random.choice(LEAST["decimal"]), "unit": "x"},
        "Coding": {"code": "c", "display": "张"},
    }
    name = kind[0].lower() + kind[1:]
    return {
        "url": random.choice(["urn:x", "http://e.org/x"]),
        f"value{kind}": values.get(kind) or random.choice(LEAST[name]),
    }


def _complex(choice: TypeChoice, element: Element, random: Random, depth: int) -> dict[str, Any]:
    if choice.code == "Extension":
        return _extension(random, depth)
    if choice.code == "Resource":
        return legal(
            random.choice(["Patient", "Observation", "Organization", "Medication", "Location"]), random, depth + 1
        )
    if choice.code == "Reference":
        return _reference(choice, random)
    if choice.code == "Narrative":
        return {"status": "generated", "div": DIV}
    found: dict[str, Any] = {}
    bound = (
        element.binding and element.binding.strength == "required" and definitions().codes(element.binding.value_set)
    )
    _fill(found, choice.shape, random, depth + 1)
    if bound and choice.code in ("Coding", "CodeableConcept"):
        system, listed = random.choice(sorted(bound.items()))
        coding = {"system": system, "code": random.choice(sorted(listed))}
        return coding if choice.code == "Coding" else {"coding": [coding], "text": random.choice(TEXTS)}
    return found if set(found) - {"id"} else {"extension": [_extension(random, 3)]}


def _reference(choice: TypeChoice, random: Random) -> dict[str, Any]:
    targets = [name for name in choice.targets if definitions().is_resource(name)] or list(definitions().types)
    target, id_ = random.choice(targets), random.choice(IDS)
    kind = random.choice(["relative", "relative", "versioned", "absolute", "urn", "logical", "display"])
    made: dict[str, dict[str, Any]] = {
        "relative": {"reference": f"{target}/{id_}"},
        "versioned": {"reference": f"{target}/{id_}/_history/3", "display": random.choice(TEXTS)},
        "absolute": {"reference": f"https://e.org/fhir/{target}/{id_}", "type": target},
        "urn": {"reference": "urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100", "type": target},
        "logical": {"identifier": {"system": "urn:s", "value": random.choice(TEXTS)}, "type": target},
        "display": {"display": random.choice(TEXTS)},
    }
    return made[kind]
