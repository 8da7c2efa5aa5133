"""The portrait put together: two or three statements to the store, the rest in memory (HUB-DS-01, HUB-EX-02, HUB-EX-03)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import NotFound
from healthbrain.portrait.banner import allergy_state, banner, services
from healthbrain.portrait.facts import LOCAL, Record, day, record, reference_id
from healthbrain.portrait.problems import allergies, medicines, problems
from healthbrain.portrait.results import Person, series
from healthbrain.portrait.timeline import PAGE
from healthbrain.portrait.timeline import timeline as make_timeline
from healthbrain.portrait.vaccinations import vaccinations
from healthbrain.portrait.values import Portrait, Timeline
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Store, Stored, patient_key
from healthbrain.store.versions import of_patients
from healthbrain.terms import systems

_SHOWN = (
    "Patient",
    "Encounter",
    "Condition",
    "Observation",
    "MedicationRequest",
    "AllergyIntolerance",
    "Immunization",
    "EpisodeOfCare",
)
_ON_TIMELINE = ("Encounter", "Condition")


async def portrait(
    connection: Connection,
    store: Store,
    *,
    person: str,
    patient_ids: Sequence[str],
    scope: Scope = EVERYTHING,
    organisations: Tree,
    at: datetime,
    reveal: bool = False,
) -> Portrait:
    """Everything about one person that is open to `scope`, over the patient records that are theirs.

    `reveal` shows name, phone, address and identifiers in full; it has an effect only when the scope is `identified`.
    Raises NotFound when none of the records is open.
    """
    stored = await _read(connection, patient_ids, _SHOWN, scope)
    found = await asyncio.to_thread(_sorted, stored, _SHOWN, organisations)  # parsing thousands would hold up others
    if not found["Patient"]:
        raise NotFound("there is no such person, or nothing of theirs is open to you")
    doctors = await _doctors(connection, store, found["EpisodeOfCare"])
    return await asyncio.to_thread(_assembled, person, found, doctors, organisations, reveal and scope.identified, at)


def _assembled(
    person: str,
    found: Mapping[str, Sequence[Record]],
    doctors: Mapping[str, str],
    tree: Tree,
    reveal: bool,
    at: datetime,
) -> Portrait:
    told = allergies(found["AllergyIntolerance"])
    who = _person(found["Patient"])
    results, vitals = series(found["Observation"], who)
    return Portrait(
        banner=banner(
            person,
            found["Patient"],
            [one for one in found["EpisodeOfCare"] if one.valid],
            found["Observation"],
            told,
            allergy_state(found["AllergyIntolerance"], told),
            practitioners=doctors,
            tree=tree,
            reveal=reveal,
            at=at,
        ),
        problems=problems(found["Condition"]),
        medicines=medicines(found["MedicationRequest"], at),
        allergies=told,
        results=results,
        vitals=vitals,
        vaccinations=vaccinations(found["Immunization"], who, at.astimezone(LOCAL).date()),
        timeline=make_timeline(found["Encounter"], found["Condition"]),
        as_of=at,
    )


async def timeline(
    connection: Connection,
    *,
    patient_ids: Sequence[str],
    scope: Scope = EVERYTHING,
    organisations: Tree,
    kind: str | None = None,
    organisation: int | None = None,
    cursor: str | None = None,
    count: int = PAGE,
) -> Timeline:
    """A further or filtered part of the timeline."""
    stored = await _read(connection, patient_ids, _ON_TIMELINE, scope)
    found = await asyncio.to_thread(_sorted, stored, _ON_TIMELINE, organisations)
    return make_timeline(
        found["Encounter"], found["Condition"], kind=kind, organisation=organisation, cursor=cursor, count=count
    )


def _person(patients: Sequence[Record]) -> Person:
    newest = sorted(patients, key=lambda one: (one.source.recorded, one.source.id), reverse=True)
    sex = next((one.body["gender"] for one in newest if one.body.get("gender")), "")
    return Person(sex, next((born for one in newest if (born := day(one.body.get("birthDate")))), None))


async def _read(connection: Connection, patient_ids: Sequence[str], types: Sequence[str], scope: Scope) -> list[Stored]:
    return await of_patients(connection, [patient_key(id_) for id_ in dict.fromkeys(patient_ids)], types, scope=scope)


def _sorted(stored: Sequence[Stored], types: Sequence[str], tree: Tree) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {type_: [] for type_ in types}
    for one in stored:
        found[one.type].append(record(one, tree))
    return found


async def _doctors(connection: Connection, store: Store, episodes: Sequence[Record]) -> dict[str, str]:
    wanted = {
        reference_id(one.body.get("careManager")) for one in episodes if systems.FAMILY_DOCTOR in services(one.body)
    }
    names: dict[str, str] = {}
    if wanted - {""}:
        for one in await store.read_many(connection, [("Practitioner", id_) for id_ in sorted(wanted - {""})]):
            for name in one.resource.get("name", ()):
                names.setdefault(one.id, name.get("text") or name.get("family", "") + "".join(name.get("given", ())))
    return names
