"""A text coloured by its gates: for each token, the share of attention that goes to what a method added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, percent, tag, view
from lessons.widgets.views.tokens import token


@dataclass(frozen=True)
class Gates:
    """One model's gates over a text."""

    name: str
    """The model."""
    tokens: Sequence[bytes]
    """The text."""
    gates: Sequence[float]
    """A share 0..1 for each token."""

    @property
    def mean(self) -> float:
        """Over all tokens."""
        return sum(self.gates) / len(self.gates)


def gates_view(seen: Sequence[Gates], where: str) -> Markup:
    """The text once for each model.

    Args:
        where: layer and heads, in words.
    """
    scale = [tag("i", class_="token", style=f"--v:{share}") for share in range(0, 101, 10)]
    head = tag(
        "div",
        tag("h3", "Attention that goes to what was added"),
        tag("span", where, class_="quiet"),
        tag("span", "0 ", *scale, " all", class_="quiet"),
        class_="head",
    )
    return view("gates", describe(seen, where), head, *(_text(each) for each in seen), sheets=("gates",))


def describe(seen: Sequence[Gates], where: str) -> str:
    """The text alternative."""
    means = "; ".join(f"{each.name}: {percent(each.mean)} in the mean" for each in seen)
    return f"Attention that goes to what was added, {where}. {means}."


def _text(seen: Gates) -> Markup:
    words = [
        token(text, gate, title=f"{percent(gate)} of the attention")
        for text, gate in zip(seen.tokens, seen.gates, strict=True)
    ]
    name = tag("h4", f"{seen.name}: {percent(seen.mean)} in the mean")
    return tag("div", name, tag("div", *words, class_="text", dir="ltr"), class_="model")
