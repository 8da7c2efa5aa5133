"""The OpenAPI 3.0 description of /fhir, for tools that know no CapabilityStatement: `GET /fhir/openapi.json`.

A table of addresses and methods; a test asks each of them whether it is there, and property tests send what the
description allows and hold every answer against it. Bodies are described as FHIR resources in general: what a resource
may hold, the standard says, and `$validate` answers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

import healthbrain
from healthbrain.fhir import Definitions

Tree = dict[str, Any]

_JSON, _XML = "application/fhir+json", "application/fhir+xml"
_FORM = "application/x-www-form-urlencoded"

# body -> media types it may come in
_BODIES = {
    "resource": (_JSON, _XML),
    "parameters": (_JSON, _XML),
    "patch": ("application/json-patch+json", "application/xml-patch+xml", _JSON),
    "form": (_FORM,),
    "query": ("application/json", "application/graphql"),
    "ndjson": ("application/fhir+ndjson",),
    "rows": (_JSON, _XML),
    "tables": (_JSON, _XML),
}

# (address, method, summary, successes, what it takes)
_TABLE: tuple[tuple[str, str, str, tuple[int, ...], str], ...] = (
    ("/metadata", "get", "What this server does: the CapabilityStatement", (200,), ""),
    ("/", "get", "Search over several types", (200,), "search"),
    ("/", "post", "A transaction or batch", (200,), "resource"),
    ("/_search", "post", "Search over several types", (200,), "form"),
    ("/_history", "get", "Versions of everything", (200,), "history"),
    ("/$meta", "get", "Profiles, tags and labels in use", (200,), ""),
    ("/$graphql", "get", "A GraphQL query over all resources", (200,), "graphql"),
    ("/{type}", "get", "Search", (200,), "search"),
    ("/{type}", "post", "Create", (200, 201), "resource"),
    ("/{type}", "put", "Update the one that a search finds", (200, 201), "resource"),
    ("/{type}", "patch", "Patch the one that a search finds", (200,), "patch"),
    ("/{type}", "delete", "Delete the one that a search finds", (204,), ""),
    ("/{type}/_search", "post", "Search", (200,), "form"),
    ("/{type}/_history", "get", "Versions of a type", (200,), "history"),
    ("/{type}/$validate", "post", "What would be wrong with a resource", (200,), "resource"),
    ("/{type}/$meta", "get", "Profiles, tags and labels in use", (200,), ""),
    ("/{type}/{id}", "get", "Read", (200, 304), ""),
    ("/{type}/{id}", "put", "Update, or create under this id", (200, 201), "resource"),
    ("/{type}/{id}", "patch", "Patch", (200,), "patch"),
    ("/{type}/{id}", "delete", "Delete", (204,), ""),
    ("/{type}/{id}/_history", "get", "Versions of a resource", (200,), "history"),
    ("/{type}/{id}/_history/{version}", "get", "Read a version", (200, 304), ""),
    ("/{type}/{id}/$validate", "post", "What would be wrong with an update", (200,), "resource"),
    ("/{type}/{id}/$meta", "get", "Its profiles, tags and labels", (200,), ""),
    ("/{type}/{id}/$meta-add", "post", "Add profiles, tags and labels", (200,), "parameters"),
    ("/{type}/{id}/$meta-delete", "post", "Take profiles, tags and labels away", (200,), "parameters"),
    ("/{type}/{id}/$graphql", "get", "A GraphQL query about a resource", (200,), "graphql"),
    ("/{compartment}/{id}/{type}/_search", "post", "Search in a compartment", (200,), "form"),
    ("/{compartment}/{id}/{type}", "get", "Search in a compartment", (200,), "search"),
    ("/Patient/{id}/$everything", "get", "The whole record of a patient", (200,), "everything"),
    ("/Observation/$lastn", "get", "The last values of each kind", (200,), "lastn"),
    ("/Observation/$stats", "get", "Figures over values", (200,), "stats"),
    ("/$graphql", "post", "A GraphQL query over all resources", (200,), "query"),
    ("/{type}/{id}/$graphql", "post", "A GraphQL query about a resource", (200,), "query"),
    ("/Observation/$lastn", "post", "The last values of each kind", (200,), "parameters"),
    ("/Observation/$stats", "post", "Figures over values", (200,), "parameters"),
    ("/$export", "get", "Export everything as files: answers 202 and where to ask", (202,), "export"),
    ("/Patient/$export", "get", "Export what belongs to patients", (202,), "export"),
    ("/Group/{id}/$export", "get", "Export what belongs to the patients of a group", (202,), "export"),
    ("/$import", "post", "Take in a file of resources", (202,), "ndjson"),
    ("/$bulk/{job}", "get", "How far an export or import is", (200, 202), "job"),
    ("/$bulk/{job}", "delete", "Stop it and delete its files", (202,), ""),
    ("/$bulk/{job}/{file}", "get", "A file of an export", (200,), "file"),
    ("/ViewDefinition", "get", "Find views (SQL on FHIR)", (200,), "views"),
    ("/ViewDefinition", "post", "Store a view", (201,), "resource"),
    ("/ViewDefinition/{id}", "get", "Read a view", (200,), ""),
    ("/ViewDefinition/{id}", "put", "Change a view, or create it under this id", (200, 201), "resource"),
    ("/ViewDefinition/{id}", "delete", "Delete a view", (204,), ""),
    ("/ViewDefinition/{id}/_history", "get", "Versions of a view", (200,), ""),
    ("/$viewdefinition-run", "post", "Run a view: rows as NDJSON, CSV, Parquet or JSON", (200,), "rows"),
    ("/ViewDefinition/$viewdefinition-run", "post", "Run a view: rows as NDJSON, CSV, Parquet or JSON", (200,), "rows"),
    ("/ViewDefinition/{id}/$viewdefinition-run", "get", "Run this view", (200,), "run"),
    ("/$viewdefinition-export", "post", "Rows of views as files: answers 202 and where to ask", (202,), "tables"),
    ("/ViewDefinition/{id}/$viewdefinition-export", "get", "Rows of this view as a file", (202,), "table"),
    ("/Subscription/$status", "get", "How several subscriptions stand", (200,), "status"),
    ("/Subscription/{id}/$status", "get", "How a subscription stands", (200,), ""),
    ("/Subscription/{id}/$events", "get", "What it was told of, again", (200,), "events"),
    ("/Subscription/{id}/$get-ws-binding-token", "get", "How to receive it over a websocket", (200,), ""),
    ("/Subscription/{id}/$dead-letters", "get", "What could not be delivered", (200,), ""),
    ("/Subscription/{id}/$replay", "post", "Send that again", (200,), ""),
    ("/AuditEvent", "get", "Search the audit log", (200,), "audit"),
    ("/AuditEvent/{id}", "get", "Read an entry of the audit log", (200,), ""),
)

_QUERIES = {
    "search": ("_count", "_sort", "_summary", "_elements", "_total", "_lastUpdated", "_id", "_tag"),
    "history": ("_since", "_count"),
    "graphql": ("query",),
    "everything": ("start", "end", "_since", "_type", "_count"),
    "lastn": ("patient", "category", "code", "max"),
    "stats": ("subject", "code", "system", "statistic", "period", "duration", "limit", "include"),
    "export": ("_type", "_since", "_typeFilter", "_elements", "_outputFormat"),
    "run": ("_format", "header", "_limit", "_since", "patient", "group"),
    "table": ("_format", "header", "_since", "patient", "group"),
    "views": ("url", "name", "resource", "status", "version", "_id", "_count"),
    "status": ("id",),
    "events": ("eventsSinceNumber", "eventsUntilNumber", "content"),
    "audit": ("patient", "agent", "entity", "action", "outcome", "date", "_count"),
}
_REQUIRED = {("graphql", "query"), ("stats", "subject"), ("stats", "statistic"), ("status", "id")}


@cache
def description(definitions: Definitions, base: str) -> bytes:
    """The description for clients that reach the server at `base`."""
    types = [name for name in definitions.types if name != "AuditEvent"]
    paths: Tree = {}
    for address, method, summary, successes, takes in _TABLE:
        paths.setdefault(address, {})[method] = _operation(address, method, summary, successes, takes)
    return orjson.dumps(
        {
            "openapi": "3.0.3",
            "info": {
                "title": "HealthBrain FHIR R4",
                "version": getattr(healthbrain, "__version__", "0.1.0"),
                "description": "FHIR R4 REST. Resources are described by http://hl7.org/fhir/R4.",
            },
            "servers": [{"url": base}],
            "security": [{"bearer": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
                "parameters": {
                    "type": _in_path("type", {"type": "string", "enum": types}),
                    "compartment": _in_path("compartment", {"type": "string", "enum": list(definitions.compartments)}),
                    "id": _in_path("id", {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}),
                    "job": _in_path("job", {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}),
                    "file": _in_path("file", {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}),
                    "version": _in_path("version", {"type": "integer", "minimum": 1, "maximum": 999_999_999}),
                },
                "schemas": {"Resource": _resource_schema(definitions), "OperationOutcome": _outcome_schema()},
                "responses": {"Refusal": _refusal()},
            },
        }
    )


def addresses() -> tuple[tuple[str, str], ...]:
    """Every (address, method) that is described."""
    return tuple((address, method) for address, method, *_ in _TABLE)


def _operation(address: str, method: str, summary: str, successes: tuple[int, ...], takes: str) -> Tree:
    parameters: list[Tree] = [{"$ref": f"#/components/parameters/{name}"} for name in _names(address)]
    for name in _QUERIES.get(takes, ()):
        needed = (takes, name) in _REQUIRED
        parameters.append({"name": name, "in": "query", "required": needed, "schema": {"type": "string"}})
    if takes in ("export", "tables", "table"):
        prefer = {"type": "string", "enum": ["respond-async"]}
        parameters.append({"name": "Prefer", "in": "header", "required": True, "schema": prefer})
    made: Tree = {
        "summary": summary,
        "operationId": f"{method}{address}".replace("/", "-").replace("{", "").replace("}", "").replace("$", ""),
        "responses": {str(status): _success(status, takes) for status in successes}
        | {"4XX": {"$ref": "#/components/responses/Refusal"}},
    }
    if takes in ("resource", "parameters", "patch") or method in ("get", "post", "put", "patch"):
        # an operation or interaction that R4 has and this server has not
        made["responses"]["501"] = {"$ref": "#/components/responses/Refusal"}
    if parameters:
        made["parameters"] = parameters
    if takes in _BODIES:
        made["requestBody"] = {"required": takes != "form", "content": {kind: _body(kind) for kind in _BODIES[takes]}}
    if address == "/metadata":
        made["security"] = []
    return made


def _names(address: str) -> list[str]:
    return [part.strip("{}") for part in address.split("/") if part.startswith("{")]


def _in_path(name: str, schema: Tree) -> Tree:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(kind: str) -> Tree:
    match kind:
        case "application/json-patch+json":
            operation = {
                "type": "object",
                "required": ["op", "path"],
                "properties": {
                    "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
                    "path": {"type": "string"},
                    "from": {"type": "string"},
                },
            }
            return {"schema": {"type": "array", "items": operation}}
        case "application/fhir+json":
            return {"schema": {"$ref": "#/components/schemas/Resource"}}
        case "application/json":
            asked = {"query": {"type": "string"}, "variables": {"type": "object"}, "operationName": {"type": "string"}}
            return {"schema": {"type": "object", "required": ["query"], "properties": asked}}
        case "application/x-www-form-urlencoded":
            return {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
    return {"schema": {"type": "string"}}


def _success(status: int, takes: str) -> Tree:
    if status in (204, 304):
        return {"description": "done" if status == 204 else "not modified"}
    if status == 202:
        where = {"description": "where to ask how far it is", "schema": {"type": "string"}}
        return {"description": "accepted", "headers": {"Content-Location": where}}
    if takes == "job":
        listed = {"type": "object", "properties": {"output": {"type": "array"}, "error": {"type": "array"}}}
        return {"description": "done: the files", "content": {"application/json": {"schema": listed}}}
    if takes == "file":
        return {
            "description": "a resource a line",
            "content": {"application/fhir+ndjson": {"schema": {"type": "string"}}},
        }
    if takes in ("rows", "run"):
        kinds = ("application/ndjson", "text/csv", "application/json", "application/vnd.apache.parquet", _JSON)
        return {"description": "the rows", "content": {kind: {"schema": {}} for kind in kinds}}
    if takes in ("graphql", "query"):
        result = {"type": "object", "properties": {"data": {}, "errors": {"type": "array"}}}
        return {"description": "the result", "content": {"application/json": {"schema": result}}}
    return {
        "description": "created" if status == 201 else "the answer",
        "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Resource"}}, _XML: {"schema": {"type": "string"}}},
    }


def _refusal() -> Tree:
    return {
        "description": "why not",
        "content": {
            _JSON: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}},
            _XML: {"schema": {"type": "string"}},
        },
    }


def _resource_schema(definitions: Definitions) -> Tree:
    return {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"type": "string", "enum": list(definitions.types)}, "id": {"type": "string"}},
    }


def _outcome_schema() -> Tree:
    issue = {
        "type": "object",
        "required": ["severity", "code"],
        "properties": {
            "severity": {"type": "string", "enum": ["fatal", "error", "warning", "information"]},
            "code": {"type": "string"},
            "diagnostics": {"type": "string"},
        },
    }
    return {
        "type": "object",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"type": "string", "enum": ["OperationOutcome"]},
            "issue": {"type": "array", "minItems": 1, "items": issue},
        },
    }
