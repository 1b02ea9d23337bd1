"""A text in which every token carries a panel, which shows while its token is pointed at or focused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, join, tag
from lessons.widgets.views.tokens import token, visible


@dataclass(frozen=True)
class Annotated:
    """A token with its panel."""

    text: str | bytes
    """The token."""
    shade: float
    """Its color, 0..1 on the sequential scale."""
    label: str
    """Text alternative."""
    panel: Markup
    """Made by `panel`."""


def annotated(
    tokens: Sequence[Annotated],
    chosen: int,
    *foot: Markup,
    prompt: str = "",
    empty: str = "There is no text.",
    height: int | None = None,
) -> Markup:
    """The text; needs the style sheet "annotated".

    Args:
        chosen: index of the token whose panel shows until another token is pointed at.
        foot: parts below the text: a scale, a result.
        prompt: text before the tokens, which has no panels.
        empty: shown where there is neither prompt nor token.
        height: pixels that the highest panel takes; None where the view's own style sheet says it.
    """
    boxes = [_box(each, index == chosen) for index, each in enumerate(tokens)]
    body = [_given(prompt), *boxes] if prompt or boxes else [tag("p", empty, class_="quiet")]
    text = tag("div", *body, class_="text", dir="ltr")
    style = None if height is None else f"--high:{height}px"
    return tag("div", text, tag("div", *foot, class_="foot"), class_="annotated", style=style)


def panel(*rows: Markup | None, kind: str = "panel", style: str | None = None) -> Markup:
    """A token's panel. Screen readers skip it: the token's label speaks for it."""
    return tag("span", *rows, class_=kind, aria_hidden="true", style=style)


def _box(each: Annotated, is_chosen: bool) -> Markup:
    kind = "token shown" if is_chosen else "token"
    box = token(
        each.text, each.shade, each.panel, class_=kind, tabindex="0", role="note", aria_label=each.label
    )
    return join(box, "\n" if _breaks(each.text) else None)


def _given(prompt: str) -> Markup | None:
    lines = (join(visible(line), "\n" if _breaks(line) else None) for line in prompt.splitlines(True))
    return tag("span", *lines, class_="given") if prompt else None


def _breaks(text: str | bytes) -> bool:
    return (b"\n" in text) if isinstance(text, bytes) else ("\n" in text)
