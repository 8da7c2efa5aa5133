"""PATCH: a resource as it becomes when a patch is applied to what is here now (R4 http, patch).

The row is locked while the patch is applied, so nothing that others write in between is lost; what comes out is then
written like any update: validated, indexed, and no new version when nothing changed. Whoever may not write the
resource learns nothing from how its patch fails.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Gone, Incorrect, Malformed, NotFound, PreconditionFailed, Unsupported
from healthbrain.fhir import parse
from healthbrain.fhir.patch import apply_fhirpath_patch, apply_json_patch, apply_xml_patch
from healthbrain.store import bodies, keys
from healthbrain.store.granted import grants_writing, rows_of
from healthbrain.store.metas import Labelling
from healthbrain.store.types import type_number
from healthbrain.store.values import WriteContext
from healthbrain.store.visibility import writable

JSON_PATCH = "application/json-patch+json"

XML_PATCH = "application/xml-patch+xml"

# the operations of a JSON Patch, an XML Patch, the Parameters of a FHIRPath Patch, or a change of labels
Patch = Sequence[Any] | bytes | dict[str, Any] | Labelling


def read_patch(resource: Any, place: str) -> Patch:
    """The patch in a bundle's entry: Parameters, or a Binary that holds a JSON or XML Patch. Raises Incorrect."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if kind == "Parameters":
        return dict(resource)
    if kind != "Binary":
        raise Incorrect(
            f"{place}.resource: PATCH takes Parameters (FHIRPath Patch) or a Binary (JSON Patch, XML Patch)"
        )
    content = resource.get("contentType")
    if content not in (JSON_PATCH, XML_PATCH):
        raise Unsupported(f"{place}.resource.contentType: a patch in a Binary is {JSON_PATCH} or {XML_PATCH}")
    try:
        raw = base64.b64decode(str(resource.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"{place}.resource.data: is not base64") from None
    return raw if content == XML_PATCH else json_patch(raw)


def json_patch(raw: bytes) -> list[Any]:
    """The operations of a JSON Patch document, decimals exact. Raises Malformed."""
    try:
        read = parse(b'{"patch":' + raw + b"}")  # the codec reads objects; a patch is an array
    except Malformed:
        raise Malformed("the JSON Patch cannot be read as JSON") from None
    found = read.get("patch")
    if len(read) != 1 or not isinstance(found, list):
        raise Malformed("a JSON Patch is an array of operations")
    return found


async def patched(
    connection: Connection,
    type_: str,
    id_: str,
    patch: Patch,
    context: WriteContext,
    *,
    if_match: int | None = None,
    place: str = "",
) -> tuple[dict[str, Any], int]:
    """The resource after the patch, and the version it was applied to; the row stays locked until the end.

    Raises NotFound, Gone, Forbidden, PreconditionFailed, or what is wrong with the patch.
    """
    current = await _locked(connection, type_, id_)
    where = place or f"{type_}/{id_}"
    if current is None:
        raise NotFound(f"{where}: there is nothing here to patch")
    if not writable(context.scope, current.owner, current.patient):
        raise Forbidden(f"{where} belongs to an organisation whose data this account may not change")
    if current.deleted:
        raise Gone(f"{where}: {type_}/{id_} was deleted")
    resource = parse(bodies.decompress(current.body))
    if context.scope.rules is not None:
        rows = rows_of(type_, id_, resource)
        if not grants_writing(context.scope, type_, "u", current.patient, rows):
            raise Forbidden(f"{where}: the application was not granted this")
    if if_match is not None and current.version != if_match:
        raise PreconditionFailed(f"{where}: it is not at version {if_match} any more; read it again, then write")
    if isinstance(patch, Labelling):
        return patch.applied(resource), current.version
    if isinstance(patch, bytes):
        return apply_xml_patch(resource, patch), current.version
    if isinstance(patch, dict):
        return apply_fhirpath_patch(resource, patch), current.version
    return apply_json_patch(resource, patch), current.version


@dataclass(frozen=True, slots=True)
class _Current:
    version: int
    deleted: bool
    owner: int
    patient: int | None
    body: bytes


_LOCK = """
select version, deleted, owner, patient, body
from resource where key = %s and rtype = %s and fhir_id = %s for no key update"""


async def _locked(connection: Connection, type_: str, id_: str) -> _Current | None:
    values = [keys.resource_uuid(type_, id_), type_number(type_), id_]
    row = await (await connection.execute(_LOCK, values)).fetchone()
    return _Current(*row) if row else None
