"""Line charts that fill any width: curves as stretched SVG, everything with letters as HTML that is never stretched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from lessons.widgets.views.markup import Markup, fixed, tag

WIDTH, HEIGHT = 1000.0, 300.0
"""Size of the SVG's own coordinates; on the page it takes any."""
SMALLEST = 1e-200
"""Smaller numbers have no place on a logarithmic axis."""


@dataclass(frozen=True)
class Line:
    """A curve."""

    x: Sequence[float]
    """Ascending; values that are no numbers leave a gap."""
    y: Sequence[float]
    """As many."""
    colour: str
    """Any CSS colour."""
    kind: str = "line"
    """"line", "faint" (what a line smooths), or "dots" (a line with its points)."""


@dataclass(frozen=True)
class Level:
    """A labelled horizontal line."""

    y: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A point with its name beside it."""

    x: float
    y: float
    label: str
    colour: str
    """Any CSS colour."""


@dataclass(frozen=True)
class Axis:
    """From values to places on a chart."""

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
        return (
            _log_ticks(self.low, self.high, count) if self.log else _round_ticks(self.low, self.high, count)
        )


def axis_for(values: Sequence[float], log: bool = False, include: Sequence[float] = ()) -> Axis:
    """An axis that shows all values that are numbers, with a little air; (0, 1) or (0.1, 1) where there are none."""
    known = [v for v in [*values, *include] if math.isfinite(v) and (v > SMALLEST or not log)]
    low, high = (min(known), max(known)) if known else (0.1 if log else 0.0, 1.0)
    if log:
        spread = max((high / low) ** 0.06, 1.05)
        return Axis(low / spread, high * spread, log)
    air = 0.06 * (high - low) or max(abs(high) * 0.1, 1e-9)
    return Axis(low - air, high + air)


def chart(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    label: str,
    *,
    title: str = "",
    keys: Sequence[tuple[str, str]] = (),
    levels: Sequence[Level] = (),
    marks: Sequence[Mark] = (),
    readouts: Sequence[tuple[float, str]] = (),
    small: bool = False,
) -> Markup:
    """A chart.

    Args:
        label: the text alternative.
        title: stands above it.
        keys: (colour, text) of what the lines are.
        readouts: (x, text) ascending; the one nearest to the pointer is shown.
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
    """At most `most` points: means of neighbours, which also smooths. Short curves stay as they are."""
    if len(x) <= most:
        return list(x), list(y)
    edges = [round(i * len(x) / most) for i in range(most + 1)]
    pieces = list(pairwise(edges))
    return [_mean(x[a:b]) for a, b in pieces], [_mean(y[a:b]) for a, b in pieces]


def smooth(y: Sequence[float], width: float = 0.05) -> list[float]:
    """Mean over each value's neighbourhood, `width` of the curve wide; at the ends it narrows, so nothing lags behind."""
    sums = [0.0, *accumulate(y)]
    reach = [min(round(width * len(y) / 2), i, len(y) - 1 - i) for i in range(len(y))]
    return [(sums[i + r + 1] - sums[i - r]) / (2 * r + 1) for i, r in enumerate(reach)]


def _curves(lines: Sequence[Line], x: Axis, y: Axis, ticks: Sequence[float]) -> Markup:
    grid = "".join(f"M0 {_down(y.place(t))}H{fixed(WIDTH)}" for t in ticks)
    drawn = [tag("path", d=grid, class_="grid")]
    for line in lines:
        points = _points(line, x, y)
        drawn.append(tag("path", d=_path(points), class_=line.kind, stroke=line.colour))
        if line.kind == "dots" or sum(point is not None for point in points) == 1:
            dots = "".join(f"M{p}h0" for p in points if p)
            drawn.append(tag("path", d=dots, class_="points", stroke=line.colour))
    box = f"0 0 {fixed(WIDTH)} {fixed(HEIGHT)}"
    return tag("svg", *drawn, viewBox=box, preserveAspectRatio="none", aria_hidden="true")


def _points(line: Line, x: Axis, y: Axis) -> list[str | None]:
    """Coordinates of a curve's points, None where it has a gap."""
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
    """A height 0..1 as an SVG coordinate, which counts from the top; far beyond the frame it stays near it."""
    return fixed(HEIGHT * (1 - min(max(place, -1.0), 2.0)))


def _levels(levels: Sequence[Level], y: Axis) -> list[Markup]:
    return [
        tag("div", tag("span", level.label), class_="level", style=f"bottom:{fixed(100 * y.place(level.y))}%")
        for level in levels
    ]


def _marks(marks: Sequence[Mark], x: Axis, y: Axis) -> list[Markup]:
    """Names stand on the side where there is room."""
    places = [(x.place(mark.x), y.place(mark.y)) for mark in marks]
    return [
        tag("div", tag("span", mark.label), class_="mark left" if across > 0.6 else "mark",
            style=f"left:{fixed(100 * across)}%;bottom:{fixed(100 * up)}%;background:{mark.colour}")
        for mark, (across, up) in zip(marks, places, strict=True)
    ]  # fmt: skip


def _strips(readouts: Sequence[tuple[float, str]], x: Axis) -> Markup | None:
    """Invisible upright strips, each of which shows its text while the pointer is on it."""
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
    named = (tag("span", tag("i", style=f"background:{colour}"), text, class_="key") for colour, text in keys)
    return tag("span", *named, class_="keys")


def _tick(text: str, side: str, place: float) -> Markup:
    return tag("span", text, style=f"{side}:{fixed(100 * place)}%")


def _whole(ticks: Sequence[float]) -> list[float]:
    return [tick for tick in ticks if tick == round(tick)]


def _round_ticks(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [m * 10.0**d for d in decades for m in multiples if low <= m * 10.0**d <= high]
        if len(ticks) >= min(count, 3):
            return ticks[:: max(1, -(-len(ticks) // max(count, 2)))]
    return _round_ticks(low, high, count)  # less than a factor of 1.5: a logarithm is nearly straight there


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
