"""Finding in the sources every text that a sender or a user can be told."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

ERRORS = {
    "HealthBrainError", "Incorrect", "Malformed", "Invalid", "TooLarge", "Unsupported", "Unauthenticated",
    "Forbidden", "NotFound", "Gone", "Conflict", "PreconditionFailed", "Busy", "Unavailable",
}  # fmt: skip  # a Fault's text is for the operator's log
PLACES = {"Issue": 3, "issue": 3, "add": 2, "at": 3, "error": 2, "unchecked": 2}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Found:
    """A text at a place; its template has `{}` for every value and is None when the text is made elsewhere."""

    where: str
    template: str | None
    source: str


def texts(root: Path, room: str) -> Iterator[Found]:
    """All texts given to issues and errors in a room."""
    for path in sorted((root / room).rglob("*.py")):
        yield from _Module(path, path.relative_to(root).as_posix()).found()


class _Module:
    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.tree = ast.parse(path.read_text("utf-8"))
        self.functions = [n for n in ast.walk(self.tree) if isinstance(n, _Function)]
        self.calls = [n for n in ast.walk(self.tree) if isinstance(n, ast.Call)]
        self.owner: dict[ast.AST, _Function] = {}
        for function in self.functions:  # inner functions come later and win
            for node in ast.walk(function):
                self.owner[node] = function

    def found(self) -> Iterator[Found]:
        for call in self.calls:
            name = _name(call)
            text: ast.expr | None = None
            if name in ERRORS and call.args:
                text = call.args[0]
            elif name in PLACES and self._collects(call, name) and len(call.args) > PLACES[name]:
                text = call.args[PLACES[name]]
            if text is None:
                continue
            for one in self.resolve(text, call, 3):
                yield Found(f"{self.name}:{call.lineno}", one, ast.unparse(text))

    def _collects(self, call: ast.Call, name: str) -> bool:
        """Whether this call notes a finding; `add` and the like are methods of other things elsewhere."""
        return name == "Issue" or (
            isinstance(call.func, ast.Attribute) and self.name.startswith(("fhir/", "exchange/"))
        )

    def resolve(self, node: ast.expr, at: ast.AST, depth: int) -> list[str | None]:
        match node:
            case ast.Constant(value=str(text)):
                return [text.replace("{", "{{").replace("}", "}}")]
            case ast.JoinedStr(values=parts):
                return [
                    "".join(
                        "{}" if isinstance(p, ast.FormattedValue) else p.value.replace("{", "{{").replace("}", "}}")
                        for p in parts
                    )
                ]
            case ast.IfExp(body=a, orelse=b):
                return self.resolve(a, at, depth) + self.resolve(b, at, depth)
            case ast.BinOp(op=ast.Add(), left=a, right=b):
                return [
                    (x or "{}") + (y or "{}")
                    for x, y in product(self.resolve(a, at, depth), self.resolve(b, at, depth))
                ]
            case ast.Name(id=name) if depth:
                return self.named(name, at, depth) or [None]
        return [None]

    def named(self, name: str, at: ast.AST, depth: int) -> list[str | None]:
        function = self.owner.get(at)
        scope: ast.AST = function or self.tree
        out: list[str | None] = []
        if function is not None:
            names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
            if name in names:
                out += self.passed(function, name, names, depth)
        for node in ast.walk(scope if function else self.tree):
            out += self.assigned(node, name, depth)
        if not out and function is not None:
            for node in self.tree.body:
                out += self.assigned(node, name, depth)
        return out

    def assigned(self, node: ast.AST, name: str, depth: int) -> list[str | None]:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return self.resolve(value, node, depth - 1)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                return self.resolve(value, node, depth - 1)
        return []

    def passed(self, function: _Function, name: str, names: list[str], depth: int) -> list[str | None]:
        position = names.index(name) - (names[0] in ("self", "cls"))
        out: list[str | None] = []
        for call in self.calls:
            if _name(call) != function.name:
                continue
            if len(call.args) > position:
                out += self.resolve(call.args[position], call, depth - 1)
            out += [x for k in call.keywords if k.arg == name for x in self.resolve(k.value, call, depth - 1)]
        return out


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
