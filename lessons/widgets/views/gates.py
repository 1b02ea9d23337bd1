"""A text colored by its gates: for each token, the fraction of attention that goes to what a method added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import percent
from lessons.widgets.views.parts import heading, scale
from lessons.widgets.views.tokens import token


@dataclass(frozen=True)
class Gates:
    """One model's gates over a text."""

    name: str
    """Name of the model."""
    tokens: Sequence[bytes]
    """The text."""
    gates: Sequence[float]
    """One gate 0..1 for each token."""

    @property
    def average(self) -> str:
        """The mean gate over all tokens, in words."""
        return f"{self.name}: {percent(sum(self.gates) / len(self.gates))} on average"


def gates_view(models: Sequence[Gates], where: str, cut: str = "") -> Markup:
    """The text once for each model.

    Args:
        where: layer and heads, in words.
        cut: which part of the text is shown, in words; empty for all of it.
    """
    legend = scale("0 ", " all", kind="quiet")
    head = heading("Attention that goes to what was added", where, cut, legend)
    return view("gates", describe(models, where), head, *(_text(each) for each in models), sheets=("gates",))


def describe(models: Sequence[Gates], where: str) -> str:
    """The text alternative."""
    means = "; ".join(each.average for each in models)
    return f"Attention that goes to what was added, {where}. {means}."


def _text(model: Gates) -> Markup:
    words = (
        token(text, gate, title=f"{percent(gate)} of the attention")
        for text, gate in zip(model.tokens, model.gates, strict=True)
    )
    text = tag("div", *words, class_="text", dir="ltr")
    return tag("div", tag("h4", model.average), text, class_="model")
