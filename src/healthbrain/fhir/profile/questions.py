"""Questionnaires and the answers to them, beyond what R4's invariants say.

A QuestionnaireResponse is checked against its Questionnaire: items it knows, in their groups and in their order, required
ones answered where they are enabled, one answer unless the item repeats, answers of the item's type and among its
options. Rule source: R4 Questionnaire and QuestionnaireResponse, "Notes"; enableWhen of Questionnaire.item. While a
response is in progress a missing answer is no error (`status` completed or amended asks for all).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from healthbrain.fhir.findings import SINGLE, Place
from healthbrain.fhir.profile.exact import compare_plain
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.report import Report

Json = dict[str, Any]

_COMPLETE = frozenset(["completed", "amended"])
_TYPES = {
    "boolean": ("boolean",), "decimal": ("decimal",), "integer": ("integer",), "date": ("date",),
    "dateTime": ("dateTime",), "time": ("time",), "string": ("string",), "text": ("string",), "url": ("uri",),
    "choice": ("Coding", "string", "integer", "date", "time", "Reference"),
    "open-choice": ("Coding", "string", "integer", "date", "time", "Reference"),
    "attachment": ("Attachment",), "reference": ("Reference",), "quantity": ("Quantity",),
}  # fmt: skip
_CHOICES = frozenset(["choice", "open-choice"])


def check_questionnaire(item: Item, report: Report) -> None:
    """Conditions name a question that exists and answers it can have; initial values are of the item's type."""
    known = {one.get("linkId"): one for one, _ in _all(item.value, item.place)}
    for one, place in _all(item.value, item.place):
        for index, when in enumerate(_objects(one.get("enableWhen"))):
            where = (place, "enableWhen", index)
            target = known.get(when.get("question"))
            if target is None:
                text = "names a question that the questionnaire does not have"
                report.error("not-found", (where, "question", SINGLE), text)
            elif target is one:
                report.error("business-rule", (where, "question", SINGLE), "names the item itself")
            elif when.get("operator") != "exists":
                _typed(when, target, (where, "answer", SINGLE), "answer", report)
        for index, initial in enumerate(_objects(one.get("initial"))):
            _typed(initial, one, ((place, "initial", index), "value", SINGLE), "value", report)


def _typed(holder: Json, question: Json, place: Place, prefix: str, report: Report) -> None:
    """Whether a value has a type that answers to the question have."""
    allowed = _TYPES.get(str(question.get("type")))
    kind, _ = _value(holder, prefix)
    if allowed and kind and kind not in allowed:
        report.error("value", place, f"must be of type {' or '.join(allowed)}, as answers to the question are")


