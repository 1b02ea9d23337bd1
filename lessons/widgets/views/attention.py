"""Attention weights as lines between tokens and as a matrix, and small pictures of all heads.

Each token's row is one element that reaches across lines and matrix; pointing at it anywhere shows what that token attends to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lessons.widgets.views.markup import Markup, join, tag, view
from lessons.widgets.views.matrix import Matrix, cells, shade
from lessons.widgets.views.numbers import fixed, percent
from lessons.widgets.views.parts import heading
from lessons.widgets.views.tokens import spoken, token, visible

Head = tuple[int, int]
"""A layer and one of its heads, counted from 0."""

N_SHADE_SMALL = 8
FAINTEST_LINE = 0.02
THUMB_CELLS = 5000
"""Upper limit on the cells of all small pictures together: each shows its strongest ones."""
THUMBS = 48
"""Models with more heads than this show only those of the chosen layer as small pictures."""
WIDTH, WIDTH_BESIDE = 460, 280
"""Preferred width of a matrix in pixels: alone, and beside another. A long text takes more, so that cells stay visible."""
LEGEND = (0.0, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
NAMED = 3
MOST_LINES, LINES = 8, 512
"""Upper limits on the lines of one token, and of all tokens together; the strongest are drawn."""


@dataclass(frozen=True)
class Attention:
    """One model's attention weights for a text."""

    tokens: Sequence[str | bytes]
    weights: Mapping[Head, Matrix]
    """A matrix for each head."""
    gates: Mapping[Head, Sequence[float]] = field(default_factory=dict)
    """For each head, one gate 0..1 per token to what tuning added; empty for models without gates or memory slots."""
    name: str = ""
    cut: str = ""
    """Which part of the text this is, in words; empty for all of it."""

    @property
    def n_slot(self) -> int:
        """Number of memory slots before the text."""
        matrix = next(iter(self.weights.values()), [])
        return len(matrix[0]) - len(self.tokens) if matrix else 0


