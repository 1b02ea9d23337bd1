"""A matrix of weights as a picture: a few strokes for each shade, which stays small and sharp at any size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lessons.widgets.views.markup import Markup, tag

Matrix = Sequence[Sequence[float]]
"""(T, S) weights of one head; S counts memory slots first, then the T tokens. Rows sum to 1."""
Cell = tuple[int, int]
"""A row and a column."""

N_SHADE, FAINTEST = 20, 0.005


def cells(rows: Matrix, n_slot: int, faintest: float = FAINTEST, n_shade: int = N_SHADE) -> Markup:
    """The matrix as an SVG of one path for each shade, slots in a colour of their own; fainter weights are left out."""
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
    return tag(
        "svg",
        *paths,
        viewBox=f"0 -.5 {n_key} {max(len(rows), 1)}",
        preserveAspectRatio="none",
        shape_rendering="crispEdges",
    )


def _strokes(painted: Sequence[Cell]) -> str:
    """A path of strokes one wide, one for each run of cells of a row: each begins where the last one ended."""
    path, at = [], (0, 0)
    for i, j in painted:
        if path and (i, j) == at:
            path[-1][1] += 1
        else:
            path.append([f"m{j - at[1]} {i - at[0]}", 1])
        at = (i, j + 1)
    return "".join(f"{move}h{length}" for move, length in path)


def shade(weight: float) -> float:
    """Place on the scale of shades: the root, so that a weight spread over many tokens can still be seen."""
    return max(weight, 0.0) ** 0.5
