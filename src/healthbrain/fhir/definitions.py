"""The R4 definitions at run time: types, elements, bindings, search parameters, compartments.

Loaded once from `r4.bin`, which `python -m healthbrain.fhir.compile` makes. The file is JSON under zstd, and records
turn into objects when first asked for, so that loading costs some hundredths of a second. Numbers of types and
parameters are positions in sorted lists of R4 4.0.1 and never change; the store keeps them in its rows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import orjson
import zstandard

from healthbrain.errors import Incorrect, Unavailable

FILE = Path(__file__).with_name("r4.bin")
FORMAT = 3
_LARGEST = 64 * 1024 * 1024

ParameterType = Literal["token", "reference", "string", "date", "number", "quantity", "uri", "composite", "special"]


@dataclass(frozen=True, slots=True)
class TypeChoice:
    """One type an element may have; `targets` are the resource types a reference may point to (empty = any).

    `shape` names the type that describes the content: the code itself, or SimpleQuantity for a restricted Quantity.
    """

    code: str
    targets: tuple[str, ...]
    shape: str


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule in FHIRPath that holds at a type or an element."""

    key: str
    severity: str
    expression: str
    human: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A value set tied to an element, with its strength (required, extensible, preferred, example)."""

    strength: str
    value_set: str


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a type. A choice element `value[x]` has the name `value` and one entry per alternative."""

    name: str
    choice: bool
    min: int
    max: int | None  # None = any number
    types: tuple[TypeChoice, ...]
    binding: Binding | None
    modifier: bool
    summary: bool
    invariants: tuple[Invariant, ...]

    @property
    def repeats(self) -> bool:
        """Whether JSON holds it as an array."""
        return self.max != 1

    def keys(self) -> dict[str, TypeChoice]:
        """JSON property names with the type each stands for."""
        if not self.choice:
            return {self.name: self.types[0]}
        return {self.name + t.code[0].upper() + t.code[1:]: t for t in self.types}


@dataclass(frozen=True, slots=True)
class Type:
    """A resource, a complex data type or a nested element (named by its path, such as `Patient.contact`)."""

    name: str
    kind: Literal["resource", "complex", "nested"]
    base: str
    abstract: bool
    elements: Mapping[str, Element]
    invariants: tuple[Invariant, ...]


