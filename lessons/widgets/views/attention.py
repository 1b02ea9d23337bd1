"""Attention as one looks at it: who attends to whom, as lines and as a matrix, and all heads at a glance.

Each token's row is one element that reaches across lines and matrix; pointing at it anywhere shows what that token attends to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lessons.widgets.views.markup import Markup, fixed, join, percent, tag, view
from lessons.widgets.views.matrix import Matrix, cells, shade
from lessons.widgets.views.tokens import spoken, token, visible

Place = tuple[int, int]
"""A layer and a head of it, counted from 0."""

N_SHADE_SMALL = 8
FAINTEST_LINE = 0.02
THUMB_CELLS = 5000
"""Cells of all small pictures together, at most: the strongest of each head."""
THUMBS = 48
"""Up to so many heads, those of all layers are shown small; of larger models, those of the chosen layer."""
WIDTH, WIDTH_BESIDE = 460, 280
"""Pixels that a matrix takes if its cells need not be smaller than can be seen: alone, and beside another."""
LEGEND = (0.0, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
NAMED = 3
MOST_LINES, LINES = 8, 512
"""Lines from a token at most, and in all about so many: the strongest."""


@dataclass(frozen=True)
class Attention:
    """What one model did with a text."""

    tokens: Sequence[str | bytes]
    weights: Mapping[Place, Matrix]
    """For each head."""
    gates: Mapping[Place, Sequence[float]] = field(default_factory=dict)
    """How far each token opened its gate to what tuning added, 0..1; none for models without gates or slots."""
    name: str = ""

    @property
    def n_slot(self) -> int:
        """Memory slots before the text."""
        matrix = next(iter(self.weights.values()), [])
        return len(matrix[0]) - len(self.tokens) if matrix else 0


def attention_view(looks: Sequence[Attention], layer: int, head: int, *, heads: bool = True) -> Markup:
    """One head of one model, or the same head of several models side by side.

    Args:
        heads: whether all heads are shown small below; not where they stand as buttons beside the view.

    Raises:
        ValueError: a model has no such layer or head.
    """
    for look in looks:
        if (layer, head) not in look.weights:
            known = max(look.weights, default=(-1, -1))
            raise ValueError(
                f"there is no head {head + 1} in layer {layer + 1}: the last is head {known[1] + 1} in layer {known[0] + 1}"
            )
    where = tag("span", head_name((layer, head)), class_="quiet")
    title = tag("div", tag("h3", "Attention"), where, _legend(), class_="head")
    width = WIDTH if len(looks) == 1 else WIDTH_BESIDE
    n_line = min(MOST_LINES, LINES // max(sum(len(look.tokens) for look in looks), 1))
    panels = [_panel(look, (layer, head), width, n_line) for look in looks]
    thumbs = _thumbs(looks, (layer, head)) if heads else None
    label = " ".join(describe(look, layer, head) for look in looks) or "Attention: no text."
    body = tag("div", *panels, class_="panels" if len(looks) > 1 else None)
    return view("attention", label, title, body, thumbs, sheets=("attention",))


def describe(look: Attention, layer: int, head: int) -> str:
    """The text alternative: what each token attends to most."""
    rows = look.weights[layer, head]
    best = (f"{spoken(look.tokens[i])} to {_strongest(look, row, 1)}" for i, row in enumerate(rows))
    return (
        f"Attention{f' of {look.name}' if look.name else ''}, {head_name((layer, head))}: {'; '.join(best)}."
    )


def head_name(place: Place) -> str:
    """A head in words, counted from 1."""
    return f"layer {place[0] + 1}, head {place[1] + 1}"


def shown_heads(looks: Sequence[Attention], chosen: Place) -> list[Place]:
    """The heads that are shown small: all, or those of the chosen layer where all would be too many; none if there is but one."""
    places = sorted(looks[0].weights) if looks else []
    shown = places if len(places) <= THUMBS else [place for place in places if place[0] == chosen[0]]
    return shown if len(shown) > 1 else []


def heads_title(look: Attention, places: Sequence[Place], *, live: bool) -> Markup:
    """What stands above one model's small heads.

    Args:
        live: whether they can be pressed.
    """
    of_layer = f" of layer {places[0][0] + 1}" if places and len(places) < len(look.weights) else ""
    hint = "press one to look into it" if live else "in a running notebook, press one to look into it"
    words = f"All heads{of_layer}{f' of {look.name}' if look.name else ''}: {hint}"
    title = tag("h4", words) if places else None
    return tag("div", title, class_="minilm attention bare") if live else join(title)


def head_picture(look: Attention, place: Place, chosen: Place, n_picture: int) -> Markup:
    """One head small, as an element that can stand alone where the view's style sheet is on the page.

    Args:
        n_picture: small heads in all, which share a limit on cells.
    """
    picture = _thumb(look, place, THUMB_CELLS // n_picture, chosen == place)
    return tag("div", picture, class_="minilm attention bare", aria_hidden="true")  # its button speaks for it


def _panel(look: Attention, place: Place, width: int, n_line: int) -> Markup:
    rows, gates = look.weights[place], look.gates.get(place)
    n_slot, n_key = look.n_slot, look.n_slot + len(look.tokens)
    longest = max((len(text) for text in look.tokens), default=0)
    size = (
        f"--cell:{min(max(width // max(n_key, 1), 13), 26)}px;--slots:{n_slot};--keys:{n_key};"
        f"--top:{min(max(longest * 8 + 10, 30 if not n_slot else 48), 96)}px"
    )
    queries = [_query(look, i, row, gates, n_line) for i, row in enumerate(rows)]
    keys = [*(_slot(i) for i in range(n_slot)), *(tag("div", token(text)) for text in look.tokens)]
    parts = [
        tag("div", *queries, class_="queries"),
        tag("div", *keys, class_="keys", aria_hidden="true"),
        tag("div", _columns(look), cells(rows, n_slot), class_="matrix", aria_hidden="true"),
    ]
    gate = tag("span", "gate", class_="open") if gates else None
    heads = [tag("span", "token", class_="ask"), gate, tag("span", "attends to", class_="to")]
    name = tag("h4", look.name) if look.name else None
    return tag(
        "div",
        name,
        tag("div", *heads, *parts, class_="map gated" if gates else "map", style=size),
        class_="scroll",
    )


def _query(
    look: Attention, index: int, row: Sequence[float], gates: Sequence[float] | None, n_line: int
) -> Markup:
    """A token's row: the token, its gate, its lines, and in words what it attends to, which the style sheet shows too."""
    text, gate = look.tokens[index], gates[index] if gates else None
    words = f"{spoken(text)} attends to {_strongest(look, row)}"
    words += "" if gate is None else f" · gate {percent(gate)}"
    bar = None if gate is None else tag("i", class_="gate", style=f"--g:{fixed(100 * gate)}%")
    lines = _lines(look, index, row, n_line)
    return tag("div", token(text), bar, lines, class_="q", tabindex="0", role="note", aria_label=words)


