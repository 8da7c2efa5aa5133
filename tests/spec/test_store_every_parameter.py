"""Every search parameter of every resource type: accepted with each of its forms, and finds what it must find.

A resource is made from each path of each parameter's definition, with a sample of the element's type at its end. Values
and questions stand in the table below by hand, so nothing here is taken from what the store extracts.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.engine.store_samples import context, opened, put

from healthbrain.errors import HealthBrainError
from healthbrain.fhir import SearchParameter, definitions
from healthbrain.fhir.definitions import Component, ValuePath
from healthbrain.store import Store

store = Store()
UCUM = "http://unitsofmeasure.org"
CODING = {"system": "urn:s", "code": "c-1", "display": "Späte Diagnose"}
CODED = [("", "c-1"), ("", "urn:s|c-1"), ("", "urn:s|"), ("text", "spate"), ("not", "c-2"), ("", "x,c-1")]
PLAIN = [("", "c-1"), ("", "|c-1"), ("not", "c-2")]
DATES = [
    ("", "2026-01-31T00:30:00Z"), ("", "2026-01-31"), ("", "eq2026-01"), ("", "ne2025"), ("", "ge2026-01-31"), ("", "le2026"),
    ("", "gt2025"), ("", "lt2027"), ("", "sa2025-12"), ("", "eb2026-02"), ("", "ap2026-01-31"),
]  # fmt: skip
NUMBERS = ["7", "eq7", "ne8", "gt6.9", "lt7.1", "ge7", "le7", "sa6", "eb8", "ap7.5"]
MASSES = [("", f"{n}{unit}") for n in ("7", "gt6", "le7", "ap7") for unit in ("", f"|{UCUM}|kg", "||kg")]
MASSES += [("", f"7000|{UCUM}|g"), ("", f"lt8000|{UCUM}|g"), ("", "ne8"), ("", "sa6"), ("", "eb8")]
MASS = {"value": 7, "unit": "kg", "system": UCUM, "code": "kg"}
URL = "http://e.org/a/b"
URLS = [("", URL), ("below", "http://e.org/a"), ("above", "http://e.org/a/b/c"), ("", f"x,{URL}")]
TEXTS = [
    ("", "spate stra"),
    ("exact", "Späte Straße 张三"),
    ("contains", "straße"),
    ("contains", "张"),
    ("text", "张三 späte"),
    ("", "SPÄTE"),
]
TEXT = "Späte Straße 张三"

Asked = list[tuple[str, str]]

# (type of parameter, type of element) -> a value, and what must find it: (modifier, value)
SAMPLES: dict[tuple[str, str], tuple[Any, Asked]] = {
    ("token", "Coding"): (CODING, CODED),
    ("token", "CodeableConcept"): ({"coding": [{"code": "y"}, CODING], "text": "Anders"}, [*CODED, ("text", "anders"), ("", "y")]),
    ("token", "Identifier"): (
        {"type": {"coding": [{"system": "urn:t", "code": "MR"}], "text": "Aktenzahl"}, "system": "urn:s", "value": "c-1"},
        [("", "c-1"), ("", "urn:s|c-1"), ("", "urn:s|"), ("of-type", "urn:t|MR|c-1"), ("text", "akten"), ("not", "c-2")],
    ),
    ("token", "ContactPoint"): ({"system": "phone", "value": "c-1"}, PLAIN[:1]),
    ("token", "code"): ("c-1", PLAIN),
    ("token", "string"): ("c-1", PLAIN),
    ("token", "id"): ("c-1", PLAIN),
    ("token", "uri"): ("urn:s", [("", "urn:s")]),
    ("token", "boolean"): (True, [("", "true"), ("not", "false")]),
    ("token", "Extension"): ({"valueCoding": CODING}, CODED),
    ("reference", "canonical"): (f"{URL}|2", [("", URL), ("", f"{URL}|2"), ("", f"x,{URL}")]),
    ("reference", "uri"): (URL, [("", URL)]),
    ("reference", "Attachment"): ({"url": URL}, [("", URL)]),
    ("string", "string"): (TEXT, TEXTS),
    ("string", "markdown"): (TEXT, TEXTS),
    ("string", "HumanName"): ({"family": TEXT, "given": ["Anna"]}, [*TEXTS, ("", "anna")]),
    ("string", "Address"): ({"line": [TEXT], "city": "上海"}, [*TEXTS, ("", "上海")]),
    ("string", "Extension"): ({"valueString": TEXT}, TEXTS),
    ("date", "dateTime"): ("2026-01-31T08:30:00+08:00", DATES),
    ("date", "instant"): ("2026-01-31T08:30:00+08:00", DATES),
    ("date", "date"): ("2026-01-31", DATES[1:]),
    ("date", "Period"): ({"start": "2026-01-31", "end": "2026-01-31T23:00:00Z"}, DATES[1:]),
    ("date", "Timing"): ({"event": ["2026-01-31T08:30:00+08:00"]}, DATES),
    ("number", "integer"): (7, [("", n) for n in NUMBERS]),
    ("number", "decimal"): (7.0, [("", n) for n in NUMBERS]),
    ("number", "Range"): ({"low": MASS, "high": MASS}, [("", "ap7"), ("", "gt6"), ("", "lt8")]),
    ("quantity", "Money"): ({"value": 7, "currency": "CNY"}, [("", "7"), ("", "gt6||CNY"), ("", "7|urn:iso:std:iso:4217|CNY")]),
    ("quantity", "Range"): ({"low": MASS, "high": {**MASS, "value": 7.5}}, [("", f"gt6|{UCUM}|kg"), ("", f"lt8000|{UCUM}|g"), ("", "ap7")]),
    ("quantity", "SampledData"): ({"origin": MASS, "period": 1, "dimensions": 1, "data": "0 E 0.5"}, [("", f"gt6|{UCUM}|kg"), ("", f"le8000|{UCUM}|g")]),
    ("uri", "uri"): (URL, URLS),
    ("uri", "url"): (URL, URLS),
    ("uri", "canonical"): (f"{URL}|2", [*URLS, ("", f"{URL}|2")]),
    **{("quantity", kind): (MASS, MASSES) for kind in ("Quantity", "Age", "Duration")},
}  # fmt: skip

# what R4's expressions name although it answers no such search; each is one alternative of a choice
UNANSWERED = {("date", "string"), ("date", "Age"), ("date", "Range")}


def sample(kind: str, path: ValuePath, targets: tuple[str, ...], only: str) -> tuple[Any, Asked]:
    """A value for the end of a path, and what finds it."""
    if path.type in ("Reference", "Resource", "Extension") and kind == "reference":
        target = only or next((name for name in targets if name != "Group"), "Patient")
        if path.type == "Resource":
            return {"resourceType": target, "id": "r-1"}, [("", f"{target}/r-1"), ("", "r-1")]
        value = {"reference": f"{target}/r-1", "identifier": {"system": "urn:s", "value": "v"}}
        asked = [
            ("", f"{target}/r-1"),
            ("", "r-1"),
            (target, "r-1"),
            ("identifier", "urn:s|v"),
            ("", "x/y,z".partition(",")[2] + ",r-1"),
        ]
        return ({"valueReference": value} if path.type == "Extension" else value), asked
    if path.type == "code" and path.binding and (codes := definitions().codes(path.binding)):
        system, listed = next(iter(sorted(codes.items())))
        code = sorted(listed)[0]
        return code, [("", code), ("", f"{system}|{code}"), ("", f"{system}|"), ("not", "c-2")]
    return copy.deepcopy(SAMPLES[kind, path.type])


def planted(resource: dict[str, Any], steps: tuple[tuple[Any, ...], ...], value: Any) -> None:
    """Put a value at the end of a path, and whatever the path's conditions want beside it."""
    node: Any = resource
    for number, (name, *arguments) in enumerate(steps):
        last = not any(step[0] in ("one", "many", "ext", "true") for step in steps[number + 1 :])
        match name:
            case "one" | "many":
                child = value if last else node.get(arguments[0], {} if name == "one" else [{}])
                child = child[0] if isinstance(child, list) else child
                node[arguments[0]] = child if name == "one" else [child]
                node = child
            case "where":
                node[arguments[0]] = arguments[1]
            case "ext":
                value = {"url": arguments[0], **value}
                node.setdefault("extension", []).append(value)
            case "has":
                node.setdefault("extension", []).append({"url": arguments[0], "valueBoolean": True})
            case "true":
                node[arguments[0][0]] = True


