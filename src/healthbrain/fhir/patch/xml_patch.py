"""XML Patch (RFC 5261, its media type RFC 7351): add, replace, remove, in order, on the resource written in XML.

The patch is a `patch` or `diff` element with the operations inside. White space has no meaning in FHIR, so `ws` is
passed over; namespaces cannot be added. Elements in the patch without a namespace, or in the patch's own, are FHIR's.
What comes out is read again as FHIR XML: an element in the wrong place is refused there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from lxml import etree

from healthbrain.errors import Invalid, Issue, Malformed, TooLarge
from healthbrain.fhir.patch.selector import FHIR, Element, Target, Unfit, attribute_name, select, texts
from healthbrain.fhir.xml import from_xml, to_xml

MOST_OPERATIONS = 1000
_ROOTS = frozenset({"patch", "diff"})
_POSITIONS = frozenset({"", "prepend", "before", "after"})
_WHERE = ("sel", "pos", "type", "ws")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was sent."""

    number: int
    name: str
    element: Element
    namespaces: Mapping[str | None, str]

    def said(self, name: str) -> str:
        """An attribute of the operation."""
        return str(self.element.get(name, ""))

    @property
    def text(self) -> str:
        """What it holds as text."""
        return "".join(str(part) for part in self.element.itertext(with_tail=False))


def apply(resource: dict[str, Any], raw: bytes) -> dict[str, Any]:
    """The resource after the patch. Raises Malformed, Invalid or TooLarge."""
    operations = read(raw)
    root = etree.fromstring(to_xml(resource), _parser(ours=True))
    for operation in operations:
        try:
            root = _done(root, operation)
        except Unfit as unfit:
            text = f"operation {operation.number} of the patch ({operation.name}): {unfit}"
            raise Invalid(text, issues=[Issue("error", "not-found", "", text)]) from None
    return from_xml(etree.tostring(root, encoding="UTF-8"))


def read(raw: bytes) -> list[Operation]:
    """The operations of a patch. Raises Malformed, TooLarge."""
    if b"<!DOCTYPE" in raw:
        raise Malformed("a patch has no DOCTYPE")
    try:
        root = etree.fromstring(raw, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise Malformed("the XML Patch cannot be read as XML in UTF-8") from None
    own = etree.QName(root)
    if own.localname not in _ROOTS:
        raise Malformed("an XML Patch is a 'patch' or 'diff' element that holds add, replace and remove")
    if len(root) > MOST_OPERATIONS:
        raise TooLarge(f"the patch has more than {MOST_OPERATIONS} operations; send the whole resource")
    return [_read(one, number, own.namespace or "") for number, one in enumerate(root.iterchildren(etree.Element))]


def is_patch(raw: bytes) -> bool:
    """Whether XML is a patch, and not a resource: as its first element says."""
    if b"<!DOCTYPE" in raw:
        return False
    try:
        begun = etree.iterparse(BytesIO(raw), events=("start",), resolve_entities=False, no_network=True)
        return etree.QName(next(iter(begun))[1]).localname in _ROOTS
    except (etree.XMLSyntaxError, StopIteration, ValueError):
        return False


def _parser(*, ours: bool = False) -> etree.XMLParser:
    """Nothing is fetched or put in for entities; what we wrote ourselves may have texts of any length."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True,
        encoding="utf-8", huge_tree=ours,
    )  # fmt: skip


def _read(element: Element, number: int, own: str) -> Operation:
    name = etree.QName(element).localname
    if name not in _DO:
        raise Malformed(f"operation {number} of the patch is one of {', '.join(_DO)}")
    if element.get("sel") is None:
        raise Malformed(f"operation {number} of the patch: {name} needs 'sel'")
    if not set(element.keys()) <= set(_WHERE):
        raise Malformed(f"operation {number} of the patch: {name} has the attributes {', '.join(_WHERE)} and no others")
    namespaces = {prefix: url for prefix, url in element.nsmap.items() if url != own or prefix is not None}
    for one in element.iterdescendants(etree.Element):
        if (etree.QName(one).namespace or "") in ("", own):
            one.tag = f"{{{namespaces.get(None, FHIR)}}}{etree.QName(one).localname}"
    return Operation(number, name, element, namespaces)


def _done(root: Element, operation: Operation) -> Element:
    target = select(root, operation.said("sel"), operation.namespaces)
    _DO[operation.name](target, operation)
    return root


def _add(target: Target, operation: Operation) -> None:
    kind, position = operation.said("type"), operation.said("pos")
    if target.attribute or target.text is not None:
        raise Unfit("something is added to an element")
    if kind:
        if not kind.startswith("@") or position:
            raise Unfit("type is an attribute such as @value, without pos")
        target.element.set(attribute_name(kind[1:], operation.namespaces), operation.text)
        return
    if position not in _POSITIONS:
        raise Unfit("pos is prepend, before or after")
    parent = target.element.getparent()
    if position in ("before", "after") and parent is None:
        raise Unfit("beside the root stands nothing")
    content, text = [copy.deepcopy(one) for one in operation.element], operation.element.text or ""
    if not content and not text.strip():
        raise Unfit("there is nothing to add")
    if position in ("before", "after") and parent is not None:
        place = parent.index(target.element) + (position == "after")
        kept = target.element.tail
        if position == "after":  # lxml keeps what follows an element with it
            target.element.tail = text
        _insert(parent, place, content)
        if position == "before":
            _append_text(parent, place, text)
        else:
            last = content[-1] if content else target.element
            last.tail = (last.tail or "") + (kept or "")
        return
    element = target.element
    place = 0 if position == "prepend" else len(element)
    following = element.text if position == "prepend" else ""
    if position == "prepend":
        element.text = ""
    _append_text(element, place, text)
    _insert(element, place, content)
    _append_text(element, place + len(content), following or "")


def _insert(parent: Element, place: int, content: list[Element]) -> None:
    for n, one in enumerate(content):
        parent.insert(place + n, one)


def _append_text(parent: Element, place: int, text: str) -> None:
    """Add text before the child at a place."""
    if not text:
        return
    if place == 0:
        parent.text = (parent.text or "") + text
    else:
        parent[place - 1].tail = (parent[place - 1].tail or "") + text


def _replace(target: Target, operation: Operation) -> None:
    if target.attribute:
        target.element.set(target.attribute, operation.text)
        return
    if target.text is not None:
        holder, name = texts(target.element)[target.text]
        setattr(holder, name, operation.text)
        return
    content = [copy.deepcopy(one) for one in operation.element]
    parent = target.element.getparent()
    if len(content) != 1:
        raise Unfit("an element is replaced by one element")
    if parent is None:
        raise Unfit("the whole resource cannot be replaced; send it with PUT")
    content[0].tail = target.element.tail
    parent.replace(target.element, content[0])


def _remove(target: Target, operation: Operation) -> None:
    if target.attribute:
        del target.element.attrib[target.attribute]
        return
    if target.text is not None:
        holder, name = texts(target.element)[target.text]
        setattr(holder, name, "")
        return
    parent = target.element.getparent()
    if parent is None:
        raise Unfit("the whole resource cannot be removed; send DELETE")
    _append_text(parent, parent.index(target.element), target.element.tail or "")
    parent.remove(target.element)


_DO = {"add": _add, "replace": _replace, "remove": _remove}
