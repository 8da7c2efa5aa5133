"""How long measures take: everything counted anew, then after 10,000 changed resources, then the screens' questions.

    python tools/bench_measures.py [--residents 10000] [--organisations 1000] [--measures 100] [--keep FOLDER [--only prepare|change]] [--check]

A synthetic lake is written straight as Parquet (no store, no HTTP): people of Chinese ages in 200 towns, three years of visits
and diagnoses, chronic programmes with their follow-ups, screenings, vaccinations, laboratory results; about 38 resources a
resident. Measures are the built-in ones that are counted from the lake, with twelve months each, and copies with other age
limits and thresholds up to the number asked for. Results go into an embedded PostgreSQL with its usual settings. Memory is the
largest of this process (DuckDB included, PostgreSQL not). Figures are of this one run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import duckdb

from healthbrain import measure
from healthbrain.database import Connection, Embedded, Pool, apply_migrations, open_pool
from healthbrain.lake import Lake, engine, manifest
from healthbrain.lake.manifest import Manifest, Part
from healthbrain.measure import Definition
from healthbrain.measure.definition import COMPUTED_HERE
from healthbrain.terms import systems as s

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
TODAY = "date '2026-11-20'"
CHANGES = 10_000
_FINDING_CODES = ("gestational-age", "self-care", "tcm-constitution", "smi-class", "tb-adherence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=10_000)
    parser.add_argument("--organisations", type=int, default=1_000)
    parser.add_argument("--measures", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="keep database and lake in this folder")
    parser.add_argument(
        "--only",
        choices=("prepare", "change"),
        default="",
        help="of a kept folder: fill it; or only change it and count",
    )
    parser.add_argument(
        "--check", action="store_true", help="then count everything anew, which must give the same figures"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how many times 10,000 resources change")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-measures-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        lake = write_lake(folder / "lake", options.residents, options.organisations)
        server = Embedded(folder / "postgres")
        dsn = server.start()
        try:
            apply_migrations(dsn)
            asyncio.run(bench(dsn, lake, definitions(options.measures), options))
        finally:
            server.stop()


async def bench(dsn: str, lake: Lake, chosen: Sequence[Definition], options: argparse.Namespace) -> None:
    pool = await open_pool(dsn, size=4)
    try:
        print(f"{options.residents:,} residents, {lake.state().rows():,} resources, {len(chosen)} measures x 12 months")
        if options.only != "change":
            await timed("everything counted anew, lake to results", pool, lake, chosen, AT)
        if not options.only:
            await timed("the same again, nothing to write", pool, lake, chosen, AT, everything=True)
        if options.only != "prepare":
            for round_ in range(options.rounds):
                change(lake)
                at = AT + timedelta(minutes=round_ + 1)
                await timed(f"after {CHANGES:,} changed resources", pool, lake, chosen, at)
        if options.check:
            before = await figures(pool)
            await timed("everything counted anew", pool, lake, chosen, AT + timedelta(hours=1), everything=True)
            print("the figures are the same" if before == await figures(pool) else "THE FIGURES DIFFER")
        if not options.only:
            await timed("the next night", pool, lake, chosen, AT + timedelta(days=1))
            await screens(pool)
    finally:
        await pool.close()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory of this process {used:,.0f} MB; load of the machine now {os.getloadavg()[0]:.1f}")


async def timed(
    what: str, pool: Pool, lake: Lake, chosen: Sequence[Definition], at: datetime, *, everything: bool = False
) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    done = await measure.refresh(pool, lake, at, definitions=chosen, everything=everything)
    print(
        f"{what:45} {time.perf_counter() - wall:8.1f} s wall {time.process_time() - cpu:8.1f} s CPU "
        f"{done.figures:>10,} figures {done.changed:>7,} changed {done.persons:>8,} persons",
        flush=True,
    )


async def figures(pool: Pool) -> object:
    """A digest of all figures, and how many there are."""
    text = "concat_ws('|', measure, version, period, level, key, stratifier, stratum, numerator, denominator, value, low, high, small)"
    async with pool.connection() as connection:
        query = f"select sum(hashtextextended({text}, 0)::numeric), count(*) from measure_figure"  # a constant
        return await (await connection.execute(query.encode())).fetchone()


async def screens(pool: Pool) -> None:
    """What a cockpit page asks for, fifty times each."""

    async def page(connection: Connection) -> None:
        await measure.headline(connection)
        await measure.trend(connection, "IND-Q-08")
        await measure.by_division(connection, "IND-Q-08")
        await measure.by_institution(connection, "IND-Q-08")
        await measure.trend(connection, "PH-ILI")

    questions: dict[str, Callable[[Connection], Awaitable[object]]] = {
        "headline of all measures": measure.headline,
        "by institution": lambda connection: measure.by_institution(connection, "IND-Q-08"),
        "all that a cockpit page asks": page,
    }
    async with pool.connection() as connection:
        for name, ask in questions.items():
            took = []
            for _ in range(50):
                started = time.perf_counter()
                await ask(connection)
                took.append(1000 * (time.perf_counter() - started))
            print(f"{name:45} p50 {sorted(took)[25]:6.1f} ms  p95 {quantiles(took, n=20)[-1]:6.1f} ms")


def definitions(number: int) -> list[Definition]:
    """So many measures that are counted from the lake, those that are computed from them, twelve months each."""
    own = [replace(one, periods=12, also=()) for one in measure.built_in() if one.kind not in COMPUTED_HERE]
    computed = [replace(one, periods=12, also=()) for one in measure.built_in() if one.kind == "computed"]
    found = own[:number]
    step = 0
    while len(found) < number:
        step += 1
        found += [_other(one, step) for one in own[: number - len(found)]]
    return [*found, *computed]


def _other(one: Definition, step: int) -> Definition:
    """The same measure with other age limits and thresholds: tables of its own, not shared with the first."""

    def shifted(text: str) -> str:
        return re.sub(r"(>= |<= |> |< )(\d+)\b", lambda match: f"{match[1]}{int(match[2]) + step}", text)

    tables = tuple(replace(table, where=shifted(table.where), keep=shifted(table.keep)) for table in one.tables)
    population = one.population and replace(one.population, numerator=shifted(one.population.numerator))
    return replace(one, id=f"{one.id}-{step}", tables=tables, population=population)


# -- the synthetic lake


def write_lake(folder: Path, residents: int, organisations: int) -> Lake:
    if (folder / manifest.NAME).exists():
        return Lake(folder)
    started = time.perf_counter()
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    connection = engine.connect(folder / "scratch", memory="6GB")
    with manifest.writer(folder):
        world(connection, residents, organisations)
        parts = {type_: (part(connection, folder, type_, query),) for type_, query in resources().items()}
        tables = {
            "person_link": table(
                connection,
                folder,
                "person_link",
                "select patient, 'P' || lpad(i::varchar, 12, '0') as person from patients",
            ),
            "organisation": table(connection, folder, "organisation", "select * from organisations"),
        }
        state = Manifest(
            position="1.1.1", at=AT, parts=parts, tables=tables, digests={"person_link": "1", "organisation": "1"}
        )
        manifest.swap(folder, Manifest(), state, AT)
    connection.close()
    print(f"the lake was written in {time.perf_counter() - started:.0f} s", flush=True)
    return Lake(folder)


def world(connection: duckdb.DuckDBPyConnection, residents: int, organisations: int) -> None:
    """Organisations, people and their patient records, visits: what resources are made of. Chance is a digest of numbers."""
    run = connection.execute
    run("create macro chance(i, salt) as (hash(i * 1000003 + salt) % 1000000) / 1000000.0")
    run("create macro pick(i, salt, n) as cast(hash(i * 1000003 + salt) % n as bigint)")
    run(
        "create macro moment(d, i) as strftime(d, '%Y-%m-%d') || 'T' || lpad((8 + pick(i, 77, 9))::varchar, 2, '0') || ':15:00+08:00'"
    )
    run("create macro concept(sys, c) as {coding: [{system: sys, code: c, display: null::varchar}]}")
    run(
        f"""create table organisations as select 100 + n as key, 'O' || n as code, '机构' || n as name,
            case when n = 0 then 'district' else 'institution' end as kind, case when n > 0 then 100 end::bigint as parent,
            'org-O' || n as fhir_id, case when n = 0 then '' when n % 10 = 1 then 'A100' when n % 5 = 2 then 'B100' else 'D100' end as facility_class,
            '3101' || lpad((18000 + n % 200)::varchar, 5, '0') as division from range({organisations}) t(n)"""
    )
    run(
        f"""create table people as select i, {TODAY} - cast(365 * least(95, 78 * pow(chance(i, 1), 0.8)) + pick(i, 2, 365) as integer) as birth,
            chance(i, 3) < 0.5 as man, 101 + pick(i, 4, {organisations - 1}) as home,
            '3101' || lpad((18000 + pick(i, 5, 200))::varchar, 5, '0') as town,
            case when chance(i, 6) < 0.02 then {TODAY} - cast(pick(i, 7, 1000) as integer) end as died
            from range({residents}) t(i)"""
    )
    run(
        "create table patients as select i, 2 * i + s.side as patient, s.side, case s.side when 0 then home else 101 + (home * 7) % 900 end as owner, * exclude (i, home, side) from people, (values (0), (1)) s(side) where s.side = 0 or chance(i, 8) < 0.3"
    )
    age = f"date_diff('year', birth, {TODAY})"
    visits = [
        ("outpatient", "true", 12, "AMB"),
        ("emergency", "chance(i, 9) < 0.2", 1, "EMER"),
        ("inpatient", "chance(i, 10) < 0.1", 1, "IMP"),
        ("htn-followup", f"{age} >= 35 and chance(i, 11) < 0.22", 12, "AMB"),
        ("dm-followup", f"{age} >= 35 and chance(i, 12) < 0.08", 12, "AMB"),
        ("annual-exam", f"{age} >= 60 or chance(i, 13) < 0.05", 3, "AMB"),
        ("child-checkup", f"{age} < 4", 6, "AMB"),
        ("women-screening", f"not man and {age} between 35 and 64", 1, "AMB"),
        ("tcm-elderly", f"{age} >= 65", 2, "AMB"),
    ]
    queries = [
        f"select patient, owner, i, {literal(service)} as service, {literal(class_)} as class, "
        f"{TODAY} - cast(1095 * (n + chance(i * 31 + n, {salt + 20})) / {times} as integer) as day, "
        f"'e{salt}-' || patient || '-' || n as id from patients, range({times}) t(n) where side = 0 and {who}"
        for salt, (service, who, times, class_) in enumerate(visits)
    ]
    run(f"create table visits as {' union all '.join(queries)}")


def resources() -> dict[str, str]:
    """Each type's rows, with the elements that views read in the shape of the lake's columns."""
    provider = "{reference: 'Organization/org-O' || (owner - 100)}"
    subject = "'Patient/' || patient"
    patient = f"""select 'p' || patient as _id, owner as _owner, patient as _patient, case when man then 'male' else 'female' end as gender,
        strftime(birth, '%Y-%m-%d') as birthDate, strftime(died, '%Y-%m-%d') as deceasedDateTime, null::boolean as deceasedBoolean,
        [{{extension: [to_json({{url: {literal(s.EXT_DIVISION)}, valueString: town}})]}}] as address,
        [to_json({{url: {literal(s.EXT_REGISTRATION)}, valueString: '310118'}})] as extension,
        [{{system: {literal(s.HEALTH_RECORD)}, value: case when chance(i, 30) < 0.9 then 'r' || i end}}] as identifier from patients"""
    encounter = f"""select id as _id, owner as _owner, patient as _patient, 'finished' as status, {{code: class}} as class,
        [concept({literal(s.SERVICE)}, service)] as type, {{start: moment(day, patient), "end": null::varchar}} as period,
        {{reference: {subject}}} as subject, {provider} as serviceProvider from visits"""
    programmes = {
        s.HTN_MANAGEMENT: "patient in (select patient from visits where service = 'htn-followup')",
        s.DM_MANAGEMENT: "patient in (select patient from visits where service = 'dm-followup')",
        s.FAMILY_DOCTOR: "chance(i, 40) < 0.45",
        s.VACCINATION_CARD: "birth > date '2019-01-01'",
        s.SMI_MANAGEMENT: "chance(i, 41) < 0.004",
        s.TB_MANAGEMENT: "chance(i, 42) < 0.001",
    }
    episode = " union all ".join(
        f"""select 'c{n}-' || patient as _id, owner as _owner, patient as _patient, 'active' as status,
        [concept({literal(s.SERVICE)}, {literal(code)})] as type, {{start: strftime(birth + interval 1 year, '%Y-%m-%d'), "end": null::varchar}} as period,
        {provider} as managingOrganization, {{reference: 'Practitioner/d' || pick(i, 43, 5000)}} as careManager,
        [to_json({{url: {literal(s.EXT_CHANNEL)}, valueCode: case when chance(i, 44) < 0.4 then 'online' else 'onsite' end}})] as extension
        from patients where side = 0 and {who}"""
        for n, (code, who) in enumerate(programmes.items())
    )
    condition = f"""select 'd' || id as _id, owner as _owner, patient as _patient, {{reference: 'Encounter/' || id}} as encounter,
        concept({literal(s.ICD10)}, ['J06.9', 'I10', 'E11.9', 'J11.1', 'K29.5', 'M54.5', 'J20.9', 'C34.1'][1 + pick(patient * 13 + length(id), 50, 8)]) as code,
        null::varchar as onsetDateTime, strftime(day, '%Y-%m-%d') as recordedDate, cast([] as struct(summary struct(coding struct(system varchar, code varchar, display varchar)[]))[]) as stage
        from visits where service in ('outpatient', 'emergency', 'inpatient')"""
    months = [
        ("BCG", 0),
        ("HepB", 0),
        ("HepB", 1),
        ("HepB", 6),
        ("IPV", 2),
        ("IPV", 3),
        ("bOPV", 4),
        ("DTaP", 3),
        ("DTaP", 4),
        ("DTaP", 5),
        ("MMR", 8),
    ]
    doses = ", ".join(f"({literal(vaccine)}, {month}, {n})" for n, (vaccine, month) in enumerate(months))
    immunization = f"""select 'i' || patient || '-' || n as _id, owner as _owner, patient as _patient, 'completed' as status,
        concept({literal(s.VACCINE)}, vaccine) as vaccineCode, strftime(birth + to_months(m) + to_days(pick(i * 17 + n, 60, 40)::integer), '%Y-%m-%d') as occurrenceDateTime
        from patients, (values {doses}) v(vaccine, m, n) where side = 0 and birth > date '2012-01-01' and chance(i * 17 + n, 61) < 0.95"""
    return {
        "Patient": patient, "Encounter": encounter, "EpisodeOfCare": episode, "Condition": condition,
        "Immunization": immunization, "Observation": observations(),
    }  # fmt: skip


def observations() -> str:
    """Pressure, glucose, class and next date of each follow-up, findings, and laboratory results of outpatients."""
    quantity = "{value: %s::double, unit: %s, code: %s}"
    none = "null::struct(value double, unit varchar, code varchar)"
    no_concept = "null::struct(coding struct(system varchar, code varchar, display varchar)[])"
    no_parts = f"cast([] as struct(code struct(coding struct(system varchar, code varchar, display varchar)[]), valueQuantity struct(value double, unit varchar, code varchar))[])"  # noqa: F541  # braces stay as they are
    parts = "[{code: concept(%s, '8480-6'), valueQuantity: %s}, {code: concept(%s, '8462-4'), valueQuantity: %s}]" % (  # noqa: UP031  # braces
        literal(s.LOINC), quantity % ("115 + pick(n, 70, 45)", "'mmHg'", "'mm[Hg]'"),
        literal(s.LOINC), quantity % ("68 + pick(n, 71, 28)", "'mmHg'", "'mm[Hg]'"),
    )  # fmt: skip

    def one(
        prefix: str, system: str, code: str, value: str, coded: str, moment: str, component: str, where: str
    ) -> str:
        return f"""select '{prefix}' || id as _id, owner as _owner, patient as _patient, 'final' as status,
            concept({literal(system)}, {code}) as code, {{reference: 'Encounter/' || id}} as encounter,
            moment(day, patient) as effectiveDateTime, moment(day, patient) as issued, {value} as valueQuantity, {coded} as valueCodeableConcept,
            {moment} as valueDateTime, {component} as component from numbered where {where}"""

    followups = "service in ('htn-followup', 'dm-followup')"
    verdict = (
        f"concept({literal(s.FINDING)}, ['controlled', 'controlled', 'uncontrolled', 'adverse'][1 + pick(n, 72, 4)])"
    )
    codes = "[" + ", ".join(literal(code) for code in _FINDING_CODES) + "]"
    laboratory = "['718-7', '2345-7', '2160-0', '2093-3', '1742-6', '3094-0'][1 + pick(n, 73, 6)]"
    queries = [
        one("bp", s.LOINC, "'85354-9'", none, no_concept, "null", parts, "service in ('htn-followup', 'annual-exam')"),
        one("fg", s.LOINC, "'14771-0'", quantity % ("4.5 + 5 * chance(n, 74)", "'mmol/L'", "'mmol/L'"), no_concept, "null", no_parts, "service = 'dm-followup'"),
        one("fc", s.FINDING, "'followup-class'", none, verdict, "null", no_parts, followups),
        one("nf", s.FINDING, "'next-followup'", none, no_concept, "strftime(day + 90, '%Y-%m-%d')", no_parts, followups),
        one("fi", s.FINDING, f"{codes}[1 + pick(n, 75, 5)]", none, verdict, "null", no_parts, "service in ('annual-exam', 'tcm-elderly', 'women-screening')"),
        one("la", s.LOINC, laboratory, quantity % ("5 + 10 * chance(n, 76)", "'g/L'", "'g/L'"), no_concept, "null", no_parts, "service in ('outpatient', 'inpatient') and chance(n, 78) < 0.6"),
    ]  # fmt: skip
    return f"with numbered as (select *, cast(hash(id) % 1000000007 as bigint) as n from visits) {' union all '.join(queries)}"


def change(lake: Lake) -> None:
    """New versions and new resources, 10,000 in all, as the lake's writer would add them."""
    folder, old = lake.folder, lake.state()
    connection = lake.connect(state=old)
    round_ = int(old.position.split(".")[1]) - 1
    position = f"1.{round_ + 2}.1"
    share = max(1, lake.state().rows() // (CHANGES * 2))
    changed = {
        "Patient": f"select * replace (_version + 1 as _version, 'female' as gender) from Patient where hash(_id) % {share * 8} = {round_} limit {CHANGES // 10}",
        "Observation": f"select * replace (_version + 1 as _version, 'entered-in-error' as status) from Observation where hash(_id) % {share} = {round_} limit {CHANGES * 4 // 10}",
        "Encounter": f"select * replace (_id || 'x{round_}' as _id) from Encounter where hash(_id) % {share} = {round_ + 1} limit {CHANGES * 5 // 10}",
    }
    with manifest.writer(folder):
        parts, dead = dict(old.parts), dict(old.dead)
        for type_, query in changed.items():
            query = f"select * replace ('{position}' as _position) from ({query})"
            parts[type_] = (*parts[type_], put(connection, folder, f"parts/{type_}", query))
            fresh = folder / parts[type_][-1].file
            graves = f"select _id, _version from read_parquet('{fresh}') where _version > 1"
            dead[type_] = (
                *dead.get(type_, ()),
                put(connection, folder, f"parts/{type_}", graves, suffix=".dead.parquet"),
            )
        manifest.swap(folder, old, replace(old, parts=parts, dead=dead, position=position), AT)
    connection.close()


def part(connection: duckdb.DuckDBPyConnection, folder: Path, type_: str, query: str) -> Part:
    own = "1::bigint as _version, timestamptz '2026-11-01 00:00:00+00' as _updated, false as _deleted, 7::bigint as _delivery, '1.1.1' as _position, '' as _body"
    return put(connection, folder, f"parts/{type_}", f"select *, {own} from ({query})")


def table(connection: duckdb.DuckDBPyConnection, folder: Path, name: str, query: str) -> Part:
    return put(connection, folder, "tables", query)


def put(connection: duckdb.DuckDBPyConnection, folder: Path, under: str, query: str, suffix: str = ".parquet") -> Part:
    file = f"{under}/{uuid.uuid4().hex}{suffix}"
    (folder / under).mkdir(parents=True, exist_ok=True)
    done = connection.execute(f"copy ({query}) to '{folder / file}' (format parquet, compression zstd)").fetchone()
    return Part(file, int(done[0]) if done else 0, (folder / file).stat().st_size)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
