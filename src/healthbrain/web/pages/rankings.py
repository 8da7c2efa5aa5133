"""Places beside each other: rankings of towns and institutions, and the map of towns, from figures of one measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from healthbrain import measure
from healthbrain.access import Tree
from healthbrain.measure import Figure
from healthbrain.web.geography import towns
from healthbrain.web.language import Language
from healthbrain.web.pages import figures
from healthbrain.web.pages.cockpit_view import Rank, TownValue

Link = Callable[[str], str]  # code of a place -> address, '' for none


@dataclass(frozen=True, slots=True)
class Place:
    """A town or an institution with its figure, if there is one; `marked` when the screen is about it."""

    name: str
    code: str
    figure: Figure | None
    marked: bool = False


def town_places(said: Language, by_town: Sequence[Figure], marked: Sequence[str] = ()) -> list[Place]:
    """Every town of the map."""
    found = {figure.key: figure for figure in by_town}
    return [Place(town.said(said), town.code, found.get(town.code), town.code in marked) for town in towns().values()]


def institution_places(tree: Tree, figures_: Sequence[Figure], marked: Sequence[str] = ()) -> list[Place]:
    """The institutions that have a figure."""
    known = [(tree[int(f.key)], f) for f in figures_ if f.key.isdecimal() and int(f.key) in tree]
    return [Place(node.name, node.code, figure, node.code in marked) for node, figure in known]


def town_values(said: Language, places: Sequence[Place], chosen: str, link: Link) -> list[TownValue]:
    """The towns as the map shows them."""
    values = []
    for place in places:
        figure = place.figure
        value = figure.value if figure else None
        text = (
            figures.value_text(said, measure.definition(chosen), value)
            if value is not None
            else figures.missing(said, figure)
        )
        tip = f"{place.name}  {text}"
        if figure and figure.denominator:
            tip += f"  ({said.number(figure.numerator)}/{said.number(figure.denominator)})"
        values.append(TownValue(place.code, place.name, value, text, tip, link(place.code), place.marked))
    return values


def ranks(said: Language, chosen: str, places: Sequence[Place], link: Link, target: float | None) -> list[Rank]:
    """Places from best to worst; those without a value come last and have no place."""
    if not places:
        return []  # there may be no measure either
    definition = measure.definition(chosen)
    best_is_high = definition.direction != "down"

    def order(place: Place) -> tuple[bool, float]:
        value = place.figure.value if place.figure else None
        return value is None, (-value if best_is_high else value) if value is not None else 0.0

    share = definition.kind == "proportion"
    top = max((p.figure.value for p in places if p.figure and p.figure.value is not None), default=0.0)
    found = []
    for number, place in enumerate(sorted(places, key=order), start=1):
        figure = place.figure
        value = figure.value if figure else None
        found.append(
            Rank(
                place=number if value is not None else 0,
                label=place.name,
                value=figures.value_text(said, definition, value)
                if value is not None
                else figures.missing(said, figure),
                url=link(place.code),
                share=value if share else (value / top * 100 if value is not None and top else None),
                goal=target if share else None,
                poor=bool(figures.poor(definition, value, target)),
                note=f"n={figure.denominator}" if figure and figure.small and figure.denominator else "",
                chosen=place.marked,
            )
        )
    return found
