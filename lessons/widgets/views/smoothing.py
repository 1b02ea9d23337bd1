"""A kernel smoother: points, the curve through them, added points, and the fraction of the weight on what was added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import number, percent
from lessons.widgets.views.plot import Axis, Line, chart

TEXT, ADDED, PLAIN = "var(--mlm-series-0)", "var(--mlm-series-1)", "var(--mlm-quiet)"
VALUES = Axis(-2.5, 2.5)
"""The vertical axis of the curves."""


@dataclass(frozen=True)
class Smoothing:
    """What was smoothed, and the result."""

    positions: Sequence[float]
    """Positions of the points."""
    values: Sequence[float]
    """Their values."""
    queries: Sequence[float]
    """Positions of the queries, ascending."""
    plain: Sequence[float]
    """The estimate from the points alone, at each query."""
    estimate: Sequence[float]
    """The estimate from the points and from what was added, at each query."""
    gate: Sequence[float]
    """The fraction of each query's weight that falls on what was added."""
    added: Sequence[tuple[float, float]] = ()
    """Position and value of added points that are the same for all queries."""

    @property
    def weight(self) -> float:
        """The mean gate."""
        return sum(self.gate) / len(self.gate)


def smoothing_view(smoothing: Smoothing, kind: str) -> Markup:
    """The curves above, the gate below.

    Args:
        kind: what was added, in a few words.
    """
    queries, gate = smoothing.queries, smoothing.gate
    x = Axis(queries[0], queries[-1])
    lines = [
        _dots(list(zip(smoothing.positions, smoothing.values, strict=True)), PLAIN),
        Line(queries, smoothing.plain, TEXT),
        Line(queries, smoothing.estimate, ADDED),
        _dots(smoothing.added, ADDED),
    ]
    keys = [(PLAIN, f"{len(smoothing.positions)} points"), (TEXT, "smoothed"), (ADDED, "with what is added")]
    readouts = [
        (at, f"query {number(at, 2)}: {percent(share)} of the weight on what is added")
        for at, share in zip(queries, gate, strict=True)
    ]
    drawn = [line for line in lines if line.x]
    curves = chart(drawn, x, VALUES, "the curves", title=kind, keys=keys, readouts=readouts[::4])
    title = f"share of the weight on what is added: {percent(smoothing.weight)} on average"
    below = chart([Line(queries, gate, ADDED)], x, Axis(0.0, 1.0), "the gate", title=title, small=True)
    return view("smoothing", describe(smoothing, kind), curves, tag("div", below), sheets=("plot",))


def describe(smoothing: Smoothing, kind: str) -> str:
    """The text alternative."""
    return (
        f"A smoothed curve over {len(smoothing.positions)} points, {kind}: what is added takes "
        f"{percent(smoothing.weight)} of the weight on average, {percent(max(smoothing.gate))} at most."
    )


def _dots(points: Sequence[tuple[float, float]], color: str) -> Line:
    """Points without a line between them: a gap follows each."""
    x = [x for x, _ in points for _ in range(2)]
    return Line(x, [each for _, y in points for each in (y, math.nan)], color, "dots")
