"""$validate: what would be wrong with a resource, without storing it."""

from __future__ import annotations

from typing import Any

from healthbrain.api.answer import Answer, outcome
from healthbrain.api.call import Call
from healthbrain.errors import Incorrect, Invalid
from healthbrain.fhir import dump, parse, validate


class Operations:
    """Operations that touch nothing."""

    async def validate(self, call: Call, type_: str) -> Answer:
        """POST /Type/$validate: always 200 with an OperationOutcome when the body can be read"""
        call.trace.interaction, call.trace.action, call.trace.type = "operation", "E", type_
        call.trace.detail = "$validate"
        resource = _payload(parse(await call.body()))
        if resource.get("resourceType") != type_:
            raise Invalid(f"the resource is not of type {type_}")
        issues = validate(resource, type_)
        if not issues:
            return Answer(200, dump(outcome("information", "informational", "no errors found")))
        return Answer(200, dump({"resourceType": "OperationOutcome", "issue": [issue.as_fhir() for issue in issues]}))


def _payload(body: dict[str, Any]) -> dict[str, Any]:
    """The resource itself, or the one inside Parameters."""
    if body.get("resourceType") != "Parameters":
        return body
    for parameter in body.get("parameter") or ():
        if isinstance(parameter, dict) and parameter.get("name") == "resource":
            resource = parameter.get("resource")
            if isinstance(resource, dict):
                return resource
    raise Incorrect("Parameters for $validate hold the resource in a parameter named 'resource'")
