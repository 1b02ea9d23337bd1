"""The next token's true distribution and a model's, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import fixed, number, percent
from lessons.widgets.views.parts import heading
from lessons.widgets.views.tokens import isolated, prose, spoken


@dataclass(frozen=True)
class Possible:
    """A token that may come next."""

    text: bytes
    true: float
    """Its probability in the world."""
    believed: float
    """Its probability according to the model."""


@dataclass(frozen=True)
class Comparison:
    """How far the two distributions are apart."""

    entropy: float
    """Entropy of the truth in bits: the surprise that no model can avoid."""
    divergence: float
    """KL(truth || model) in bits: the surprise that the model could still avoid."""
    impossible: float
    """Probability that the model gives to tokens that cannot come."""


def truth_view(text: str, rows: Sequence[Possible], comparison: Comparison) -> Markup:
    """The text, and for each token that may follow a bar of truth over a bar of belief.

    Args:
        rows: the tokens to show, in order.
    """
    shown = prose(text) if text else "(the beginning of a story)"
    beginning = tag("p", shown, tag("i", " …"), class_="said", dir="ltr")
    reach = max((max(row.true, row.believed) for row in rows), default=1.0) or 1.0
    keys = tag("p", tag("i", class_="true"), "truth", tag("i", class_="believed"), "model",
               tag("span", f"a full bar is {percent(reach)}", class_="full"), class_="keys quiet")  # fmt: skip
    bars = tag("div", *(_row(row, reach) for row in rows), class_="rows")
    head = heading("What comes next?", _in_words(comparison))
    return view("truth", describe(text, rows, comparison), head, beginning, keys, bars, sheets=("truth",))


def describe(text: str, rows: Sequence[Possible], comparison: Comparison) -> str:
    """The text alternative."""
    shown = (
        f"{spoken(row.text)}: truth {percent(row.true)}, model {percent(row.believed)}" for row in rows[:5]
    )
    return f"Next token after {spoken(text)}. {'; '.join(shown)}. {_in_words(comparison)}"


def _in_words(comparison: Comparison) -> str:
    return (
        f"open: {number(max(comparison.entropy, 0.0))} bits · lost by the model: {_bits(comparison.divergence)} bits · "
        f"given to what cannot come: {percent(comparison.impossible)}"
    )


def _bits(value: float) -> str:
    return "∞" if math.isinf(value) else number(max(value, 0.0))


def _row(row: Possible, reach: float) -> Markup:
    bars = f"--p:{fixed(100 * row.true / reach)}%;--q:{fixed(100 * row.believed / reach)}%"
    kind = "wrong" if row.true == 0 else None
    figures = (tag("b", percent(row.true) if row.true else "never"), tag("u", percent(row.believed)))
    return tag("div", isolated(row.text), tag("span", class_="bars"), *figures, style=bars, class_=kind)
