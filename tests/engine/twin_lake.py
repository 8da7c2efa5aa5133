"""The simulated district as a lake, without a server: what its institutions send, translated and stored as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from healthbrain.exchange.hl7v2.message import parse as parse_hl7
from healthbrain.exchange.hl7v2.translate import translate
from healthbrain.exchange.sender import Sender
from healthbrain.lake import Lake, engine, manifest
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.parts import Row, Spool, write_part, write_table
from healthbrain.measure import DeliveryDay
from healthbrain.measure.oracle import Resource
from healthbrain.store import patient_key
from healthbrain.terms import systems
from healthbrain.twin import District, Outgoing

END = date(2026, 11, 1)
AT = datetime(2026, 10, 31, 14, tzinfo=UTC)  # 22:00 of the last day of the twin's period

Sent = tuple[dict[str, Any], str]  # a resource and the institution that sent it


class TwinLake:
    """A district's resources with owners and persons, ready to be written as a lake or walked by the oracle."""

    def __init__(self, seed: int = 1, residents: int = 1000) -> None:
        self.district = District(seed, residents, end=END)
        self.organisations = _organisations(self.district)
        self._keys = {one["code"]: one["key"] for one in self.organisations}
        found = {(one["resourceType"], one["id"]): (one, source) for one, source in self._sent()}
        self.rows: list[Sent] = list(found.values())
        self.persons = self._persons()
        self.deliveries = self._deliveries()

    def _sent(self) -> Iterator[Sent]:
        """Resources in the order sent; a later version of one takes its place."""
        senders = {o.code: Sender(o.code, o.code, o.charset, o.lab_map) for o in self.district.organisations()}
        for message in self.district.messages():
            if not message.fault:
                yield from _resources(message, senders[message.source])

    def _persons(self) -> dict[int, str]:
        """The real person behind each patient record, as a faultless index would find them."""
        truth = {(row.source, row.mrn): f"P{row.person:012}" for row in self.district.truth()}
        found = {}
        for resource, source in self.rows:
            if resource["resourceType"] == "Patient":
                numbers = [one["value"] for one in resource["identifier"] if one.get("system", "").endswith(":mrn")]
                found[patient_key(resource["id"])] = truth[source, numbers[0]]
        return found

    def _deliveries(self) -> list[DeliveryDay]:
        days = {(self._keys[message.source], message.sent_at.date()) for message in self.district.messages()}
        return [DeliveryDay(organisation, day, 1, 0) for organisation, day in sorted(days)]

    def own(self, number: int, resource: dict[str, Any], source: str) -> dict[str, Any]:
        """The columns that the lake adds to a resource."""
        reference = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
        patient = resource["id"] if resource["resourceType"] == "Patient" else reference.removeprefix("Patient/")
        return {
            "_id": resource["id"],
            "_patient": patient_key(patient) if patient else None,
            "_owner": self._keys[source],
            "_updated": AT - timedelta(days=1) + timedelta(microseconds=number),
        }

    def resources(self) -> list[Resource]:
        """For the oracle."""
        return [
            Resource(resource, self.own(number, resource, source))
            for number, (resource, source) in enumerate(self.rows)
        ]

    def lake(self, folder: Path) -> Lake:
        """The district as a lake, written by the lake's own writer."""
        state = Manifest(position="1.1.1", at=AT)
        connection = engine.connect(folder / "scratch")
        with manifest.writer(folder), Spool(folder / "spool") as spool:
            for number, (resource, source) in enumerate(self.rows):
                own = self.own(number, resource, source)
                body = orjson.dumps(resource, default=float)  # the codec keeps decimals
                spool.add(
                    Row(
                        resource["resourceType"], own["_id"], 1, own["_updated"], False, own["_owner"],
                        own["_patient"], 7, "1.1.1", body,
                    )
                )  # fmt: skip
            spool.close()
            parts = {type_: (write_part(connection, folder, type_, spool),) for type_ in spool.rows}
            tables = {
                "person_link": self._table(
                    connection, folder, "person_link", [{"patient": k, "person": v} for k, v in self.persons.items()]
                ),
                "organisation": self._table(connection, folder, "organisation", self.organisations),
            }
            manifest.swap(folder, Manifest(), replace(state, parts=parts, tables=tables), AT)
        connection.close()
        return Lake(folder)

    @staticmethod
    def _table(connection: Any, folder: Path, name: str, rows: list[dict[str, Any]]) -> Any:
        return write_table(connection, folder, name, b"\n".join(orjson.dumps(row) for row in rows), len(rows))


def _resources(message: Outgoing, sender: Sender) -> Iterator[Sent]:
    if message.door == "fhir":
        for entry in json.loads(message.payload)["entry"]:
            yield entry["resource"], message.source
        return
    done = translate(parse_hl7(message.payload, registered=sender.charset), sender, at=AT)
    for made in done.made:
        yield {**made.once, **made.resource}, message.source


def _organisations(district: District) -> list[dict[str, Any]]:
    keys = {one.code: number for number, one in enumerate(district.organisations(), 1)}
    return [
        {
            "key": keys[one.code],
            "code": one.code,
            "name": one.name,
            "kind": one.kind,
            "parent": keys.get(one.parent),
            "fhir_id": one.fhir_id,
            "facility_class": one.facility_class,
            "division": one.division,
        }
        for one in district.organisations()
    ]


assert systems.local("X", "mrn").endswith(":mrn")
