"""The next token, believed and true: a model's distribution beside the world's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, fixed, number, percent, tag, view
from lessons.widgets.views.tokens import isolated, prose, spoken


@dataclass(frozen=True)
class Possible:
    """A token that may come next."""

    text: bytes
    true: float
    """Probability in the world."""
    believed: float
    """Probability that the model gives it."""


@dataclass(frozen=True)
class Verdict:
    """How far the whole distributions are apart."""

    entropy: float
    """Of the truth, in bits: the surprise that no model can avoid."""
    divergence: float
    """Kullback-Leibler divergence of the model from the truth, in bits: the surprise that it could still avoid."""
    impossible: float
    """Probability that the model gives to tokens that cannot come."""


def truth_view(text: str, rows: Sequence[Possible], verdict: Verdict) -> Markup:
    """The text, and for each token that may follow a bar of truth over a bar of belief.

    Args:
        rows: the likeliest tokens, by either account, likeliest in truth first.
    """
    head = tag(
        "div", tag("h3", "What comes next?"), tag("span", _in_words(verdict), class_="quiet"), class_="head"
    )
    said = tag(
        "p", prose(text) if text else "(the beginning of a story)", tag("i", " …"), class_="said", dir="ltr"
    )
    reach = max((max(row.true, row.believed) for row in rows), default=1.0) or 1.0
    keys = tag("p", tag("i", class_="true"), "truth", tag("i", class_="believed"), "model",
               tag("span", f"a full bar is {percent(reach)}", class_="full"), class_="keys quiet")  # fmt: skip
    table = tag("div", *(_row(row, reach) for row in rows), class_="rows")
    return view("truth", describe(text, rows, verdict), head, said, keys, table, sheets=("truth",))


def describe(text: str, rows: Sequence[Possible], verdict: Verdict) -> str:
    """The text alternative."""
    shown = (
        f"{spoken(row.text)}: truth {percent(row.true)}, model {percent(row.believed)}" for row in rows[:5]
    )
    return f"Next token after {spoken(text)}. {'; '.join(shown)}. {_in_words(verdict)}"


def _in_words(verdict: Verdict) -> str:
    return (
        f"open: {number(max(verdict.entropy, 0.0))} bits · lost by the model: {_bits(verdict.divergence)} bits · "
        f"given to what cannot come: {percent(verdict.impossible)}"
    )


def _bits(value: float) -> str:
    return "∞" if math.isinf(value) else number(max(value, 0.0))


def _row(row: Possible, reach: float) -> Markup:
    bars = f"--p:{fixed(100 * row.true / reach)}%;--q:{fixed(100 * row.believed / reach)}%"
    kind = "wrong" if row.true == 0 else None
    figures = (tag("b", percent(row.true) if row.true else "never"), tag("u", percent(row.believed)))
    return tag("div", isolated(row.text), tag("span", class_="bars"), *figures, style=bars, class_=kind)
