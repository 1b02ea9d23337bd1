"""A kernel smoother as one looks at it: points, the curve through them, added points, and the weight that these take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, number, percent, tag, view
from lessons.widgets.views.plot import Axis, Line, chart

TEXT, ADDED, PLAIN = "var(--mlm-series-0)", "var(--mlm-series-1)", "var(--mlm-quiet)"


@dataclass(frozen=True)
class Smoothing:
    """What was smoothed, and how."""

    places: Sequence[float]
    """Of the points."""
    values: Sequence[float]
    """As many."""
    asked: Sequence[float]
    """Places of the queries, ascending."""
    plain: Sequence[float]
    """The estimate from the points alone, at each query."""
    estimate: Sequence[float]
    """The estimate with what was added."""
    gate: Sequence[float]
    """The share of each query's weight that falls on what was added."""
    added: Sequence[tuple[float, float]] = ()
    """Place and value of added points that stay where they are."""

    @property
    def weight(self) -> float:
        """The mean gate."""
        return sum(self.gate) / len(self.gate)


def smoothing_view(seen: Smoothing, kind: str, low: float = -2.5, high: float = 2.5) -> Markup:
    """The curves above, the gate below.

    Args:
        kind: what was added, in a few words.
        low, high: of the axis of values.
    """
    x = Axis(seen.asked[0], seen.asked[-1])
    lines = [
        _dots(list(zip(seen.places, seen.values, strict=True)), PLAIN),
        Line(seen.asked, seen.plain, TEXT),
        Line(seen.asked, seen.estimate, ADDED),
        _dots(seen.added, ADDED),
    ]
    keys = [(PLAIN, f"{len(seen.places)} points"), (TEXT, "smoothed"), (ADDED, "with what is added")]
    readouts = [
        (place, f"query {number(place, 2)}: {percent(gate)} of the weight on what is added")
        for place, gate in zip(seen.asked, seen.gate, strict=True)
    ]
    curves = chart(
        [line for line in lines if line.x], x, Axis(low, high), "the curves",
        title=kind, keys=keys, readouts=readouts[::4],
    )  # fmt: skip
    gate = chart(
        [Line(seen.asked, seen.gate, ADDED)], x, Axis(0.0, 1.0), "the gate",
        title=f"share of the weight on what is added: {percent(seen.weight)} in the mean", small=True,
    )  # fmt: skip
    return view("smoothing", describe(seen, kind), curves, tag("div", gate), sheets=("plot",))


def describe(seen: Smoothing, kind: str) -> str:
    """The text alternative."""
    return (
        f"A smoothed curve over {len(seen.places)} points, {kind}: what is added takes {percent(seen.weight)} of the "
        f"weight in the mean, {percent(max(seen.gate))} at most."
    )


def _dots(points: Sequence[tuple[float, float]], colour: str) -> Line:
    """Points without a line between them: after each stands a gap."""
    return Line(
        [x for x, _ in points for _ in range(2)],
        [each for _, y in points for each in (y, math.nan)],
        colour,
        "dots",
    )
