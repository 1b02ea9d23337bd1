"""The drawing that sets three ways to give a model virtual tokens side by side: prompt, prefix, infix."""

from __future__ import annotations

from collections.abc import Sequence

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, label
from lessons.widgets.drawings.shapes import Box, brace, legend, panel, rectangles
from lessons.widgets.views.markup import Markup, join

COLUMNS = {"prompt": "vvxxxyy", "prefix": "vvxxxyy", "infix": "xxxvvyy"}
"""Of each way, what stands where: virtual tokens, the source, the target."""
ROWS = ("layer $L$", "…", "layer 2", "layer 1", "embedding")
NOTES = {
    "prompt": "$l · d$ numbers, read as\nthe embeddings of words",
    "prefix": "$2 · L · d · l$ numbers: keys\nand values in each layer",
    "infix": "$2 · L · d · l$ numbers; the\nsource does not see them",
}
SIDE, STEP, PANEL = 20.0, 24.0, 198.0
"""Of a cell, from one to the next, and the width of a panel."""
KEY = (("tuned", "trained"), ("follows", "computed from it by frozen layers"), ("frozen", "of the text"))


def virtual_tokens() -> Drawing:
    """What is trained in a prompt, a prefix and an infix, and what the frozen layers compute from it."""
    return drawing(
        "virtual tokens",
        "Prompt, prefix and infix: where trained numbers stand among tokens (columns) and layers (rows).",
        "Three grids of tokens and layers. A prompt trains the embeddings of virtual tokens before the text; the layers "
        "compute the rest. A prefix trains their keys and values in every layer. An infix does so between source and target.",
        322,
        *(_way(name, 94 + (PANEL + 9) * number) for number, name in enumerate(COLUMNS)),
        *(label(name, (82, _top(index) + SIDE / 2), anchor="end", kind="quiet", size=SMALL) for index, name in enumerate(ROWS)),
        legend((18, 308), KEY),
    )  # fmt: skip


def _way(name: str, left: float) -> Markup:
    columns = COLUMNS[name]
    first = left + (PANEL - STEP * len(columns) + STEP - SIDE) / 2
    painted: dict[str, list[Box]] = {}
    for column in range(len(columns)):
        for index in range(len(ROWS)):
            painted.setdefault(_kind(name, columns, column, index), []).append(
                Box(first + STEP * column, _top(index), SIDE, SIDE)
            )
    return join(
        panel(Box(left, 8, PANEL, 270), name, at="middle"),
        *(rectangles(boxes, kind) for kind, boxes in painted.items() if kind != "none"),
        *(_group(first, columns, what) for what in "xyv"),
        label(NOTES[name], (left + PANEL / 2, 246), kind="quiet", size=SMALL),
    )


def _kind(name: str, columns: str, column: int, index: int) -> str:
    """How a cell is painted; "none" where a slot has no embedding."""
    at_embedding = index == len(ROWS) - 1
    if columns[column] == "v":
        if name == "prompt":
            return "tuned" if at_embedding else "follows"
        return "none" if at_embedding else "tuned"
    return "frozen"


def _group(first: float, columns: Sequence[str], what: str) -> Markup:
    start, end = columns.index(what), len(columns) - columns[::-1].index(what)
    text = {"v": "virtual", "x": "source", "y": "target"}[what]
    return brace(first + STEP * start + 2, first + STEP * (end - 1) + SIDE - 2, _top(len(ROWS)) + 2, text)


def _top(index: int) -> float:
    return 46 + 27.0 * index
