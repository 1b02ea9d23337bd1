"""What tuning does to the next token: base, shift and result for any position of a text, and where it does most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, fixed, number, percent, tag, view
from lessons.widgets.views.tokens import isolated, spoken, token

FAINTEST = 0.02
"""Bits that shade a token fully where no token of the text moves its prediction further."""
MUCH = 0.01
"""Probability that a token gains or loses if its shift counts for the bars' scale; of rarer tokens bars end at the edge."""


@dataclass(frozen=True)
class Mover:
    """A token whose probability tuning moves."""

    text: str | bytes
    base: float
    """Its probability without tuning."""
    combined: float
    """And with it."""
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
    """The tokens that move most, by moved probability."""


def shift_view(positions: Sequence[Position], chosen: int, settings: str = "") -> Markup:
    """The text, shaded by how much the next prediction moves, and the movers of one position.

    Args:
        chosen: whose movers show until another token is pointed at.
        settings: model, attribute and strength, in a few words.
    """
    has_exact = any(mover.exact is not None for position in positions for mover in position.movers)
    reach = _reach(positions)
    most = max([FAINTEST, *(position.divergence for position in positions)])
    boxes = [
        _token(each, each.divergence / most, _panel(each, reach, has_exact), i == chosen)
        for i, each in enumerate(positions)
    ]
    head = tag(
        "div", tag("h3", "Shift of the next token"), tag("span", settings, class_="quiet"), class_="head"
    )
    foot = tag("div", _scale(most), tag("span", _verdict(positions), class_="quiet"), class_="foot")
    text = tag("div", *(boxes or [tag("p", "There is no text.", class_="quiet")]), class_="text", dir="ltr")
    n_row = max((len(position.movers) for position in positions), default=0)
    body = tag("div", text, foot, class_="telling", style=f"--high:{46 + 24 * n_row}px")
    return view("shift", describe(positions, chosen), head, body, sheets=("panels", "shift"))


def describe(positions: Sequence[Position], chosen: int) -> str:
    """The text alternative."""
    if not 0 <= chosen < len(positions):
        return "Shift of the next token: no text."
    at = positions[chosen]
    moves = ", ".join(
        f"{spoken(m.text)} from {percent(m.base)} to {percent(m.combined)}" for m in at.movers[:3]
    )
    return f"Shift of the token after {spoken(at.text)}: {number(at.divergence)} bits; {moves}."


def _verdict(positions: Sequence[Position]) -> str:
    if not positions:
        return ""
    mean = sum(position.divergence for position in positions) / len(positions)
    return f"{number(mean)} bits a token on average"


def _reach(positions: Sequence[Position]) -> float:
    """Nats at which a bar reaches the edge: the largest shift of all that moves much, so that positions can be compared."""
    movers = [mover for position in positions for mover in position.movers]
    much = [mover for mover in movers if abs(mover.combined - mover.base) >= MUCH] or movers
    shifts = [abs(shift) for m in much for shift in (m.shift, m.exact) if shift is not None]
    return max([s for s in shifts if math.isfinite(s) and s < 25], default=1.0) or 1.0


def _scale(most: float) -> Markup:
    steps = (tag("i", class_="token", style=f"--v:{share}") for share in range(0, 101, 20))
    return tag("span", "next prediction moves by 0", *steps, f"{number(most, 2)} bits", class_="scale")


def _token(position: Position, shade: float, panel: Markup, shown: bool) -> Markup:
    label = f"after {spoken(position.text)} the prediction moves by {number(position.divergence)} bits"
    kind = "token shown" if shown else "token"
    return token(position.text, shade, panel, class_=kind, tabindex="0", role="note", aria_label=label)


def _panel(position: Position, reach: float, has_exact: bool) -> Markup:
    exact = tag("em", "exact") if has_exact else None
    keys = tag("b", tag("bdi", "after ", isolated(position.text)), tag("u", "base"), tag("s", f"shift, ±{number(reach, 2)} nats"),
               tag("i", "tuned"), exact, class_="keys")  # fmt: skip
    rows = [_row(mover, reach, has_exact) for mover in position.movers]
    return tag("span", keys, *rows, class_="panel with-exact" if has_exact else "panel", aria_hidden="true")


def _row(mover: Mover, reach: float, has_exact: bool) -> Markup:
    """A token with its probabilities, and its shift as a bar from the middle; the exact shift is a mark on it."""
    share = 50 * max(-1.0, min(1.0, mover.shift / reach))
    style = f"--from:{fixed(50 + min(share, 0))}%;--long:{fixed(abs(share))}%"
    told = None
    if has_exact:
        told = tag("em", _signed(mover.exact))
    mark = None
    if mover.exact is not None:
        mark = tag("q", style=f"left:{fixed(50 + 50 * max(-1.0, min(1.0, mover.exact / reach)))}%")
    bar = tag("s", mark, class_="up" if share >= 0 else "down")
    return tag(
        "b",
        isolated(mover.text),
        tag("u", percent(mover.base)),
        bar,
        tag("i", percent(mover.combined)),
        told,
        style=style,
    )


def _signed(nats: float | None) -> str:
    if nats is None:
        return "–"
    size = "∞" if math.isinf(nats) else f"{abs(nats):.1f}"
    return ("−" if nats < 0 else "+") + size
