"""Search-parameter expressions compiled to typed steps over JSON.

R4 search parameters use a small part of FHIRPath (R4 search, "Extracting values"): member access, unions, `as`,
`ofType`, `where` with an equality, `resolve() is` or `hasExtension`, `extension`, an index, `%resource`, and one
`exists() and != false`. This module reads exactly that part, resolves choice elements to their JSON names with the
element tree, and refuses anything else, so that a new form cannot be skipped silently.

A step is one of
    ["one", key] ["many", key]    step into an element, single or repeating
    ["at", n]                     the n-th item
    ["where", key, value]         keep objects whose element has the value
    ["is", type]                  keep references to resources of the type
    ["has", url] ["ext", url]     keep elements with the extension; step into its value
    ["root"]                      back to the resource
    ["true", [keys]]              one boolean: any of the keys is present and not false
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

Steps = tuple[tuple[Any, ...], ...]
Types = dict[str, dict[str, Any]]

_TOKEN = re.compile(r"\s*(?:(%?[A-Za-z_]\w*)|'([^']*)'|(\d+)|([.()\[\]|=]|!=))")
_FLAG = re.compile(r"(\w+)\.(\w+)\.exists\(\) and \1\.\2 != false")


@dataclass(frozen=True, slots=True)
class Path:
    """Where values of one type lie: steps from the resource (or the composite's element), type, binding."""

    steps: Steps
    type: str
    binding: str = ""

    def record(self) -> list[Any]:
        """As it stands in the compiled file."""
        return [[list(step) for step in self.steps], self.type, self.binding]


@dataclass(frozen=True, slots=True)
class _Node:
    """A set of places met while reading an expression; a choice element is still unresolved."""

    steps: Steps
    type: str
    binding: str = ""
    choice: dict[str, Any] | None = field(default=None)
    context: Steps = ()


def split(expression: str, base: str) -> list[str]:
    """The members of a union that start at type `base` (or apply to every type)."""
    members = [member.strip() for member in expression.split("|")]
    starts = re.compile(rf"\(?({base}|Resource|DomainResource|%resource|[a-z]\w*)\b")  # InsurancePlan: name | alias
    return [member for member in members if starts.match(member)]


def compile_path(expression: str, start: str, types: Types) -> list[Path]:
    """All typed paths of one union-free expression, from a node of type `start` or from the resource itself."""
    if flag := _FLAG.fullmatch(expression):
        keys = [key for key, _ in _alternatives(types[flag[1]], flag[2])]
        return [Path((("true", keys),), "boolean")]
    reader = _Reader(_tokens(expression), types)
    nodes = reader.expression([_Node((), start)])
    reader.finish()
    return [Path(node.steps, node.type, node.binding) for node in _resolved(nodes, types)]


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(expression.rstrip()):
        match = _TOKEN.match(expression, at)
        if not match:
            raise ValueError(f"cannot read the expression {expression!r} at {at}")
        kinds = ("name", "text", "number", "sign")
        found.append(
            next((kind, value) for kind, value in zip(kinds, match.groups(), strict=True) if value is not None)
        )
        at = match.end()
    return found


def _alternatives(record: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """JSON key and type of each alternative of a choice element."""
    element = next(e for e in record["elements"] if e["name"] == name)
    return [(name + code[0].upper() + code[1:], code) for code, *_ in element["types"]]


def _resolved(nodes: list[_Node], types: Types) -> list[_Node]:
    """Nodes with choice elements spread over their alternatives."""
    found = []
    for node in nodes:
        if node.choice is None:
            found.append(node)
        else:
            found += [_choose(node, node.choice, code) for code, *_ in node.choice["types"]]
    return found


def _choose(node: _Node, choice: dict[str, Any], code: str) -> _Node:
    key = choice["name"] + code[0].upper() + code[1:]
    return replace(node, steps=(*node.context, ("one", key), *node.steps), type=code, choice=None, context=())


class _Reader:
    """Recursive descent over the tokens; each method takes and returns the current nodes."""

    def __init__(self, tokens: list[tuple[str, str]], types: Types) -> None:
        self.tokens = tokens
        self.types = types
        self.at = 0

    def expression(self, nodes: list[_Node]) -> list[_Node]:
        if self._take("sign", "("):
            inner = self.expression(nodes)
            if self._take("name", "as"):
                inner = self._as(inner, self._next("name"))
            self._expect("sign", ")")
        else:
            inner = self._first(nodes, self._next("name"))
        return self._suffixes(inner)

    def finish(self) -> None:
        """Everything must have been read."""
        if self.at != len(self.tokens):
            raise ValueError(f"unexpected {self.tokens[self.at]} in {self.tokens}")

    def _first(self, nodes: list[_Node], name: str) -> list[_Node]:
        if name == "%resource":
            return [_Node((("root",),), self._root(nodes))]
        if name[0].isupper():  # the name of the type that the expression starts at
            return nodes
        return self._call_or_member(nodes, name)

    def _root(self, nodes: list[_Node]) -> str:
        return nodes[0].type.partition(".")[0]

    def _suffixes(self, nodes: list[_Node]) -> list[_Node]:
        while self.at < len(self.tokens):
            if self._take("sign", "."):
                nodes = self._call_or_member(nodes, self._next("name"))
            elif self._take("sign", "["):
                index = int(self._next("number"))
                self._expect("sign", "]")
                nodes = [replace(node, steps=(*node.steps, ("at", index))) for node in _resolved(nodes, self.types)]
            else:
                break
        return nodes

    def _call_or_member(self, nodes: list[_Node], name: str) -> list[_Node]:
        if not self._take("sign", "("):
            return [found for node in _resolved(nodes, self.types) for found in self._member(node, name)]
        if name in {"as", "ofType"}:
            result = self._as(nodes, self._next("name"))
        elif name == "extension":
            url = self._next("text")
            result = [replace(n, steps=(*n.steps, ("ext", url)), type="Extension", binding="") for n in nodes]
        elif name == "where":
            result = self._where(_resolved(nodes, self.types))
        else:
            raise ValueError(f"unknown function {name}()")
        self._expect("sign", ")")
        return result

    def _as(self, nodes: list[_Node], wanted: str) -> list[_Node]:
        found = []
        for node in nodes:
            if node.choice is None:
                found += [node] if node.type.lower() == wanted.lower() else []
            else:  # code-value-date writes DateTime for dateTime, hence the comparison without case
                found += [
                    _choose(node, node.choice, c) for c, *_ in node.choice["types"] if c.lower() == wanted.lower()
                ]
        return found

    def _where(self, nodes: list[_Node]) -> list[_Node]:
        name = self._next("name")
        step: tuple[Any, ...]
        if name == "resolve":
            self._expect("sign", "(")
            self._expect("sign", ")")
            self._expect("name", "is")
            step = ("is", self._next("name"))
        elif name == "hasExtension":
            self._expect("sign", "(")
            step = ("has", self._next("text"))
            self._expect("sign", ")")
        else:
            self._expect("sign", "=")
            step = ("where", name, self._next("text"))
        return [replace(node, steps=(*node.steps, step)) for node in nodes]

    def _member(self, node: _Node, name: str) -> list[_Node]:
        record = self.types.get(node.type)
        element = next((e for e in record["elements"] if e["name"] == name), None) if record else None
        if element is None:
            return []
        binding = element.get("binding", ["", ""])
        bound = binding[1] if binding[0] == "required" else ""
        if element["choice"]:
            return [_Node((), node.type, bound, element, node.steps)]
        step = ("one" if element["max"] == 1 else "many", name)
        return [_Node((*node.steps, step), code, bound) for code, *_ in element["types"]]

    def _take(self, kind: str, value: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == (kind, value):
            self.at += 1
            return True
        return False

    def _expect(self, kind: str, value: str) -> None:
        if not self._take(kind, value):
            raise ValueError(f"expected {value!r} at token {self.at} of {self.tokens}")

    def _next(self, kind: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            raise ValueError(f"expected a {kind} at token {self.at} of {self.tokens}")
        self.at += 1
        return self.tokens[self.at - 1][1]
