"""Who may look at whom: any matrix of booleans as a picture, rows looking at columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from lessons.widgets.drawings.drawing import WIDTH, Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, Literal, Point, label, shortened, width
from lessons.widgets.drawings.shapes import Box, legend, panel, rectangles
from lessons.widgets.views.markup import Markup, join

Matrix = list[list[bool]]

LARGEST, LARGEST_PANEL, MOST_PANELS = 40, 12, 9
"""Tokens of one matrix, of each of several, and how many these may be."""
LARGEST_CELLS = 16
"""Tokens of the largest matrix whose cells are drawn one by one."""
ROOM, TURN = 116.0, -50.0
"""Longest label beside a matrix, and the turn of those above it."""
PANEL, GAP, SQUARE = 226.0, 9.0, 140.0
"""Width of a panel, what lies between two, and the side of the matrix in it."""
KEY, KEY_WIDTH = (("seen", "the row's token may look at the column's"), ("hidden", "it may not")), 400.0


def visibility_drawing(matrix: Any, tokens: Sequence[str], *, caption: str | None = None) -> Drawing:
    """One matrix, with its tokens beside the rows and above the columns.

    Args:
        matrix: (n, n) booleans, a tensor or rows of values; True where the query of a row may see the key of a column.
        tokens: n texts, as they shall be shown.
        caption: one sentence; by default it says how many pairs may look.

    Raises:
        ValueError: the matrix is not a square of booleans, is too large to be drawn, or has not one row a token.
    """
    seen, names = checked(matrix, tokens, LARGEST), [shortened(token, ROOM, SMALL) for token in tokens]
    n = len(seen)
    side = min(34.0, 560 / n)
    top = 8 + above(names, side)
    left = (WIDTH - n * side + max(width(name, SMALL) for name in names) + 8) / 2
    bottom = top + n * side
    return drawing(
        "visibility", caption or f"Who may look at whom: {sum(map(sum, seen))} of {n * n} pairs of tokens may.",
        describe(seen, tokens), bottom + 48,
        grid(seen, names, (left, top), side),
        legend(((WIDTH - KEY_WIDTH) / 2, bottom + 32), KEY),
    )  # fmt: skip


def visibility_panels(
    matrices: Mapping[str, tuple[Any, Sequence[str]]], *, name: str = "visibilities", caption: str
) -> Drawing:
    """Several small matrices, each with a title, three in a row.

    Args:
        matrices: title -> (matrix, tokens), as for `visibility_drawing`, of at most 12 tokens.
        name: a word for the drawing.
        caption: one sentence about all of them.

    Raises:
        ValueError: there is none or too many, or one of them is no matrix that can be drawn.
    """
    if not 1 <= len(matrices) <= MOST_PANELS:
        raise ValueError(
            f"matrices must be 1 to {MOST_PANELS}, not {len(matrices)}: draw them in several drawings"
        )
    room = PANEL - SQUARE - 30
    parts = [
        (title, checked(matrix, tokens, LARGEST_PANEL), [shortened(token, room, SMALL) for token in tokens])
        for title, (matrix, tokens) in matrices.items()
    ]
    rows = [parts[start : start + 3] for start in range(0, len(parts), 3)]
    start = (WIDTH - len(rows[0]) * (PANEL + GAP) + GAP) / 2
    drawn, y = [], 8.0
    for row in rows:
        tall = 56 + SQUARE + max(above(names, SQUARE / len(seen)) for _, seen, names in row)
        drawn += [
            _panel(*part, Box(start + (PANEL + GAP) * number, y, PANEL, tall))
            for number, part in enumerate(row)
        ]
        y += tall + GAP
    told = " ".join(f"{title}: {describe(seen, names)}" for title, seen, names in parts)
    return drawing(name, caption, told, y + 34, *drawn, legend((start + 4, y + 18), KEY))


def _panel(title: str, seen: Matrix, names: Sequence[Literal], box: Box) -> Markup:
    side = min(SQUARE / len(seen), 30.0)
    span = side * len(seen)
    left = box.x + (PANEL - span + max(width(each, SMALL) for each in names) + 8) / 2
    return join(
        panel(box, title, at="middle"),
        grid(seen, names, (left, box.y + box.height - 18 - (SQUARE + span) / 2), side),
    )


def grid(seen: Matrix, names: Sequence[Literal], corner: Point, side: float) -> Markup:
    """The cells, and the tokens beside and above them."""
    x, y = corner
    turned = is_turned(names, side)
    anchor, turn = ("start", TURN) if turned else ("middle", 0.0)
    return join(
        *_cells(seen, corner, side),
        *(
            label(name, (x - 8, y + (i + 0.5) * side), anchor="end", size=SMALL)
            for i, name in enumerate(names)
        ),
        *(
            label(name, (x + (j + 0.5) * side, y - 9), anchor=anchor, size=SMALL, turn=turn)
            for j, name in enumerate(names)
        ),
    )


def _cells(seen: Matrix, corner: Point, side: float) -> list[Markup | None]:
    """Each cell by itself where there are few; else what is seen, a stretch of a row at a time."""
    x, y = corner
    n, gap = len(seen), min(2.0, side / 10)

    def stretch(i: int, start: int, end: int) -> Box:
        return Box(x + start * side + gap / 2, y + i * side + gap / 2, (end - start) * side - gap, side - gap)

    if n > LARGEST_CELLS:
        runs = [stretch(i, start, end) for i, row in enumerate(seen) for start, end in runs_of(row)]
        return [rectangles([Box(x, y, n * side, n * side)], "hidden"), rectangles(runs, "seen")]
    each = {
        may: [stretch(i, j, j + 1) for i in range(n) for j in range(n) if seen[i][j] == may]
        for may in (False, True)
    }
    return [rectangles(boxes, "seen" if may else "hidden") for may, boxes in each.items()]


def runs_of(row: Sequence[bool]) -> list[tuple[int, int]]:
    """Where its True values begin and end."""
    edges = [j for j, (before, after) in enumerate(pairwise([False, *row, False])) if before != after]
    return list(zip(edges[::2], edges[1::2], strict=True))


def is_turned(names: Sequence[Literal], side: float) -> bool:
    """Whether the labels above the columns are too wide to stand side by side."""
    return any(width(name, SMALL) > side - 2 for name in names)


def above(names: Sequence[Literal], side: float) -> float:
    """Height of the labels above the columns."""
    longest = max(width(name, SMALL) for name in names)
    return longest * math.sin(math.radians(-TURN)) + 18 if is_turned(names, side) else 20


def checked(matrix: Any, tokens: Sequence[str], largest: int) -> Matrix:
    """The matrix as rows of booleans.

    Raises:
        ValueError: it is not a square of booleans with a row for each token, or too large.
    """
    rows = matrix.tolist() if hasattr(matrix, "tolist") else [list(row) for row in matrix]
    n = len(rows)
    if n == 0 or any(not isinstance(row, list) or len(row) != n for row in rows):
        raise ValueError(
            "matrix must be a square (n, n) of booleans, not of another shape: give each token a row and a column"
        )
    if any(value not in (0, 1) for row in rows for value in row):
        raise ValueError(
            "matrix must hold booleans, not other values: compare with a threshold first, weights > 0.1"
        )
    if len(tokens) != n:
        raise ValueError(f"tokens must be as many as the matrix has rows, {n}, not {len(tokens)}")
    if n > largest:
        raise ValueError(
            f"matrix must have at most {largest} rows to be drawn, not {n}: show a part, matrix[:{largest}, :{largest}]"
        )
    return [[bool(value) for value in row] for row in rows]


def describe(seen: Matrix, names: Sequence[str]) -> str:
    """The text alternative: each token with those that it sees, or how many these are where there are many."""
    if len(seen) > LARGEST_PANEL:
        return f"{len(seen)} tokens, of which the first sees {sum(seen[0])} and the last {sum(seen[-1])}."
    told = (
        f"{name} sees {', '.join(other for other, may in zip(names, row, strict=True) if may) or 'nothing'}"
        for name, row in zip(names, seen, strict=True)
    )
    return "; ".join(told) + "."


def visibility_examples() -> Drawing:
    """Causal, full and prefix visibility, and a permuted order of four tokens with its two streams."""
    words, places = ("It", "is", "a", "red", "cup"), ("1", "2", "3", "4")
    order = (3, 2, 4, 1)
    when = [order.index(place) for place in range(1, 5)]  # at which step each place is predicted
    sorted_places = [str(place) for place in order]
    return visibility_panels(
        {
            "causal: j ≤ i": (by(5, lambda i, j: j <= i), words),
            "full: all": (by(5, lambda i, j: True), words),
            "prefix of 3: j ≤ max(i, 3)": (by(5, lambda i, j: j <= max(i, 2)), words),
            "order 3, 2, 4, 1: content": (by(4, lambda i, j: when[j] <= when[i]), places),
            "the same: query stream": (by(4, lambda i, j: when[j] < when[i]), places),
            "content, in that order": (by(4, lambda i, j: j <= i), sorted_places),
        },
        name="visibility examples",
        caption="Who may look at whom: five words read in three ways, and four tokens predicted in the order 3, 2, 4, 1.",
    )


def by(n: int, rule: Any) -> Matrix:
    """The matrix of a rule on places: may i look at j, both counted from 0?"""
    return [[rule(i, j) for j in range(n)] for i in range(n)]
