"""A matrix of weights as an SVG picture: one path for each shade, which is small and stays sharp at any size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from lessons.widgets.views.markup import Markup, tag

Matrix = Sequence[Sequence[float]]
"""(T, S) attention weights of one head; S counts memory slots first, then the T tokens. Rows sum to 1."""
Cell = tuple[int, int]
"""A row and a column."""

N_SHADE, FAINTEST = 20, 0.005


def cells(rows: Matrix, n_slot: int, faintest: float = FAINTEST, n_shade: int = N_SHADE) -> Markup:
    """The matrix as an SVG of one path for each shade.

    Args:
        n_slot: columns of memory slots, which come first and have a color of their own.
        faintest: smaller weights are left out.
        n_shade: number of shades.
    """
    n_key = len(rows[0]) if rows else 1
    shades: dict[tuple[bool, int], list[Cell]] = defaultdict(list)
    for i, row in enumerate(rows):
        for j, weight in enumerate(row):
            if weight >= faintest:
                shades[j < n_slot, max(round(shade(weight) * n_shade), 1)].append((i, j))
    paths = (
        tag(
            "path",
            d=_strokes(painted),
            style=f"--v:{100 * level // n_shade}",
            class_="s" if is_slot else None,
        )
        for (is_slot, level), painted in sorted(shades.items())
    )
    box = f"0 -.5 {n_key} {max(len(rows), 1)}"
    return tag("svg", *paths, viewBox=box, preserveAspectRatio="none", shape_rendering="crispEdges")


def _strokes(painted: Sequence[Cell]) -> str:
    """A path of strokes, one for each run of neighboring cells in a row; each move is relative to the last stroke's end."""
    moves: list[str] = []
    lengths: list[int] = []
    at = (0, 0)
    for i, j in painted:
        if moves and (i, j) == at:
            lengths[-1] += 1
        else:
            moves.append(f"m{j - at[1]} {i - at[0]}")
            lengths.append(1)
        at = (i, j + 1)
    return "".join(f"{move}h{length}" for move, length in zip(moves, lengths, strict=True))


def shade(weight: float) -> float:
    """Shade 0..1 of a weight: its square root, so that small weights are still visible."""
    return math.sqrt(max(weight, 0.0))