class Answers:
    """One QuestionnaireResponse and the Questionnaire it answers."""

    def __init__(self, questionnaire: Json, response: Item, report: Report) -> None:
        self._report = report
        self._response = response
        self._whole = response.value.get("status") in _COMPLETE
        self._given: dict[str, list[Any]] = {}
        for one, _ in _all(response.value, response.place):
            given = [_value(answer, "value")[1] for answer in _objects(one.get("answer"))]
            self._given.setdefault(str(one.get("linkId")), []).extend(value for value in given if value is not None)
        self._questions = {str(one.get("linkId")): one for one, _ in _all(questionnaire, None)}
        self._top = _objects(questionnaire.get("item"))

    def check(self) -> None:
        """Note what does not answer the questionnaire."""
        self._level(self._top, self._response.value, self._response.place)

    def _level(self, questions: list[Json], holder: Json, place: Place) -> None:
        """The items of one group, or below one answer."""
        order = {str(one.get("linkId")): number for number, one in enumerate(questions)}
        found: dict[str, list[tuple[Json, Place]]] = {}
        latest = -1
        for index, one in enumerate(_objects(holder.get("item"))):
            where = (place, "item", index)
            name = str(one.get("linkId"))
            if name not in order:
                self._stray(name, where)
                continue
            if order[name] < latest:
                self._report.error("structure", where, "is not in the order of the questionnaire")
            latest = max(latest, order[name])
            found.setdefault(name, []).append((one, where))
        for question in questions:
            self._question(question, found.get(str(question.get("linkId")), []), place)

    def _stray(self, name: str, where: Place) -> None:
        known = name in self._questions
        text = "stands elsewhere in the questionnaire" if known else "answers no question of the questionnaire"
        self._report.error("structure" if known else "not-found", (where, "linkId", SINGLE), text)

    def _question(self, question: Json, items: list[tuple[Json, Place]], place: Place) -> None:
        enabled = self._enabled(question)
        kind = question.get("type")
        if items and enabled is False:
            self._report.error("business-rule", items[0][1], "is not enabled by the other answers; leave it out")
            return
        if not items:
            if question.get("required") is True and self._whole and enabled and kind != "display":
                text = "lacks an item that the questionnaire requires"
                self._report.error("required", (place, "item", SINGLE), f"{text}: {self._label(question)}")
            return
        if len(items) > 1 and not (kind == "group" and question.get("repeats") is True):
            self._report.error("structure", items[1][1], "stands twice; several answers go into one item")
        for one, where in items:
            self._answered(question, one, where)

    def _answered(self, question: Json, one: Json, where: Place) -> None:
        kind = str(question.get("type"))
        inner = _objects(question.get("item"))
        answers = _objects(one.get("answer"))
        if kind in ("group", "display"):
            if answers:
                self._report.error(
                    "structure", (where, "answer", SINGLE), f"must not be there; a {kind} is not answered"
                )
            if kind == "group":
                self._level(inner, one, where)
            return
        if one.get("item"):
            self._report.error(
                "structure", (where, "item", SINGLE), "must stand within the answer, since it is about it"
            )
        if not answers and question.get("required") is True and self._whole:
            self._report.error("required", (where, "answer", SINGLE), "is missing; the question requires one")
        if len(answers) > 1 and question.get("repeats") is not True:
            self._report.error("structure", (where, "answer", SINGLE), "has several values; the question takes one")
        for index, answer in enumerate(answers):
            here = (where, "answer", index)
            self._value(question, kind, answer, (here, "value", SINGLE))
            self._level(inner, answer, here)

    def _value(self, question: Json, kind: str, answer: Json, place: Place) -> None:
        type_, value = _value(answer, "value")
        allowed = _TYPES.get(kind, ())
        if value is None:
            return
        if type_ not in allowed:
            self._report.error("value", place, f"must be of type {' or '.join(allowed)}, as the question asks")
            return
        longest = question.get("maxLength")
        if isinstance(longest, int) and isinstance(value, str) and len(value) > longest:
            self._report.error("too-long", place, f"is longer than the {longest} characters the question allows")
        options = [_value(one, "value") for one in _objects(question.get("answerOption"))]
        if kind in _CHOICES and options and not any(_same(type_, value, *one) for one in options):
            if kind == "open-choice" and type_ == "string":
                return
            self._report.error("code-invalid", place, "is none of the answers the question offers")

    def _enabled(self, question: Json) -> bool | None:
        """Whether the answers enable a question; None when that cannot be told."""
        answers = [self._holds(one) for one in _objects(question.get("enableWhen"))]
        if not answers:
            return True
        if question.get("enableBehavior") == "any":
            return True if True in answers else None if None in answers else False
        return False if False in answers else None if None in answers else True

    def _holds(self, when: Json) -> bool | None:
        given = self._given.get(str(when.get("question")), [])
        type_, wanted = _value(when, "answer")
        operator = when.get("operator")
        if operator == "exists":
            return bool(given) is (wanted is True)
        if operator == "=":
            return any(_same(type_, one, type_, wanted) for one in given)
        if operator == "!=":
            return bool(given) and not any(_same(type_, one, type_, wanted) for one in given)
        found = [compare_plain(one, wanted, type_, str(operator)) for one in given]
        return True if True in found else None if None in found else False

    def _label(self, question: Json) -> str:
        name = str(question.get("linkId"))
        return f"linkId {name}" if len(name) < 65 else "its linkId is long"


def _all(holder: Json, place: Place | None) -> Iterator[tuple[Json, Place]]:
    """Every item below a questionnaire or response, with its place."""
    for index, one in enumerate(_objects(holder.get("item"))):
        where = (place, "item", index)
        yield one, where
        yield from _all(one, where)
        for number, answer in enumerate(_objects(one.get("answer"))):
            yield from _all(answer, (where, "answer", number))


def _value(holder: Json, prefix: str) -> tuple[str, Any]:
    """The type and value of a choice element."""
    for key, value in holder.items():
        if key.startswith(prefix) and key != prefix:
            name = key.removeprefix(prefix)
            small = name[:1].lower() + name[1:]
            return (name if name in ("Coding", "Reference", "Quantity", "Attachment") else small), value
    return "", None


def _same(type_: str, value: Any, other_type: str, other: Any) -> bool:
    if type_ != other_type:
        return False
    if isinstance(value, dict) and isinstance(other, dict):
        keys = {"Coding": ("system", "code"), "Reference": ("reference",)}.get(type_, ("value", "system", "code"))
        if type_ == "Coding" and "code" not in other:
            keys = ("display",)
        return all(value.get(key) == other.get(key) for key in keys)
    return bool(value == other)


def _objects(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
