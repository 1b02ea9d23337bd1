"""The drawings of lesson 5: what a prefix is in attention, and how a prompt, a prefix and an infix differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, label
from lessons.widgets.drawings.shapes import Box, arrow, block, brace, legend, panel, pill, rectangle
from lessons.widgets.views.markup import Markup, join

WORDS = ("One", "day", "Tom", "ran", "home")
QUERY = 3
"""The word that asks; later ones are hidden from it."""
SCORES = (0.9, -0.2, 0.5, 0.0, 0.6, 1.5, 1.0)
"""Of that query with three slots and with the words up to its own."""
N_SLOT = 3
CELL = Box(304, 88, 41, 30)
"""The first key."""
STEP, GAP = 46.0, 16.0
"""From one cell to the next, and what lies between slots and text besides."""
KEY = (
    ("tuned", "trained and kept"),
    ("dropped", "trained, then dropped"),
    ("frozen", "computed by frozen weights"),
)


def prefix() -> Drawing:
    """Attention with a prefix, and the network that makes the prefix while it is trained."""
    return drawing(
        "prefix",
        "Prefix-tuning: in every layer, trained keys and values stand before those of the text.",
        "On the left an embedding and two linear maps with a tanh between them produce all keys and values of the prefix; "
        "this network is dropped after training. On the right one layer: the query of the word “ran” attends to three "
        "slots of the prefix and to the words up to its own. The slots take the share g of its attention.",
        398,
        _network(), _layer(),
        arrow((178, 268), (237, 268), kind="added"), label("$P_k, P_v$", (219, 253), size=SMALL),
        legend((18, 384), KEY),
    )  # fmt: skip


def _network() -> Markup:
    box = Box(16, 8, 184, 350)
    names = ("`Embedding(l, d)`", "`Linear(d, m)`", "tanh", "`Linear(m, 2Ld)`")
    boxes = [
        Box.at((box.center[0], 88 + 60 * number), 140 if name != "tanh" else 64, 32)
        for number, name in enumerate(names)
    ]
    parts = [
        block(each, name, "dropped" if name != "tanh" else "data")
        for each, name in zip(boxes, names, strict=True)
    ]
    flow = [arrow(a.bottom, b.top) for a, b in pairwise(boxes)]
    note = label(
        "makes the keys and values\nof all $L$ layers, and is\ndropped after training",
        (box.center[0], 322),
        kind="quiet",
        size=SMALL,
    )
    return join(panel(box, "while training", at="middle"), *flow, *parts, note)


def _layer() -> Markup:
    box = Box(238, 8, 466, 350)
    columns = places()
    slots, text = columns[:N_SLOT], columns[N_SLOT:]
    weights = softmax(SCORES)
    heads = [
        label(name, (each.center[0], 70), size=SMALL, kind="quiet")
        for name, each in zip(("1", "…", "$l$", *WORDS), columns, strict=True)
    ]
    return join(
        panel(box, "attention, in each of $L$ layers"),
        *heads,
        _row(0, "keys\n$[P_k ; K]$"),
        _bars(columns, weights),
        pill(Box.at((269, 167), 34, 26), "$q$"),
        arrow((286, 167), (301, 167)),
        _row(134, "values\n$[P_v ; V]$"),
        brace(slots[0].x, slots[-1].right[0], 260, "share $g$"),
        brace(text[0].x, text[QUERY].right[0], 260, "share $1 − g$"),
        label("hidden", (text[-1].center[0], 167), kind="quiet", size=SMALL),
        label("$o = (1 − g) · attention(q, K, V) + g · attention(q, P_k, P_v)$", (box.center[0], 328)),
    )


def places() -> list[Box]:
    """The keys, slots first."""
    return [
        CELL.moved(x=index * STEP + (GAP if index >= N_SLOT else 0)) for index in range(N_SLOT + len(WORDS))
    ]


def softmax(scores: Sequence[float]) -> list[float]:
    """Weights that sum to 1."""
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def _row(down: float, name: str) -> Markup:
    kinds = ["tuned"] * N_SLOT + ["frozen"] * (QUERY + 1) + ["hidden"] * (len(WORDS) - QUERY - 1)
    drawn = [rectangle(each.moved(y=down), kind, 4) for each, kind in zip(places(), kinds, strict=True)]
    return join(*drawn, label(name, (269, CELL.center[1] + down), size=SMALL))


def _bars(columns: Sequence[Box], weights: Sequence[float]) -> Markup:
    """The weight of each key, as a bar between key and value."""
    low, tallest = 207.0, 66.0
    heights = [tallest * weight / max(weights) for weight in weights]
    return join(
        *(
            rectangle(
                Box(each.x + 11, low - height, each.width - 22, height),
                "tuned" if index < N_SLOT else "seen",
                2,
            )
            for index, (each, height) in enumerate(zip(columns, heights, strict=False))
        )
    )
