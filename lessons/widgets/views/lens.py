"""What a model would predict after each of its layers: the logit lens, one token of a text at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.annotated import Annotated, annotated, panel
from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import percent
from lessons.widgets.views.parts import heading, scale
from lessons.widgets.views.tokens import isolated, spoken


@dataclass(frozen=True)
class Layer:
    """The prediction read off the residual stream after one layer."""

    top: Sequence[tuple[str | bytes, float]]
    """The most probable next tokens, with their probabilities."""
    rank: int | None = None
    """Rank of the token that does come next, 1 for the most probable; None at the end of the text."""
    probability: float | None = None
    """Probability of the token that does come next."""


Reading = Sequence[Layer]
"""One model's predictions after one token: from the embedding, which depends on the token alone, to the output."""
Readings = Sequence[tuple[str, Sequence[Reading]]]
"""For each model its name and its predictions after each token of the text."""


def lens_view(texts: Sequence[str | bytes], readings: Readings, chosen: int, cut: str = "") -> Markup:
    """The text; for the token pointed at, every model's prediction after every layer.

    Args:
        texts: tokens of the text.
        readings: of each model.
        chosen: index of the token whose predictions show until another token is pointed at.
        cut: which part of the text is shown, in words; empty for all of it.
    """
    names = " beside ".join(name for name, _ in readings if name)
    head = heading("Prediction after each layer", names, cut)
    n_row = max((len(each[0]) for _, each in readings if each), default=0)
    tokens = [_annotate(index, texts, readings) for index in range(len(texts))]
    legend = scale("probability of the token that comes next: 0", "1", 20)
    text = annotated(tokens, chosen, legend, height=76 + 28 * n_row)
    return view("lens", describe(texts, readings, chosen), head, text, sheets=("annotated", "lens"))


def describe(texts: Sequence[str | bytes], readings: Readings, chosen: int) -> str:
    """The text alternative: the most probable token after each layer."""
    if not 0 <= chosen < len(texts):
        return "Prediction after each layer: no text."
    parts = []
    for name, each in readings:
        layers = (
            f"{layer_name(i, len(each[chosen]))} {spoken(layer.top[0][0])} {percent(layer.top[0][1])}"
            for i, layer in enumerate(each[chosen]) if layer.top
        )  # fmt: skip
        parts.append(f"{name + ': ' if name else ''}{', '.join(layers)}")
    return f"Prediction of the token after {spoken(texts[chosen])}. {'. '.join(parts)}."


def layer_name(index: int, n_layer: int) -> str:
    """Name of a row: "embedding", "layer 1", and "layer 4, output" for the last."""
    return "embedding" if index == 0 else f"layer {index}" + (", output" if index == n_layer - 1 else "")


def _annotate(index: int, texts: Sequence[str | bytes], readings: Readings) -> Annotated:
    """A token, shaded by the probability that the last model gave it, with the predictions made after it."""
    before = readings[-1][1][index - 1] if index and readings else ()
    expected = before[-1].probability if before else None
    following = texts[index + 1] if index + 1 < len(texts) else None
    label = spoken(texts[index])
    if expected is not None:
        label += f", expected with probability {percent(expected)}"
    here = [(name, each[index]) for name, each in readings]
    return Annotated(texts[index], expected or 0.0, label, _panel(texts[index], following, here))


def _panel(
    text: str | bytes, following: str | bytes | None, readings: Sequence[tuple[str, Reading]]
) -> Markup:
    comes = (" comes ", isolated(following)) if following is not None else (" the text ends",)
    head = tag("b", tag("span", "after ", isolated(text), *comes), class_="said")
    names = [tag("span", name, class_="name") for name, _ in readings]
    keys = tag("b", tag("span"), *names, class_="keys") if any(name for name, _ in readings) else None
    n_layer = max((len(layers) for _, layers in readings), default=0)
    rows = [
        tag("b", tag("span", layer_name(i, n_layer)), *(_layer(layers[i]) for _, layers in readings if i < len(layers)))
        for i in reversed(range(n_layer))
    ]  # fmt: skip
    return panel(head, keys, *rows, style=f"--models:{len(readings)}")


def _layer(layer: Layer) -> Markup:
    """The most probable tokens as boxes, and the rank of the token that does come."""
    guesses = (
        tag("span", isolated(text), tag("u", percent(p)), class_="guess", style=f"--v:{100 * p:.0f}")
        for text, p in layer.top
    )
    rank = None
    if layer.rank is not None:
        kind = "hit" if layer.rank == 1 else None
        rank = tag("i", f"rank {layer.rank:,} · {percent(layer.probability)}", class_=kind)
    return tag("span", tag("span", *guesses, class_="guesses"), rank, class_="layer")
