"""Line charts that fill any width: the curves are stretched SVG, all text is HTML, which is never stretched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator

from lessons.widgets.views.markup import Markup, tag
from lessons.widgets.views.numbers import fixed

WIDTH, HEIGHT = 1000.0, 300.0
"""Size in the SVG's own coordinates; the page stretches it to any size."""
SMALLEST = 1e-200
"""Smaller numbers cannot be placed on a logarithmic axis."""


@dataclass(frozen=True)
class Line:
    """A curve."""

    x: Sequence[float]
    """Positions, ascending."""
    y: Sequence[float]
    """Values, one for each position; NaN and infinity leave a gap."""
    color: str
    """Any CSS color."""
    kind: str = "line"
    """"line", "faint" (what a line smooths), or "dots" (a line with its points)."""


@dataclass(frozen=True)
class Mark:
    """A point with its name beside it."""

    x: float
    y: float
    label: str
    color: str
    """Any CSS color."""


@dataclass(frozen=True)
class Axis:
    """Maps values to positions along one side of a chart."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"an axis needs low < high, above 0 if logarithmic, not {self.low} and {self.high}"
            )

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.log:
            low, high, at = (math.log(max(each, SMALLEST)) for each in (self.low, self.high, value))
            return (at - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, count: int = 4) -> list[float]:
        """Up to about `count` round values on the axis, in order."""
        return (_log_ticks if self.log else _round_ticks)(self.low, self.high, count)


def axis_for(values: Sequence[float], log: bool = False, include: Sequence[float] = ()) -> Axis:
    """An axis that shows all finite values, with a small margin; (0, 1) or (0.1, 1) where there are none."""
    known = [v for v in [*values, *include] if math.isfinite(v) and (v > SMALLEST or not log)]
    low, high = (min(known), max(known)) if known else (0.1 if log else 0.0, 1.0)
    if log:
        spread = max((high / low) ** 0.06, 1.05)
        return Axis(low / spread, high * spread, log)
    margin = 0.06 * (high - low) or max(abs(high) * 0.1, 1e-9)
    return Axis(low - margin, high + margin)


def chart(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    label: str,
    *,
    title: str = "",
    keys: Sequence[tuple[str, str]] = (),
    levels: Sequence[tuple[float, str]] = (),
    marks: Sequence[Mark] = (),
    readouts: Sequence[tuple[float, str]] = (),
    small: bool = False,
) -> Markup:
    """A chart.

    Args:
        label: the text alternative.
        title: shown above the chart.
        keys: (color, text) for each kind of line.
        levels: (y, text) of labeled horizontal lines.
        readouts: (x, text) in ascending order; the one nearest to the pointer is shown.
        small: one of several side by side: lower, with fewer ticks.
    """
    ticks = y.ticks(3 if small else 5)
    parts = [
        tag("figcaption", tag("span", title, class_="title"), _keys(keys)) if title else None,
        tag("div", *(_tick(f"{t:,.10g}", "bottom", y.place(t)) for t in ticks), class_="y", aria_hidden="true"),
        tag("div", _curves(lines, x, y, ticks), *_levels(levels, y), *_marks(marks, x, y), _strips(readouts, x),
            class_="area"),
        tag("div", *(_tick(f"{t:,.0f}", "left", x.place(t)) for t in _whole(x.ticks(3 if small else 6))),
            class_="x", aria_hidden="true"),
    ]  # fmt: skip
    return tag("figure", *parts, class_="chart small" if small else "chart", role="img", aria_label=label)


def thin(x: Sequence[float], y: Sequence[float], most: int = 200) -> tuple[list[float], list[float]]:
    """At most `most` points: means of neighbors, which also smooths. Short curves stay as they are."""
    if len(x) <= most:
        return list(x), list(y)
    edges = [round(i * len(x) / most) for i in range(most + 1)]
    pieces = list(pairwise(edges))
    return [_mean(x[a:b]) for a, b in pieces], [_mean(y[a:b]) for a, b in pieces]


def smooth(y: Sequence[float], width: float = 0.05) -> list[float]:
    """Moving average over a fraction `width` of the curve. The window stays symmetric: it narrows towards the ends."""
    sums = [0.0, *accumulate(y)]
    reach = [min(round(width * len(y) / 2), i, len(y) - 1 - i) for i in range(len(y))]
    return [(sums[i + r + 1] - sums[i - r]) / (2 * r + 1) for i, r in enumerate(reach)]


def _curves(lines: Sequence[Line], x: Axis, y: Axis, ticks: Sequence[float]) -> Markup:
    grid = "".join(f"M0 {_down(y.place(t))}H{fixed(WIDTH)}" for t in ticks)
    drawn = [tag("path", d=grid, class_="grid")]
    for line in lines:
        points = _points(line, x, y)
        drawn.append(tag("path", d=_path(points), class_=line.kind, stroke=line.color))
        if line.kind == "dots" or sum(point is not None for point in points) == 1:
            dots = "".join(f"M{p}h0" for p in points if p)
            drawn.append(tag("path", d=dots, class_="points", stroke=line.color))
    box = f"0 0 {fixed(WIDTH)} {fixed(HEIGHT)}"
    return tag("svg", *drawn, viewBox=box, preserveAspectRatio="none", aria_hidden="true")


def _points(line: Line, x: Axis, y: Axis) -> list[str | None]:
    """Coordinates of a curve's points; None where it has a gap."""
    places = (
        (x.place(a), y.place(b)) if math.isfinite(b) else None for a, b in zip(line.x, line.y, strict=True)
    )
    return [p and f"{fixed(WIDTH * p[0])} {_down(p[1])}" for p in places]


