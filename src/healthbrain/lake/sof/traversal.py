"""`repeat`: all elements that are reached from an element by following paths again and again, parents first.

SQL has no recursion over lists, so the levels are written out, on JSON text, down to `DEEPEST`; a query fails on a resource
that is nested deeper instead of leaving something out. Items are read as objects after they were found. Rule source: SQL on
FHIR v2, ViewDefinition.select.repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.fhir.fhirpath.syntax import Member, Node
from healthbrain.lake.sof.definition import parse
from healthbrain.lake.sof.ir import EMPTY, Const, Each, Get, Let, Parsed, Sql, Value, op
from healthbrain.lake.sof.needs import Need

if TYPE_CHECKING:
    from healthbrain.lake.sof.paths import Resolver, Scope

DEEPEST = 12


def items(resolver: Resolver, paths: tuple[str, ...], scope: Scope) -> Value:
    """The elements that `paths` reach from the focus, as a list."""
    start = [found for path in paths if not (found := _texts(resolver, path, scope.this)).nothing]
    if not start:
        return Value(op("empty_list"), EMPTY.type, many=True)
    types = {found.type for found in start}
    if len(types) > 1:
        raise Unsupported(f"repeat over {' and '.join(sorted(types))} at once has no form in SQL")
    type_ = types.pop()
    need = Need("", type_, many=False)
    texts = _below(resolver, paths, _joined([found.sql for found in start]), type_, DEEPEST)
    return Value(Parsed(texts, need, many=True), type_, True, need)


def _below(resolver: Resolver, paths: tuple[str, ...], texts: Sql, type_: str, left: int) -> Sql:
    """Every item of a list of JSON texts, followed by all that is below it."""
    item, parsed = resolver.fresh(), resolver.fresh()
    need = Need("", type_, many=False)
    this = Value(parsed, type_, need=need)
    found = [one for path in paths if not (one := _texts(resolver, path, this)).nothing]
    if any(one.type != type_ for one in found):
        raise Unsupported(f"repeat from {type_} to another type has no form in SQL")
    if not found:
        return texts
    children = _joined([one.sql for one in found])
    if left == 0:
        message = Const(f"repeat: a resource is nested more than {DEEPEST} levels deep")
        below: Sql = op("must_be_empty", children, message)
    else:
        below = _below(resolver, paths, children, type_, left - 1)
    step = op("list_concat", op("list", item), Let(parsed.name, Parsed(item, need, many=False), below))
    return op("flatten", Each(texts, item.name, step))


def _joined(lists: list[Sql]) -> Sql:
    return lists[0] if len(lists) == 1 else op("list_concat", *lists)


def _texts(resolver: Resolver, path: str, this: Value) -> Value:
    """The elements at the end of a plain path, as a list of JSON texts."""
    names = _names(parse(path))
    if not names:
        raise Incorrect(f"repeat: `{path}` is not a plain path such as item or answer.item")
    resolver.text = path
    value = this
    for name in names[:-1]:
        value = resolver.step(value, name)
    last = resolver.step(value, names[-1])
    if last.nothing or last.need is None or last.kind != "parts":
        return EMPTY
    need = last.need
    need.whole = True
    sql = resolver.through(value, lambda item: Get(item, need, whole=True), need.many)
    if not last.many:
        sql = op("list_of_present", sql)
    return Value(sql, last.type, True, need)


def _names(node: Node | None) -> list[str]:
    names: list[str] = []
    while isinstance(node, Member):
        names.append(node.name)
        node = node.base
    return [] if node is not None else names[::-1]
