"""What tuning does to the next token: base, shift and result at any position of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.annotated import Annotated, annotated, panel
from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import fixed, number, percent
from lessons.widgets.views.parts import heading, scale
from lessons.widgets.views.tokens import isolated, spoken

FAINTEST = 0.02
"""The darkest shade stands for at least this divergence, in bits."""
MUCH = 0.01
"""A token sets the scale of the bars only if its probability changes by at least this much; longer bars are clipped."""


@dataclass(frozen=True)
class Mover:
    """A token whose probability tuning changes."""

    text: str | bytes
    base: float
    """Its probability without tuning."""
    combined: float
    """Its probability with tuning."""
    exact: float | None = None
    """The shift of its log-probability that would be right, in nats, where it is known."""

    @property
    def shift(self) -> float:
        """log combined - log base, in nats."""
        return math.log(max(self.combined, 1e-30) / max(self.base, 1e-30))


@dataclass(frozen=True)
class Position:
    """A token of the text, and what tuning does to the prediction of the token after it."""

    text: str | bytes
    divergence: float
    """KL(combined || base) of that prediction, in bits."""
    movers: Sequence[Mover]
    """The tokens whose probability changes most, in order."""


def shift_view(positions: Sequence[Position], chosen: int, settings: str = "", cut: str = "") -> Markup:
    """The text, shaded by how much the next prediction changes, and the movers of each position.

    Args:
        chosen: index of the position whose movers show until another token is pointed at.
        settings: model, attribute and strength, in a few words.
        cut: which part of the text is shown, in words; empty for all of it.
    """
    has_exact = any(mover.exact is not None for position in positions for mover in position.movers)
    reach = _reach(positions)
    most = max([FAINTEST, *(position.divergence for position in positions)])
    text = annotated(
        [_annotate(each, each.divergence / most, _panel(each, reach, has_exact)) for each in positions],
        chosen,
        scale("next prediction moves by 0", f"{number(most, 2)} bits", 20),
        tag("span", _in_words(positions), class_="quiet"),
        height=46 + 24 * max((len(position.movers) for position in positions), default=0),
    )
    head = heading("Shift of the next token", settings, cut)
    return view("shift", describe(positions, chosen), head, text, sheets=("annotated", "shift"))


def describe(positions: Sequence[Position], chosen: int) -> str:
    """The text alternative."""
    if not 0 <= chosen < len(positions):
        return "Shift of the next token: no text."
    at = positions[chosen]
    moves = ", ".join(
        f"{spoken(m.text)} from {percent(m.base)} to {percent(m.combined)}" for m in at.movers[:3]
    )
    return f"Shift of the token after {spoken(at.text)}: {number(at.divergence)} bits; {moves}."


def _in_words(positions: Sequence[Position]) -> str:
    if not positions:
        return ""
    mean = sum(position.divergence for position in positions) / len(positions)
    return f"{number(mean)} bits a token on average"


def _reach(positions: Sequence[Position]) -> float:
    """Nats of a full bar: the largest shift of a token that moves much, the same for all positions."""
    movers = [mover for position in positions for mover in position.movers]
    much = [mover for mover in movers if abs(mover.combined - mover.base) >= MUCH] or movers
    shifts = [abs(shift) for m in much for shift in (m.shift, m.exact) if shift is not None]
    return max([s for s in shifts if math.isfinite(s) and s < 25], default=1.0) or 1.0


def _annotate(position: Position, shade: float, movers: Markup) -> Annotated:
    label = f"after {spoken(position.text)} the prediction moves by {number(position.divergence)} bits"
    return Annotated(position.text, shade, label, movers)


def _panel(position: Position, reach: float, has_exact: bool) -> Markup:
    name = tag("bdi", "after ", isolated(position.text))
    exact = tag("em", "exact") if has_exact else None
    keys = tag("b", name, tag("u", "base"), tag("s", f"shift, ±{number(reach, 2)} nats"), tag("i", "tuned"), exact,
               class_="keys")  # fmt: skip
    rows = (_row(mover, reach, has_exact) for mover in position.movers)
    return panel(keys, *rows, kind="panel with-exact" if has_exact else "panel")


def _row(mover: Mover, reach: float, has_exact: bool) -> Markup:
    """A token with its probabilities, and its shift as a bar from the middle; the exact shift is a mark on it."""
    share = 50 * max(-1.0, min(1.0, mover.shift / reach))
    style = f"--from:{fixed(50 + min(share, 0))}%;--long:{fixed(abs(share))}%"
    mark = None
    if mover.exact is not None:
        mark = tag("q", style=f"left:{fixed(50 + 50 * max(-1.0, min(1.0, mover.exact / reach)))}%")
    bar = tag("s", mark, class_="up" if share >= 0 else "down")
    exact = tag("em", _signed(mover.exact)) if has_exact else None
    before, after = tag("u", percent(mover.base)), tag("i", percent(mover.combined))
    return tag("b", isolated(mover.text), before, bar, after, exact, style=style)


def _signed(nats: float | None) -> str:
    if nats is None:
        return "–"
    size = "∞" if math.isinf(nats) else f"{abs(nats):.1f}"
    return ("−" if nats < 0 else "+") + size
