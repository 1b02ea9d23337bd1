"""What a model would say after each of its layers: the logit lens, one token of a text at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, percent, tag, view
from lessons.widgets.views.tokens import isolated, spoken, token

Guess = tuple[str | bytes, float]
"""A token and its probability."""


@dataclass(frozen=True)
class Layer:
    """The prediction read off the residual stream after one layer."""

    guesses: Sequence[Guess]
    """The likeliest next tokens."""
    rank: int | None = None
    """Place of the token that does come next, 1 for the likeliest; None at the end of the text."""
    probability: float | None = None
    """And its probability."""


@dataclass(frozen=True)
class Reading:
    """What one model would say after one token of the text."""

    layers: Sequence[Layer]
    """From the embedding, which has seen nothing but the token, to the output."""


def lens_view(
    texts: Sequence[str | bytes], readings: Sequence[tuple[str, Sequence[Reading]]], chosen: int
) -> Markup:
    """The text; for the token pointed at, every model's prediction after every layer.

    Args:
        texts: tokens of the text.
        readings: for each model its name and its reading after each token.
        chosen: whose predictions show until another token is pointed at.
    """
    last = readings[-1][1] if readings else []
    boxes = [_token(text, i, texts, readings, last, i == chosen) for i, text in enumerate(texts)]
    head = tag("div", tag("h3", "Prediction after each layer"),
               tag("span", " beside ".join(name for name, _ in readings if name), class_="quiet"), class_="head")  # fmt: skip
    foot = tag("div", _scale(), class_="foot")
    text = tag("div", *(boxes or [tag("p", "There is no text.", class_="quiet")]), class_="text", dir="ltr")
    n_row = max((len(each[0].layers) for _, each in readings if each), default=0)
    body = tag("div", text, foot, class_="telling", style=f"--high:{76 + 28 * n_row}px")
    return view("lens", describe(texts, readings, chosen), head, body, sheets=("panels", "lens"))


def describe(
    texts: Sequence[str | bytes], readings: Sequence[tuple[str, Sequence[Reading]]], chosen: int
) -> str:
    """The text alternative: the likeliest token after each layer."""
    if not 0 <= chosen < len(texts):
        return "Prediction after each layer: no text."
    parts = []
    for name, each in readings:
        said = (
            f"{layer_name(i, len(each[chosen].layers))} {spoken(layer.guesses[0][0])} {percent(layer.guesses[0][1])}"
            for i, layer in enumerate(each[chosen].layers) if layer.guesses
        )  # fmt: skip
        parts.append(f"{name + ': ' if name else ''}{', '.join(said)}")
    return f"Prediction of the token after {spoken(texts[chosen])}. {'. '.join(parts)}."


def layer_name(index: int, n_layer: int) -> str:
    """What a row is called."""
    return "embedding" if index == 0 else f"layer {index}" + (", output" if index == n_layer - 1 else "")


def _scale() -> Markup:
    steps = (tag("i", class_="token", style=f"--v:{share}") for share in range(0, 101, 20))
    return tag("span", "probability of the token that comes next: 0", *steps, "1", class_="scale")


def _token(
    text: str | bytes,
    index: int,
    texts: Sequence[str | bytes],
    readings: Sequence[tuple[str, Sequence[Reading]]],
    last: Sequence[Reading],
    shown: bool,
) -> Markup:
    """A token, shaded by how surely it was expected, with the predictions that were made after it."""
    expected = last[index - 1].layers[-1].probability if index and last[index - 1].layers else None
    following = texts[index + 1] if index + 1 < len(texts) else None
    panel = _panel(text, following, [(name, each[index]) for name, each in readings])
    label = f"{spoken(text)}" + (
        "" if expected is None else f", expected with probability {percent(expected)}"
    )
    return token(
        text,
        expected or 0.0,
        panel,
        class_="token shown" if shown else "token",
        tabindex="0",
        role="note",
        aria_label=label,
    )


def _panel(
    text: str | bytes, following: str | bytes | None, readings: Sequence[tuple[str, Reading]]
) -> Markup:
    comes = (" comes ", isolated(following)) if following is not None else (" the text ends",)
    heads = (
        [tag("span", name, class_="name") for name, _ in readings]
        if any(name for name, _ in readings)
        else []
    )
    n_layer = max((len(reading.layers) for _, reading in readings), default=0)
    rows = [
        tag(
            "b",
            tag("span", layer_name(i, n_layer)),
            *(_layer(reading.layers[i]) for _, reading in readings if i < len(reading.layers)),
        )
        for i in reversed(range(n_layer))
    ]
    head = tag("b", tag("span", "after ", isolated(text), *comes), class_="said")
    names = tag("b", tag("span"), *heads, class_="keys") if heads else None
    return tag(
        "span", head, names, *rows, class_="panel", aria_hidden="true", style=f"--models:{len(readings)}"
    )


def _layer(layer: Layer) -> Markup:
    """The likeliest tokens as boxes, and where the token that does come stands among all."""
    guesses = (
        tag("span", isolated(text), tag("u", percent(p)), class_="guess", style=f"--v:{100 * p:.0f}")
        for text, p in layer.guesses
    )
    rank = None
    if layer.rank is not None:
        rank = tag(
            "i",
            f"rank {layer.rank:,} · {percent(layer.probability)}",
            class_="hit" if layer.rank == 1 else None,
        )
    return tag("span", tag("span", *guesses, class_="guesses"), rank, class_="layer")
