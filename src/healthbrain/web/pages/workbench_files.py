"""Definitions as files on the workbench: taken in as YAML or as a FHIR Measure, given out as both, compared line by line."""

from __future__ import annotations

import difflib
from urllib.parse import quote

from starlette.responses import Response

from healthbrain.errors import Incorrect
from healthbrain.fhir import dump
from healthbrain.fhir import parse as parse_resource
from healthbrain.measure import fhir, load
from healthbrain.measure.workbench.drafts import Own
from healthbrain.web import guard


def definition_text(content: bytes) -> str:
    """The YAML of an uploaded definition: itself, or what a FHIR Measure carries."""
    text = content.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        return text
    resource = parse_resource(text)
    one = fhir.from_measure(resource)
    found = fhir.carried_text(resource)
    if not found:
        raise Incorrect("the Measure does not carry its definition in a Library; send the YAML")
    return found if one.id else ""


def file_of(own: Own, kind: str) -> Response:
    version = own.versions[0]
    if not version.text:
        raise Incorrect("the measure has faults; mend them before it is exported")
    if kind == "yaml":
        response = Response(version.text, media_type="text/yaml; charset=utf-8")
    elif kind == "json":
        resource = fhir.as_measure(load.definition_of(version.text, own.id), version.text)
        response = Response(dump(resource), media_type="application/fhir+json")
    else:
        raise Incorrect("a definition is exported as yaml or json")
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(own.id)}.{kind}"
    return guard.protect(response)


def differences(before: str, after: str) -> list[tuple[str, str]]:
    """Lines that are gone, came, or stay nearby."""
    looks = {"-": "gone", "+": "came"}
    found = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    return [(looks.get(line[:1], ""), line) for line in found if not line.startswith("@@")]
