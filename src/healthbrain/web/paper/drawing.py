"""Charts for paper, drawn without a browser: one geometry, put out as SVG for the page, as PDF shapes and as a picture for Word.

A chart shows the values, the target as a dashed line, the forecast with its interval, and where the definition changed.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont
from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, String
from reportlab.lib.colors import HexColor

from healthbrain.web.paper.content import PaperLine

WIDTH, HEIGHT = 460.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 12.0, 24.0
Ink = Literal["value", "ahead", "band", "target", "break", "grid", "text"]
COLOURS: dict[Ink, str] = {
    "value": "#0b7285", "ahead": "#0b7285", "band": "#cfe8ec", "target": "#a15c00", "break": "#868e96",
    "grid": "#dee2e6", "text": "#495057",
}  # fmt: skip
_DASHED: frozenset[Ink] = frozenset({"target", "ahead", "break"})
_SCALE = 3  # pixels per point of the picture


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    ink: Ink
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Area:
    """A filled shape."""

    points: Sequence[tuple[float, float]]
    ink: Ink


@dataclass(frozen=True, slots=True)
class Word:
    """A text; `anchor` says which of its ends lies at x."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    ink: Ink = "text"


Shape = Stroke | Area | Word


def shapes(line: PaperLine) -> list[Shape]:
    """What is drawn, y pointing down; nothing without two values."""
    values = [(name, value) for name, value in line.series if value is not None]
    if len(values) < 2:
        return []
    return list(_drawn(line))


def svg(line: PaperLine, label: str) -> str:
    """For the page; colours come from the style sheet by class."""
    body = "".join(_svg(shape) for shape in shapes(line))
    if not body:
        return ""
    return f'<svg class="paper-chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(label)}">{body}</svg>'


def pdf(line: PaperLine, font: str) -> Any:
    """For reportlab; None when there is nothing to draw."""
    found = shapes(line)
    if not found:
        return None
    drawing = Drawing(WIDTH, HEIGHT)
    for shape in found:
        drawing.add(_pdf(shape, font))
    return drawing


def picture(line: PaperLine, font: Path) -> bytes:
    """A PNG for Word; empty when there is nothing to draw."""
    found = shapes(line)
    if not found:
        return b""
    image = Image.new("RGB", (int(WIDTH * _SCALE), int(HEIGHT * _SCALE)), "white")
    draw = ImageDraw.Draw(image)
    letters = ImageFont.truetype(str(font), 8 * _SCALE)
    for shape in found:
        _paint(draw, shape, letters)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _drawn(line: PaperLine) -> Iterator[Shape]:
    names = [str(name) for name, *_ in line.series] + [str(name) for name, *_ in line.future]
    seen = [value for _, value in line.series if value is not None]
    every = [*seen, *(bound for _, *bounds in line.future for bound in bounds)]
    if line.target_number is not None:
        every.append(line.target_number)
    low, high, ticks = _axis(min(every), max(every))

    def x(index: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (index / max(len(names) - 1, 1))

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    for tick in ticks:
        yield Stroke([(_LEFT, y(tick)), (WIDTH - _RIGHT, y(tick))], "grid", 0.6)
        yield Word(_LEFT - 5, y(tick) + 3, f"{tick:g}", "end")
    last = len(line.series) - 1
    if line.future:
        upper = [(x(last), y(seen[-1])), *((x(last + 1 + i), y(step[3])) for i, step in enumerate(line.future))]
        lower = [(x(last), y(seen[-1])), *((x(last + 1 + i), y(step[2])) for i, step in enumerate(line.future))]
        yield Area([*upper, *reversed(lower)], "band")
        yield Stroke([upper[0], *((x(last + 1 + i), y(step[1])) for i, step in enumerate(line.future))], "ahead", 1.4)
    if line.target_number is not None:
        yield Stroke([(_LEFT, y(line.target_number)), (WIDTH - _RIGHT, y(line.target_number))], "target", 1.2)
    for period, old, new in line.breaks:
        if period in names:
            yield Stroke([(x(names.index(period)), _TOP), (x(names.index(period)), HEIGHT - _BOTTOM)], "break", 0.8)
            yield Word(x(names.index(period)) + 2, _TOP + 7, f"v{old}→v{new}")
    yield Stroke([(x(i), y(value)) for i, (_, value) in enumerate(line.series) if value is not None], "value", 1.8)
    step = max(1, -(-len(names) // 8))
    for index in range(0, len(names), step):
        yield Word(x(index), HEIGHT - 8, names[index], "middle")


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round ends and four or five lines between them."""
    spread = (high - low) or abs(high) or 1.0
    size = 10.0 ** _exponent(spread / 4)
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= spread / 4)
    first = int(low // step)
    final = int(-(-high // step))
    if final == first:
        final += 1
    return first * step, final * step, [round(step * number, 6) for number in range(first, final + 1)]


def _exponent(value: float) -> int:
    exponent = 0
    while 10.0 ** (exponent + 1) <= value:
        exponent += 1
    while 10.0**exponent > value:
        exponent -= 1
    return exponent


def _svg(shape: Shape) -> str:
    if isinstance(shape, Word):
        return f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" class="p-{shape.ink}">{escape(shape.text)}</text>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    name = "polygon" if isinstance(shape, Area) else "polyline"
    return f'<{name} points="{points}" class="p-{shape.ink}"/>'


def _pdf(shape: Shape, font: str) -> Any:
    colour = HexColor(COLOURS[shape.ink])
    if isinstance(shape, Word):
        return String(
            shape.x, HEIGHT - shape.y, shape.text, textAnchor=shape.anchor, fontName=font, fontSize=7, fillColor=colour
        )
    flat = [number for x, y in shape.points for number in (x, HEIGHT - y)]
    if isinstance(shape, Area):
        return Polygon(flat, fillColor=colour, strokeColor=None)
    dash = [3, 2] if shape.ink in _DASHED else None
    if len(shape.points) == 2:
        return Line(*flat, strokeColor=colour, strokeWidth=shape.width, strokeDashArray=dash)
    return PolyLine(flat, strokeColor=colour, strokeWidth=shape.width, strokeDashArray=dash)


def _paint(draw: ImageDraw.ImageDraw, shape: Shape, letters: ImageFont.FreeTypeFont) -> None:
    colour = COLOURS[shape.ink]
    if isinstance(shape, Word):
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
        draw.text((shape.x * _SCALE, shape.y * _SCALE), shape.text, fill=colour, font=letters, anchor=anchor)
        return
    points = [(x * _SCALE, y * _SCALE) for x, y in shape.points]
    if isinstance(shape, Area):
        draw.polygon(points, fill=colour)
        return
    width = max(1, round(shape.width * _SCALE))
    if shape.ink not in _DASHED:
        draw.line(points, fill=colour, width=width, joint="curve")
        return
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        pieces = max(1, int(length // (5 * _SCALE)))
        for piece in range(pieces):
            a, b = piece / pieces, (piece + 0.6) / pieces
            draw.line(
                [(x1 + (x2 - x1) * a, y1 + (y2 - y1) * a), (x1 + (x2 - x1) * b, y1 + (y2 - y1) * b)],
                fill=colour,
                width=width,
            )
