"""The selectors of XML Patch: the part of XPath that RFC 5261 (4.1) takes, followed by hand.

Steps by name from the root, each with conditions: a place, an attribute, the text of a child or of the element itself.
At the end may stand an attribute or a text. No axis, no function, no `//`: what a stranger sends is walked once and can
do nothing else. Beyond the RFC a condition may look along a path, `f:name[f:use/@value='official']`, because FHIR keeps
its values in attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

FHIR = "http://hl7.org/fhir"
Element = etree._Element

_MOST_STEPS = 64
_NAME = r"(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*"
_STEP = re.compile(rf"(?P<name>\*|{_NAME})(?P<conditions>(?:\[[^\]]*\])*)", re.ASCII)
_CONDITION = re.compile(
    rf"\[\s*(?:(?P<place>[1-9]\d{{0,6}})|(?P<path>\.|(?:{_NAME}/){{0,8}}@?{_NAME})\s*=\s*(?:'(?P<one>[^']*)'|\"(?P<two>[^\"]*)\"))\s*\]"
)
_ATTRIBUTE = re.compile(rf"@(?P<name>{_NAME})", re.ASCII)
_TEXT = re.compile(r"text\(\)(?:\[(?P<place>[1-9]\d{0,6})\])?", re.ASCII)
_XML = "http://www.w3.org/XML/1998/namespace"


class Unfit(Exception):
    """The selector is none, or leads to nothing or to several. The text is about the patch only."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a selector leads to: an element, one of its attributes, or a text in it (by its place, from 0)."""

    element: Element
    attribute: str = ""
    text: int | None = None


def select(root: Element, selector: str, namespaces: Mapping[str | None, str]) -> Target:
    """The one node that a selector means. Raises Unfit."""
    *steps, last = _parts(selector.strip())
    if match := _ATTRIBUTE.fullmatch(last):
        element = _only(root, steps, namespaces)
        name = attribute_name(match["name"], namespaces)
        if element.get(name) is None:
            raise Unfit("the selector leads to nothing")
        return Target(element, attribute=name)
    if match := _TEXT.fullmatch(last):
        element = _only(root, steps, namespaces)
        place = int(match["place"] or 1) - 1
        if not match["place"] and len(texts(element)) > 1:
            raise Unfit("the selector leads to several places; say which one")
        if place >= len(texts(element)):
            raise Unfit("the selector leads to nothing")
        return Target(element, text=place)
    return Target(_only(root, [*steps, last], namespaces))


def texts(element: Element) -> list[tuple[Element, str]]:
    """The texts directly in an element: who holds each, and as what."""
    held = [(element, "text"), *((child, "tail") for child in element)]
    return [(one, name) for one, name in held if getattr(one, name)]


def attribute_name(name: str, namespaces: Mapping[str | None, str]) -> str:
    """An attribute's name; without prefix it has no namespace."""
    prefix, colon, local = name.rpartition(":")
    if not colon:
        return local
    found = _XML if prefix == "xml" else namespaces.get(prefix)
    if found is None:
        raise Unfit("a prefix in the selector is not declared")
    return f"{{{found}}}{local}"


def _element_name(name: str, namespaces: Mapping[str | None, str]) -> str:
    """An element's name; without prefix it is in the default namespace, which is FHIR's if the patch declares none."""
    prefix, colon, local = name.rpartition(":")
    found = namespaces.get(prefix) if colon else namespaces.get(None, FHIR)
    if found is None:
        raise Unfit("a prefix in the selector is not declared")
    return f"{{{found}}}{local}"


def _parts(selector: str) -> list[str]:
    """The steps, cut at slashes outside of conditions."""
    parts, begin, inside, quote = [], 0, False, ""
    text = selector.removeprefix("/")
    for n, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif inside and char in "'\"":
            quote = char
        elif char in "[]":
            inside = char == "["
        elif char == "/" and not inside:
            parts.append(text[begin:n])
            begin = n + 1
    parts.append(text[begin:])
    if not all(parts) or len(parts) > _MOST_STEPS:
        raise Unfit(
            "the selector is a path of names from the root of the resource, such as f:Patient/f:birthDate/@value"
        )
    return parts


def _only(root: Element, steps: list[str], namespaces: Mapping[str | None, str]) -> Element:
    nodes: list[Element] = []
    for n, step in enumerate(steps):
        match = _STEP.fullmatch(step) if "]" not in step.partition("[")[0] else None
        if match is None:
            raise Unfit(
                "a step of the selector is a name or *, with conditions such as [2], [@id='x'] or [f:use/@value='y']"
            )
        name = "*" if match["name"] == "*" else _element_name(match["name"], namespaces)
        groups = [[root]] if n == 0 else [list(node) for node in nodes]
        nodes = []
        for group in groups:
            found = [one for one in group if name in ("*", one.tag)]
            for condition in _conditions(match["conditions"]):
                found = list(_fulfilling(found, condition, namespaces))
            nodes += found
    if len(nodes) != 1:
        raise Unfit("the selector leads to several places; say which one" if nodes else "the selector leads to nothing")
    return nodes[0]


def _conditions(text: str) -> Iterator[re.Match[str]]:
    place = 0
    while place < len(text):
        match = _CONDITION.match(text, place)
        if match is None:
            raise Unfit("a condition of the selector is [2], [@id='x'], [.='x'] or [f:use/@value='y']")
        yield match
        place = match.end()


def _fulfilling(
    nodes: list[Element], condition: re.Match[str], namespaces: Mapping[str | None, str]
) -> Iterator[Element]:
    if condition["place"]:
        yield from nodes[int(condition["place"]) - 1 : int(condition["place"])]
        return
    wanted = condition["one"] if condition["one"] is not None else condition["two"]
    for node in nodes:
        if wanted in _values(node, condition["path"], namespaces):
            yield node


def _values(node: Element, path: str, namespaces: Mapping[str | None, str]) -> list[str]:
    if path == ".":
        return ["".join(str(part) for part in node.itertext())]
    *steps, last = path.split("/")
    nodes = [node]
    if not last.startswith("@"):
        steps.append(last)
    for step in steps:
        name = _element_name(step, namespaces)
        nodes = [child for one in nodes for child in one if child.tag == name]
    if last.startswith("@"):
        name = attribute_name(last[1:], namespaces)
        return [value for one in nodes if (value := one.get(name)) is not None]
    return ["".join(str(part) for part in one.itertext()) for one in nodes]
