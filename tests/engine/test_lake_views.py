"""Base views and expressions: DuckDB and plain Python say the same; nothing of a resource is lost."""

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
from healthbrain.lake import Lake, engine
from healthbrain.lake import expression_rows as rows
from healthbrain.lake import expression_sql as sql
from healthbrain.lake.base_view import CARRIED, base_view, to_rows, to_sql
from healthbrain.lake.columns import Field, fields_of
from healthbrain.lake.expression import Binary, Call, Literal, Name, Span, parse
from healthbrain.lake.local_time import MACROS
from healthbrain.lake.manifest import Manifest, swap, writer
from healthbrain.lake.parts import Row, Spool, write_part

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
COLUMNS: list[tuple[str, str, str]] = [  # path, type, tag
    ("gender", "string", ""),
    ("birthDate", "date", "day"),
    ("birthDate", "date", "instant"),
    ("birthDate", "date", ""),
    ("deceased.ofType(dateTime)", "dateTime", "day"),
    ("deceased.ofType(dateTime)", "dateTime", "instant"),
    ("deceased.ofType(boolean)", "boolean", ""),
    ("multipleBirth.ofType(integer) + 1", "integer", ""),
    ("multipleBirth.ofType(integer) / 4", "decimal", ""),
    ("multipleBirth.ofType(integer)", "decimal", ""),
    ("name.given.first()", "string", ""),
    ("name.given[1]", "string", ""),
    ("name.where(text.exists()).text.first()", "string", ""),
    ("identifier.where(system = %there).value.first()", "string", ""),
    ("address.extension('u:division').value.ofType(string).first()", "string", ""),
    ("extension('u:nested').extension('part').value.ofType(decimal).last()", "decimal", ""),
    ("managingOrganization.getReferenceKey(Organization)", "string", ""),
    ("managingOrganization.getReferenceKey(Patient)", "string", ""),
    ("gender = 'female' and deceased.ofType(boolean)", "boolean", ""),
]


def column(name: str, path: str, type_: str, tag: str) -> dict[str, Any]:
    return {"name": name, "path": path, "type": type_, **({"tag": [{"name": "hb/type", "value": tag}]} if tag else {})}


def test_a_base_view_gives_the_same_rows_in_duckdb_as_by_the_oracle(tmp_path: Path) -> None:
    view = base_view(
        "v",
        {"resource": "Patient", "select": [{"column": [column(f"c{n}", *one) for n, one in enumerate(COLUMNS)]}]},
    )
    constants: dict[str, sql.Constant] = {"there": "y", "several": ("x", "y"), "to": date(2026, 1, 1)}
    connection = lake_of(tmp_path, PATIENTS).connect()
    found = connection.execute(f"{to_sql(view, constants)} order by _id")
    names = [one[0] for one in found.description or ()]
    assert names == list(view.kinds())
    for number, values in enumerate(found.fetchall()):
        own = {"_id": str(number), "_patient": 5, "_owner": 1, "_updated": AT}
        (expected,) = to_rows(view, PATIENTS[number], own, constants)
        assert dict(zip(names, values, strict=True)) == expected
    connection.close()


def test_days_are_local_and_instants_the_earliest_a_date_may_mean() -> None:
    view = base_view(
        "v",
        {
            "resource": "Patient",
            "select": [
                {
                    "column": [
                        column("day", "deceased.ofType(dateTime)", "dateTime", "day"),
                        column("born", "birthDate", "date", "instant"),
                        column("text", "birthDate", "date", ""),
                    ]
                }
            ],
        },
    )
    assert {key: kind for key, kind in view.kinds().items() if key not in CARRIED} == {
        "day": "date",
        "born": "instant",
        "text": "text",
    }
    (found,) = to_rows(view, PATIENTS[1], {"_id": "1", "_patient": 5, "_owner": 1, "_updated": AT}, {})
    assert found["day"] == date(2026, 1, 2)  # half past four in the afternoon of the day before, in Greenwich
    assert found["born"] == datetime(1960, 4, 30, 16, tzinfo=UTC)
    assert found["text"] == "1960-05"


def test_a_view_has_a_row_per_item_of_for_each_and_only_where_its_conditions_hold(tmp_path: Path) -> None:
    view = base_view(
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
    assert view.repeats
    assert found == [("1960-05", "1", 1), ("1960-05", "2", 1)]
    own = {"_id": "1", "_patient": 5, "_owner": 1, "_updated": AT}
    assert [one["value"] for one in to_rows(view, PATIENTS[1], own, {})] == ["1", "2"]
    assert list(to_rows(view, PATIENTS[0], own, {})) == []


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"name": "c", "path": "deceased.ofType(boolean)"}, "column c: it yields boolean; declare its type"),
        ({"name": "c", "path": "gender", "tag": [{"name": "hb/type", "value": "week"}]}, "day or instant, not week"),
        ({"name": "c", "path": "multipleBirth.ofType(integer)", "tag": [{"name": "hb/type", "value": "day"}]}, "yields integer"),
        ({"name": "_id", "path": "gender"}, "a name has letters"),
        ({"name": "c", "path": "name.given", "collection": True}, "it needs another name, and one value"),
        ({"name": "c", "path": "identifier.where(system = %unknown).value.first()"}, "there is no constant %unknown"),
        ({"name": "c", "path": "gender.tomorrow()"}, r"there is no function tomorrow\(\)"),
    ],
)  # fmt: skip
def test_a_base_view_that_cannot_be_read_or_compiled_says_why(column: dict[str, Any], message: str) -> None:
    with pytest.raises(Incorrect, match=message):
        to_sql(base_view("v", {"resource": "Patient", "select": [{"column": [column]}]}), {})


