"""Draws the curves of `bench/run search --json`: recall@10 against queries a second, as SVG.

    bench_plot.py RESULT.json OUT.svg

One panel for graphs, one for inverted files. Up and to the right is better; of each index only the
settings that no other of it beats are drawn.
"""

import json
import math
import sys
from html import escape

WIDTH, PANEL_HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 190, 50, 50
COLOURS = ["#0b6e99", "#d9730d", "#6940a5", "#0f7b6c", "#ad1a72", "#64473a", "#5a5a5a"]
TITLES = {"graph": "HNSW", "ivf": "Inverted files"}
RECALL_MAX = 0.9999    # Recall 1 is drawn here: the axis is logarithmic in what is missed.
RECALL_MIN_DRAWN = 0.7
RECALL_TICKS = [0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]


class PlotError(Exception):
    """The file holds no curves; the text says why."""


def best_points(points: list[dict]) -> list[tuple[float, float]]:
    """(recall, speed) of the points that no other beats, by rising recall."""
    best: list[tuple[float, float]] = []
    ordered = sorted(points, key=lambda point: (-point["recall"], -point["per_cpu_second"]))
    for point in ordered:
        if not best or point["per_cpu_second"] > best[-1][1]:
            best.append((point["recall"], point["per_cpu_second"]))
    return best[::-1]


class Axes:
    """Maps recall and speed to places. Both are logarithmic, recall in what is missed."""

    def __init__(self, curves: list[list[tuple[float, float]]], top: float):
        recalls = [min(r, RECALL_MAX) for curve in curves for r, _ in curve]
        speeds = [speed for curve in curves for _, speed in curve]
        self.recall_low = max(RECALL_MIN_DRAWN, min(recalls))
        self.recall_high = max(recalls + [self.recall_low + 0.001])
        self.speed_low, self.speed_high = min(speeds) / 1.2, max(speeds) * 1.2
        self.top = top

    def x(self, recall: float) -> float:
        def missed(r):
            return -math.log(1 - min(r, RECALL_MAX))
        low, high = missed(self.recall_low), missed(self.recall_high)
        share = (missed(recall) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, speed: float) -> float:
        share = math.log(speed / self.speed_low) / math.log(self.speed_high / self.speed_low)
        return self.top + PANEL_HEIGHT - BOTTOM - share * (PANEL_HEIGHT - TOP - BOTTOM)

    def speed_ticks(self) -> list[float]:
        ticks = [digit * 10.0 ** power for power in range(0, 9) for digit in (1, 2, 5)]
        return [tick for tick in ticks if self.speed_low <= tick <= self.speed_high]


def text(x: float, y: float, content: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}"/>')


def grid(axes: Axes, top: float) -> list[str]:
    bottom, right = top + PANEL_HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in RECALL_TICKS:
        if axes.recall_low <= tick <= axes.recall_high:
            x = axes.x(tick)
            parts.append(line(x, top + TOP, x, bottom, "#ddd"))
            parts.append(text(x, bottom + 18, f"{tick:g}", 'text-anchor="middle"'))
    for tick in axes.speed_ticks():
        y = axes.y(tick)
        parts.append(line(LEFT, y, right, y, "#ddd"))
        parts.append(text(LEFT - 8, y + 4, f"{tick:,.0f}", 'text-anchor="end"'))
    parts.append(line(LEFT, bottom, right, bottom, "#333"))
    parts.append(line(LEFT, top + TOP, LEFT, bottom, "#333"))
    parts.append(text((LEFT + right) / 2, bottom + 38, "recall@10", 'text-anchor="middle"'))
    parts.append(text(LEFT, top + TOP - 10, "queries a second of CPU time, one thread"))
    return parts


def panel(title: str, curves: list[dict], top: float) -> list[str]:
    drawn = [[point for point in best_points(curve["points"])
              if point[0] >= RECALL_MIN_DRAWN] for curve in curves]
    axes = Axes([points for points in drawn if points], top)
    parts = [text(LEFT, top + 22, title, 'font-weight="bold" font-size="15"')] + grid(axes, top)
    for i, (curve, points) in enumerate(zip(curves, drawn)):
        colour = COLOURS[i % len(COLOURS)]
        places = [(axes.x(recall), axes.y(speed)) for recall, speed in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = top + TOP + 10 + 20 * i
        parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y - 8:.1f}" width="14" height="4" '
                     f'fill="{colour}"/>')
        parts.append(text(WIDTH - RIGHT + 34, y, curve["name"]))
    return parts


def draw(result: dict) -> str:
    curves = result.get("curves") if isinstance(result, dict) else None
    if not isinstance(curves, list):
        raise PlotError("curves: not a list; is it a result of bench/run search?")
    panels = []
    for kind, title in TITLES.items():
        of_kind = [curve for curve in curves if curve.get("kind") == kind]
        if any(point["recall"] >= RECALL_MIN_DRAWN
               for curve in of_kind for point in curve["points"]):
            panels.append((title, of_kind))
    if not panels:
        raise PlotError(f"curves: none reaches recall {RECALL_MIN_DRAWN}")
    setting = result.get("setting", {})
    head = (f"{result.get('data')}: {setting.get('rows')} x {setting.get('dim')}, "
            f"{setting.get('metric')}, M {setting.get('m')}, "
            f"efConstruction {setting.get('ef_construct')}")
    height = 40 + PANEL_HEIGHT * len(panels)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>', text(LEFT, 28, head)]
    for i, (title, of_kind) in enumerate(panels):
        parts += panel(title, of_kind, 40 + PANEL_HEIGHT * i)
    return "\n".join(parts + ["</svg>", ""])


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            picture = draw(json.load(file))
        with open(arguments[1], "w", encoding="utf-8") as file:
            file.write(picture)
    except (OSError, ValueError, KeyError, TypeError, PlotError) as error:
        print(f"bench_plot.py: {arguments[0]}: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
