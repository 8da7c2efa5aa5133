"""A measure gives the same members whether DuckDB computes it or plain Python does, on any cohort.

Here the measures whose rules have the most borders, over cohorts drawn around these borders; every measure is held to
the same over a simulated district in test_indicators.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthbrain.measure import DeliveryDay, built_in, compute_all, library
from healthbrain.measure.compute import constants_at
from healthbrain.measure.oracle import OracleMember, members_in, world
from healthbrain.measure.periods import spans
from healthbrain.terms import systems
from tests.engine.measure_cohort import (
    AT,
    CENTRE,
    HOSPITAL,
    SILENT,
    TODAY,
    Cohort,
    every,
    fresh,
    organisations,
)

DRAWN = {
    "HUB-EX-11", "IND-Q-08", "IND-Q-09", "IND-Q-10", "BPHS-HTN02", "BPHS-DM02", "OPS-VISITS", "PH-ILI", "PH-VAC12",
}  # fmt: skip
MEASURES = tuple(one for one in built_in() if one.id in DRAWN)
# What the cohorts below are about; other measures are held against plain Python in test_indicators, kinds in
# test_measure_increment.
ABOUT = {
    "HUB-EX-11", "IND-Q-08", "BPHS-HTN02", "IND-Q-09", "BPHS-DM02", "IND-Q-10", "OPS-VISITS", "PH-ILI", "PH-VAC12",
}  # fmt: skip
CHOSEN = [one for one in built_in() if one.id in ABOUT]

# Days on both sides of every border that a rule has.
days_ago = st.sampled_from([-1, 0, 1, 6, 7, 13, 14, 15, 45, 90, 91, 92, 180, 300, 363, 364, 365, 366, 400]).map(
    lambda days: TODAY - timedelta(days=days)
)
births = st.sampled_from(
    ["1991-11-20", "1991-11-21", "1961-11-20", "1961-06-01", "1960", "1950-02", "1940-05-01", None]
)
child_births = st.sampled_from(["2025-11-20", "2025-11-21", "2025-02-28", "2024-11-20", "2024-11-21", "2025-06-01"])
towns = st.sampled_from(["310118001", "310118103", "310118001005", None])
ends = st.sampled_from(
    [{}, {}, {"deceasedBoolean": True}, {"deceasedDateTime": "2026-11-20"}, {"deceasedDateTime": "2026-12"}]
)
pressures = st.sampled_from([None, (139, 89), (140, 80), (149.5, 89), (150, 90), (120, 91.5)])
glucoses = st.sampled_from([None, 6.99, 7.0, 11.2])
verdicts = st.sampled_from(["controlled", "uncontrolled", "adverse", "complication", None])
intervals = st.sampled_from([None, -1, 0, 14, 15, 90, 92, 93])
classes = st.sampled_from(["AMB", "HH", "VR"])
services = st.sampled_from([systems.HTN_MANAGEMENT, systems.DM_MANAGEMENT, systems.FAMILY_DOCTOR])
vaccines = st.sampled_from(["BCG", "HepB", "IPV", "bOPV", "DTaP", "MMR"])
codes = st.sampled_from(["J11.1", "J06.9", "J09", "I10", "A09.9"])


def add_person(draw: st.DrawFn, cohort: Cohort, number: int) -> None:
    birth = draw(st.one_of(births, child_births))
    patient = cohort.person(number, birth=birth or "1955-01-01", town=draw(towns), **draw(ends))
    if birth is None:
        del cohort.rows[-1][0]["birthDate"]
    records = [patient]
    if draw(st.booleans()):
        records.append(cohort.person(number, birth="1957-03-03", town=draw(towns), owner=HOSPITAL))
    who = st.sampled_from(records)
    for _ in range(draw(st.integers(0, 2))):
        end = draw(st.sampled_from([None, None, "2026-11-20", "2026-11-21"]))
        cohort.enrol(draw(who), draw(services), draw(st.sampled_from(["2021-01-01", "2026-11-20", "2026-11-21"])), end)
    if draw(st.booleans()):
        good_care(cohort, patient)
    for _ in range(draw(st.integers(0, 3))):
        cohort.htn_visit(draw(who), draw(days_ago), draw(pressures), draw(verdicts), draw(intervals), draw(classes))
        cohort.dm_visit(draw(who), draw(days_ago), draw(glucoses), draw(verdicts), draw(intervals))
    for _ in range(draw(st.integers(0, 2))):
        cohort.encounter(draw(who), systems.ANNUAL_EXAM, draw(days_ago))
        visit = cohort.encounter(draw(who), systems.OUTPATIENT, draw(days_ago), owner=HOSPITAL)
        cohort.diagnose(patient, visit, draw(codes))
    for dose in range(draw(st.integers(0, 5))):
        cohort.shot(draw(who), draw(vaccines), dose + 1, date(2025, 3, 1) + timedelta(days=40 * dose))


def good_care(cohort: Cohort, patient: str) -> None:
    """What every rule asks for, so that random faults have something to spoil."""
    for service in (systems.HTN_MANAGEMENT, systems.DM_MANAGEMENT):
        cohort.enrol(patient, service)
    for on in every(88, 4):
        cohort.htn_visit(patient, on)
        cohort.dm_visit(patient, on)
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)
    cohort.diagnose(patient, cohort.encounter(patient, systems.OUTPATIENT, TODAY), "J11.1")
    born = date(2025, 6, 1)
    for vaccine, doses in (("BCG", 1), ("HepB", 3), ("IPV", 3), ("DTaP", 3), ("MMR", 1)):
        for dose in range(doses):
            cohort.shot(patient, vaccine, dose + 1, born + timedelta(days=60 * dose))


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    cohort = Cohort()
    for number in range(draw(st.integers(1, 8))):
        add_person(draw, cohort, number)
    return cohort


deliveries = st.lists(
    st.builds(DeliveryDay, st.sampled_from([CENTRE, HOSPITAL, SILENT]), days_ago, st.integers(0, 2), st.integers(0, 2)),
    max_size=4,
)


def by_oracle(cohort: Cohort, delivered: list[DeliveryDay]) -> dict[str, list[OracleMember]]:
    given_tables: dict[str, list[dict[str, Any]]] = {
        "organisation": organisations(),
        "delivery_day": [
            {"organisation": one.organisation, "day": one.day, "accepted": one.accepted, "refused": one.refused}
            for one in delivered
        ],
    }
    constants = constants_at(TODAY)
    known = world(library(), cohort.resources(), cohort.persons, constants, given_tables)
    found = {}
    for definition in MEASURES:
        span = spans(definition, TODAY)[-1]
        period = {"from": span.start, "to": span.to}
        found[definition.id] = members_in(known, definition, {**constants, **definition.values(), **period})
    return found


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cohort=cohorts(), delivered=deliveries)
def test_duckdb_and_the_row_by_row_oracle_find_the_same_members(
    tmp_path: Path, cohort: Cohort, delivered: list[DeliveryDay]
) -> None:
    expected = by_oracle(cohort, delivered)
    # the measures whose members are not kept in production are compared all the same
    definitions = [replace(one, periods=1, members=True) for one in MEASURES]
    for computed in compute_all(cohort.lake(fresh(tmp_path)), definitions, AT, deliveries=delivered):
        wanted = expected[computed.definition.id]
        got = [
            OracleMember(one.subject, one.town, one.institution, one.numerator, one.reasons, one.evidence)
            for one in computed.members
        ]
        assert sorted(got, key=lambda one: (one.subject, one.evidence)) == wanted, computed.definition.id
        whole = next(one for one in computed.results if one.level == "district")
        if computed.definition.kind == "proportion":
            assert (whole.numerator, whole.denominator) == (sum(one.numerator for one in wanted), len(wanted))


def test_the_generated_cohorts_reach_both_sides_of_the_measures() -> None:
    """Guards the test above against cohorts in which nothing ever counts."""
    seen: dict[str, set[bool]] = {}

    @settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cohort=cohorts(), delivered=deliveries)
    def collect(cohort: Cohort, delivered: list[DeliveryDay]) -> None:
        for measure, found in by_oracle(cohort, delivered).items():
            seen.setdefault(measure, set()).update(one.numerator for one in found)

    collect()
    assert {measure for measure, sides in seen.items() if True not in sides} == set()
