"""Counting what changed gives what counting everything gives, whatever changes; and every kind agrees with the oracle."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import orjson
import pytest

from healthbrain import measure
from healthbrain.database import open_pool
from healthbrain.lake import Lake, engine, manifest
from healthbrain.lake.parts import Row, Spool, write_dead, write_part, write_table
from healthbrain.measure import base, increment, kept_cells
from healthbrain.measure.compute import MEDICAL, SYSTEMS, constants_at
from healthbrain.measure.definition import Definition
from healthbrain.measure.difference import Step, carry_out
from healthbrain.measure.increment import exact
from healthbrain.measure.load import definition_of, library
from healthbrain.measure.oracle import OracleMember, members
from healthbrain.measure.periods import spans
from healthbrain.measure.tally import counting
from healthbrain.terms import systems
from tests.engine.measure_cohort import AT, CENTRE, HOSPITAL, TODAY, Cohort, concept, organisations

HEAD = """
version: "1"
title: {zh: 某, en: some}
formula: {zh: 某, en: some}
source: {document: d, clause: c}
unit: "1"
direction: none
period: month
periods: "4"
also: [quarter, year, rolling]
"""
VISITS = """
prepare:
  seen_by:
    from: encounter
    where: service.exists()
    with:
      - {table: person, match: {person: person}, take: [town, sex, birth]}
      - {table: blood_pressure, match: {encounter: _id}, last: at, take: [systolic, diastolic]}
tables:
  seen:
    from: seen_by
    where: start >= %from and start <= %to
  living:
    from: person
    where: birth <= %to and (gone.empty() or gone > %to)
    add: {institution: "%home"}
constants: {home: "21"}
stratifiers:
  sex:
  grade: {title: {zh: 级, en: grade}, value: "iif(systolic >= 150, 'II', iif(systolic >= 0, 'I'))"}
"""
PLACE = "subject: _id, town: town, institution: _owner"
PEOPLE = """
denominator: {from: living, subject: person, town: town, institution: institution}
""" + VISITS.replace(
    "  grade: {title: {zh: 级, en: grade}, value: \"iif(systolic >= 150, 'II', iif(systolic >= 0, 'I'))\"}\n", ""
)
KINDS = {
    "proportion": f"""
kind: proportion
population: {{from: seen, {PLACE}, where: "service != 'emergency'", exclude: "class = 'VR'", exception: "systolic.empty()",
    numerator: systolic < 140, numerator_exclude: diastolic >= 90}}
""" + VISITS,
    "count": f"kind: count\npopulation: {{from: seen, {PLACE}, numerator: systolic.exists()}}\n" + VISITS,
    "sum": f"kind: sum\npopulation: {{from: seen, {PLACE}, observe: systolic}}\n" + VISITS,
    "mean": f"kind: mean\npopulation: {{from: seen, {PLACE}, observe: systolic, numerator: diastolic < 90}}\n" + VISITS,
    "median": f"kind: median\npopulation: {{from: seen, {PLACE}, observe: systolic}}\n" + VISITS,
    "index": f'kind: index\npopulation: {{from: seen, {PLACE}, observe: systolic, weight: "140"}}\n' + VISITS,
    "rate": f"kind: rate\nper: '1000'\npopulation: {{from: seen, {PLACE}, numerator: systolic >= 140}}\n" + PEOPLE,
    "ratio": f"kind: ratio\npopulation: {{from: seen, {PLACE}, observe: systolic}}\n" + PEOPLE,
}  # fmt: skip
DEFINITIONS = [definition_of(f"id: T-{kind.upper()}{HEAD}{text}", kind) for kind, text in KINDS.items()]


def first_of_its_kind(id_: str, key: str, more: str = "") -> Definition:
    """Visits of a month, the last one of each key."""
    table = f"""
prepare:
  seen_by:
    from: encounter
    where: service.exists()
    with: [{{table: person, match: {{person: person}}, take: [town]}}]
    add: {{visit_key: "{key}"}}
tables:
  last_seen:
    from: seen_by
    where: start >= %from and start <= %to
    one_per: {{key: visit_key, last: start}}