def attention_view(models: Sequence[Attention], layer: int, head: int, *, heads: bool = True) -> Markup:
    """One head of one model, or the same head of several models side by side.

    Args:
        models: what each model does with the text.
        layer, head: counted from 0.
        heads: whether to show small pictures of all heads; False where they are buttons beside the view.

    Raises:
        ValueError: a model has no such layer or head.
    """
    chosen = (layer, head)
    for model in models:
        if chosen not in model.weights:
            last = max(model.weights, default=(-1, -1))
            raise ValueError(
                f"there is no head {head + 1} in layer {layer + 1}: the last is head {last[1] + 1} in layer {last[0] + 1}"
            )
    cut = models[0].cut if models else ""
    title = heading("Attention", head_name(chosen), cut, _legend())
    width = WIDTH if len(models) == 1 else WIDTH_BESIDE
    n_line = min(MOST_LINES, LINES // max(sum(len(model.tokens) for model in models), 1))
    panels = [_panel(model, chosen, width, n_line) for model in models]
    thumbs = _thumbs(models, chosen) if heads else None
    label = " ".join(describe(model, chosen) for model in models) or "Attention: no text."
    body = tag("div", *panels, class_="panels" if len(models) > 1 else None)
    return view("attention", label, title, body, thumbs, sheets=("attention",))


def describe(model: Attention, head: Head) -> str:
    """The text alternative: what each token attends to most."""
    rows = model.weights[head]
    best = (f"{spoken(model.tokens[i])} to {_strongest(model, row, 1)}" for i, row in enumerate(rows))
    return f"Attention{f' of {model.name}' if model.name else ''}, {head_name(head)}: {'; '.join(best)}."


def head_name(head: Head) -> str:
    """A head in words, counted from 1."""
    return f"layer {head[0] + 1}, head {head[1] + 1}"


def shown_heads(models: Sequence[Attention], chosen: Head) -> list[Head]:
    """The heads to show as small pictures: all, or those of the chosen layer if there are many; none if there is only one."""
    heads = sorted(models[0].weights) if models else []
    shown = heads if len(heads) <= THUMBS else [head for head in heads if head[0] == chosen[0]]
    return shown if len(shown) > 1 else []


def heads_title(model: Attention, heads: Sequence[Head], *, live: bool) -> Markup:
    """The title above one model's small pictures.

    Args:
        live: whether the pictures can be pressed.
    """
    of_layer = f" of layer {heads[0][0] + 1}" if heads and len(heads) < len(model.weights) else ""
    hint = "press one to look into it" if live else "in a running notebook, press one to look into it"
    words = f"All heads{of_layer}{f' of {model.name}' if model.name else ''}: {hint}"
    title = tag("h4", words) if heads else None
    return tag("div", title, class_="minilm attention bare") if live else join(title)


def head_picture(model: Attention, head: Head, chosen: Head, n_picture: int) -> Markup:
    """A small picture of one head, as an element that can stand alone where the view's style sheet is on the page.

    Args:
        n_picture: number of small pictures, which share a limit on cells.
    """
    picture = _thumb(model, head, THUMB_CELLS // n_picture, chosen == head)
    return tag("div", picture, class_="minilm attention bare", aria_hidden="true")  # its button speaks for it


def _panel(model: Attention, head: Head, width: int, n_line: int) -> Markup:
    rows, gates = model.weights[head], model.gates.get(head)
    n_slot, n_key = model.n_slot, model.n_slot + len(model.tokens)
    longest = max((len(text) for text in model.tokens), default=0)
    size = (
        f"--cell:{min(max(width // max(n_key, 1), 13), 26)}px;--slots:{n_slot};--keys:{n_key};"
        f"--top:{min(max(longest * 8 + 10, 30 if not n_slot else 48), 96)}px"
    )
    queries = [_query(model, i, row, gates, n_line) for i, row in enumerate(rows)]
    keys = [
        *(tag("div", _slot(i)) for i in range(n_slot)),
        *(tag("div", token(text)) for text in model.tokens),
    ]
    parts = [
        tag("span", "token", class_="ask"),
        tag("span", "gate", class_="open") if gates else None,
        tag("span", "attends to", class_="to"),
        tag("div", *queries, class_="queries"),
        tag("div", *keys, class_="keys", aria_hidden="true"),
        tag("div", _columns(model), cells(rows, n_slot), class_="matrix", aria_hidden="true"),
    ]
    grid = tag("div", *parts, class_="map gated" if gates else "map", style=size)
    return tag("div", tag("h4", model.name) if model.name else None, grid, class_="scroll")


def _query(
    model: Attention, index: int, row: Sequence[float], gates: Sequence[float] | None, n_line: int
) -> Markup:
    """A token's row: the token, its gate, its lines; the label says what it attends to, and the style sheet shows it."""
    text, gate = model.tokens[index], gates[index] if gates else None
    words = f"{spoken(text)} attends to {_strongest(model, row)}"
    words += "" if gate is None else f" · gate {percent(gate)}"
    bar = None if gate is None else tag("i", class_="gate", style=f"--g:{fixed(100 * gate)}%")
    lines = _lines(model, index, row, n_line)
    return tag("div", token(text), bar, lines, class_="q", tabindex="0", role="note", aria_label=words)


def _strongest(model: Attention, row: Sequence[float], count: int = NAMED) -> str:
    """What a token attends to most, in words."""
    ranked = sorted(range(len(row)), key=lambda j: -row[j])[:count]
    return ", ".join(f"{_key_name(model, j)} {percent(row[j])}" for j in ranked if row[j] > 0)


def _key_name(model: Attention, j: int) -> str:
    return f"slot {j + 1}" if j < model.n_slot else spoken(model.tokens[j - model.n_slot])


def _lines(model: Attention, index: int, row: Sequence[float], n_line: int) -> Markup:
    start = model.n_slot + index + 0.5
    faintest = max(FAINTEST_LINE, *sorted(row)[-n_line:][:1])
    curves = (
        tag("path", d=f"M0 {start:g}c50 0 50 {(end := j + 0.5 - start):g} 100 {end:g}", style=f"--w:{fixed(shade(weight))}",
            class_="s" if j < model.n_slot else None)
        for j, weight in enumerate(row) if weight >= faintest
    )  # fmt: skip
    return tag("svg", *curves, viewBox=f"0 0 100 {len(row)}", preserveAspectRatio="none", aria_hidden="true")


def _slot(index: int) -> Markup:
    return tag("span", f"slot {index + 1}", class_="slot")


def _columns(model: Attention) -> Markup:
    """Names of the matrix's columns, upright."""
    texts = (tag("span", visible(text)) for text in model.tokens)
    return tag("div", *map(_slot, range(model.n_slot)), *texts, class_="names")


def _legend() -> Markup:
    steps = (tag("i", style=f"--v:{100 * shade(weight):.0f}", title=percent(weight)) for weight in LEGEND)
    return tag("span", "weight 0", *steps, "1", class_="scale")


def _thumbs(models: Sequence[Attention], chosen: Head) -> Markup | None:
    """Small pictures of all heads, the chosen one framed."""
    heads = shown_heads(models, chosen)
    if not heads:
        return None
    n_cell, n_column = THUMB_CELLS // (len(heads) * len(models)), 1 + max(number for _, number in heads)
    panels = []
    for model in models:
        pictures = (_thumb(model, head, n_cell, head == chosen) for head in heads)
        grid = tag("div", *pictures, class_="heads")
        panels.append(tag("div", heads_title(model, heads, live=False), grid))
    return tag("div", *panels, class_="all", style=f"--heads:{n_column}")


def _thumb(model: Attention, head: Head, n_cell: int, is_chosen: bool) -> Markup:
    rows = model.weights[head]
    strongest = sorted((weight for row in rows for weight in row), reverse=True)
    faintest = strongest[n_cell] if len(strongest) > n_cell else 0.0
    picture = cells(rows, model.n_slot, max(faintest, 0.04), N_SHADE_SMALL)
    name = tag("span", f"{head[0] + 1}.{head[1] + 1}")
    kind = "thumb chosen" if is_chosen else "thumb"
    return tag("div", picture, name, class_=kind, role="img", aria_label=head_name(head))
