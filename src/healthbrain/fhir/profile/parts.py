"""A profile as a tree: what it asks of an element beyond what R4 asks of it anyway.

A `Part` holds the demands on one element or one slice of it; what is None is not constrained. Elements a profile says
nothing about have no part.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from healthbrain.fhir.profile.rules import Rule

MANY = 2**31  # max = '*'


@dataclass(frozen=True, slots=True)
class TypeRule:
    """A type an element may have, profiles its content must meet one of, and profiles a reference may point to."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exact:
    """A fixed value, or a pattern, which the element may exceed."""

    value: Any
    fixed: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """The least or greatest value, with its type."""

    value: Any
    type: str


@dataclass(frozen=True, slots=True)
class BindingRule:
    """A value set, how strictly it is meant, and the set beyond which even an extensible binding may not go."""

    strength: str
    value_set: str
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Discriminator:
    """What tells slices apart: a kind of test and the path it looks at."""

    kind: Literal["value", "exists", "pattern", "type", "profile"]
    path: str


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the items of an element are told apart, and what is allowed beside the slices."""

    discriminators: tuple[Discriminator, ...]
    rules: str = "open"
    ordered: bool = False


BY_URL = Slicing((Discriminator("value", "url"),))
BY_TYPE = Slicing((Discriminator("type", "$this"),))


@dataclass(slots=True)
class Part:
    """Demands on an element, or on one slice of it. `type` names the definition of its content, '' when open."""

    name: str
    type: str
    choice: bool = False
    slice: str = ""
    min: int | None = None
    max: int | None = None
    types: tuple[TypeRule, ...] | None = None
    exact: Exact | None = None
    least: Limit | None = None
    greatest: Limit | None = None
    max_length: int | None = None
    binding: BindingRule | None = None
    modifier: bool = False
    like: str = ""  # path of the element with the same content (contentReference)
    slicing: Slicing | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    slices: dict[str, Part] = field(default_factory=dict)
    children: dict[str, Part] = field(default_factory=dict)

    def copy(self) -> Part:
        """A tree of its own, to be constrained further."""
        return replace(
            self,
            rules=dict(self.rules),
            slices={name: part.copy() for name, part in self.slices.items()},
            children={name: part.copy() for name, part in self.children.items()},
        )

    @property
    def how(self) -> Slicing | None:
        """Its slicing; extensions are told apart by url and choice elements by type even where nothing says so."""
        if self.slicing is not None and (self.slicing.discriminators or not self.slices):
            return self.slicing
        if not self.slices:
            return None
        usual = BY_URL if self.name in ("extension", "modifierExtension") else BY_TYPE if self.choice else None
        if usual is None or self.slicing is None:
            return usual or self.slicing
        return replace(self.slicing, discriminators=usual.discriminators)

    @property
    def asks_nothing(self) -> bool:
        """Whether every element meets it."""
        asked = (self.min, self.max, self.types, self.exact, self.least, self.greatest, self.max_length, self.binding)
        if self.rules or self.slices or self.children or self.like or any(one is not None for one in asked):
            return False
        return self.slicing is None or self.slicing.rules == "open"


@dataclass(frozen=True, slots=True)
class Context:
    """Where an extension may be used."""

    kind: str  # element, extension or fhirpath
    expression: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile or extension definition, derived from its base and ready to be checked against."""

    url: str
    type: str
    root: Part
    contexts: tuple[Context, ...]
    context_rules: tuple[Rule, ...]

    @property
    def modifier(self) -> bool:
        """Whether an extension changes the meaning of what holds it."""
        return self.root.modifier

    def at(self, path: str) -> Part | None:
        """The part of an element named by its path, such as `Questionnaire.item`."""
        return part_at(self.root, path)


def part_at(root: Part, path: str) -> Part | None:
    """The part of an element below a root, by its path."""
    part: Part | None = root
    for name in path.split(".")[1:]:
        part = None if part is None else part.children.get(name.removesuffix("[x]"))
    return part
