"""Operations by their address: which are offered where, for routing and for the CapabilityStatement alike."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial

from healthbrain.access import Gate
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.graphql import GraphQl
from healthbrain.api.measure_intake import MeasureIntake
from healthbrain.api.measures import Measures
from healthbrain.api.metas import Metas
from healthbrain.api.observations import Observations
from healthbrain.api.platform import Platform
from healthbrain.api.writing import Writing

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_DEFINITION = "http://hl7.org/fhir/OperationDefinition/"

EVERYWHERE = ("meta", "meta-add", "meta-delete", "graphql")  # of every resource type
OF_TYPE = {"Observation": ("lastn", "stats"), "Measure": ("evaluate-measure",)}
OF_SYSTEM = ("meta", "graphql")

Handlers = dict[str, Callable[[], Awaitable[Answer]]]


class Offers:
    """Finds the handlers of an operation."""

    def __init__(self, platform: Platform, gate: Gate, writing: Writing) -> None:
        self._platform = platform
        self._metas = Metas(platform, gate, writing)
        self._observations = Observations(platform, gate)
        self._graphql = GraphQl(platform, gate)
        self._measures = Measures(platform, gate)
        self._intake = MeasureIntake(platform, gate, writing)

    def handlers(self, call: Call) -> Handlers | None:
        """What can be done at the address of `call`; None when it names no operation that is offered."""
        metas, observations = self._metas, self._observations
        match call.segments:
            case [] if call.method == "POST":
                return {"POST": lambda: self._intake.bundle(call)}
            case ["Measure" | "MeasureReport" as sought, "_search"] if call.method == "POST":
                found = self._measures.search if sought == "Measure" else self._measures.reports
                return {"POST": lambda: found(call)}
            case ["Measure" | "MeasureReport"] if call.method in ("GET", "HEAD"):
                listing = self._measures.search if call.segments == ["Measure"] else self._measures.reports
                return {"GET": lambda: listing(call)}
            case ["Measure" | "MeasureReport" as reported] if call.method == "POST":
                return {"POST": lambda: self._intake.create(call, reported)}
            case ["Measure", id_] if self._measures.known(id_):
                return {"GET": lambda: self._measures.read(call, id_)}
            case ["Measure", id_] if self._measures.own(id_) and call.method in ("GET", "HEAD"):
                return {"GET": lambda: self._measures.read(call, id_)}
            case ["Measure", id_, "$evaluate-measure" | "$evaluate"] if self._measures.known(id_) or self._measures.own(
                id_
            ):
                return {
                    "GET": lambda: self._measures.evaluate(call, id_),
                    "POST": lambda: self._measures.evaluate(call, id_),
                }
        if not call.segments or not call.segments[-1].startswith("$"):
            return None
        if not self._is_ours(call.segments):
            return None
        match call.segments:
            case ["$graphql"]:
                return {"GET": lambda: self._graphql.answer(call), "POST": lambda: self._graphql.answer(call)}
            case [type_, id_, "$graphql"]:
                answer = partial(self._graphql.answer, call, type_, id_)
                return {"GET": answer, "POST": answer}
            case ["$meta"]:
                return {"GET": lambda: metas.of_all(call, None)}
            case [type_, "$meta"]:
                return {"GET": lambda: metas.of_all(call, type_)}
            case [type_, id_, "$meta"]:
                return {"GET": lambda: metas.of_one(call, type_, id_)}
            case [type_, id_, "$meta-add" | "$meta-delete" as name]:
                return {"POST": lambda: metas.change(call, type_, id_, add=name == "$meta-add")}
            case ["Observation", "$lastn"]:
                return {"GET": lambda: observations.lastn(call), "POST": lambda: observations.lastn(call)}
            case ["Observation", "$stats"]:
                return {"GET": lambda: observations.stats(call), "POST": lambda: observations.stats(call)}
        return None

    def _is_ours(self, segments: list[str]) -> bool:
        """Whether what stands before the operation is a type with resources of the store, and an id."""
        *before, _ = segments
        known = not before or (before[0] != "AuditEvent" and self._platform.definitions.is_resource(before[0]))
        return known and (len(before) < 2 or bool(_ID.fullmatch(before[1])))


def operations_of(type_: str) -> list[dict[str, str]]:
    """The operations of a type as the CapabilityStatement lists them."""
    general = [{"name": name, "definition": f"{_DEFINITION}Resource-{name}"} for name in EVERYWHERE]
    own = [{"name": name, "definition": f"{_DEFINITION}{type_}-{name}"} for name in OF_TYPE.get(type_, ())]
    return general + own


def operations_of_system() -> list[dict[str, str]]:
    """Those of the whole system."""
    return [{"name": name, "definition": f"{_DEFINITION}Resource-{name}"} for name in OF_SYSTEM]
