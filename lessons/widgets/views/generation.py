"""A generated text as one looks at it: each token shaded by its probability, and what could have stood in its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, fixed, join, number, percent, tag, view
from lessons.widgets.views.tokens import isolated, spoken, token, visible

_NOTHING = [tag("p", "Nothing is written yet.", class_="quiet")]


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
    """The likeliest candidates, the drawn one among them if it is likely enough; likeliest first."""
    entropy: float | None = None
    """Of the model's distribution, in bits."""


def generation_view(prompt: str, drawn: Sequence[Drawn], settings: str = "") -> Markup:
    """The text with its candidates.

    Args:
        prompt: what was given; it has no probability here.
        settings: how it was drawn, in a few words.
    """
    shown = [_drawn(each, number) for number, each in enumerate(drawn)]
    body = [_given(prompt), *shown] if prompt or shown else _NOTHING
    foot = tag("div", _scale(), tag("span", _verdict(drawn), class_="quiet"), class_="foot")
    parts = [
        tag("div", tag("h3", "Generated text"), tag("span", settings, class_="quiet"), class_="head"),
        tag("div", tag("div", *body, class_="text", dir="ltr"), foot, class_="telling"),
    ]
    return view("generation", describe(prompt, drawn), *parts, sheets=("panels", "generation"))


def describe(prompt: str, drawn: Sequence[Drawn]) -> str:
    """The text alternative."""
    texts = (each.token.text for each in drawn)
    made = b"".join(t if isinstance(t, bytes) else t.encode("utf-8", "replace") for t in texts)
    return f"Generated text. Prompt: {spoken(prompt)}. Continuation: {spoken(made)}. {_verdict(drawn)}"


def _verdict(drawn: Sequence[Drawn]) -> str:
    """How likely the continuation is to the model itself."""
    believed = [each.token.believed for each in drawn if each.token.believed > 0]
    if not believed:
        return ""
    nats = -sum(map(math.log, believed)) / len(believed)
    return f"{len(drawn)} tokens; to the model itself, {number(nats / math.log(2))} bits each"


def _scale() -> Markup:
    steps = [tag("i", class_="token", style=f"--v:{share}") for share in range(0, 101, 10)]
    return tag("span", "drawn with probability 0", *steps, "1", class_="scale")


def _drawn(each: Drawn, number: int) -> Markup:
    label = f"{spoken(each.token.text)}, drawn with probability {percent(each.token.drawable)}"
    kind = "token shown" if number == 0 else "token"
    box = token(each.token.text, each.token.drawable, _panel(each, number), class_=kind, tabindex="0", role="note",
                aria_label=label)  # fmt: skip
    return join(box, "\n" if _breaks(each.token.text) else None)


def _given(prompt: str) -> Markup:
    return tag(
        "span",
        *(join(visible(line), "\n" if _breaks(line) else None) for line in prompt.splitlines(True)),
        class_="given",
    )


def _breaks(text: str | bytes) -> bool:
    return (b"\n" if isinstance(text, bytes) else "\n") in text


def _panel(each: Drawn, number: int) -> Markup:
    """The candidates of one token; that of the first token shows until another is pointed at."""
    drawn = each.token
    listed = list(each.others)
    if listed and not any(other.text == drawn.text for other in listed):
        listed.append(drawn)
    reach = max((max(other.believed, other.drawable) for other in listed), default=1.0) or 1.0
    rows = [_row(other, other.text == drawn.text, reach) for other in listed]
    entropy = "" if each.entropy is None else f" · entropy {each.entropy:.1f} bits"
    name = tag("bdi", f"token {number + 1}{entropy}")
    head = tag("b", name, tag("i", "drawn from"), tag("u", "model"), class_="keys")
    return tag("span", head, *rows, class_="panel", aria_hidden="true")


def _row(candidate: Candidate, is_drawn: bool, reach: float) -> Markup:
    """A candidate with its bars, which are full at `reach`."""
    bars = f"--p:{fixed(100 * candidate.drawable / reach)}%;--q:{fixed(100 * candidate.believed / reach)}%"
    figures = (tag("i", percent(candidate.drawable or None)), tag("u", percent(candidate.believed)))
    kind = "drawn" if is_drawn else None
    return tag("b", isolated(candidate.text), tag("s"), *figures, style=bars, class_=kind)