def cases(type_: str, parameter: SearchParameter) -> list[tuple[dict[str, Any], Asked]]:
    """A resource for each path of a parameter, and what finds it."""
    made = []
    for number, path in enumerate(parameter.paths):
        resource: dict[str, Any] = {"resourceType": type_}
        if parameter.type == "composite":
            parts = [_component(resource, path, number, one) for one in parameter.components]
            if all(parts):
                made.append((resource, [("", "$".join(parts))]))
            continue
        if (parameter.type, path.type) in UNANSWERED:
            continue
        only = next((step[1] for step in path.steps if step[0] == "is"), "")
        value, asked = sample(parameter.type, path, parameter.targets, only)
        planted(resource, path.steps, value)
        made.append((resource, asked))
    return made


def _component(resource: dict[str, Any], path: ValuePath, number: int, component: Component) -> str:
    """Plant a part of a composite; how it is asked for."""
    for inner in component.paths[number]:
        if (component.type, inner.type) not in {*SAMPLES, ("reference", "Reference")}:
            continue
        value, asked = sample(component.type, inner, ("DocumentReference",), "")
        if inner.steps and inner.steps[0][0] == "root":  # from the resource, not from the element
            planted(resource, inner.steps[1:], value)
        else:
            planted(resource, (*path.steps, *inner.steps), value)
        wanted = [one for modifier, one in asked if not modifier]
        return wanted[0]
    return ""