# -- expressions over flat rows

TYPES: dict[str, sql.Kind] = {
    "town": "text", "n": "integer", "x": "decimal", "dead": "boolean", "birth": "date", "at": "instant",
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"town": "310118001", "n": 7, "x": 2.5, "dead": False, "birth": date(1960, 2, 29), "at": AT},
    {"town": "O'Neil \\", "n": -1, "x": 0.0, "dead": True, "birth": date(2026, 1, 31), "at": AT},
    dict.fromkeys(TYPES),
]
EXPRESSIONS = [
    "town", "town.substring(0, 6)", "town.substring(4)", "town.substring(20)", "town.startsWith('3101')",
    "town.contains('Neil')", "town.lower()", "town + '/' + n.toString()", "dead.toString()", "town.exists()", "town.empty()",
    "town.empty().not()", "n.toString().toInteger() + 1", "n / 4", "n.toDecimal() * 2", "-n", "n + x", "n - 1 - 1",
    "n > 3 and dead", "n > 3 or dead", "dead xor town.exists()", "n > 3 implies dead", "n != 7", "x >= 2.5", "n = x",
    "town in ('310118001' | 'b')", "town in %several", "n in (7 | 8)",
    "iif(n = 7, 'seven', 'other')", "iif(n = 7, 1)", "iif(dead, n, x)", "iif(dead = {}, 1, 2)",
    "band(n, 3, 8)", "band(n, 1)", "age(birth, %to)", "days(birth, %to)", "birth + 1 month", "birth - 2 weeks >= %to",
    "at + 24 hours", "at - 3 days", "true or dead", "false and dead", "%town = town", "`town`",
]  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_mean_the_same_to_duckdb_and_to_the_oracle(text: str) -> None:
    constants: dict[str, sql.Constant] = {"several": ("a", "310118001"), "to": date(2026, 2, 28), "town": "310118001"}
    for record in ROWS:
        names = {
            key: sql.Value(f"cast({_sql(value)} as {_DUCKDB[TYPES[key]]})", TYPES[key]) for key, value in record.items()
        }
        compiled = sql.compile_expression(parse(text), sql.Scope(names, constants))
        (got,) = CONNECTION.execute(f"select {compiled.sql}").fetchone() or ("nothing",)
        assert got == rows.evaluate(parse(text), rows.Row(record, constants)), record


_DUCKDB = {
    "text": "varchar", "integer": "bigint", "decimal": "double", "boolean": "boolean", "date": "date", "instant": "timestamptz",
}  # fmt: skip


def _sql(value: Any) -> str:
    return f"'{value.isoformat()}'" if isinstance(value, datetime) else sql.constant(value).sql


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n..m", "character 3: expected the name of a function"),
        ("n and", "expected a value"),
        ("n m", "expected an operator"),
        ("'open", "expected a token"),
        ("name.given", r"character 11: expected `\(`"),
        ("town[0]", "expected a token"),
        ("nothing", "there is no column 'nothing'"),
        ("birth.tomorrow()", r"tomorrow\(\) is not supported"),
        ("town.where(true)", r"where\(\) is not supported"),
        ("('a' | 'b').first()", "a list stands only behind `in`"),
        ("%unknown", "%unknown is not defined"),
        ("town = 1", "a text cannot be compared with a integer"),
        ("town + 3 days", "is added to or taken from a date"),
        ("3 days", "stands only beside"),
    ],
)
def test_an_expression_that_cannot_be_read_or_compiled_says_why(text: str, message: str) -> None:
    names = {key: sql.Value(key, kind) for key, kind in TYPES.items()}
    with pytest.raises(Incorrect, match=message):
        sql.compile_expression(parse(text), sql.Scope(names, {}))


def test_operators_bind_as_in_fhirpath() -> None:
    assert parse("a or b and c = 1 + 2 * 3") == Binary(
        "or",
        Name("a"),
        Binary(
            "and",
            Name("b"),
            Binary(
                "=",
                Name("c"),
                Binary("+", Literal(1), Binary("*", Literal(2), Literal(3))),
            ),
        ),
    )
    assert parse("a - 1 - 2") == Binary("-", Binary("-", Name("a"), Literal(1)), Literal(2))
    assert parse("a.b('it\\'s').c()") == Call(Call(Name("a"), "b", (Literal("it's"),)), "c", ())
    assert parse("d + 2 weeks") == Binary("+", Name("d"), Span(2, "week"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    birth=st.dates(date(1900, 1, 1), date(2027, 12, 31)),
    at=st.dates(date(1996, 1, 1), date(2028, 12, 31)),
    months=st.integers(0, 40),
)
def test_ages_and_calendar_lengths_agree(birth: date, at: date, months: int) -> None:
    names = {"birth": sql.constant(birth), "at": sql.constant(at)}
    texts = ["age(birth, at)", "days(birth, at)", f"at - {months} months", f"at + {months} weeks", "birth + 1 year"]
    compiled = ", ".join(sql.compile_expression(parse(text), sql.Scope(names, {})).sql for text in texts)
    got = CONNECTION.execute(f"select {compiled}").fetchone()
    row = rows.Row({"birth": birth, "at": at}, {})
    assert got == tuple(rows.evaluate(parse(text), row) for text in texts)


CONNECTION = duckdb.connect()
CONNECTION.execute("set TimeZone = 'UTC'")
CONNECTION.execute(MACROS)


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
