"""Tree navigation, trace, type() and defineVariable(). Rule source: FHIRPath N1 and 3.0, the chapters of these names."""

from __future__ import annotations

from healthbrain.fhir.fhirpath import model, nodes
from healthbrain.fhir.fhirpath.frame import Evaluator, Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity, comparable
from healthbrain.fhir.fhirpath.singletons import single, text, value
from healthbrain.fhir.fhirpath.types import type_of
from healthbrain.fhir.fhirpath.values import Collection, Item, Node, TypeInfo

TABLE = Table()


@TABLE.plain("children")
def _children(items: Collection, frame: Frame) -> Collection:
    found = nodes.children(items)
    for item in items:
        if isinstance(item, TypeInfo):
            found.extend((item.namespace, item.name, item.base_type))
    return found


@TABLE.plain("descendants")
def _descendants(items: Collection, frame: Frame) -> Collection:
    return nodes.descendants(items)


@TABLE.scoped("trace", 1, 2)
def _trace(items: Collection, frame: Frame, name: Evaluator, projection: Evaluator | None = None) -> Collection:
    if frame.run.trace is None:
        return items
    label = text(name(frame), "the name of trace()") or ""
    shown = items
    if projection is not None:
        inner = frame.inner()
        shown = []
        for index, item in enumerate(items):
            inner.this, inner.index = [item], index
            shown.extend(projection(inner))
    frame.run.trace(label, [nodes.plain(item) for item in shown])
    return items


@TABLE.plain("type")
def _type(items: Collection, frame: Frame) -> Collection:
    return [type_of(item) for item in items]


@TABLE.plain("comparable", 1)
def _comparable(items: Collection, frame: Frame, other: Collection) -> Collection:
    left, right = _quantity(value(items, "comparable()")), _quantity(value(other, "comparable()"))
    return [] if left is None or right is None else [comparable(left, right)]


def _quantity(item: Item | None) -> Quantity | None:
    if isinstance(item, int) and not isinstance(item, bool):
        return Quantity.parse(str(int(item)))
    return item if isinstance(item, Quantity) else None


@TABLE.scoped("defineVariable", 1, 2)
def _define_variable(
    items: Collection, frame: Frame, name: Evaluator, projection: Evaluator | None = None
) -> Collection:
    label = text(name(frame), "the name of defineVariable()")
    if label is None:
        raise Unanswerable("defineVariable() needs a name")
    if label in frame.variables or label in frame.run.env or label in ("context", "resource", "rootResource", "ucum"):
        raise Unanswerable("defineVariable() cannot define a name again")
    found = items
    if projection is not None:
        inner = frame.inner()
        inner.this = items
        found = projection(inner)
    frame.variables = {**frame.variables, label: found}
    return items


@TABLE.plain("hasValue")
def _has_value(items: Collection, frame: Frame) -> Collection:
    return [len(items) == 1 and _primitive_value(items[0]) is not None]


@TABLE.plain("getValue")
def _get_value(items: Collection, frame: Frame) -> Collection:
    item = single(items, "getValue()")
    found = None if item is None else _primitive_value(item)
    return [] if found is None else [found]


def _primitive_value(item: Item) -> Item | None:
    """The System value of a primitive; None for elements with parts and primitives without value."""
    if isinstance(item, Node) and item.value.__class__ is dict and not model.is_primitive(item.type):
        return None
    return nodes.system(item)


@TABLE.plain("extension", 1)
def _extension(items: Collection, frame: Frame, url: Collection) -> Collection:
    wanted = text(url, "the url of extension()")
    return [
        one
        for one in _EXTENSIONS(items)
        if isinstance(one, Node) and one.value.__class__ is dict and one.value.get("url") == wanted
    ]


_EXTENSIONS = nodes.step("extension")
