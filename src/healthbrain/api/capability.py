"""The CapabilityStatement: made from the routes and definitions that are really here, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import healthbrain
from healthbrain.api.offers import operations_of, operations_of_system
from healthbrain.fhir import Definitions, dump
from healthbrain.lake.stored import SEARCHED
from healthbrain.store import Custom

_INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
_AUDIT = ("read", "search-type")
_AUDIT_PARAMS = {
    "patient": "reference", "agent": "reference", "altid": "token", "entity": "reference", "action": "token",
    "subtype": "token", "outcome": "token", "date": "date",
}  # fmt: skip
UNSEARCHED = frozenset({"_query"})  # of R4, but not offered here
_DEFINITION = "http://hl7.org/fhir/OperationDefinition/"
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-"
_SUBSCRIPTION = {
    "status": f"{_BACKPORT}status",
    "events": f"{_BACKPORT}events",
    "get-ws-binding-token": f"{_BACKPORT}get-ws-binding-token",
    "dead-letters": "urn:healthbrain:operation:dead-letters",
    "replay": "urn:healthbrain:operation:replay",
}
_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
_ON_VIEWS = [
    {"name": name, "definition": f"http://sql-on-fhir.org/OperationDefinition/${name}"}
    for name in ("viewdefinition-run", "viewdefinition-export")
]
_VIEW_PARAMS = {"url": "uri", "name": "string"}
_OF_VIEWS = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")


def statement(definitions: Definitions, base: str, since: datetime, added: Sequence[Custom] = ()) -> bytes:
    """The CapabilityStatement of this server at `base`; `added` are the search parameters added at run time."""
    return dump(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": since.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "kind": "instance",
            "software": {"name": "HealthBrain", "version": getattr(healthbrain, "__version__", "0.1.0")},
            "implementation": {"description": "HealthBrain FHIR R4", "url": base},
            "fhirVersion": "4.0.1",
            "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
            "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
            "patchFormat": [
                "application/json-patch+json",
                "application/xml-patch+xml",
                "application/fhir+json",
                "application/fhir+xml",
            ],
            "rest": [
                {
                    "mode": "server",
                    "documentation": "Named queries (`_query`) are not offered: what one would ask is written as parameters,"
                    " or in `_filter`. Functional lists: `_list=$current-problems`, `$current-medications`,"
                    " `$current-allergies`, `$current-drug-allergies`.",
                    "security": _security(base),
                    "resource": [
                        *(_resource(definitions, name, added) for name in definitions.types),
                        _view_definition(),
                    ],
                    "compartment": [
                        f"http://hl7.org/fhir/CompartmentDefinition/{name.lower()}" for name in definitions.compartments
                    ],
                    "searchParam": [
                        {"name": "_list", "type": "special"},
                        {"name": "_type", "type": "special"},
                        {"name": "_contained", "type": "special"},
                        {"name": "_containedType", "type": "special"},
                    ],
                    "interaction": [
                        {"code": code} for code in ("transaction", "batch", "history-system", "search-system")
                    ],
                    "operation": [
                        *operations_of_system(),
                        {"name": "export", "definition": _BULK + "export"},
                        {"name": "import", "definition": "urn:healthbrain:operation:import"},
                        *_ON_VIEWS,
                    ],
                }
            ],
        }
    )


def _security(base: str) -> dict[str, Any]:
    """How to get in: SMART on FHIR, with its endpoints where clients of SMART 1 look for them too."""
    issuer = base.removesuffix("/fhir")
    endpoints = {"authorize": "authorize", "token": "token", "introspect": "introspect", "revoke": "revoke"}
    service = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
    return {
        "cors": True,
        "service": [{"coding": [service]}],
        "description": "SMART App Launch v2, or Authorization: Bearer with a token of `hb token`, or a signed-in session",
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [{"url": name, "valueUri": f"{issuer}/oauth/{path}"} for name, path in endpoints.items()],
            }
        ],
    }


def _resource(definitions: Definitions, name: str, added: Sequence[Custom]) -> dict[str, Any]:
    if name == "AuditEvent":
        return {
            "type": name,
            "interaction": [{"code": code} for code in _AUDIT],
            "searchParam": [{"name": code, "type": kind} for code, kind in _AUDIT_PARAMS.items()],
        }
    parameters = definitions.search_parameters(name)
    resource: dict[str, Any] = {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "searchInclude": [f"{name}:{code}" for code, parameter in parameters.items() if parameter.type == "reference"],
        "searchRevInclude": list(_referring(definitions).get(name, ())),
        "searchParam": [
            {"name": code, "definition": parameter.url, "type": parameter.type}
            for code, parameter in sorted(parameters.items())
            if code not in UNSEARCHED
        ]
        + [
            {"name": one.parameter.code, "definition": one.parameter.url, "type": one.parameter.type}
            for one in added
            if one.parameter.base == name and one.state != "refused"
        ],
        "operation": [{"name": "validate", "definition": _DEFINITION + "Resource-validate"}, *operations_of(name)],
    }
    if name == "Patient":
        resource["operation"].append({"name": "everything", "definition": _DEFINITION + "Patient-everything"})
    if name == "Subscription":
        resource["operation"] += [{"name": code, "definition": uri} for code, uri in _SUBSCRIPTION.items()]
    if name in ("Patient", "Group"):
        resource["operation"].append({"name": "export", "definition": f"{_BULK}{name.lower()}-export"})
    return {key: value for key, value in resource.items() if value != []}


def _view_definition() -> dict[str, Any]:
    """Flat tables over resources (SQL on FHIR v2): no type of R4, served beside them."""
    return {
        "type": "ViewDefinition",
        "profile": "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition",
        "interaction": [{"code": code} for code in _OF_VIEWS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "searchParam": [{"name": name, "type": _VIEW_PARAMS.get(name, "token")} for name in SEARCHED],
        "operation": list(_ON_VIEWS),
    }


@cache
def _referring(definitions: Definitions) -> dict[str, tuple[str, ...]]:
    """What can be asked for with _revinclude, by the type that is referred to."""
    found: dict[str, list[str]] = {}
    for name in definitions.types:
        for code, parameter in definitions.search_parameters(name).items():
            if parameter.type == "reference":
                for target in parameter.targets:
                    found.setdefault(target, []).append(f"{name}:{code}")
    return {name: tuple(listed) for name, listed in found.items()}
