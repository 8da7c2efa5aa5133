"""Small cohorts for measure tests: people with their care as resources, as a lake on disk and as rows for the oracle."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from healthbrain.access import Organisation
from healthbrain.fhir import validate
from healthbrain.lake import Lake, engine, manifest
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.parts import Row, Spool, write_part, write_table
from healthbrain.measure.oracle import Resource
from healthbrain.store import patient_key
from healthbrain.terms import systems

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
TODAY = date(2026, 11, 20)
CENTRE, HOSPITAL, SILENT = 21, 22, 23
ORGANISATIONS = (
    Organisation(1, "QP00", "青浦区", "district", None, "org-QP00", "", "310118"),
    Organisation(CENTRE, "QP21", "夏阳街道社区卫生服务中心", "institution", 1, "org-QP21", "B100", "310118001"),
    Organisation(HOSPITAL, "QP22", "区中心医院", "institution", 1, "org-QP22", "A100", "310118002"),
    Organisation(24, "QP24", "区疾病预防控制中心", "institution", 1, "org-QP24", "J100", "310118001"),
    Organisation(25, "QP25", "塘郁村社区卫生服务站", "team", CENTRE, "org-QP25", "B200", "310118001"),
    Organisation(SILENT, "QP23", "练塘镇社区卫生服务中心", "institution", 1, "org-QP23", "B100", "310118103"),
)


@dataclass(slots=True)
class Cohort:
    """Resources with their owners, and which patient is which person."""

    rows: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    persons: dict[int, str] = field(default_factory=dict)

    def add(self, resource: dict[str, Any], owner: int = CENTRE) -> str:
        self.rows.append((resource, owner))
        return str(resource["id"])

    def person(
        self, number: int, birth: str = "1960-05-01", town: str | None = "310118001", owner: int = CENTRE, **more: Any
    ) -> str:
        """A patient record of person `number` at `owner`; returns its id."""
        id_ = f"{owner}-p{number}"
        address = [{"extension": [{"url": systems.EXT_DIVISION, "valueString": town}]}] if town else []
        resource = {"resourceType": "Patient", "id": id_, "gender": "female", "birthDate": birth, **more}
        if address:
            resource["address"] = address
        self.add(resource, owner)
        self.persons[patient_key(id_)] = f"P{number:012}"
        return id_

    def enrol(self, patient: str, service: str, since: str = "2020-01-01", end: str | None = None, **more: Any) -> str:
        period = {"start": since, **({"end": end} if end else {})}
        return self.add(
            {
                "resourceType": "EpisodeOfCare",
                "id": f"{patient}-{service}-{len(self.rows)}",
                "status": "finished" if end else "active",
                "type": [concept(systems.SERVICE, service)],
                "patient": {"reference": f"Patient/{patient}"},
                "period": period,
                "managingOrganization": {"reference": "Organization/org-QP21"},
                **more,
            }
        )

    def encounter(self, patient: str, service: str, on: date, class_: str = "AMB", owner: int = CENTRE) -> str:
        return self.add(
            {
                "resourceType": "Encounter",
                "id": f"e{len(self.rows)}",
                "status": "finished",
                "class": {"system": systems.ACT_CODE, "code": class_},
                "type": [concept(systems.SERVICE, service)],
                "subject": {"reference": f"Patient/{patient}"},
                "period": {"start": f"{on.isoformat()}T09:30:00+08:00"},
            },
            owner,
        )

    def observe(self, patient: str, encounter: str, on: date, code: dict[str, Any], **value: Any) -> str:
        return self.add(
            {
                "resourceType": "Observation",
                "id": f"o{len(self.rows)}",
                "status": "final",
                "code": code,
                "subject": {"reference": f"Patient/{patient}"},
                "encounter": {"reference": f"Encounter/{encounter}"},
                "effectiveDateTime": f"{on.isoformat()}T09:30:00+08:00",
                **value,
            }
        )

    def htn_visit(
        self,
        patient: str,
        on: date,
        pressure: tuple[float, float] | None = (128, 78),
        verdict: str | None = "controlled",
        next_days: int | None = 90,
        class_: str = "AMB",
    ) -> str:
        """A hypertension follow-up with what a community doctor records."""
        visit = self.encounter(patient, systems.HTN_FOLLOWUP, on, class_)
        if pressure:
            parts = [
                {"code": concept(systems.LOINC, code), "valueQuantity": {"value": value, "unit": "mmHg"}}
                for code, value in zip(("8480-6", "8462-4"), pressure, strict=True)
            ]
            self.observe(patient, visit, on, concept(systems.LOINC, "85354-9"), component=parts)
        self._findings(patient, visit, on, verdict, next_days)
        return visit

    def dm_visit(
        self,
        patient: str,
        on: date,
        glucose: float | None = 6.1,
        verdict: str | None = "controlled",
        next_days: int | None = 90,
    ) -> str:
        """A diabetes follow-up."""
        visit = self.encounter(patient, systems.DM_FOLLOWUP, on)
        if glucose is not None:
            quantity = {"value": glucose, "unit": "mmol/L", "system": systems.UCUM, "code": "mmol/L"}
            self.observe(patient, visit, on, concept(systems.LOINC, "14771-0"), valueQuantity=quantity)
        self._findings(patient, visit, on, verdict, next_days)
        return visit

    def _findings(self, patient: str, visit: str, on: date, verdict: str | None, next_days: int | None) -> None:
        if verdict:
            value = concept(systems.FINDING, verdict)
            self.observe(patient, visit, on, concept(systems.FINDING, "followup-class"), valueCodeableConcept=value)
        if next_days is not None:
            planned = (on + timedelta(days=next_days)).isoformat()
            self.observe(patient, visit, on, concept(systems.FINDING, "next-followup"), valueDateTime=planned)

    def shot(self, patient: str, vaccine: str, dose: int, on: date) -> str:
        return self.add(
            {
                "resourceType": "Immunization",
                "id": f"i{len(self.rows)}",
                "status": "completed",
                "vaccineCode": concept(systems.VACCINE, vaccine),
                "patient": {"reference": f"Patient/{patient}"},
                "occurrenceDateTime": on.isoformat(),
                "protocolApplied": [{"doseNumberPositiveInt": dose}],
            }
        )

    def diagnose(self, patient: str, encounter: str, code: str) -> str:
        return self.add(
            {
                "resourceType": "Condition",
                "id": f"c{len(self.rows)}",
                "code": concept(systems.ICD10, code),
                "subject": {"reference": f"Patient/{patient}"},
                "encounter": {"reference": f"Encounter/{encounter}"},
            }
        )

    def valid(self) -> bool:
        """Whether every resource is one that the store would take."""
        return not any(validate(resource) for resource, _ in self.rows)

    def resources(self) -> list[Resource]:
        """For the oracle."""
        return [
            Resource(resource, self._own(number, resource, owner)) for number, (resource, owner) in enumerate(self.rows)
        ]

    def lake(self, folder: Path) -> Lake:
        """The cohort as a lake, written by the lake's own writer."""
        state = Manifest(position="1.1.1", at=AT)
        connection = engine.connect(folder / "scratch")
        with manifest.writer(folder), Spool(folder / "spool") as spool:
            for number, (resource, owner) in enumerate(self.rows):
                own = self._own(number, resource, owner)
                body = orjson.dumps(resource)
                spool.add(
                    Row(
                        resource["resourceType"],
                        own["_id"],
                        1,
                        own["_updated"],
                        False,
                        owner,
                        own["_patient"],
                        7,
                        "1.1.1",
                        body,
                    )
                )
            spool.close()
            parts = {type_: (write_part(connection, folder, type_, spool),) for type_ in spool.rows}
            tables = {
                "person_link": _table(
                    connection, folder, "person_link", [{"patient": k, "person": v} for k, v in self.persons.items()]
                ),
                "organisation": _table(connection, folder, "organisation", organisations()),
            }
            manifest.swap(folder, Manifest(), replace(state, parts=parts, tables=tables), AT)
        connection.close()
        return Lake(folder)

    @staticmethod
    def _own(number: int, resource: dict[str, Any], owner: int) -> dict[str, Any]:
        reference = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
        patient = resource["id"] if resource["resourceType"] == "Patient" else reference.removeprefix("Patient/")
        return {
            "_id": resource["id"],
            "_patient": patient_key(patient) if patient else None,
            "_owner": owner,
            "_updated": AT - timedelta(days=1) + timedelta(seconds=number),
        }


def organisations() -> list[dict[str, Any]]:
    return [
        {
            "key": one.key,
            "code": one.code,
            "name": one.name,
            "kind": one.kind,
            "parent": one.parent,
            "fhir_id": one.fhir_id,
            "facility_class": one.facility_class,
            "division": one.division,
        }
        for one in ORGANISATIONS
    ]


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def every(days: int, count: int, last: date = TODAY - timedelta(days=10)) -> Iterable[date]:
    """`count` days, `days` apart, up to `last`."""
    return [last - timedelta(days=days * back) for back in reversed(range(count))]


def _table(connection: Any, folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> Any:
    return write_table(connection, folder, name, b"\n".join(orjson.dumps(row) for row in rows), len(rows))


def fresh(folder: Path) -> Path:
    """A new folder below, for each example of a property test."""
    return folder / uuid.uuid4().hex