@pytest.mark.anyio
async def test_every_parameter_of_every_type_finds_what_it_is_about(dsn: str) -> None:
    wrong: list[tuple[str, ...]] = []
    asked_for = 0
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        for type_ in definitions().types:
            written = [{"resourceType": type_, "id": "empty"}]
            table: list[tuple[str, str, Asked]] = []
            for code, parameter in definitions().search_parameters(type_).items():
                for number, (resource, asked) in enumerate(cases(type_, parameter)):
                    id_ = f"{code.replace('_', 'u')}.{number}"
                    written.append({**resource, "id": id_, "resourceType": type_})
                    table.append((code, id_, asked))
            await store.write(connection, [put(one) for one in written], context(), validated=True)
            for code, id_, asked in table:
                for modifier, value in [*asked, ("missing", "false")]:
                    name = f"{code}:{modifier}" if modifier else code
                    asked_for += 1
                    try:
                        page = await store.search(connection, type_, [(name, value), ("_id", f"{id_},empty")])
                    except HealthBrainError as error:
                        wrong.append((type_, id_, name, value, error.message))
                        continue
                    found = {one.id for one in page.matches} - (
                        {"empty"} if modifier == "not" or code == "deceased" else set()
                    )
                    if found != {id_}:
                        wrong.append((type_, id_, name, value, f"found {sorted(found)}"))
                absent = await store.search(connection, type_, [(f"{code}:missing", "true"), ("_id", f"{id_},empty")])
                if [one.id for one in absent.matches] != ["empty"] and code != "deceased":
                    wrong.append((type_, id_, f"{code}:missing", "true", "finds the other one"))
    assert not wrong, "\n".join(map(str, wrong[:40]))
    assert asked_for > 9000
