"""Index values of a whole resource, by search-parameter paths compiled ahead.

All paths of a type are merged into one tree of steps, so that each element is visited once however many parameters
use it, and elements a resource does not have cost nothing. The paths come from the compiled definitions
(fhir.compile.paths); `visits` turns the tree into closures.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.indexing import Convert, Found
from healthbrain.fhir.values import IndexValues, Position
from healthbrain.fhir.visits import Compiler, Place


def extract(resource: dict[str, Any]) -> IndexValues:
    """Everything a (valid) resource can be found by, and the patients in whose compartment it lies.

    >>> [token.code for token in extract({"resourceType": "Patient", "gender": "male"}).tokens]
    ['male', 'false']
    """
    name = resource["resourceType"]
    walk, compartment = _plan(name)
    found = Found(resource)
    walk(resource, (), found)
    patients = [ref.id for ref in found.references if ref.type == "Patient" and ref.id and ref.param in compartment]
    if name == "Patient" and "id" in resource:
        patients.insert(0, resource["id"])
    return IndexValues(
        tuple(found.tokens),
        tuple(found.references),
        tuple(found.texts),
        tuple(found.dates),
        tuple(found.numbers),
        tuple(found.uris),
        tuple(found.composites),
        tuple(dict.fromkeys(patients)) if len(patients) > 1 else tuple(patients),
        _positions(resource) if name == "Location" else (),
        tuple({one["resourceType"]: None for one in resource["contained"]}) if "contained" in resource else (),
    )


def extract_only(resource: dict[str, Any], codes: frozenset[str]) -> IndexValues:
    """What a resource is found by through some parameters of R4, composites left out: for reading many for the sake of one."""
    found = Found(resource)
    _narrow_plan(resource["resourceType"], codes)(resource, (), found)
    return IndexValues(tuple(found.tokens), tuple(found.references), uris=tuple(found.uris))


@lru_cache(maxsize=256)
def _narrow_plan(name: str, codes: frozenset[str]) -> Convert:
    known = definitions()
    root = Place()
    for code, parameter in known.search_parameters(name).items():
        if code in codes:
            for path in parameter.paths:
                root.take(parameter.type, path, code, parameter.targets)
    return Compiler(known).object(root)


def _positions(location: dict[str, Any]) -> tuple[Position, ...]:
    """What `near` asks for; a place needs both coordinates, within the earth. Finer than a tenth of a millimetre is noise."""
    position = location.get("position", {})
    latitude, longitude = position.get("latitude"), position.get("longitude")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return ()
    return (Position("near", round(float(latitude), 9), round(float(longitude), 9)),)


@cache
def _plan(name: str) -> tuple[Convert, frozenset[str]]:
    """The walk of a type's resources, and the parameters of its patient compartment."""
    known = definitions()
    root = Place()
    for parameter in known.search_parameters(name).values():
        for index, path in enumerate(parameter.paths):
            if parameter.type == "composite":
                parts = tuple((component, component.paths[index]) for component in parameter.components)
                root.at(path.steps).composites.append((parameter.code, parts))
            else:
                root.take(parameter.type, path, parameter.code, parameter.targets)
    return Compiler(known).object(root), frozenset(known.patient_compartment(name))
