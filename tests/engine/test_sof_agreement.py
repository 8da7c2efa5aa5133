"""Views in SQL and row by row say the same, on generated views over generated resources.

Where the SQL says Unsupported, or the paths cannot mean anything, nothing is compared; how often that may happen is bounded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthbrain.errors import Incorrect
from healthbrain.lake.sof import evaluate, read_view
from tests.sof_world import World

FORMS = ("lake", "ndjson", "text")
CODES = ("a", "b", "8480-6", "final")
DATES = ("1960", "1960-05", "1960-05-03", "1960-05-04")
MOMENTS = (
    *DATES,
    "1960-05-03T08:00:00+08:00",
    "1960-05-03T00:00:00Z",
    "1960-05-03T00:00:00.5Z",
    "1960-05-02T23:59:59-01:00",
)
TIMES = ("08:00:00", "08:00:00.5", "23:59:59.999")
NUMBERS = (0, 1, 2, 1.0, 1.5, 2.2, 72.5, 0.1, -3.25, 120, 100.125)

text = st.sampled_from(("", *CODES, "Ab c", "王 伟", "x'y", 'q"q', "a\\b")).filter(bool)
number = st.sampled_from(NUMBERS)


def some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def many(one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, min_size=1, max_size=3)


coding = some(
    {
        "system": st.sampled_from(("s", "t")),
        "code": st.sampled_from(CODES),
        "display": text,
        "userSelected": st.booleans(),
    }
)
concept = some({"coding": many(coding.filter(bool)), "text": text}).filter(bool)
quantity = some({"value": number, "unit": st.sampled_from(("kg", "g")), "code": st.sampled_from(("kg", "g"))}).filter(
    bool
)
reference = some(
    {
        "reference": st.sampled_from(
            ("Patient/p1", "Group/g", "https://x.org/fhir/Patient/p2/_history/3", "#c", "urn:uuid:1")
        )
    }
).filter(bool)
extension = st.one_of(
    st.fixed_dictionaries({"url": st.sampled_from(("u:a", "u:b")), "valueString": text}),
    st.fixed_dictionaries({"url": st.sampled_from(("u:a", "u:b")), "valueInteger": st.integers(-5, 5)}),
    st.fixed_dictionaries(
        {"url": st.just("u:n"), "extension": many(st.fixed_dictionaries({"url": st.just("u:a"), "valueCode": text}))}
    ),
)
human = some({"family": text, "given": many(text), "use": st.sampled_from(("official", "old"))}).filter(bool)
values: list[dict[str, st.SearchStrategy[Any]]] = [
    {}, {"valueQuantity": quantity}, {"valueString": text}, {"valueInteger": st.integers(-3, 200)},
    {"valueBoolean": st.booleans()}, {"valueDateTime": st.sampled_from(MOMENTS)}, {"valueTime": st.sampled_from(TIMES)},
    {"valueCodeableConcept": concept},
]  # fmt: skip


def with_value(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of([some({**fields, **value}) for value in values])


observations = with_value(
    {
        "status": st.sampled_from(CODES), "code": concept, "category": many(concept), "subject": reference,
        "performer": many(reference), "effectiveDateTime": st.sampled_from(MOMENTS), "extension": many(extension),
        "component": many(with_value({"code": concept, "interpretation": many(concept)}).filter(bool)),
        "issued": st.sampled_from(MOMENTS[4:]),
    }
)  # fmt: skip
patients = some(
    {
        "active": st.booleans(), "name": many(human), "gender": st.sampled_from(("male", "female")),
        "birthDate": st.sampled_from(DATES), "multipleBirthInteger": st.integers(1, 3), "deceasedBoolean": st.booleans(),
        "extension": many(extension), "managingOrganization": reference,
        "contact": many(some({"name": human, "telecom": many(some({"system": st.sampled_from(CODES), "value": text}).filter(bool))}).filter(bool)),
        "telecom": many(some({"system": st.sampled_from(CODES), "value": text, "rank": st.integers(1, 3)}).filter(bool)),
    }
)  # fmt: skip


def resources(type_: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = patients if type_ == "Patient" else observations
    return st.lists(one, min_size=1, max_size=4).map(
        lambda bodies: [{"resourceType": type_, "id": f"r{n}", **body} for n, body in enumerate(bodies)]
    )


# What paths begin with: (path, kind of its items, whether there can be several)
ROOTS: dict[str, list[tuple[str, str, bool]]] = {
    "Patient": [
        ("active", "boolean", False), ("gender", "text", False), ("birthDate", "date", False), ("id", "text", False),
        ("name", "Name", True), ("name.family", "text", True), ("name.given", "text", True), ("telecom", "Point", True),
        ("contact.telecom.value", "text", True), ("contact", "Contact", True), ("deceased.ofType(boolean)", "boolean", False),
        ("multipleBirth.ofType(integer)", "integer", False), ("telecom.rank", "integer", True),
        ("extension('u:a').value.ofType(string)", "text", True), ("extension('u:a').value.ofType(integer)", "integer", True),
        ("extension('u:n').extension('u:a').value.ofType(code)", "text", True), ("nonsense.path", "text", False),
        ("contact.name.given", "text", True), ("managingOrganization.reference", "text", False),
        ("getResourceKey()", "text", False), ("deceased", "any", False), ("contact.name", "Name", True),
    ],
    "Observation": [
        ("status", "text", False), ("code.coding", "Coding", True), ("code.text", "text", False), ("category.coding.code", "text", True),
        ("value.ofType(Quantity).value", "decimal", False), ("value.ofType(integer)", "integer", False), ("value", "any", False),
        ("value.ofType(string)", "text", False), ("value.ofType(boolean)", "boolean", False), ("value.ofType(time)", "time", False),
        ("value.ofType(dateTime)", "datetime", False), ("effective.ofType(dateTime)", "datetime", False), ("issued", "datetime", False),
        ("component", "Component", True), ("component.value.ofType(Quantity).value", "decimal", True),
        ("component.code.coding.code", "text", True), ("performer.getReferenceKey()", "text", True),
        ("subject.getReferenceKey(Patient)", "text", False), ("component.value.ofType(integer)", "integer", True),
        ("component.value", "any", True), ("extension.value.ofType(string)", "text", True), ("value as Quantity", "parts", False),
        ("component.interpretation.coding", "Coding", True),
    ],
}  # fmt: skip
WITHIN: dict[str, list[tuple[str, str, bool]]] = {
    "Name": [("family", "text", False), ("given", "text", True), ("use", "text", False)],
    "Point": [("system", "text", False), ("value", "text", False), ("rank", "integer", False)],
    "Contact": [("name.family", "text", False), ("telecom", "Point", True), ("name", "Name", False)],
    "Coding": [("system", "text", False), ("code", "text", False), ("userSelected", "boolean", False)],
    "Component": [
        ("code.coding", "Coding", True), ("value.ofType(Quantity).value", "decimal", False), ("value.ofType(string)", "text", False),
        ("value.ofType(integer)", "integer", False), ("interpretation.coding.code", "text", True), ("value.ofType(dateTime)", "datetime", False),
    ],
}  # fmt: skip
LITERALS = {
    "text": ["'a'", "'b'", "'final'", "'official'", "'x\\'y'", "'Ab c'"], "integer": ["0", "1", "2", "-3"], "decimal": ["0.1", "1.5", "2.2", "72.50"],
    "boolean": ["true", "false"], "date": ["@1960", "@1960-05", "@1960-05-03"],
    "datetime": ["@1960-05-03T00:00:00Z", "@1960-05-03", "@1960-05-03T08:00:00.5+08:00", "@1960-05-03T08:00:00", "@1960-05T"],
    "time": ["@T08:00:00", "@T08:00", "@T08:00:00.500"],
}  # fmt: skip
SEPARATORS = ("", "', '")
NUMERIC = ("integer", "decimal")
Path_ = tuple[str, str, bool]


@st.composite
def paths(draw: st.DrawFn, scope: tuple[str, ...], depth: int = 2) -> Path_:
    """A path with what it yields; `scope` is the resource type, or the kind of $this."""
    where = scope[0]
    base = draw(st.sampled_from(ROOTS.get(where) or WITHIN.get(where) or [("$this", where, False)]))
    for _ in range(draw(st.integers(0, depth))):
        base = draw(extended(base, scope, depth))
    return base


@st.composite
def extended(draw: st.DrawFn, base: Path_, scope: tuple[str, ...], depth: int) -> Path_:
    """A path with a function or an operator more."""
    path, kind, several = base
    choices = ["exists", "empty", "count", "first", "literal", "hasValue"]
    if kind in WITHIN:
        choices += ["member", "member", "where", "where", "exists_where", "all", "select"]
    if several:
        choices += ["first", "last", "index", "skip", "take", "tail", "single", "where_this"]
    if kind == "text":
        choices += [
            "equal",
            "equal",
            "in",
            "union",
            "join",
            "startsWith",
            "substring",
            "upper",
            "contains",
            "length",
            "distinct",
            "toInteger",
            "replace",
            "concat",
            "indexOf",
            "matches",
            "intersect",
            "split",
            "exclude",
        ]
    if kind in NUMERIC:
        choices += ["equal", "compare", "arithmetic", "arithmetic", "sum", "abs", "round", "toString", "union", "avg"]
    if kind in ("date", "datetime", "time"):
        choices += ["equal", "compare", "compare", "boundary", "plus"]
    if kind == "boolean":
        choices += ["not", "logic", "logic", "iif", "allTrue"]
    match draw(st.sampled_from(choices)):
        case "exists" | "empty" as name:
            return f"{_bracketed(path)}.{name}()", "boolean", False
        case "hasValue":
            return f"{_bracketed(path)}.hasValue()", "boolean", False
        case "count":
            return f"{_bracketed(path)}.count()", "integer", False
        case "first" | "last" | "single" as name:
            return f"{_bracketed(path)}.{name}()", kind, False
        case "index":
            return f"{_bracketed(path)}[{draw(st.integers(0, 2))}]", kind, False
        case "skip" | "take" as name:
            return f"{_bracketed(path)}.{name}({draw(st.integers(-1, 2))})", kind, True
        case "tail":
            return f"{_bracketed(path)}.tail()", kind, True
        case "where_this":
            inner = draw(conditions((kind,), depth - 1))
            return f"{_bracketed(path)}.where({inner})", kind, True
        case "member":
            member, inner_kind, repeats = draw(st.sampled_from(WITHIN[kind]))
            return f"{_bracketed(path)}.{member}", inner_kind, several or repeats
        case "where":
            return f"{_bracketed(path)}.where({draw(conditions((kind,), depth - 1))})", kind, several
        case "exists_where":
            return f"{_bracketed(path)}.exists({draw(conditions((kind,), depth - 1))})", "boolean", False
        case "all":
            return f"{_bracketed(path)}.all({draw(conditions((kind,), depth - 1))})", "boolean", False
        case "select":
            inner_path, inner_kind, repeats = draw(paths((kind,), 1))
            return f"{_bracketed(path)}.select({inner_path})", inner_kind, several or repeats
        case "equal" | "compare" as name:
            operator = draw(st.sampled_from(("=", "!=") if name == "equal" else ("<", "<=", ">", ">=")))
            return f"({path} {operator} {draw(others(kind, scope))})", "boolean", False
        case "in":
            return f"({path} in ('a' | 'b' | '8480-6'))", "boolean", False
        case "union":
            return f"({path} | {draw(others(kind, scope))})", kind, True
        case "intersect" | "exclude" as name:
            return f"{_bracketed(path)}.{name}('a' | 'b')", kind, True
        case "join":
            return f"{_bracketed(path)}.join({draw(st.sampled_from(SEPARATORS))})", "text", False
        case "startsWith" | "contains" | "indexOf" as name:
            return f"{_bracketed(path)}.{name}('a')", "integer" if name == "indexOf" else "boolean", False
        case "matches":
            return f"{_bracketed(path)}.matches('^[a-z]+$')", "boolean", False
        case "substring":
            return (
                f"{_bracketed(path)}.substring({draw(st.sampled_from(('0', '1', '1, 2', '0, 0', '9', '-1')))})",
                "text",
                False,
            )
        case "upper" | "length" as name:
            return f"{_bracketed(path)}.{name}()", "integer" if name == "length" else "text", False
        case "replace":
            return f"{_bracketed(path)}.replace('a', 'zz')", "text", False
        case "concat":
            return f"({path} {draw(st.sampled_from(('+', '&')))} {draw(others(kind, scope))})", "text", False
        case "split":
            return f"{_bracketed(path)}.split(' ')", "text", True
        case "distinct":
            return f"{_bracketed(path)}.distinct()", kind, True
        case "toInteger":
            return f"{_bracketed(path)}.toInteger()", "integer", False
        case "toString":
            return f"{_bracketed(path)}.toString()", "text", False
        case "arithmetic":
            operator = draw(st.sampled_from(("+", "-", "*", "/", "div", "mod")))
            result = "decimal" if operator == "/" or kind == "decimal" else "integer"
            return f"({path} {operator} {draw(others(kind, scope))})", result, False
        case "sum" | "avg" as name:
            return f"{_bracketed(path)}.{name}()", "decimal" if name == "avg" else kind, False
        case "abs":
            return f"{_bracketed(path)}.abs()", kind, False
        case "round":
            return f"{_bracketed(path)}.round(1)", "decimal", False
        case "boundary":
            result = kind
            return f"{_bracketed(path)}.{draw(st.sampled_from(('lowBoundary', 'highBoundary')))}()", result, False
        case "plus":
            return (
                f"({path} {draw(st.sampled_from(('+', '-')))} {draw(st.sampled_from(('1 year', '13 months', '40 days', '2 weeks')))})",
                kind,
                False,
            )
        case "not":
            return f"{_bracketed(path)}.not()", "boolean", False
        case "logic":
            operator = draw(st.sampled_from(("and", "or", "xor", "implies")))
            return f"({path} {operator} {draw(conditions(scope, depth - 1))})", "boolean", False
        case "iif":
            return f"iif({path}, 'yes', 'no')", "text", False
        case "allTrue":
            return (
                f"{_bracketed(path)}.{draw(st.sampled_from(('allTrue', 'anyTrue', 'allFalse', 'anyFalse')))}()",
                "boolean",
                False,
            )
    return base


def _bracketed(path: str) -> str:
    return f"({path})" if " " in path and not path.endswith(")") else path


@st.composite
def others(draw: st.DrawFn, kind: str, scope: tuple[str, ...]) -> str:
    """An operand of the same kind."""
    alike = [path for path, other, _ in ROOTS.get(scope[0], WITHIN.get(scope[0], [])) if other == kind]
    return draw(st.sampled_from(LITERALS.get(kind, ["'a'"]) + alike))


@st.composite
def conditions(draw: st.DrawFn, scope: tuple[str, ...], depth: int = 1) -> str:
    """A path that yields a Boolean."""
    path, kind, several = draw(paths(scope, max(depth, 0)))
    if kind == "boolean" and not several:
        return path
    if kind in LITERALS and not several and kind != "boolean":
        return f"({path} {draw(st.sampled_from(('=', '!=')))} {draw(st.sampled_from(LITERALS[kind]))})"
    return f"{_bracketed(path)}.exists()"


@st.composite
def selects(draw: st.DrawFn, scope: tuple[str, ...], names: Iterator[str], depth: int = 2) -> dict[str, Any]:
    """A select with columns, iterations, nested selects and unions."""
    select: dict[str, Any] = {}
    iteration = draw(st.sampled_from(("", "", "forEach", "forEachOrNull")))
    if iteration:
        path, kind, _ = draw(paths(scope, 1).filter(lambda found: found[1] in (*WITHIN, "text", "integer", "boolean")))
        select[iteration], scope = path, (kind,)
    columns = draw(st.lists(paths(scope, 2), min_size=1, max_size=2))
    select["column"] = [
        {"name": next(names), "path": path, "collection": draw(st.booleans()) if several else False}
        for path, kind, several in columns
    ]
    if draw(st.booleans()):
        select["column"].append({"name": next(names), "path": "%rowIndex"})
    if depth and draw(st.booleans()):
        select["select"] = [draw(selects(scope, names, depth - 1))]
    if depth and draw(st.integers(0, 3)) == 0:
        column = next(names)
        branches = draw(st.lists(paths(scope, 1).filter(lambda found: found[1] == "text"), min_size=1, max_size=2))
        select["unionAll"] = [
            {"column": [{"name": column, "path": path, "collection": True}]} for path, _, _ in branches
        ]
        path, kind, _ = draw(paths(scope, 1).filter(lambda found: found[1] in WITHIN or found[1] == "text"))
        inner = draw(paths((kind,), 1).filter(lambda found: found[1] == "text"))
        select["unionAll"].append({"forEach": path, "column": [{"name": column, "path": inner[0], "collection": True}]})
    return select


@st.composite
def views(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A view with resources for it."""
    type_ = draw(st.sampled_from(("Patient", "Observation")))
    names = iter([f"c{n}" for n in range(200)])
    view = {"resource": type_, "select": draw(st.lists(selects((type_,), names), min_size=1, max_size=2))}
    if draw(st.booleans()):
        view["where"] = [{"path": draw(conditions((type_,)))}]
    return view, draw(resources(type_))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(tmp_path_factory.mktemp("sof"), [])
    yield found
    found.close()


