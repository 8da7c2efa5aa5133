"""From StructureDefinition to Profile: the elements of its snapshot, or of its differential laid over its base.

Rule source: R4 profiling and ElementDefinition. Elements are found by path and slice name; a differential may step
into data types, name one type of a choice element (`valueQuantity`), and constrain slices its base has defined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from healthbrain.errors import HealthBrainError
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath.model import is_primitive, knows
from healthbrain.fhir.profile.facts import apply_facts, prune
from healthbrain.fhir.profile.parts import BY_TYPE, MANY, Context, Part, Profile, Slicing, TypeRule, part_at
from healthbrain.fhir.profile.rules import rule_of

CORE = "http://hl7.org/fhir/StructureDefinition/"
_DEEPEST = 64  # as in JSON
_BY_SHORTHAND = Slicing(BY_TYPE.discriminators, "closed")

Structure = dict[str, Any]
Lookup = Callable[[str], Structure | None]


class Unusable(HealthBrainError):
    """The profile cannot be used."""


def derive(structure: Structure, lookup: Lookup) -> Profile:
    """The profile that a StructureDefinition defines.

    Raises Unusable when it, or a profile it is built on, is unknown, circular or not about a type of R4.
    """
    root = _with_same_content(prune(_tree(structure, lookup, ())))
    return Profile(
        url=str(structure.get("url", "")),
        type=root.type,
        root=root,
        contexts=tuple(
            Context(str(one.get("type")), str(one.get("expression"))) for one in _objects(structure.get("context"))
        ),
        context_rules=tuple(
            rule_of("context", "error", one, "the extension is not used where it may be")
            for one in _list(structure.get("contextInvariant"))
            if isinstance(one, str)
        ),
    )


def _tree(structure: Structure, lookup: Lookup, within: tuple[str, ...]) -> Part:
    type_, url = structure.get("type"), str(structure.get("url", ""))
    if not isinstance(type_, str) or not knows(type_):
        raise Unusable("it is not about a resource or data type of FHIR R4")
    if url in within:
        raise Unusable("it is built on itself")
    snapshot = _elements(structure.get("snapshot"))
    if snapshot:
        root = Part(type_, type_)
        elements = snapshot
    else:
        root = _base(structure, type_, lookup, (*within, url))
        elements = _elements(structure.get("differential"))
    place = _Places(root, shorthand=not snapshot)
    for element in elements:
        part = place.find(element)
        if part is not None:
            apply_facts(part, element, url)
    return root


def _with_same_content(root: Part) -> Part:
    """Add what snapshots have of elements that take their content from another: `Questionnaire.item.item`."""
    known = definitions()
    for name in known.type_names:
        if not name.startswith(f"{root.type}."):
            continue
        for element in known.type(name).elements.values():
            like = element.types[0].code
            if "." in like and like != f"{name}.{element.name}" and (model := part_at(root, like)) and model.children:
                part = root
                for step in [*name.split(".")[1:], element.name]:
                    part = _step(part, step, "", shorthand=False)
                part.like = like
    return root


def _base(structure: Structure, type_: str, lookup: Lookup, within: tuple[str, ...]) -> Part:
    base = str(structure.get("baseDefinition", "")).partition("|")[0]
    name = base.removeprefix(CORE)
    if base.startswith(CORE) and knows(name) and name != "SimpleQuantity":
        return Part(type_, type_)
    found = lookup(str(structure.get("baseDefinition", "")))
    if found is None:
        raise Unusable(f"the profile it is built on is not known here: {base or 'it names none'}")
    if found.get("type") != type_:
        raise Unusable("the profile it is built on is about another type")
    return _tree(found, lookup, within).copy()


def _elements(view: Any) -> list[dict[str, Any]]:
    """The elements of a snapshot or differential."""
    return _objects(view.get("element")) if isinstance(view, dict) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in _list(value) if isinstance(one, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class _Places:
    """Finds, or makes, the part that an ElementDefinition is about; follows the order of the elements."""

    def __init__(self, root: Part, *, shorthand: bool) -> None:
        self._root = root
        self._shorthand = shorthand
        self._slices: dict[str, str] = {}  # path -> the slice its latest element named

    def find(self, element: dict[str, Any]) -> Part | None:
        path = element.get("path")
        if not isinstance(path, str) or path.split(".")[0].partition(":")[0] != self._root.name:
            return None
        names = path.split(".")
        if len(names) > _DEEPEST:
            return None
        part = self._root
        for name, slice_ in list(zip(names, self._named(element, names), strict=True))[1:]:
            part = _step(part, name, slice_, shorthand=self._shorthand)
        return part

    def _named(self, element: dict[str, Any], names: list[str]) -> list[str]:
        """The slice at each name of the path, from the id, or from the elements before."""
        ids = str(element.get("id", "")).split(".")
        own = element.get("sliceName")
        if len(ids) == len(names):
            found = [one.partition(":")[2] for one in ids]
        else:
            found = [self._slices.get(".".join(names[: depth + 1]), "") for depth in range(len(names))]
            found[-1] = ""
        if isinstance(own, str):
            found[-1] = own
        self._slices[".".join(names)] = found[-1]
        return found


def _step(part: Part, name: str, slice_: str, *, shorthand: bool) -> Part:
    """The part of an element within another, or of a slice of it."""
    plain = name.removesuffix("[x]")
    type_ = _content(part, plain)
    if type_ is None and (found := _choice_key(part, plain)):
        child = part.children.setdefault(found[0], Part(found[0], "", choice=True))
        if shorthand:
            _restrict(child, found[1])
        return _slice(child, slice_ or name, found[1])
    child = part.children.setdefault(plain, Part(plain, type_ or "", choice=name.endswith("[x]")))
    return _slice(child, slice_, "") if slice_ else child


def _restrict(part: Part, type_: str) -> None:
    """A differential that names `valueQuantity` where nothing slices `value[x]` allows that type only (R4 snapshots)."""
    if part.slicing is None:
        part.slicing, part.types = _BY_SHORTHAND, (TypeRule(type_),)
    elif part.slicing is _BY_SHORTHAND and all(one.code != type_ for one in part.types or ()):
        part.types = (*(part.types or ()), TypeRule(type_))


def _slice(part: Part, name: str, type_: str) -> Part:
    """A slice by its name; `a/b` is the slice b within slice a when there is one."""
    outer, _, _ = name.rpartition("/")
    if outer in part.slices:
        return _slice(part.slices[outer], name, type_)
    found = part.slices.get(name)
    if found is None:
        if part.choice and not type_:
            type_ = _type_of_slice(part.name, name)
        found = part.slices[name] = Part(part.name, type_ or part.type, choice=part.choice, slice=name)
        found.types = (TypeRule(type_),) if type_ else None
        found.min, found.max = 0, MANY
    return found


def _content(part: Part, name: str) -> str | None:
    """The name of the definition of an element's content; '' when it has several; None when there is no element."""
    if is_primitive(part.type):
        return {"extension": "Extension", "id": "string"}.get(name, "")
    if not knows(part.type):
        return ""
    element = definitions().type(part.type).elements.get(name)
    if element is None:
        return None
    return element.types[0].shape if len(element.types) == 1 else ""


def _choice_key(part: Part, key: str) -> tuple[str, str] | None:
    """Name of the choice element and type that a JSON key such as `valueQuantity` stands for."""
    for element in definitions().type(part.type).elements.values():
        choice = element.keys().get(key) if element.choice else None
        if choice is not None:
            return element.name, choice.code
    return None


def _type_of_slice(name: str, slice_: str) -> str:
    """The type a slice of a choice element is named after, as in `value[x]:valueQuantity`."""
    suffix = slice_.removeprefix(name)
    for type_ in (suffix, suffix[:1].lower() + suffix[1:]):
        if slice_.startswith(name) and suffix and knows(type_):
            return type_
    return ""
