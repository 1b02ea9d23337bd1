"""Attention as one looks at it: who attends to whom, as lines and as a matrix, and all heads at a glance.

Each token's row is one element that reaches across lines and matrix; pointing at it anywhere shows what that token attends to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lessons.widgets.views.markup import Markup, fixed, percent, tag, view
from lessons.widgets.views.tokens import spoken, token, visible

Matrix = Sequence[Sequence[float]]
"""(T, S) weights of one head; S counts memory slots first, then the T tokens. Rows sum to 1."""

N_SHADE = 20
FAINTEST_LINE, FAINTEST_CELL = 0.02, 0.005
THUMB_CELLS = 3200
"""Cells of all small pictures together, at most: the strongest of each head."""
THUMBS = 48
"""Up to so many heads, those of all layers are shown small; of larger models, those of the chosen layer."""
WIDTH, WIDTH_BESIDE = 460, 280
"""Pixels that a matrix takes if its cells need not be smaller than can be seen: alone, and beside another."""
LEGEND = (0.0, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
NAMED = 3
MOST_LINES = 8
"""Lines from a token at most: the strongest."""


@dataclass(frozen=True)
class Attention:
    """What one model did with a text."""

    tokens: Sequence[str | bytes]
    weights: Mapping[tuple[int, int], Matrix]
    """For each (layer, head), counted from 0."""
    gates: Mapping[tuple[int, int], Sequence[float]] = field(default_factory=dict)
    """How far each token opened its gate to what tuning added, 0..1; none for models without gates or slots."""
    name: str = ""

    @property
    def n_slot(self) -> int:
        """Memory slots before the text."""
        matrix = next(iter(self.weights.values()), [])
        return len(matrix[0]) - len(self.tokens) if matrix else 0


def attention_view(looks: Sequence[Attention], layer: int, head: int) -> Markup:
    """One head of one model, or the same head of several models side by side.

    Raises:
        ValueError: a model has no such layer or head.
    """
    for look in looks:
        if (layer, head) not in look.weights:
            known = max(look.weights, default=(-1, -1))
            raise ValueError(
                f"there is no head {head + 1} in layer {layer + 1}: the last is head {known[1] + 1} in layer {known[0] + 1}"
            )
    where = tag("span", _where(layer, head), class_="quiet")
    title = tag("div", tag("h3", "Attention"), where, _legend(), class_="head")
    width = WIDTH if len(looks) == 1 else WIDTH_BESIDE
    panels = [_panel(look, layer, head, width) for look in looks]
    thumbs = [_thumbs(look, layer, head) for look in looks[:1]]
    label = " ".join(describe(look, layer, head) for look in looks) or "Attention: no text."
    body = tag("div", *panels, class_="panels" if len(looks) > 1 else None)
    return view("attention", label, title, body, *thumbs, sheets=("attention",))


def describe(look: Attention, layer: int, head: int) -> str:
    """The text alternative: what each token attends to most."""
    rows = look.weights[layer, head]
    best = (f"{spoken(look.tokens[i])} to {_strongest(look, row, 1)}" for i, row in enumerate(rows))
    return f"Attention{f' of {look.name}' if look.name else ''}, {_where(layer, head)}: {'; '.join(best)}."


def _where(layer: int, head: int) -> str:
    return f"layer {layer + 1}, head {head + 1}"


def _panel(look: Attention, layer: int, head: int, width: int) -> Markup:
    rows, gates = look.weights[layer, head], look.gates.get((layer, head))
    n_slot, n_key = look.n_slot, look.n_slot + len(look.tokens)
    longest = max((len(text) for text in look.tokens), default=0)
    size = (
        f"--cell:{min(max(width // max(n_key, 1), 13), 26)}px;--slots:{n_slot};--keys:{n_key};"
        f"--top:{min(max(longest * 8 + 10, 30 if not n_slot else 48), 96)}px"
    )
    queries = [_query(look, i, row, gates) for i, row in enumerate(rows)]
    keys = [*(_slot(i) for i in range(n_slot)), *(tag("div", token(text)) for text in look.tokens)]
    parts = [
        tag("div", *queries, class_="queries"),
        tag("div", *keys, class_="keys", aria_hidden="true"),
        tag("div", _columns(look), _cells(rows, n_slot), class_="matrix", aria_hidden="true"),
    ]
    heads = [tag("span", "token", class_="ask"), tag("span", "attends to", class_="to")]
    name = tag("h4", look.name) if look.name else None
    return tag(
        "div",
        name,
        tag("div", *heads, *parts, class_="map gated" if gates else "map", style=size),
        class_="scroll",
    )


def _query(look: Attention, index: int, row: Sequence[float], gates: Sequence[float] | None) -> Markup:
    """A token's row: the token, its gate, its lines, and in words what it attends to."""
    gate = gates[index] if gates else None
    words = f"attends to {_strongest(look, row)}" + ("" if gate is None else f" · gate {percent(gate)}")
    bar = None if gate is None else tag("i", class_="gate", style=f"--g:{fixed(100 * gate)}%")
    text = look.tokens[index]
    told = tag("b", visible(text), f" {words}")
    return tag("div", token(text), bar, _lines(look, index, row), told, class_="q", tabindex="0",
               role="note", aria_label=f"{spoken(text)} {words}")  # fmt: skip