@dataclass(frozen=True, slots=True)
class ValuePath:
    """Where a parameter's values lie: compiled steps (see fhir.compile.paths), their type, a required binding."""

    steps: tuple[tuple[Any, ...], ...]
    type: str
    binding: str


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter, with its paths from each of the composite's own paths.

    A part of a parameter that was added at run time has its expression instead.
    """

    code: str
    type: ParameterType
    paths: tuple[tuple[ValuePath, ...], ...]
    expression: str = ""


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter as it applies to one resource type."""

    base: str
    code: str
    number: int
    type: ParameterType
    url: str
    expression: str
    targets: tuple[str, ...]
    paths: tuple[ValuePath, ...]
    components: tuple[Component, ...]

    @property
    def special(self) -> bool:
        """Answered by the store itself, not from extracted values."""
        return not self.paths


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation R4 defines."""

    code: str
    resource: tuple[str, ...]
    levels: tuple[str, ...]


class Definitions:
    """Everything FHIR R4 says about its types. Immutable; obtain it from `definitions()`."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self.version: str = data["version"]
        self.types: tuple[str, ...] = tuple(data["resources"])
        self.primitives: Mapping[str, str] = data["primitives"]
        self._numbers = {name: number for number, name in enumerate(self.types, 1)}
        self._parameters: dict[str, dict[str, SearchParameter]] = {}
        self._types: dict[str, Type] = {}

    def type_number(self, name: str) -> int:
        """The stable number of a resource type. Raises Incorrect for a name R4 does not know."""
        try:
            return self._numbers[name]
        except KeyError:
            raise Incorrect(
                "there is no resource type of this name in FHIR R4; names are written as in Patient"
            ) from None

    def type_name(self, number: int) -> str:
        """The resource type with this number."""
        return self.types[number - 1]

    def is_resource(self, name: object) -> bool:
        """Whether it is the name of a resource type that can have instances."""
        return isinstance(name, str) and name in self._numbers

    def type(self, name: str) -> Type:
        """A resource, complex type or nested element by name or path."""
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = _type(name, self._data["types"][name])
        return found

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of all types with elements: resources (abstract ones too), complex types, nested elements."""
        return tuple(self._data["types"])

    def codes(self, value_set: str) -> Mapping[str, tuple[str, ...]] | None:
        """System -> codes of a required value set; None when it is open."""
        expansion = self._data["value_sets"].get(value_set)
        return None if expansion is None else {system: tuple(codes) for system, codes in expansion}

    def search_parameters(self, type: str) -> Mapping[str, SearchParameter]:
        """The search parameters of a resource type by code, those of all resources included."""
        found = self._parameters.get(type)
        if found is None:
            self.type_number(type)
            found = {code: self._parameter(type, code) for code in self._codes_by_type[type]}
            self._parameters[type] = found
        return found

    def parameter_by_number(self, number: int) -> SearchParameter:
        """The search parameter with this number."""
        base, _, code = self._parameter_keys[number - 1].partition(".")
        return self.search_parameters(base)[code]

    def compartment(self, name: str, type: str) -> tuple[str, ...]:
        """Codes of the parameters that put a resource of `type` into the compartment (Patient, Encounter ...)."""
        return tuple(self._data["compartments"][name].get(type, ()))

    @property
    def compartments(self) -> tuple[str, ...]:
        """The five compartments of R4."""
        return tuple(self._data["compartments"])

    def patient_compartment(self, type: str) -> tuple[str, ...]:
        """Codes of the parameters that place a resource in a patient's compartment."""
        return self.compartment("Patient", type)

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """The operations R4 defines, by id such as `Patient-everything`."""
        return {
            key: Operation(o["code"], tuple(o["resource"]), tuple(o["levels"]))
            for key, o in self._data["operations"].items()
        }

    @cached_property
    def _parameter_keys(self) -> list[str]:
        return list(self._data["parameters"])

    @cached_property
    def _parameter_numbers(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self._parameter_keys, 1)}

    @cached_property
    def _codes_by_type(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {name: [] for name in self.types}
        for key in self._parameter_keys:
            base, _, code = key.partition(".")
            found[base].append(code)
        return found

    def _parameter(self, base: str, code: str) -> SearchParameter:
        key = f"{base}.{code}"
        record = self._data["parameters"][key]
        return SearchParameter(
            base=base,
            code=code,
            number=self._parameter_numbers[key],
            type=record["type"],
            url=record["url"],
            expression=record["expression"],
            targets=tuple(record["targets"]),
            paths=_paths(record["paths"]),
            components=tuple(
                Component(c["code"], c["type"], tuple(_paths(paths) for paths in c["paths"]))
                for c in record.get("components", ())
            ),
        )


@cache
def definitions() -> Definitions:
    """The R4 definitions, loaded once per process.

    Raises Unavailable when they have not been compiled, or by another version of this code.
    """
    return load(FILE)


def load(path: Path) -> Definitions:
    """Definitions from a compiled file."""
    remedy = "run `python -m healthbrain.fhir.compile` (make setup does)"
    try:
        data = orjson.loads(zstandard.ZstdDecompressor().decompress(path.read_bytes(), _LARGEST))
    except OSError:
        raise Unavailable(f"{path}: the FHIR definitions are missing; {remedy}") from None
    except (zstandard.ZstdError, orjson.JSONDecodeError):
        raise Unavailable(f"{path}: the FHIR definitions are damaged; {remedy}") from None
    if data.get("format") != FORMAT:
        raise Unavailable(f"{path}: the FHIR definitions are of another version; {remedy}")
    return Definitions(data)


def write(path: Path, data: dict[str, Any]) -> int:
    """Write a compiled file, whole or not at all; returns its size."""
    packed = zstandard.ZstdCompressor(level=19).compress(orjson.dumps(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(packed)
    temporary.replace(path)
    return len(packed)


def _type(name: str, record: dict[str, Any]) -> Type:
    return Type(
        name=name,
        kind=record["kind"],
        base=record["base"],
        abstract=record["abstract"],
        elements={e["name"]: _element(e) for e in record["elements"]},
        invariants=tuple(Invariant(*i) for i in record["invariants"]),
    )


def _element(record: dict[str, Any]) -> Element:
    binding = record.get("binding")
    return Element(
        name=record["name"],
        choice=record["choice"],
        min=record["min"],
        max=record["max"],
        types=tuple(TypeChoice(code, tuple(targets), shape) for code, targets, shape in record["types"]),
        binding=Binding(*binding) if binding else None,
        modifier=record.get("isModifier", False),
        summary=record.get("isSummary", False),
        invariants=tuple(Invariant(*i) for i in record.get("invariants", ())),
    )


def _paths(records: list[Any]) -> tuple[ValuePath, ...]:
    return tuple(ValuePath(tuple(tuple(step) for step in steps), type_, binding) for steps, type_, binding in records)
