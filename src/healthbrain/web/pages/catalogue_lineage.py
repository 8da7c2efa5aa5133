"""Where a view of the catalogue comes from and what rests on it: a drawing, and the same as a table.

On the left the views it is made of, or the elements it reads; on the right the measures. Everything follows from definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healthbrain.access import Tree
from healthbrain.lake import library
from healthbrain.lake.library import View
from healthbrain.measure import models, services
from healthbrain.runtime import catalogue
from healthbrain.runtime.catalogue import Counted
from healthbrain.web.language import N_, Language

_LINE = 26  # height of a line of the drawing
_MOST = 14  # boxes on a side; the table has all


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box of the lineage drawing."""

    x: int
    y: int
    text: str
    look: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a view comes from and what rests on it, as a drawing and as a table."""

    height: int
    boxes: Sequence[Drawn]
    lines: Sequence[tuple[int, int, int, int]]
    rows: Sequence[tuple[str, str, str]]  # kind, name, detail


def lineage(said: Language, view: View, mine: Counted | None, tree: Tree) -> Lineage:
    """Of a view: what it is made of on the left, the view in the middle, measures on the right."""
    measures = [(one.id, said.pick(one.title)) for one in catalogue.measures_of(view)]
    left, right = _left(said, view)[:_MOST], measures[:_MOST]
    height = max(len(left), len(right), 1) * _LINE + 16
    middle = height // 2
    boxes = [Drawn(330, middle, _short(said.pick(view.title), 18), "view")]
    lines = []
    for number, (text, url) in enumerate(left):
        y = 20 + number * _LINE
        boxes.append(Drawn(10, y, _short(text, 34), "source", url))
        lines.append((250, y, 330, middle))
    for number, (id_, title) in enumerate(right):
        y = 20 + number * _LINE
        boxes.append(Drawn(570, y, _short(title, 18), "measure", f"/measures/{id_}"))
        lines.append((490, middle, 570, y))
    rows = [
        *((said.say(N_("Source")), tree.name(key), said.number(count)) for key, count in (mine.owners if mine else ())),
        *((said.say(N_("Base view")), one.id, said.pick(one.title)) for one in view.bases),
        *_columns(said, view),
        (said.say(N_("View")), view.id, said.pick(view.title)),
        *((said.say(N_("Theme view")), one.id, said.pick(one.title)) for one in resting_on(view)),
        *(
            (said.say(N_("Data model")), f"{one.id} {one.version}", said.pick(one.title))
            for one in models.reading(view.id)
        ),
        *(
            (said.say(N_("Data service")), one.name, said.pick(one.title))
            for one in services.services()
            if view.id in one.reads
        ),
        *((said.say(N_("Measure")), id_, title) for id_, title in measures),
    ]
    return Lineage(height, boxes, lines, rows)


def resting_on(view: View) -> list[View]:
    """The views that are made of this one."""
    return [one for one in library.views() if view.id in {base.id for base in one.bases}]


def _left(said: Language, view: View) -> list[tuple[str, str]]:
    if view.derived is not None:
        return [(f"{said.pick(one.title)} {one.id}", f"/catalogue/{one.library}/{one.name}") for one in view.bases]
    elements = [f"{view.resource}.{element(column)}" for column in view.columns if element(column)]
    return [(one, "") for one in dict.fromkeys(elements)]


def _columns(said: Language, view: View) -> list[tuple[str, str, str]]:
    if view.derived is not None:
        kind = said.say(N_("Column of a base view"))
        return [(kind, f"{base}.{name}", column.name) for column in view.columns for base, name in column.origins]
    kind = said.say(N_("Element"))
    return [(kind, f"{view.resource}.{element(c)}", c.name) for c in view.columns if element(c)]


def element(column: library.Column) -> str:
    """The element a column is read from: the path without functions."""
    path = column.path.replace("getResourceKey()", "id")
    path = f"{column.inside}.{path}" if column.inside else path
    names = []
    depth, word = 0, ""
    for character in f"{path}.":
        depth += (character in "([") - (character in ")]")
        if character == "." and not depth:
            if word and "(" not in word:
                names.append(word)
            elif word.startswith("extension("):
                names.append("extension")
            word = ""
        else:
            word += character
    return ".".join(names)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
