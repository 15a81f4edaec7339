"""Draws the trade of recall against diversity of evaluate_recs.py's JSON as SVG.

    recommendation_plot.py REPORT.json FOLDER

One picture a set, FOLDER/SET.svg: a curve through the blends of each way of asking, the single
vectors and the default as marks. To the upper right is better.
"""

import json
import pathlib
import re
import sys
from html import escape
from typing import Any

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 220, 60, 60
COLOURS = ["#0b6e99", "#d9730d", "#6940a5", "#0f7b6c", "#ad1a72", "#64473a"]
X_MEASURE, Y_MEASURE = "diversity@20", "recall@50"


class PlotError(Exception):
    """The report has nothing to draw; the text says why."""


class Scale:
    """Maps values to places, with some room at both ends."""

    def __init__(self, values: list[float], low_place: float, high_place: float):
        low, high = min(values), max(values)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
        self._low, self._span = low - margin, high - low + 2 * margin
        self._low_place, self._places = low_place, high_place - low_place

    def place(self, value: float) -> float:
        return self._low_place + (value - self._low) / self._span * self._places

    def ticks(self) -> list[float]:
        step = next(step for power in range(-6, 7) for step in (10.0 ** power, 2 * 10.0 ** power,
                                                                 5 * 10.0 ** power)
                    if self._span / step <= 8)
        first = int(self._low // step) + 1
        return [step * number for number in range(first, first + 10)
                if step * number <= self._low + self._span]


def point(method: dict[str, Any]) -> tuple[float, float]:
    measures = method["measures"]
    return measures[X_MEASURE]["value"], 100 * measures[Y_MEASURE]["value"]


def curves_of(methods: list[dict[str, Any]]) -> dict[str, list[tuple[float, tuple[float, float]]]]:
    """Name -> (blend, point) by rising blend; each begins with the mixture without a blend."""
    curves: dict[str, list[tuple[float, tuple[float, float]]]] = {}
    pattern = re.compile(r"(interests \d+) b (\S+) (vector|history)")
    plain = {method["name"]: point(method) for method in methods}
    for method in methods:
        match = pattern.fullmatch(method["name"])
        if match:
            start, blend, blend_with = match.groups()
            curve = curves.setdefault(f"{start}, blend with {blend_with}", [])
            if not curve and start in plain:
                curve.append((0.0, plain[start]))
            curve.append((float(blend), point(method)))
    return {name: sorted(curve) for name, curve in curves.items()}


def text(x: float, y: float, content: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(content)}</text>'


def draw(part: dict[str, Any]) -> str:
    curves = curves_of(part["methods"])
    marks = [(method["name"], point(method)) for method in part["methods"]
             if method["family"] in ("single vector", "default")]
    places = [where for _, where in marks] + [where for curve in curves.values()
                                              for _, where in curve]
    if not places:
        raise PlotError(f"{part['set']}: no method to draw")
    x = Scale([where[0] for where in places], LEFT, WIDTH - RIGHT)
    y = Scale([where[1] for where in places], HEIGHT - BOTTOM, TOP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             text(LEFT, 26, f"{part['set']}: recall@50 in % against diversity@20, "
                            f"{part['people']:,} people", 'font-weight="bold" font-size="15"')]
    parts += _grid(x, y)
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for _, (a, b) in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for blend, (a, b) in curve:
            parts.append(f'<circle cx="{x.place(a):.1f}" cy="{y.place(b):.1f}" r="3" '
                         f'fill="{colour}"><title>blend {blend:g}</title></circle>')
            parts.append(text(x.place(a) + 5, y.place(b) - 5, f"{blend:g}",
                              f'font-size="9" fill="{colour}"'))
        parts.append(text(WIDTH - RIGHT + 14, TOP + 10 + 18 * number, name, f'fill="{colour}"'))
    for name, (a, b) in marks:
        parts.append(f'<rect x="{x.place(a) - 4:.1f}" y="{y.place(b) - 4:.1f}" width="8" '
                     'height="8" fill="#333"/>')
        parts.append(text(x.place(a) + 8, y.place(b) + 4, name))
    return "\n".join(parts + ["</svg>", ""])


def _grid(x: Scale, y: Scale) -> list[str]:
    parts = []
    for tick in x.ticks():
        parts.append(f'<line x1="{x.place(tick):.1f}" y1="{TOP}" x2="{x.place(tick):.1f}" '
                     f'y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(text(x.place(tick), HEIGHT - BOTTOM + 18, f"{tick:g}",
                          'text-anchor="middle"'))
    for tick in y.ticks():
        parts.append(f'<line x1="{LEFT}" y1="{y.place(tick):.1f}" x2="{WIDTH - RIGHT}" '
                     f'y2="{y.place(tick):.1f}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, y.place(tick) + 4, f"{tick:g}", 'text-anchor="end"'))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "diversity@20",
                      'text-anchor="middle"'))
    parts.append(text(LEFT - 50, TOP - 14, "recall@50 in %"))
    return parts


def draw_all(parts: list[dict[str, Any]], folder: str) -> list[pathlib.Path]:
    root = pathlib.Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    written = []
    for part in parts:
        path = root / f"{part['set']}.svg"
        path.write_text(draw(part), encoding="utf-8")
        written.append(path)
    return written


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            report = json.load(file)
        parts = report.get("valid") or report.get("test")
        for path in draw_all(parts, arguments[1]):
            print(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PlotError) as error:
        print(f"recommendation_plot: {arguments[0]}: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
