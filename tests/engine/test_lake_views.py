"""Views and expressions: DuckDB over typed columns and plain Python over JSON say the same; nothing of a resource is lost."""

from __future__ import annotations

import tarfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthbrain.errors import Incorrect
from healthbrain.lake import Lake, engine, rows, sql, to_rows, to_sql, view_of
from healthbrain.lake.columns import Field, fields_of
from healthbrain.lake.manifest import Manifest, swap, writer
from healthbrain.lake.parts import Row, Spool, write_part
from healthbrain.lake.path import Binary, Call, Literal, Member, Span, parse

AT = datetime(2026, 11, 20, tzinfo=UTC)


def lake_of(folder: Path, resources: list[dict[str, Any]], bodies: list[bytes] | None = None) -> Lake:
    connection = engine.connect(folder / "scratch")
    with writer(folder), Spool(folder / "spool") as spool:
        for number, one in enumerate(resources):
            body = bodies[number] if bodies else orjson.dumps(one)
            spool.add(Row(one["resourceType"], str(number), 1, AT, False, 1, 5, None, "1.1.1", body))
        spool.close()
        parts = {type_: (write_part(connection, folder, type_, spool),) for type_ in spool.rows}
        swap(folder, Manifest(), Manifest(parts=parts, at=AT), AT)
    connection.close()
    return Lake(folder)


PATIENTS: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "a",
        "gender": "female",
        "birthDate": "1960",
        "name": [{"family": "张", "given": ["伟", "大"]}, {"use": "old"}],
        "address": [
            {"city": "上海市"},
            {"extension": [{"url": "u:division", "valueString": "310118001"}, {"url": "other", "valueInteger": 3}]},
        ],
        "extension": [
            {"url": "u:nested", "extension": [{"url": "part", "valueDecimal": 1.5}, {"url": "part", "valueDecimal": 2}]}
        ],
        "managingOrganization": {"reference": "https://example.org/fhir/Organization/o1/_history/3"},
        "deceasedBoolean": False,
        "multipleBirthInteger": 2,
    },
    {
        "resourceType": "Patient",
        "id": "b",
        "birthDate": "1960-05",
        "deceasedDateTime": "2026-01-01T16:30:00Z",
        "identifier": [{"system": "x", "value": "1"}, {"system": "y", "value": "2"}],
        "managingOrganization": {"reference": "Organization/o2"},
        "name": [{"text": "O'Neil \\"}],
    },
    {"resourceType": "Patient", "id": "c", "birthDate": "1960-05-31", "managingOrganization": {"display": "?"}},
]
COLUMNS = [
    ("gender", "string"),
    ("birthDate", "date"),
    ("birthDate", "dateTime"),
    ("deceased.ofType(dateTime)", "date"),
    ("deceased.ofType(boolean)", "boolean"),
    ("multipleBirth.ofType(integer) + 1", "integer"),
    ("multipleBirth.ofType(integer) / 4", "decimal"),
    ("name.given.first()", "string"),
    ("name.given.last()", "string"),
    ("name.given[1]", "string"),
    ("name.count()", "integer"),
    ("name.given.count()", "integer"),
    ("name.where(use = 'old').exists()", "boolean"),
    ("name.where(text.exists()).text.first()", "string"),
    ("name.exists(family = '张' and given.exists())", "boolean"),
    ("name.first().family", "string"),
    ("identifier.where(system = %there).value.first()", "string"),
    ("identifier.where(system in ('y' | 'z')).value.first()", "string"),
    ("identifier.where(system in %several).count()", "integer"),
    ("identifier.empty()", "boolean"),
    ("address.extension('u:division').value.ofType(string).first()", "string"),
    ("address.extension('u:division').value.ofType(string).first().substring(0, 6)", "string"),
    ("extension('u:nested').extension('part').value.ofType(decimal).last()", "decimal"),
    ("extension('u:nested').extension.where(url = 'part').count()", "integer"),
    ("managingOrganization.getReferenceKey(Organization)", "string"),
    ("managingOrganization.getReferenceKey(Patient)", "string"),
    ("getResourceKey()", "string"),
    ("gender = 'female' and deceased.ofType(boolean)", "boolean"),
    ("gender = 'female' or deceased.ofType(boolean)", "boolean"),
    ("gender = 'female' xor name.exists()", "boolean"),
    ("gender.exists() implies deceased.ofType(boolean).exists()", "boolean"),
    ("gender != 'male'", "boolean"),
    ("iif(gender = 'female', 'f', 'other')", "string"),
    ("iif(gender = 'female', 1)", "integer"),
    ("(gender | 'x').first()", "string"),
    ("birthDate.startsWith('1960-')", "boolean"),
    ("name.first().text.contains('Neil')", "boolean"),
    ("gender.lower().startsWith('f').not()", "boolean"),
    ("-multipleBirth.ofType(integer)", "integer"),
]


