"""A question in an address and back: what the form sends, so that every table can be opened, shared and kept by its URL."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from healthbrain.errors import Incorrect
from healthbrain.measure.analysis import Question, question_of

Items = Iterable[tuple[str, str]]


def question_from(items: Items) -> Question:
    """The question that form fields ask. Raises Incorrect, NotFound."""
    fields: dict[str, list[str]] = {}
    for key, value in items:
        fields.setdefault(key, []).append(value.strip())

    def many(key: str) -> list[str]:
        return [value for value in fields.get(key, []) if value]

    def one(key: str, default: str = "") -> str:
        return (fields.get(key) or [default])[-1] or default

    lines = zip(fields.get("fc", []), fields.get("fo", []), fields.get("fv", []), strict=False)
    filters = [
        {"column": column, "operator": operator or "in", "values": values(operator, text)}
        for column, operator, text in lines
        if column
    ]
    ahead, watched = one("ahead", "0"), one("wv")
    try:
        raw = {
            "source": one("source"), "rows": many("row"), "columns": many("col"),
            "measures": many("measure") or ["count"], "filters": filters, "chart": one("chart", "bar"),
            "sort": one("sort", "label"), "descending": one("desc") == "1", "ahead": int(ahead),
            "watch": {"side": one("ws", "above"), "value": float(watched)} if watched else None,
        }  # fmt: skip
    except ValueError:
        raise Incorrect("the periods ahead and the threshold are numbers") from None
    return question_of(raw)


def address(asked: Question, path: str = "/analysis", **more: str) -> str:
    """Where this question is answered."""
    return f"{path}?{urlencode([*pairs(asked), *((key, value) for key, value in more.items() if value)])}"


def pairs(asked: Question) -> list[tuple[str, str]]:
    """The question as form fields."""
    found = [("source", asked.source)]
    found += [("row", one.word) for one in asked.rows]
    found += [("col", one.word) for one in asked.columns]
    found += [("measure", one.word) for one in asked.measures]
    for one in asked.filters:
        found += [("fc", one.column), ("fo", one.operator), ("fv", typed(one.operator, one.values))]
    found += [("chart", asked.chart), ("sort", asked.sort)]
    if asked.descending:
        found.append(("desc", "1"))
    if asked.ahead:
        found.append(("ahead", str(asked.ahead)))
    if asked.watch:
        found += [("ws", asked.watch.side), ("wv", format(asked.watch.value, "g"))]
    return found


def values(operator: str, text: str) -> list[str]:
    """The values of a filter as they are typed: separated by commas, a range with two dots."""
    if operator in {"given", "empty"}:
        return []
    if operator == "between":
        low, dots, high = text.replace("～", "..").replace("~", "..").partition("..")
        return [low.strip(), high.strip() if dots else low.strip()]
    return [one.strip() for one in text.replace("，", ",").replace("、", ",").split(",") if one.strip()]


def typed(operator: str, given: Iterable[str]) -> str:
    """The values of a filter as somebody would type them."""
    return ("..".join(given) if operator == "between" else ",".join(given)) if given else ""
