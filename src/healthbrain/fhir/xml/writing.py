"""Writing a resource as FHIR XML, in the order of the definitions and without white space between elements.

What it writes, `from_xml` reads back as the same resource. Nothing that XML cannot say is dropped silently: an
unknown element or a value of the wrong kind is refused with its place. `fhir_comments`, a relic of an earlier release,
is left out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from healthbrain.errors import Invalid, Issue
from healthbrain.fhir.codec import MAX_DEPTH
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.xml.fields import FHIR, Field, attributes, fields
from healthbrain.fhir.xml.narrative import stands_alone
from healthbrain.fhir.xml.texts import Unfit, Write, escaped, writer

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_COMMENTS = "fhir_comments"

Out = list[str]


class _Wrong(Exception):
    """Something that cannot be written; its place is collected on the way out."""

    def __init__(self, text: str, label: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.place = [label] if label else []


def to_xml(resource: dict[str, Any]) -> bytes:
    """The resource as XML in UTF-8. Raises Invalid with the element path when it has no XML form."""
    out: Out = [_DECLARATION]
    try:
        _resource(resource, out, 1, f' xmlns="{FHIR}"')
        return "".join(out).encode()
    except _Wrong as wrong:
        root = _type(resource) or "Resource"
        path = ".".join([root, *reversed(wrong.place)])
        raise Invalid(f"{path}: {wrong.text}", issues=[Issue("error", "structure", path, wrong.text)]) from None


def _resource(resource: Any, out: Out, depth: int, namespace: str = "") -> None:
    name = _type(resource)
    if not name:
        raise _Wrong("must be a resource: an object with the resourceType of a FHIR R4 resource")
    out.append(f"<{name}{namespace}")
    _content(resource, name, name, out, depth)


def _type(resource: Any) -> str:
    """The type of a resource; '' when it is none."""
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) and definitions().is_resource(name) else ""


def _content(content: dict[str, Any], type_: str, tag: str, out: Out, depth: int) -> None:
    """Attributes and children of an object, and the end of its tag."""
    if depth > MAX_DEPTH:
        raise _Wrong(f"is nested deeper than {MAX_DEPTH} levels; flatten it")
    known, inside = fields(type_), []
    for key in content:
        field = known.get(key)
        if field is None:
            field = _other(key, content, type_, known, out)
            if field is None:
                continue
        inside.append(field)
    if not inside:
        out.append("/>")
        return
    inside.sort(key=_position)
    out.append(">")
    latest = 0
    for field in inside:
        if field.position == latest:
            raise _Wrong("is given twice; a choice element has one value", field.label.partition(".")[0])
        latest = field.position
        _field(field, content, out, depth)
    out.append(f"</{tag}>")


def _position(field: Field) -> int:
    return field.position


def _other(key: str, content: dict[str, Any], type_: str, known: Any, out: Out) -> Field | None:
    """A key that is no child element: an attribute, the `_` companion of a primitive, or nothing FHIR has."""
    if key in attributes(type_):
        _attribute(key, content[key], out)
        return None
    if key == _COMMENTS or (key == "resourceType" and definitions().is_resource(type_)):
        return None
    field: Field | None = known.get(key[1:]) if key.startswith("_") else None
    if field is None or field.kind != "primitive":
        raise _Wrong(f"{type_} has no such element; remove it or use an extension", key if key.isalnum() else "")
    return None if key[1:] in content else field


def _attribute(name: str, value: Any, out: Out) -> None:
    if not isinstance(value, str) or not value:
        raise _Wrong("must be a string that is not empty", name)
    try:
        out.append(f' {name}="{escaped(value)}"')
    except Unfit as unfit:
        raise _Wrong(str(unfit), name) from None


def _field(field: Field, content: dict[str, Any], out: Out, depth: int) -> None:
    try:
        if field.kind == "primitive":
            value, extra = content.get(field.key), content.get("_" + field.key)
            if field.repeats:
                _primitives(field, value, extra, out, depth + 2)
            else:
                _primitive(field, value, extra, out, depth + 1)
        elif not field.repeats:
            _one(field, content[field.key], out, depth + 1)
        else:
            values = content[field.key]
            if not isinstance(values, list) or not values:
                raise _Wrong("must be an array that is not empty")
            for index, value in enumerate(values):
                _item(field, index, value, None, out, depth + 2)
    except _Wrong as wrong:
        if not wrong.place or not wrong.place[-1].startswith("["):
            wrong.place.append(field.label)
        else:
            wrong.place[-1] = field.label + wrong.place[-1]
        raise


def _item(field: Field, index: int, value: Any, extra: Any, out: Out, depth: int) -> None:
    try:
        if field.kind == "primitive":
            _primitive(field, value, extra, out, depth)
        else:
            _one(field, value, out, depth)
    except _Wrong as wrong:
        wrong.place.append(f"[{index}]")
        raise


def _one(field: Field, value: Any, out: Out, depth: int) -> None:
    if field.kind == "narrative":
        if not isinstance(value, str) or not stands_alone(value):
            raise _Wrong("must be one well-formed <div xmlns='http://www.w3.org/1999/xhtml'> as text")
        out.append(value)
        return
    if not isinstance(value, dict) or not value:
        raise _Wrong("must be an object that is not empty")
    if field.kind == "wrapper":
        out.append(f"<{field.key}>")
        _resource(value, out, depth)
        out.append(f"</{field.key}>")
    else:
        out.append(f"<{field.key}")
        _content(value, field.type, field.key, out, depth)


def _primitives(field: Field, values: Any, extras: Any, out: Out, depth: int) -> None:
    """An array of primitives, with its `_` companion of the same length."""
    for given in (values, extras):
        if given is not None and (not isinstance(given, list) or not given):
            raise _Wrong("must be an array that is not empty")
    length = len(values if values is not None else extras)
    if values is not None and extras is not None and len(extras) != length:
        raise _Wrong("and its '_' companion must have the same length")
    for index in range(length):
        value = values[index] if values is not None else None
        _item(field, index, value, extras[index] if extras is not None else None, out, depth)


def _primitive(field: Field, value: Any, extra: Any, out: Out, depth: int) -> None:
    out.append(f"<{field.key}")
    if extra is not None:
        if not isinstance(extra, dict):
            raise _Wrong("must have an object with id and extension behind '_'")
        if "id" in extra:
            _attribute("id", extra["id"], out)
    if value is not None:
        try:
            text = _writer(field.type)(value)
        except Unfit as unfit:
            raise _Wrong(str(unfit)) from None
        if not text:
            raise _Wrong("is empty; leave it out")
        out.append(f' value="{text}"')
    elif not extra or extra.keys() <= {_COMMENTS}:
        raise _Wrong("has neither value nor extension; leave it out")
    if extra is None or extra.keys() <= _WITHIN_TAG:
        out.append("/>")
        return
    out.append(">")
    for key in extra:
        if key == "extension":
            _field(fields("Element")[key], extra, out, depth)
        elif key not in _WITHIN_TAG:
            raise _Wrong("has no such element; a primitive has id and extension", key if key.isalnum() else "")
    out.append(f"</{field.key}>")


_WITHIN_TAG = frozenset({"id", _COMMENTS})


@cache
def _writer(type_: str) -> Write:
    return writer(type_)
