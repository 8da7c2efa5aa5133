"""A GraphQL query as it was sent: parsed, limited, its fragments, variables and arguments made plain.

The limits are what keeps a short text from asking for unbounded work: characters, tokens, nesting, and the number of
fields after all fragments are put in their places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, parse
from graphql.language import ast

from healthbrain.errors import Incorrect, TooLarge, Unsupported

LONGEST = 50_000  # characters
DEEPEST = 15  # selections inside selections
MOST_FIELDS = 1000  # fields and fragments, after these are put in their places
_MOST_TOKENS = 5000
# a part of FHIRPath that cannot be made to work for long
_PATH = re.compile(r"\$index|[A-Za-z]{1,64}(\.([A-Za-z]{1,64}|first\(\)|last\(\))|\[\d{1,4}\]){0,10}", re.ASCII)
_NESTED = 60  # brackets inside brackets: what the parser is spared

DIRECTIVES = frozenset({"include", "skip", "first", "singleton", "flatten", "slice"})


@dataclass(frozen=True, slots=True)
class Field:
    """One thing asked of an object. `on` is the type its fragment is for, '' outside of fragments."""

    name: str
    key: str  # under which the answer stands
    arguments: Mapping[str, Any]
    directives: frozenset[str]
    children: tuple[Field, ...]
    on: str = ""
    slice: str = ""  # the path whose value names the parts of a list (@slice)


def read(text: str, variables: Mapping[str, Any], operation: str) -> tuple[Field, ...]:
    """The fields at the top of the query. Raises Incorrect, TooLarge or Unsupported."""
    if not text.strip():
        raise Incorrect("a GraphQL query is expected in 'query'")
    if len(text) > LONGEST or _nesting(text) > _NESTED:
        raise TooLarge(f"the query is longer than {LONGEST} characters or nested deeper than {_NESTED} brackets")
    try:
        document = parse(text, max_tokens=_MOST_TOKENS)
    except GraphQLError as error:
        place = error.locations[0] if error.locations else None
        where = f" (line {place.line}, column {place.column})" if place else ""
        raise Incorrect(f"the query cannot be read as GraphQL{where}") from None
    return _Reader(document, variables).fields(operation)


def _nesting(text: str) -> int:
    deepest = depth = 0
    for character in text:
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth -= 1
    return deepest


class _Reader:
    def __init__(self, document: ast.DocumentNode, variables: Mapping[str, Any]) -> None:
        self._given = variables
        self._variables: dict[str, Any] = {}
        self._fragments: dict[str, ast.FragmentDefinitionNode] = {}
        self._operations: list[ast.OperationDefinitionNode] = []
        self._selections = 0
        for definition in document.definitions:
            if isinstance(definition, ast.FragmentDefinitionNode):
                self._fragments[definition.name.value] = definition
            elif isinstance(definition, ast.OperationDefinitionNode):
                self._operations.append(definition)
            else:
                raise Incorrect("a query holds operations and fragments only; the schema is FHIR R4")

    def fields(self, name: str) -> tuple[Field, ...]:
        found = [one for one in self._operations if not name or (one.name is not None and one.name.value == name)]
        if len(found) != 1:
            raise Incorrect("the query holds one operation, or operationName says which of them is meant")
        (operation,) = found
        if operation.operation is not ast.OperationType.QUERY:
            raise Unsupported("only queries are offered; create, update and delete have their own requests")
        for one in operation.variable_definitions or ():
            self._declare(one)
        return tuple(self._selected(operation.selection_set, "", (), 1))

    def _declare(self, one: ast.VariableDefinitionNode) -> None:
        name = one.variable.name.value
        if name in self._given:
            self._variables[name] = self._given[name]
        elif one.default_value is not None:
            self._variables[name] = self._value(one.default_value)
        elif isinstance(one.type, ast.NonNullTypeNode):
            raise Incorrect(f"the variable ${name} is needed and has no value")
        else:
            self._variables[name] = None

    def _selected(
        self, selections: ast.SelectionSetNode | None, on: str, inside: tuple[str, ...], depth: int
    ) -> Iterator[Field]:
        if depth > DEEPEST:
            raise TooLarge(f"the query is nested deeper than {DEEPEST} fields")
        for one in selections.selections if selections else ():
            self._selections += 1
            if self._selections > MOST_FIELDS:
                raise TooLarge(f"the query asks for more than {MOST_FIELDS} fields")
            directives, wanted = self._directives(one)
            if not wanted:
                continue
            if isinstance(one, ast.FieldNode):
                yield self._field(one, directives, on, inside, depth)
            elif isinstance(one, ast.InlineFragmentNode):
                condition = one.type_condition.name.value if one.type_condition else on
                yield from self._selected(one.selection_set, condition, inside, depth)
            elif isinstance(one, ast.FragmentSpreadNode):
                name = one.name.value
                fragment = self._fragments.get(name)
                if fragment is None or name in inside:
                    raise Incorrect(f"the fragment {name} is not defined, or holds itself")
                condition = fragment.type_condition.name.value
                yield from self._selected(fragment.selection_set, condition, (*inside, name), depth)

    def _field(
        self, one: ast.FieldNode, directives: frozenset[str], on: str, inside: tuple[str, ...], depth: int
    ) -> Field:
        name = one.name.value
        children = tuple(self._selected(one.selection_set, "", inside, depth + 1)) if one.selection_set else ()
        arguments = {argument.name.value: self._value(argument.value) for argument in one.arguments or ()}
        key = one.alias.value if one.alias else name
        return Field(name, key, arguments, directives, children, on, self._slice(one))

    def _slice(self, node: ast.FieldNode) -> str:
        for one in node.directives or ():
            if one.name.value == "slice":
                given = {argument.name.value: self._value(argument.value) for argument in one.arguments or ()}
                path = given.get("path", given.get("fhirpath"))
                if not isinstance(path, str) or len(given) > 1 or not _PATH.fullmatch(path):
                    raise Incorrect(
                        "@slice takes path: $index, or names of elements such as use or type.coding.first().code"
                    )
                return path
        return ""

    def _directives(self, node: ast.SelectionNode) -> tuple[frozenset[str], bool]:
        found: set[str] = set()
        wanted = True
        for one in node.directives or ():
            name = one.name.value
            if name not in DIRECTIVES:
                raise Unsupported(f"the directives are @{', @'.join(sorted(DIRECTIVES))}")
            if name in ("include", "skip"):
                condition = {a.name.value: self._value(a.value) for a in one.arguments or ()}.get("if")
                if not isinstance(condition, bool):
                    raise Incorrect(f"@{name} takes if: true or false")
                wanted = wanted and condition == (name == "include")
            found.add(name)
        return frozenset(found - {"include", "skip"}), wanted

    def _value(self, node: ast.ValueNode) -> Any:
        match node:
            case ast.VariableNode():
                name = node.name.value
                if name not in self._variables:
                    raise Incorrect(f"the variable ${name} is not declared")
                return self._variables[name]
            case ast.ListValueNode():
                return [self._value(one) for one in node.values]
            case ast.BooleanValueNode():
                return node.value
            case ast.IntValueNode() | ast.FloatValueNode() | ast.StringValueNode() | ast.EnumValueNode():
                return node.value
            case ast.NullValueNode():
                return None
        raise Unsupported("an argument is a plain value or a list of them")