def _strongest(look: Attention, row: Sequence[float], count: int = NAMED) -> str:
    """What a token attends to most, in words."""
    ranked = sorted(range(len(row)), key=lambda j: -row[j])[:count]
    return ", ".join(f"{_key_name(look, j)} {percent(row[j])}" for j in ranked if row[j] > 0)


def _key_name(look: Attention, j: int) -> str:
    return f"slot {j + 1}" if j < look.n_slot else spoken(look.tokens[j - look.n_slot])


def _lines(look: Attention, index: int, row: Sequence[float], n_line: int) -> Markup:
    start = look.n_slot + index + 0.5
    faintest = max(FAINTEST_LINE, *sorted(row)[-n_line:][:1])
    curves = (
        tag("path", d=f"M0 {start:g}c50 0 50 {(end := j + 0.5 - start):g} 100 {end:g}", style=f"--w:{fixed(shade(weight))}",
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


def _legend() -> Markup:
    steps = (tag("i", style=f"--v:{100 * shade(weight):.0f}", title=percent(weight)) for weight in LEGEND)
    return tag("span", "weight 0", *steps, "1", class_="scale")


def _thumbs(looks: Sequence[Attention], chosen: Place) -> Markup | None:
    """All heads small, the chosen one framed."""
    places = shown_heads(looks, chosen)
    if not places:
        return None
    n_cell, n_head = THUMB_CELLS // (len(places) * len(looks)), 1 + max(head for _, head in places)
    panels = []
    for look in looks:
        pictures = (_thumb(look, place, n_cell, place == chosen) for place in places)
        grid = tag("div", *pictures, class_="heads")
        panels.append(tag("div", heads_title(look, places, live=False), grid))
    return tag("div", *panels, class_="all", style=f"--heads:{n_head}")


def _thumb(look: Attention, place: Place, n_cell: int, chosen: bool) -> Markup:
    rows = look.weights[place]
    strongest = sorted((weight for row in rows for weight in row), reverse=True)
    faintest = strongest[n_cell] if len(strongest) > n_cell else 0.0
    picture = cells(rows, look.n_slot, max(faintest, 0.04), N_SHADE_SMALL)
    name = tag("span", f"{place[0] + 1}.{place[1] + 1}")
    return tag(
        "div",
        picture,
        name,
        class_="thumb chosen" if chosen else "thumb",
        role="img",
        aria_label=head_name(place),
    )
