"""Property: a search finds exactly what looking at every resource would find.

The oracle reads the JSON itself and shares no code with fhir.extract or the store.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Store, patient_key
from tests.engine.store_samples import context, opened, put

store = Store()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a failing example says enough; making it smaller takes minutes

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
CODES = [("http://loinc.org", "8480-6"), ("http://loinc.org", "8462-4"), ("urn:local", "8480-6"), ("", "x")]
DATES = ["2025", "2026-01", "2026-01-31", "2026-02-01", "2026-02-01T08:00:00Z", "2026-02-01T23:30:00+08:00"]
FAMILIES = ["张", "张三", "Müller", "MULLER", "李"]
VALUES = [5, 5.4, 5.5, 120, 140.0]
PEOPLE = ["p1", "p2", "p3"]
# what each unit is in the base unit of what it measures, by UCUM
BASE = {"mm[Hg]": ("pressure", Decimal("133322.387")), "kPa": ("pressure", Decimal(1_000_000)),
        "g": ("mass", Decimal(1)), "kg": ("mass", Decimal(1000))}  # fmt: skip


def coding(pair: tuple[str, str]) -> dict[str, str]:
    return {"system": pair[0], "code": pair[1]} if pair[0] else {"code": pair[1]}


def quantity(value: float, code: str = "mm[Hg]") -> dict[str, Any]:
    return {"value": value, "unit": "mmHg" if code == "mm[Hg]" else code, "system": UCUM, "code": code}


observations = st.fixed_dictionaries(
    {
        "resourceType": st.just("Observation"),
        "status": st.sampled_from(["final", "preliminary"]),
        "code": st.lists(st.sampled_from(CODES), min_size=1, max_size=2, unique=True).map(
            lambda c: {"coding": [coding(x) for x in c]}
        ),
    },
    optional={
        "subject": st.sampled_from([*(f"Patient/{p}" for p in PEOPLE), "Group/p1", "Device/d"]).map(
            lambda r: {"reference": r}
        ),
        "performer": st.sampled_from(PEOPLE).map(lambda p: [{"reference": f"Patient/{p}"}]),
        "effectiveDateTime": st.sampled_from(DATES),
        "valueQuantity": st.builds(quantity, st.sampled_from([*VALUES, 5400, 0.12]), st.sampled_from(list(BASE))),
        "component": st.lists(
            st.builds(
                lambda code, value: {"code": {"coding": [coding(code)]}, "valueQuantity": quantity(value)},
                st.sampled_from(CODES),
                st.sampled_from(VALUES),
            ),
            min_size=1,
            max_size=2,
        ),
    },
)

patients = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "gender": st.sampled_from(["male", "female"]),
        "birthDate": st.sampled_from(["1970", "1970-05", "1980-01-01"]),
        "name": st.lists(st.sampled_from(FAMILIES).map(lambda f: {"family": f}), min_size=1, max_size=2),
        "identifier": st.sampled_from(["1", "2"]).map(lambda v: [{"system": "urn:x", "value": v}]),
    },
)

# -- the oracle


def span(text: str) -> tuple[datetime, datetime]:
    if len(text) == 4:
        return datetime(int(text), 1, 1, tzinfo=UTC), datetime(int(text) + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    if len(text) == 10:
        start = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return start, start + timedelta(days=1)
    start = datetime.fromisoformat(text).astimezone(UTC)
    return start, start + timedelta(seconds=1)


def date_fits(value: str | None, prefix: str, asked: str) -> bool:
    if value is None:
        return False
    (low, high), (start, end) = span(value), span(asked)
    inside = start <= low and high <= end
    return {
        "eq": inside, "ne": not inside, "gt": high > end, "lt": low < start, "ge": high > end or inside,
        "le": low < start or inside, "sa": low >= end, "eb": high <= start,
    }[prefix]  # fmt: skip


def number_fits(value: float | Decimal, prefix: str, asked: str) -> bool:
    value, exact = Decimal(repr(value)) if isinstance(value, (int, float)) else value, Decimal(asked)
    half = Decimal("0.5") * Decimal(10) ** -(len(asked.partition(".")[2]))
    near = exact - half <= value < exact + half
    return {
        "eq": near, "ne": not near, "gt": value > exact, "lt": value < exact, "ge": value >= exact, "le": value <= exact,
        "sa": value > exact, "eb": value < exact,
    }[prefix]  # fmt: skip


def coded(concept: dict[str, Any], asked: str) -> bool:
    system, bar, code = asked.rpartition("|")
    return any(
        (not code or c["code"] == code) and (not bar or c.get("system", "") == system)
        for c in concept.get("coding", [])
    )


def quantity_fits(found: dict[str, Any] | None, prefix: str, asked: str) -> bool:
    if found is None:
        return False
    number, _, unit = asked.partition("|")
    system, _, code = unit.partition("|")
    if system:  # in every unit that measures the same
        (kind, factor), (mine, own) = BASE[code], BASE[found["code"]]
        scale = own / factor
        return kind == mine and number_fits(Decimal(repr(found["value"])) * scale, prefix, number)
    return (not unit or code in {found["code"], found["unit"]}) and number_fits(found["value"], prefix, number)


def folded(text: str) -> str:
    return text.lower().replace("ü", "u")


def oracle(resource: dict[str, Any], name: str, value: str) -> bool:
    """Whether one resource fulfils one parameter."""
    name, _, modifier = name.partition(":")
    if modifier == "not":
        return not oracle(resource, name, value)
    if modifier == "missing":
        element = {"code": "code", "subject": "subject", "date": "effectiveDateTime", "value-quantity": "valueQuantity",
                   "birthdate": "birthDate", "name": "name", "gender": "gender", "identifier": "identifier"}[name]  # fmt: skip
        return (element not in resource) == (value == "true")
    return any(_one(resource, name, modifier, alternative) for alternative in value.split(","))


def _one(resource: dict[str, Any], name: str, modifier: str, value: str) -> bool:
    prefix, rest = (
        (value[:2], value[2:]) if value[:2] in {"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"} else ("eq", value)
    )
    components = resource.get("component", [])
    match name:
        case "status" | "gender":
            return resource.get(name) == value
        case "code":
            return coded(resource["code"], value)
        case "component-code":
            return any(coded(c["code"], value) for c in components)
        case "combo-code":
            return _one(resource, "code", "", value) or _one(resource, "component-code", "", value)
        case "subject" | "patient" | "performer":
            element = resource.get("subject") if name != "performer" else (resource.get("performer") or [None])[0]
            if element is None:
                return False
            kinds = [modifier] if modifier else ["Patient"] if name == "patient" else ["Patient", "Group", "Device"]
            wanted = [value] if "/" in value else [f"{kind}/{value}" for kind in kinds]
            if name == "patient" and not element["reference"].startswith("Patient/"):
                return False
            return element["reference"] in wanted
        case "date":
            return date_fits(resource.get("effectiveDateTime"), prefix, rest)
        case "birthdate":
            return date_fits(resource.get("birthDate"), prefix, rest)
        case "value-quantity":
            return quantity_fits(resource.get("valueQuantity"), prefix, rest)
        case "combo-value-quantity":
            return any(quantity_fits(q.get("valueQuantity"), prefix, rest) for q in [resource, *components])
        case "code-value-quantity" | "component-code-value-quantity" | "combo-code-value-quantity":
            code, _, number = value.partition("$")
            prefix, rest = (number[:2], number[2:]) if not number[0].isdigit() else ("eq", number)
            parts = {"code": [resource], "comp": components, "comb": [resource, *components]}[name[:4]]
            return any(coded(p["code"], code) and quantity_fits(p.get("valueQuantity"), prefix, rest) for p in parts)
        case "name" | "family":
            families = [n["family"] for n in resource.get("name", [])]
            if modifier == "exact":
                return value in families
            if modifier == "contains":
                return any(folded(value) in folded(f) for f in families)
            return any(folded(f).startswith(folded(value)) for f in families)
        case "identifier":
            return any(
                value in {i["value"], f"{i['system']}|{i['value']}", f"{i['system']}|"}
                for i in resource.get("identifier", [])
            )
    raise AssertionError(name)


# -- questions

prefixes = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
code_values = st.sampled_from(
    ["8480-6", "http://loinc.org|8480-6", "urn:local|8480-6", "|x", "http://loinc.org|", "x", "none"]
)
numbers = st.builds(str.__add__, prefixes, st.sampled_from(["5", "5.4", "5.40", "120", "140"]))
quantities = st.builds(
    str.__add__, numbers, st.sampled_from(["", *(f"|{UCUM}|{code}" for code in BASE), "||mmHg", "||kg", "||mm[Hg]"])
)
dates = st.builds(str.__add__, prefixes, st.sampled_from([*DATES[:5], "2026-02"]))


def listed(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=2).map(",".join)


def of(names: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from(names), values)


observation_questions = st.lists(
    st.one_of(
        of(["status"], st.sampled_from(["final", "preliminary"])),
        of(["code", "code:not", "component-code", "combo-code"], listed(code_values)),
        of(["subject", "patient", "performer"], listed(st.sampled_from(["p1", "Patient/p1", "Patient/p2", "p3"]))),
        of(["subject"], st.sampled_from(["Group/p1", "Device/d", "d"])),
        of(["subject:Patient", "subject:Group"], st.just("p1")),
        of(["date"], listed(dates)),
        of(["value-quantity", "combo-value-quantity"], listed(quantities)),
        of(
            ["code-value-quantity", "component-code-value-quantity", "combo-code-value-quantity"],
            st.builds("{}${}".format, st.sampled_from(["8480-6", "http://loinc.org|8462-4", "|x"]), quantities),
        ),
        of(
            ["code:missing", "subject:missing", "date:missing", "value-quantity:missing"],
            st.sampled_from(["true", "false"]),
        ),
    ),
    min_size=1,
    max_size=3,
)

patient_questions = st.lists(
    st.one_of(
        of(["gender", "gender:not"], st.sampled_from(["male", "female"])),
        of(["name", "family", "name:exact", "name:contains"], listed(st.sampled_from([*FAMILIES, "三", "mull", "u"]))),
        of(["birthdate"], st.builds(str.__add__, prefixes, st.sampled_from(["1970", "1970-05", "1980-01-01"]))),
        of(["identifier"], st.sampled_from(["1", "urn:x|2", "urn:x|", "urn:y|1"])),
        of(
            ["birthdate:missing", "name:missing", "gender:missing", "identifier:missing"],
            st.sampled_from(["true", "false"]),
        ),
    ),
    min_size=1,
    max_size=3,
)

scopes = st.sampled_from(
    [
        EVERYTHING,
        EVERYTHING,
        Scope(organisations=(1,), patients=()),
        Scope(organisations=(), patients=(patient_key("p1"), patient_key("p2"))),
        Scope(organisations=(2,), patients=(patient_key("p3"),)),
        Scope(organisations=(), patients=()),
    ]
)


def in_scope(resource: dict[str, Any], owner: int, scope: Scope) -> bool:
    if scope.organisations is None:
        return True
    if resource["resourceType"] == "Patient":
        whose = resource["id"]
    else:
        kind, _, whose = resource.get("subject", {}).get("reference", "/").partition("/")
        whose = whose if kind == "Patient" else ""
    return owner in scope.organisations or (whose != "" and patient_key(whose) in (scope.patients or ()))


@pytest.mark.parametrize(
    ("resources", "questions", "sorts"),
    [
        (
            observations,
            observation_questions,
            [
                "",
                "date",
                "-date",
                "-_lastUpdated",
                "_id",
                "-_id",
                "status,-date",
                "value-quantity",
                "-combo-value-quantity,_id",
                "code,date",
                "-subject",
                "-date,code",
                "performer,-value-quantity",
            ],
        ),
        (
            patients,
            patient_questions,
            ["", "birthdate", "-birthdate", "_id", "name", "-family,birthdate", "gender,-name", "-identifier,-_id"],
        ),
    ],
    ids=["Observation", "Patient"],
)
def test_a_search_finds_what_looking_at_everything_finds(dsn, resources, questions, sorts):
    @settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        made = data.draw(st.lists(resources, min_size=1, max_size=12))
        named = [one | {"id": f"p{n + 1}"} for n, one in enumerate(made)]
        asked = data.draw(
            st.lists(st.tuples(questions, scopes, st.sampled_from(sorts), st.integers(1, 5)), min_size=8, max_size=8)
        )
        asyncio.run(_check(dsn, named, asked))

    check()


PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
EVERY_QUESTION = {
    "Observation": [
        *[("date", prefix + date) for prefix in PREFIXES for date in [*DATES[:5], "2026-02"]],
        *[("value-quantity", p + number) for p in PREFIXES for number in ("5", "5.4", "5.40", "120", "120||kg", f"140|{UCUM}|mm[Hg]", f"0.005|{UCUM}|kg", f"5400|{UCUM}|g", f"16.0|{UCUM}|kPa")],
        *[("combo-code-value-quantity", f"8480-6${prefix}120") for prefix in PREFIXES],
        *[(name, value) for name in ("code", "code:not", "component-code", "combo-code") for value in ("8480-6", "urn:local|8480-6", "|x", "x", "http://loinc.org|", "x,8462-4")],
        *[(name, value) for name in ("subject", "patient", "performer", "subject:Patient") for value in ("p1", "Patient/p2", "p1,p3")],
        *[(f"{name}:missing", value) for name in ("code", "subject", "date", "value-quantity") for value in ("true", "false")],
    ],
    "Patient": [
        *[("birthdate", prefix + date) for prefix in PREFIXES for date in ("1970", "1970-05", "1970-05-02", "1980-01-01")],
        *[(name, value) for name in ("name", "family", "name:exact", "name:contains") for value in [*FAMILIES, "三", "mull", "张,李"]],
    ],
}  # fmt: skip


@pytest.mark.parametrize(("type_", "resources"), [("Observation", observations), ("Patient", patients)])
def test_every_single_question_is_answered_rightly(dsn, type_, resources):
    @settings(max_examples=6, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
    @given(st.lists(resources, min_size=20, max_size=30))
    def check(made: list[dict[str, Any]]) -> None:
        named = [one | {"id": f"p{n + 1}"} for n, one in enumerate(made)]
        asyncio.run(_check(dsn, named, [([question], EVERYTHING, "", 100) for question in EVERY_QUESTION[type_]]))

    check()


async def _check(
    dsn: str, resources: list[dict[str, Any]], asked: list[tuple[list[tuple[str, str]], Scope, str, int]]
) -> None:
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        for n, resource in enumerate(resources):
            await store.write(connection, [put(resource)], context(n // 2, owner=1 + n % 2, invariants=False))
        for parameters, scope, sort, count in asked:
            expected = [
                r["id"]
                for n, r in enumerate(resources)
                if in_scope(r, 1 + n % 2, scope) and all(oracle(r, *parameter) for parameter in parameters)
            ]
            found = await _all_pages(connection, resources[0]["resourceType"], parameters, scope, sort, count)
            assert sorted(found) == sorted(expected), (parameters, scope)
            if sort in {"_id", "-_id"}:
                assert found == sorted(expected, reverse=sort.startswith("-"))
            elif sort.lstrip("-") != "_lastUpdated" and sort:
                _check_order({r["id"]: r for r in resources}, found, sort)
        await connection.rollback()


def _check_order(by_id: dict[str, dict[str, Any]], found: list[str], sort: str) -> None:
    """Every row is followed by one that does not come before it, key by key; what has no value comes last."""
    for one, other in pairwise(found):
        for name in sort.split(","):
            descending, name = name.startswith("-"), name.lstrip("-")
            mine, theirs = (_sort_value(by_id[id_], name, descending) for id_ in (one, other))
            if mine == theirs:
                continue
            assert theirs is None or (mine is not None and (mine > theirs) == descending), (sort, found)
            break


def _sort_value(resource: dict[str, Any], name: str, descending: bool) -> Any:
    quantities = [resource.get("valueQuantity")]
    references = [resource.get("subject") if name == "subject" else (resource.get("performer") or [None])[0]]
    if name == "combo-value-quantity":
        quantities += [c.get("valueQuantity") for c in resource.get("component", [])]
    values = {
        "_id": [resource["id"]],
        "date": [span(d)[1] for d in [resource.get("effectiveDateTime")] if d],
        "birthdate": [span(d)[1] for d in [resource.get("birthDate")] if d],
        "status": [resource.get("status")],
        "gender": [resource.get("gender")],
        "code": [c["code"] for c in resource.get("code", {}).get("coding", [])],
        "identifier": [i["value"] for i in resource.get("identifier", [])],
        "name": [folded(n["family"]) for n in resource.get("name", [])],
        "family": [folded(n["family"]) for n in resource.get("name", [])],
        "value-quantity": [float(Decimal(repr(q["value"])) * BASE[q["code"]][1]) for q in quantities if q],
        "combo-value-quantity": [float(Decimal(repr(q["value"])) * BASE[q["code"]][1]) for q in quantities if q],
        "subject": [r["reference"] for r in references if r],
        "performer": [r["reference"] for r in references if r],
    }[name]
    present = [value for value in values if value is not None]
    return (max(present) if descending else min(present)) if present else None


async def _all_pages(connection, type_: str, parameters, scope: Scope, sort: str, count: int) -> list[str]:
    found: list[str] = []
    asked = [*parameters, ("_count", str(count)), *([("_sort", sort)] if sort else [])]
    page = await store.search(connection, type_, [*asked, ("_total", "accurate")], scope=scope)
    total = page.total
    page = await store.search(connection, type_, asked, scope=scope)
    while True:
        assert len(page.matches) <= count
        found += [one.id for one in page.matches]
        if page.next is None:
            break
        page = await store.search(connection, type_, [*asked, ("_cursor", page.next)], scope=scope)
    assert total == len(found)
    return found
