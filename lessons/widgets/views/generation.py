"""A generated text: each token shaded by the probability it was drawn with, beside the other candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.annotated import Annotated, annotated, panel
from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import fixed, number, percent
from lessons.widgets.views.parts import heading, scale
from lessons.widgets.views.tokens import isolated, spoken


@dataclass(frozen=True)
class Candidate:
    """A token that could have been drawn."""

    text: str | bytes
    believed: float
    """Probability the model gives it: softmax of the logits."""
    drawable: float
    """Probability with which it could be drawn: after temperature, top-k and top-p; 0 if they rule it out."""


@dataclass(frozen=True)
class Drawn:
    """A token that was drawn, and the others it was drawn from."""

    token: Candidate
    others: Sequence[Candidate] = ()
    """The most probable candidates in order; the drawn token is among them if it is probable enough."""
    entropy: float | None = None
    """Entropy of the model's distribution, in bits."""


def generation_view(prompt: str, drawn: Sequence[Drawn], settings: str = "") -> Markup:
    """The text with its candidates.

    Args:
        prompt: the text that was continued; it has no probabilities here.
        settings: how the tokens were drawn, in a few words.
    """
    text = annotated(
        [_annotate(each, index) for index, each in enumerate(drawn)],
        0,
        scale("drawn with probability 0", "1"),
        tag("span", _in_words(drawn), class_="quiet"),
        prompt=prompt,
        empty="Nothing is written yet.",
    )
    head = heading("Generated text", settings)
    return view("generation", describe(prompt, drawn), head, text, sheets=("annotated", "generation"))


def describe(prompt: str, drawn: Sequence[Drawn]) -> str:
    """The text alternative."""
    texts = (each.token.text for each in drawn)
    made = b"".join(t if isinstance(t, bytes) else t.encode("utf-8", "replace") for t in texts)
    return f"Generated text. Prompt: {spoken(prompt)}. Continuation: {spoken(made)}. {_in_words(drawn)}"


def _in_words(drawn: Sequence[Drawn]) -> str:
    """How probable the continuation is to the model itself."""
    believed = [each.token.believed for each in drawn if each.token.believed > 0]
    if not believed:
        return ""
    nats = -sum(map(math.log, believed)) / len(believed)
    return f"{len(drawn)} tokens; to the model itself, {number(nats / math.log(2))} bits each"


def _annotate(each: Drawn, index: int) -> Annotated:
    drawn = each.token
    label = f"{spoken(drawn.text)}, drawn with probability {percent(drawn.drawable)}"
    return Annotated(drawn.text, drawn.drawable, label, _panel(each, index))


def _panel(each: Drawn, index: int) -> Markup:
    """The candidates of one token."""
    drawn = each.token
    listed = list(each.others)
    if listed and not any(other.text == drawn.text for other in listed):
        listed.append(drawn)
    reach = max((max(other.believed, other.drawable) for other in listed), default=1.0) or 1.0
    rows = [_row(other, other.text == drawn.text, reach) for other in listed]
    entropy = "" if each.entropy is None else f" · entropy {each.entropy:.1f} bits"
    name = tag("bdi", f"token {index + 1}{entropy}")
    return panel(tag("b", name, tag("i", "drawn from"), tag("u", "model"), class_="keys"), *rows)


def _row(candidate: Candidate, is_drawn: bool, reach: float) -> Markup:
    """A candidate with its two bars, which are full at the probability `reach`."""
    bars = f"--p:{fixed(100 * candidate.drawable / reach)}%;--q:{fixed(100 * candidate.believed / reach)}%"
    figures = (tag("i", percent(candidate.drawable or None)), tag("u", percent(candidate.believed)))
    kind = "drawn" if is_drawn else None
    return tag("b", isolated(candidate.text), tag("s"), *figures, style=bars, class_=kind)