def _strongest(look: Attention, row: Sequence[float], count: int = NAMED) -> str:
    """What a token attends to most, in words."""
    ranked = sorted(range(len(row)), key=lambda j: -row[j])[:count]
    return ", ".join(f"{_key_name(look, j)} {percent(row[j])}" for j in ranked if row[j] > 0)


def _key_name(look: Attention, j: int) -> str:
    return f"slot {j + 1}" if j < look.n_slot else spoken(look.tokens[j - look.n_slot])


def _lines(look: Attention, index: int, row: Sequence[float]) -> Markup:
    start = look.n_slot + index + 0.5
    faintest = max(FAINTEST_LINE, *sorted(row)[-MOST_LINES:][:1])
    curves = (
        tag("path", d=f"M0 {start:g}C50 {start:g} 50 {j + 0.5:g} 100 {j + 0.5:g}", style=f"--w:{_shade(weight):.2f}",
            class_="s" if j < look.n_slot else None)
        for j, weight in enumerate(row) if weight >= faintest
    )  # fmt: skip
    return tag("svg", *curves, viewBox=f"0 0 100 {len(row)}", preserveAspectRatio="none", aria_hidden="true")


def _slot(index: int) -> Markup:
    return tag("div", tag("span", f"slot {index + 1}", class_="slot"))


def _columns(look: Attention) -> Markup:
    """Names of the matrix's columns, upright."""
    slots = (tag("span", f"slot {i + 1}", class_="slot") for i in range(look.n_slot))
    return tag("div", *slots, *(tag("span", visible(text)) for text in look.tokens), class_="names")


def _cells(rows: Matrix, n_slot: int, faintest: float = FAINTEST_CELL) -> Markup:
    """The matrix as an SVG of one path for each shade: small, and sharp at any size."""
    n_key = len(rows[0]) if rows else 1
    shades: dict[tuple[bool, int], list[str]] = defaultdict(list)
    for i, row in enumerate(rows):
        for j, weight in enumerate(row):
            if weight >= faintest:
                shades[j < n_slot, max(round(_shade(weight) * N_SHADE), 1)].append(f"M{j} {i}h1v1h-1z")
    paths = (
        tag("path", d="".join(d), style=f"--v:{100 * shade // N_SHADE}", class_="s" if is_slot else None)
        for (is_slot, shade), d in sorted(shades.items())
    )
    return tag(
        "svg",
        *paths,
        viewBox=f"0 0 {n_key} {max(len(rows), 1)}",
        preserveAspectRatio="none",
        shape_rendering="crispEdges",
    )


def _shade(weight: float) -> float:
    """Place on the scale of shades: the root, so that a weight spread over many tokens can still be seen."""
    return max(weight, 0.0) ** 0.5


def _legend() -> Markup:
    steps = (tag("i", style=f"--v:{100 * _shade(weight):.0f}", title=percent(weight)) for weight in LEGEND)
    return tag("span", "weight 0", *steps, "1", class_="scale")


def _thumbs(look: Attention, layer: int, head: int) -> Markup | None:
    """All heads small, the chosen one framed."""
    shown = [place for place in sorted(look.weights) if len(look.weights) <= THUMBS or place[0] == layer]
    if len(shown) < 2:
        return None
    n_cell = THUMB_CELLS // len(shown)
    pictures = [_thumb(look, place, n_cell, chosen=place == (layer, head)) for place in shown]
    n_head = 1 + max(head for _, head in shown)
    return tag("div", tag("h4", "All heads" if len(look.weights) <= THUMBS else f"All heads of layer {layer + 1}"),
               tag("div", *pictures, class_="heads", style=f"--heads:{n_head}"), class_="all")  # fmt: skip


def _thumb(look: Attention, place: tuple[int, int], n_cell: int, chosen: bool) -> Markup:
    rows = look.weights[place]
    strongest = sorted((weight for row in rows for weight in row), reverse=True)
    faintest = strongest[n_cell] if len(strongest) > n_cell else 0.0
    picture = _cells(rows, look.n_slot, max(faintest, 0.04))
    name = tag("span", f"{place[0] + 1}.{place[1] + 1}")
    return tag(
        "div",
        picture,
        name,
        class_="thumb chosen" if chosen else "thumb",
        role="img",
        aria_label=_where(*place),
    )