def test_expressions_mean_the_same_to_duckdb_and_to_the_oracle(tmp_path: Path) -> None:
    view = view_of(
        "v",
        {
            "resource": "Patient",
            "select": [{"column": [{"name": f"c{n}", "path": p, "type": t} for n, (p, t) in enumerate(COLUMNS)]}],
        },
    )
    constants: dict[str, sql.Constant] = {"there": "y", "several": ("x", "y")}
    connection = lake_of(tmp_path, PATIENTS).connect()
    found = connection.execute(f"{to_sql(view, constants)} order by _id")
    names = [one[0] for one in found.description or ()]
    for number, values in enumerate(found.fetchall()):
        own = {"_id": str(number), "_patient": 5, "_owner": 1, "_updated": AT}
        (expected,) = to_rows(view, PATIENTS[number], own, constants)
        got = dict(zip(names, values, strict=True))
        for column, (path, _) in enumerate(COLUMNS):
            assert got[f"c{column}"] == expected[f"c{column}"], path
    connection.close()


def test_what_expressions_yield() -> None:
    expected = {
        "birthDate": date(1960, 1, 1),
        "deceased.ofType(boolean)": False,
        "multipleBirth.ofType(integer) / 4": 0.5,
        "name.given.last()": "大",
        "address.extension('u:division').value.ofType(string).first()": "310118001",
        "extension('u:nested').extension('part').value.ofType(decimal).last()": 2.0,
        "managingOrganization.getReferenceKey(Organization)": "o1",
        "managingOrganization.getReferenceKey(Patient)": None,
        "gender = 'female' and deceased.ofType(boolean)": False,
    }
    row = rows.Row(PATIENTS[0], {}, {"_id": "0"})
    types = dict(reversed(COLUMNS))
    for path, value in expected.items():
        assert rows.cast(rows.single(parse(path), row), types[path]) == value, path
    assert rows.day("2026-01-01T16:30:00Z") == date(2026, 1, 2)


def test_a_view_has_a_row_per_item_of_for_each_and_only_where_its_conditions_hold(tmp_path: Path) -> None:
    view = view_of(
        "v",
        {
            "resource": "Patient",
            "where": [{"path": "identifier.exists()"}],
            "select": [
                {"column": [{"name": "birth", "path": "birthDate"}]},
                {"forEach": "identifier", "column": [{"name": "value", "path": "value"}]},
            ],
        },
    )
    connection = lake_of(tmp_path, PATIENTS).connect()
    found = connection.execute(f"select birth, value, _owner from ({to_sql(view, {})}) order by value").fetchall()
    connection.close()
    assert found == [("1960-05", "1", 1), ("1960-05", "2", 1)]
    own = {"_id": "1", "_patient": 5, "_owner": 1, "_updated": AT}
    assert [one["value"] for one in to_rows(view, PATIENTS[1], own, {})] == ["1", "2"]
    assert list(to_rows(view, PATIENTS[0], own, {})) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a..b", "character 3: expected a name"),
        ("a and", "expected a value"),
        ("a b", "expected an operator"),
        ("'open", "expected a token"),
        ("name.given", "a single value is needed"),
        ("nothing", "no element or column 'nothing'"),
        ("name.nothing.first()", "no element 'nothing'"),
        ("birthDate.tomorrow()", r"tomorrow\(\) is not supported"),
        ("%unknown", "%unknown is not defined"),
        ("gender = 1", "a text cannot be compared with a integer"),
        ("gender + 3 days", "is added to or taken from a date"),
        ("3 days", "stands only beside"),
        ("$this", "only inside a function"),
    ],
)
def test_an_expression_that_cannot_be_read_or_compiled_says_why(path: str, message: str) -> None:
    view = view_of("v", {"resource": "Patient", "select": [{"column": [{"name": "c", "path": path}]}]})
    with pytest.raises(Incorrect, match=message):
        to_sql(view, {})


