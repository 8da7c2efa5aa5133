"""Compartments: what belongs to one patient, encounter, practitioner, device or related person.

Rule source: FHIR R4 CompartmentDefinition; the parameters are those of the compiled definitions.
"""

from __future__ import annotations

from healthbrain.errors import Incorrect
from healthbrain.fhir import definitions
from healthbrain.store import keys
from healthbrain.store.asking import Asking
from healthbrain.store.clause import Clause
from healthbrain.store.pieces import Condition, any_of, holds_any
from healthbrain.store.pointing import reference
from healthbrain.store.question import Criterion
from healthbrain.store.rows import COMPARTMENT
from healthbrain.store.types import TypeIndex


def in_compartment(name: str, type_: str) -> bool:
    """Whether resources of a type can be in compartments of this kind."""
    if name not in definitions().compartments:
        raise Incorrect(f"{name} has no compartment; {', '.join(definitions().compartments)} have")
    return name == type_ or bool(definitions().compartment(name, type_))


def compartment_condition(index: TypeIndex, name: str, id_: str, asking: Asking) -> Condition:
    """The row is in the compartment of this resource, or is this resource."""
    if name == "Patient":
        token = keys.number(keys.referred(COMPARTMENT, "Patient", id_))
        return any_of([Condition("r.patient = %s", (keys.patient_key(id_),)), holds_any("r", [token])])
    ways = [
        reference(Clause(index, index.parameters[code], Criterion(code, code, "", "", (f"{name}/{id_}",)), "r", asking))
        for code in definitions().compartment(name, index.name)
        if code in index.parameters
    ]
    if index.name == name:
        ways.append(Condition("r.key = %s", (keys.resource_uuid(name, id_),)))
    return any_of(ways)