SEEN: Counter[str] = Counter()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=views())
def test_sql_and_rows_agree_on_generated_views(world: World, case: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    raw, bodies = case
    view = read_view(raw)
    world.fill([json.dumps(one, ensure_ascii=False) for one in bodies])
    try:
        expected: list[Any] | None = evaluate(view, bodies)
    except Incorrect:
        expected = None
    for form in FORMS:
        try:
            found = world.rows(view, form)
        except Incorrect:
            SEEN["refused"] += 1
            continue
        SEEN["compared"] += 1
        if expected is None:  # nothing is calculated for rows that are not there
            assert len(bodies) > 1 or found == [], f"{form}: the SQL has rows where a path has no answer"
            continue
        assert _comparable(found) == _comparable(expected), form


def test_most_generated_views_were_compared() -> None:
    assert SEEN["compared"] > SEEN["refused"] / 2


def _comparable(rows: list[dict[str, Any]]) -> list[str]:
    return [json.dumps({name: _number(value) for name, value in row.items()}, ensure_ascii=False) for row in rows]


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(one) for one in value]
    return float(f"{value:.12g}") if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def test_a_path_is_evaluated_as_it_stands(tmp_path: Path) -> None:
    bodies = [{"resourceType": "Patient", "id": "p", "name": [{"family": "A"}, {"given": ["x", "y"]}]}]
    world = World(tmp_path, [json.dumps(one) for one in bodies])
    raw = {
        "resource": "Patient",
        "select": [{"forEach": "name", "column": [{"name": "given", "path": "given", "collection": True}]}],
    }
    view = read_view(raw)
    for form in FORMS:
        assert world.rows(view, form) == evaluate(view, bodies) == [{"given": []}, {"given": ["x", "y"]}]
    world.close()