def test_operators_bind_as_fhirpath_says() -> None:
    assert parse("a or b and c = 1 + 2 * 3") == Binary(
        "or",
        Member(None, "a"),
        Binary(
            "and",
            Member(None, "b"),
            Binary(
                "=",
                Member(None, "c"),
                Binary("+", Literal(1), Binary("*", Literal(2), Literal(3))),
            ),
        ),
    )
    assert parse("a - 1 - 2") == Binary("-", Binary("-", Member(None, "a"), Literal(1)), Literal(2))
    assert parse("a.b('it\\'s').`c`") == Member(Call(Member(None, "a"), "b", (Literal("it's"),)), "c")
    assert parse("d + 2 weeks") == Binary("+", Member(None, "d"), Span(2, "week"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    birth=st.dates(date(1900, 1, 1), date(2027, 12, 31)),
    at=st.dates(date(1996, 1, 1), date(2028, 12, 31)),
    months=st.integers(0, 40),
)
def test_ages_and_calendar_lengths_agree(birth: date, at: date, months: int) -> None:
    names = {"birth": sql.constant(birth), "at": sql.constant(at)}
    scope = sql.Scope(names, {})
    texts = ["age(birth, at)", "days(birth, at)", f"at - {months} months", f"at + {months} weeks", "birth + 1 year"]
    compiled = ", ".join(sql.compile_expression(parse(text), scope).sql for text in texts)
    got = CONNECTION.execute(f"select {compiled}").fetchone()
    row = rows.Row(None, {}, {"birth": birth, "at": at})
    assert got == tuple(rows.single(parse(text), row) for text in texts)


CONNECTION = duckdb.connect()
CONNECTION.execute(sql.MACROS)


# -- nothing is lost


def expected_value(value: Any, field: Field) -> Any:
    """What a typed column must hold of a JSON value: what has a column, JSON text where columns end."""
    if field.many:
        return [expected_value(item, Field(field.name, field.kind, False, field.fhir, field.fields)) for item in value]
    if field.kind == "struct":
        return {one.name: expected_value(value[one.name], one) for one in field.fields if one.name in value}
    return value


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.suite
def test_every_official_example_is_typed_right_and_kept_byte_for_byte(suites: Path, tmp_path: Path) -> None:
    by_type: dict[str, list[dict[str, Any]]] = {}
    with tarfile.open(suites / "fhir-r4-examples.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            if file is not None:
                one = orjson.loads(file.read())
                if one.get("resourceType"):
                    by_type.setdefault(one["resourceType"], []).append(one)
    resources = [one for found in by_type.values() for one in found[:4]]
    bodies = [orjson.dumps(one) for one in resources]
    connection = lake_of(tmp_path, resources, bodies).connect()
    assert len(by_type) > 100
    for type_ in sorted(by_type):
        found = connection.execute(f'select _id, _body, to_json(t) from "{type_}" t').fetchall()
        for number, body, typed in found:
            assert body.encode() == bodies[int(number)]
            resource = resources[int(number)]
            row = orjson.loads(typed)
            for field in fields_of(type_):
                wanted = expected_value(resource[field.name], field) if field.name in resource else None
                assert without_nulls(row[field.name]) == wanted, (type_, resource.get("id"), field.name)
    connection.close()
