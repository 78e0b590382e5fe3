"""A plot of cost against table size as an SVG, both axes logarithmic: what is linear is a straight line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Final

Line = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 50
COLOURS: Final = ("#888888", "#0060a0", "#b04000")
STYLE: Final = "font-family='sans-serif' font-size='12'"


def svg(title: str, axes: tuple[str, str], lines: Mapping[str, Line]) -> str:
    """
    Lines of (x, y) by name, all above 0.
    """
    points = [point for line in lines.values() for point in line]
    x, y = (_scale([point[axis] for point in points]) for axis in (0, 1))
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' {STYLE}>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>",
        _text(LEFT, 20, title, anchor="start"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, axes[0]),
        _text(LEFT, 35, axes[1], anchor="start"),
    ]
    for decade in range(x[0], x[1] + 1):
        at = _x(10**decade, x)
        parts += [_stroke([(at, TOP), (at, HEIGHT - BOTTOM)], "#dddddd"), _text(at, HEIGHT - 32, f"{10**decade:,}")]
    for decade in range(y[0], y[1] + 1):
        at = _y(10**decade, y)
        parts += [_stroke([(LEFT, at), (WIDTH - RIGHT, at)], "#dddddd")]
        parts += [_text(LEFT - 6, at + 4, f"{10.0**decade:g}", anchor="end")]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(_x(at, x), _y(value, y)) for at, value in line]
        parts.append(_stroke(places, colour, 2))
        parts += [f"<circle cx='{cx:.1f}' cy='{cy:.1f}' r='3' fill='{colour}'/>" for cx, cy in places]
        parts.append(_text(WIDTH - RIGHT - 6, HEIGHT - BOTTOM - 10 - 18 * number, name, colour, "end"))
    return "\n".join([*parts, "</svg>", ""])


def _scale(values: Sequence[float]) -> tuple[int, int]:
    """The decades that hold all values."""
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _x(value: float, scale: tuple[int, int]) -> float:
    return LEFT + (log10(value) - scale[0]) / (scale[1] - scale[0]) * (WIDTH - LEFT - RIGHT)


def _y(value: float, scale: tuple[int, int]) -> float:
    return HEIGHT - BOTTOM - (log10(value) - scale[0]) / (scale[1] - scale[0]) * (HEIGHT - TOP - BOTTOM)


def _stroke(points: Sequence[tuple[float, float]], colour: str, width: int = 1) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}'/>"


def _text(x: float, y: float, words: str, colour: str = "black", anchor: str = "middle") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' fill='{colour}' text-anchor='{anchor}'>{words}</text>"