def _path(points: Sequence[str | None]) -> str:
    path, pen_down = [], False
    for point in points:
        if point:
            path.append(("L" if pen_down else "M") + point)
        pen_down = point is not None
    return "".join(path)


def _down(place: float) -> str:
    """A height 0..1 as an SVG coordinate, which counts from the top; it is clipped a little outside of the frame."""
    return fixed(HEIGHT * (1 - min(max(place, -1.0), 2.0)))


def _levels(levels: Sequence[tuple[float, str]], y: Axis) -> list[Markup]:
    return [
        tag("div", tag("span", text), class_="level", style=f"bottom:{fixed(100 * y.place(at))}%")
        for at, text in levels
    ]


def _marks(marks: Sequence[Mark], x: Axis, y: Axis) -> list[Markup]:
    """Points with their names, each on the side where there is room."""
    places = [(x.place(mark.x), y.place(mark.y)) for mark in marks]
    return [
        tag("div", tag("span", mark.label), class_="mark left" if across > 0.6 else "mark",
            style=f"left:{fixed(100 * across)}%;bottom:{fixed(100 * up)}%;background:{mark.color}")
        for mark, (across, up) in zip(marks, places, strict=True)
    ]  # fmt: skip


def _strips(readouts: Sequence[tuple[float, str]], x: Axis) -> Markup | None:
    """Invisible vertical strips, each of which shows its text while the pointer is on it."""
    if not readouts:
        return None
    places = [100 * min(max(x.place(at), 0.0), 1.0) for at, _ in readouts]
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(places)), 100.0]
    strips = (
        tag("div", tag("b", text), style=f"width:{fixed(right - left)}%")
        for (_, text), (left, right) in zip(readouts, pairwise(edges), strict=True)
    )
    return tag("div", *strips, class_="strips", aria_hidden="true")


def _keys(keys: Sequence[tuple[str, str]]) -> Markup:
    named = (tag("span", tag("i", style=f"background:{color}"), text, class_="key") for color, text in keys)
    return tag("span", *named, class_="keys")


def _tick(text: str, side: str, place: float) -> Markup:
    return tag("span", text, style=f"{side}:{fixed(100 * place)}%")


def _whole(ticks: Sequence[float]) -> list[float]:
    return [tick for tick in ticks if tick == round(tick)]


def _round_ticks(low: float, high: float, count: int) -> list[float]:
    ticks = MaxNLocator(max(count, 1), steps=(1, 2, 2.5, 5, 10)).tick_values(low, high)
    return [tick for tick in np.round(ticks, 12).tolist() if low <= tick <= high]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """Powers of ten, or rounder fractions of them where there are too few: those of matplotlib are harder to read."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [m * 10.0**d for d in decades for m in multiples if low <= m * 10.0**d <= high]
        if len(ticks) >= min(count, 3):
            return ticks[:: max(1, -(-len(ticks) // max(count, 2)))]
    return _round_ticks(low, high, count)  # the ends differ by less than a factor of 1.5: nearly linear


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)  # fmean would raise for inf - inf