"""
    population = f"{{from: last_seen, {PLACE}}}"
    return definition_of(f"id: {id_}{HEAD}kind: {more or 'count'}\npopulation: {population}\n{table}", id_)


BY_PERSON = first_of_its_kind("T-BY-PERSON", "person.toString() + '/' + service")
BY_VISIT = definition_of(
    f"""id: T-BY-VISIT{HEAD}kind: count
population: {{from: last_seen, {PLACE}}}
prepare:
  seen_by:
    from: encounter
    with: [{{table: person, match: {{person: person}}, take: [town]}}]
    fold: {{key: _id, last: start}}
tables:
  last_seen:
    from: seen_by
    where: start >= %from and start <= %to
    one_per: {{key: _id, last: start}}
""",
    "T-BY-VISIT",
)
BY_SERVICE = first_of_its_kind("T-BY-SERVICE", "service + '/' + class")
BOTH = first_of_its_kind(
    "T-BOTH",
    "service + '/' + class",
    f"ratio\ndenominator: {{from: encounter, {PLACE.replace('town: town', 'town: service')}}}",
)


# each family doctors' team: a row of no person, counted with people's
TEAMS = definition_of(
    f"id: T-TEAMS{HEAD}kind: count\npopulation: {{from: team, {PLACE.replace('town: town', 'town: called')}}}",
    "T-TEAMS",
)
SHARE = definition_of(
    f"id: T-SHARE{HEAD}kind: computed\ncomponents: {{seen: T-COUNT, by: T-BY-PERSON}}\nvalue: 100 * by / seen",
    "T-SHARE",
)
LATEST = definition_of(
    f"id: T-LATEST{HEAD}kind: computed\ncomponents: {{share: T-SHARE, teams: {{measure: T-TEAMS, latest: true}}}}\nvalue: share + teams",
    "T-LATEST",
)


def some_cohort(chance: random.Random) -> Cohort:
    cohort = Cohort()
    for number in range(chance.randint(5, 8)):
        birth = date(1930 + chance.randint(0, 90), chance.randint(1, 12), chance.randint(1, 28)).isoformat()
        town = chance.choice(["310118001", "310118103", None])
        records = [cohort.person(number, birth=birth, town=town, gender=chance.choice(["male", "female"]))]
        if chance.random() < 0.4:
            records.append(cohort.person(number, birth=birth, town=town, owner=HOSPITAL))
        for _ in range(chance.randint(1, 5)):
            who, on = (
                chance.choice(records),
                TODAY - timedelta(days=chance.choice([0, 1, 19, 20, 51, 80, 140, 325, 400])),
            )
            service = chance.choice([systems.OUTPATIENT, systems.EMERGENCY, systems.HTN_FOLLOWUP])
            owner = chance.choice([CENTRE, HOSPITAL])
            visit = cohort.encounter(who, service, on, chance.choice(["AMB", "VR"]), owner)
            if chance.random() < 0.8:
                pressure(cohort, who, visit, on, chance.choice([120, 139.5, 140, 152, 165]), chance.choice([80, 95]))
    return cohort


def pressure(cohort: Cohort, who: str, visit: str, on: date, systolic: float, diastolic: float) -> None:
    def concept(code: str) -> dict[str, Any]:
        return {"coding": [{"system": systems.LOINC, "code": code}]}

    parts = [
        {"code": concept(code), "valueQuantity": {"value": value, "unit": "mmHg"}}
        for code, value in (("8480-6", systolic), ("8462-4", diastolic))
    ]
    cohort.observe(who, visit, on, concept("85354-9"), component=parts)


def expected(kind: str, found: list[OracleMember], per: float) -> tuple[float | None, float | None, float | None]:
    """Numerator, denominator and value of some members, worked out plainly."""
    own, below = [one for one in found if not one.below], [one for one in found if one.below]
    inside = [one for one in own if one.numerator]
    observed = [float(one.observed) for one in inside if one.observed is not None]
    match kind:
        case "proportion":
            parts: tuple[float, float | None] = (len(inside), len(own))
        case "count":
            return len(inside), None, len(inside)
        case "sum":
            return sum(observed), None, sum(observed)
        case "mean":
            parts = (sum(observed), len(observed))
        case "median":
            return None, len(observed), median(observed) if observed else None
        case "index":
            parts = (sum(observed), sum(float(one.weight or 0) for one in inside))
        case "rate":
            parts = (len(inside), len(below))
        case _:
            parts = (sum(observed), len(below))
    return parts[0], parts[1], per * parts[0] / parts[1] if parts[1] else None


@pytest.mark.parametrize("seed", range(2))
def test_every_kind_period_place_and_stratum_is_what_the_oracle_counts(tmp_path: Path, seed: int) -> None:
    cohort = some_cohort(random.Random(seed))
    lake = cohort.lake(tmp_path)
    for kind, computed in zip(KINDS, measure.compute_all(lake, DEFINITIONS, AT), strict=True):
        one = computed.definition
        results = {(r.period, r.level, r.key, r.stratifier, r.stratum): r for r in computed.results}
        compared = 0
        for span in spans(one, TODAY):
            if span.label not in {r.period for r in computed.results}:
                continue
            constants = {
                **SYSTEMS,
                "MEDICAL": MEDICAL,
                **one.values(),
                "from": span.start,
                "to": span.to,
                "today": TODAY,
            }
            found = members(
                one, library(), cohort.resources(), cohort.persons, constants, {"organisation": organisations()}
            )
            groups: dict[tuple[str, ...], list[OracleMember]] = defaultdict(list)
            for member in found:
                for place in (("district", ""), ("town", member.town), ("institution", member.institution)):
                    groups[*place, "", ""].append(member)
                    for stratum in member.strata:
                        groups[*place, *stratum].append(member)
            for key, group in groups.items():
                above, below, value = expected(kind, group, one.per)
                if not above and not below and key[0] != "district":
                    continue
                if key[2] and not above and not below:
                    continue
                result = results[(span.label, *key)]
                assert result.value == (None if value is None else pytest.approx(value)), (kind, span.label, key)
                if kind != "median":
                    assert result.numerator == pytest.approx(above)
                if below is not None:
                    assert result.denominator == pytest.approx(below)
                compared += 1
        assert compared > 5, kind


class Growing:
    """A lake that goes on: resources added, changed, deleted, patient records linked to another person."""

    def __init__(self, folder: Path, cohort: Cohort) -> None:
        self.lake = cohort.lake(folder)
        self.cohort = cohort
        self.versions = {(one["resourceType"], one["id"]): 1 for one, _ in cohort.rows}
        self.turn = 1
        with manifest.writer(folder):  # as the lake's own writer leaves it
            state = self.lake.state()
            manifest.swap(folder, state, replace(state, digests={"person_link": "1", "organisation": "1"}), AT)

    def go_on(self, chance: random.Random) -> None:
        self.turn += 1
        before = len(self.cohort.rows)
        changed: list[tuple[dict[str, Any], int, bool]] = []
        for resource, owner in list(self.cohort.rows):
            dice = chance.random()
            if dice < 0.08 and resource["resourceType"] == "Encounter":
                resource["period"]["start"] = (TODAY - timedelta(days=chance.randint(0, 60))).isoformat()
                changed.append((resource, owner, False))
            elif dice < 0.12 and resource["resourceType"] == "Observation":
                resource["status"] = "entered-in-error"
                changed.append((resource, owner, False))
            elif dice < 0.16 and resource["resourceType"] == "Encounter":
                changed.append((resource, owner, True))
            elif dice < 0.2 and resource["resourceType"] == "Patient":
                resource["gender"] = "male"
                changed.append((resource, owner, False))
        changed += self._team(chance)
        patient = self.cohort.person(100 + self.turn, town="310118103")
        visit = self.cohort.encounter(patient, systems.OUTPATIENT, TODAY, owner=HOSPITAL)
        pressure(self.cohort, patient, visit, TODAY, 150, 85)
        changed += [(*one, False) for one in self.cohort.rows[before:]]
        if chance.random() < 0.5:
            key = chance.choice(sorted(self.cohort.persons))
            self.cohort.persons[key] = f"P{chance.randint(0, 3):012}"
        self._write(changed)

    def _team(self, chance: random.Random) -> list[tuple[dict[str, Any], int, bool]]:
        """Now and then a team comes, changes or goes."""
        known = [one for one in self.cohort.rows if one[0]["resourceType"] == "CareTeam"]
        if chance.random() < 0.4:
            team: dict[str, Any] = {
                "resourceType": "CareTeam",
                "id": f"team{self.turn}",
                "status": "active",
                "name": "甲",
            }
            team["category"] = [concept(systems.SERVICE, systems.FAMILY_DOCTOR)]
            self.cohort.add(team, chance.choice([CENTRE, HOSPITAL]))
            return []  # it is found among the new rows
        if known and chance.random() < 0.6:
            known[0][0]["name"] = "乙"
            return [(*known[0], chance.random() < 0.5)]
        return []

    def _write(self, changed: list[tuple[dict[str, Any], int, bool]]) -> None:
        folder, old = self.lake.folder, self.lake.state()
        position = f"1.{self.turn}.1"
        connection = engine.connect(folder / "scratch")
        dead: dict[str, list[tuple[str, int]]] = defaultdict(list)
        with manifest.writer(folder), Spool(folder / "spool") as spool:
            for number, (resource, owner, gone) in enumerate(changed):
                key = (resource["resourceType"], resource["id"])
                self.versions[key] = version = self.versions.get(key, 0) + 1
                dead[key[0]] += [(key[1], version)] if version > 1 else []
                own = Cohort._own(number, resource, owner)
                spool.add(Row(*key, version, AT, gone, owner, own["_patient"], 7, position, orjson.dumps(resource)))
            spool.close()
            parts = {t: (*old.parts.get(t, ()), write_part(connection, folder, t, spool)) for t in spool.rows}
            graves = {
                t: (*old.dead.get(t, ()), write_dead(connection, folder, t, ids)) for t, ids in dead.items() if ids
            }
            tables, digests = dict(old.tables), dict(old.digests)
            rows = [{"patient": k, "person": v} for k, v in self.cohort.persons.items()]
            lines = b"\n".join(orjson.dumps(row) for row in rows)
            tables["person_link"] = write_table(connection, folder, "person_link", lines, len(rows))
            digests["person_link"] = str(self.turn)
            state = replace(
                old,
                parts={**old.parts, **parts},
                dead={**old.dead, **graves},
                tables=tables,
                digests=digests,
                position=position,
            )
            manifest.swap(folder, old, state, AT)
        connection.close()


async def figures(pool: Any) -> list[Any]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "select measure, period, level, key, stratifier, stratum, numerator, denominator, value, low, high, small "
            "from measure_figure order by 1, 2, 3, 4, 5, 6"
        )
        return list(await cursor.fetchall())


@pytest.mark.parametrize("seed", range(2))
def test_counting_what_changed_gives_what_counting_everything_gives(dsn: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    growing = Growing(tmp_path, some_cohort(chance))
    built_in = [one for one in measure.built_in() if one.id in {"IND-Q-08", "IND-Q-10", "HUB-EX-11", "POP-RESIDENT"}]
    chosen = [*DEFINITIONS, BY_PERSON, BY_SERVICE, *(replace(one, periods=2, also=()) for one in built_in)]

    async def story() -> None:
        pool = await open_pool(dsn, size=2)
        try:
            first = await measure.refresh(pool, growing.lake, AT, definitions=chosen)
            assert first.everything
            for turn in range(2):
                growing.go_on(chance)
                at = AT + timedelta(minutes=turn + 1)
                step = await measure.refresh(pool, growing.lake, at, definitions=chosen)
                assert not step.everything
                assert step.persons > 0
                some = await figures(pool)
                again = await measure.refresh(pool, Lake(growing.lake.folder), at, definitions=chosen, everything=True)
                assert again.everything
                assert some == await figures(pool)
                assert some
            growing.go_on(chance)
            night = AT + timedelta(days=1)
            assert (await measure.refresh(pool, growing.lake, night, definitions=chosen)).everything
            some = await figures(pool)
            await measure.refresh(pool, growing.lake, night, definitions=chosen, everything=True)
            assert some == await figures(pool)
        finally:
            await pool.close()

    asyncio.run(story())


@pytest.mark.parametrize(("seed", "most"), [(2, 0.0), (3, 100.0), (4, 100.0), (5, 100.0)])
def test_what_many_changes_add_up_to_is_what_counting_everything_gives(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, most: float
) -> None:
    """One change after the other without counting everything between; cells kept with what changed apart, or written anew."""
    monkeypatch.setattr(kept_cells, "_MOST", most)
    chance = random.Random(seed)
    growing = Growing(tmp_path, some_cohort(chance))
    chosen = [*DEFINITIONS, BY_PERSON, BY_VISIT, BY_SERVICE, TEAMS, SHARE, LATEST]

    async def story() -> None:
        pool = await open_pool(dsn, size=2)
        try:
            await measure.refresh(pool, growing.lake, AT, definitions=chosen)
            for turn in range(5):
                growing.go_on(chance)
                step = await measure.refresh(pool, growing.lake, AT + timedelta(minutes=turn), definitions=chosen)
                assert not step.everything
            assert bool(base.load(growing.lake.folder / base.FOLDER).difference) == (most > 0)
            some = await figures(pool)
            async with pool.connection() as connection:  # nothing is known of what is shown: all is put again
                await connection.execute("delete from measure_figure")
                await connection.execute("delete from measure_run")
            await measure.refresh(pool, growing.lake, AT, definitions=chosen, everything=True)
            assert some == await figures(pool)
            assert {"T-TEAMS", "T-SHARE", "T-LATEST"} <= {row[0] for row in some}
        finally:
            await pool.close()

    asyncio.run(story())


def test_when_changes_touch_too_many_people_everybody_is_counted(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increment, "MOST_PEOPLE", 0)
    monkeypatch.setattr(increment, "MOST_TOUCHED", 0.0)
    chance = random.Random(6)
    growing = Growing(tmp_path, some_cohort(chance))

    async def story() -> None:
        pool = await open_pool(dsn, size=2)
        try:
            await measure.refresh(pool, growing.lake, AT, definitions=DEFINITIONS)
            growing.go_on(chance)
            assert (await measure.refresh(pool, growing.lake, AT, definitions=DEFINITIONS)).everything
            some = await figures(pool)
            await measure.refresh(pool, growing.lake, AT, definitions=DEFINITIONS, everything=True)
            assert some == await figures(pool)
        finally:
            await pool.close()

    asyncio.run(story())


def test_a_step_is_carried_out_after_those_that_it_needs() -> None:
    connection = duckdb.connect()
    chain = [
        Step(f"t{n}", frozenset({f"t{n - 1}"} if n else ()), (f"create table t{n} as select {n} as n {f'from t{n - 1}' if n else ''}",))
        for n in reversed(range(12))
    ]  # fmt: skip
    carry_out(connection, [*chain, Step("alone", frozenset(), ("create table alone as select 1 as n",))])
    assert connection.execute("select t11.n from t11 join alone on true").fetchall() == [(11,)]


def test_a_step_that_fails_is_an_error_and_what_needs_it_is_not_carried_out() -> None:
    connection = duckdb.connect()
    steps = [
        Step("broken", frozenset(), ("create table broken as select * from nothing",)),
        Step("after", frozenset({"broken"}), ("create table after_all as select 1",)),
    ]
    with pytest.raises(duckdb.CatalogException):
        carry_out(connection, steps)
    assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]


def test_a_key_that_begins_with_the_person_is_counted_by_person_and_another_is_not() -> None:
    counted = counting([BY_PERSON, BY_VISIT, BY_SERVICE], library(), constants_at(TODAY))
    assert [group.personal for group in counted.groups] == [True, True, False]
    built_in = [one for one in measure.built_in() if one.id in {"IND-Q-05", "BPHS-INF01"}]
    assert all(group.personal for group in counting(built_in, library(), constants_at(TODAY)).groups)


def test_a_measure_of_people_and_of_what_is_not_is_never_counted_by_differences() -> None:
    assert exact(counting([BY_PERSON, BY_SERVICE], library(), constants_at(TODAY)))
    assert not exact(counting([BOTH], library(), constants_at(TODAY)))
