"""The drawing that sets three ways to place a bottleneck side by side: sequential, parallel, and MAM."""

from __future__ import annotations

from itertools import pairwise

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, Point, label
from lessons.widgets.drawings.shapes import Box, arrow, block, legend, panel, pill, plus
from lessons.widgets.views.markup import Markup, join

PANEL, GAP = 226.0, 9.0
STREAM, MAIN, SIDE = 30.0, 92.0, 174.0
"""x within a panel: of the stream, of the sub-layer, of what is added to it."""
TOP, JOIN, BACK = 66.0, 300.0, 336.0
"""y of the branch, of the sum at the site, of the sum with the stream."""


def adapters() -> Drawing:
    """A sequential adapter, a parallel one, and MAM, which puts a prefix before a parallel one."""
    ways = {"sequential": _sequential, "parallel": _parallel, "MAM: prefix + parallel": _mam}
    lefts = [12 + (PANEL + GAP) * number for number in range(3)]
    return drawing(
        "adapters",
        "Adapters: a trained bottleneck after the MLP, or beside it; MAM adds a prefix in attention.",
        "Three parts of a block. Sequential: the output of the MLP goes through W down, ReLU and W up, and the result is added "
        "to it. Parallel: the input of the MLP goes through them, and the result, times s, is added to the output. MAM: "
        "trained keys and values in attention, and a parallel adapter at the MLP.",
        456,
        *(panel(Box(left, 8, PANEL, 406), title, at="middle") for left, title in zip(lefts, ways, strict=True)),
        *(draw(left) for left, draw in zip(lefts, ways.values(), strict=True)),
        legend((16, 440), (("stream-line", "residual stream"), ("frozen", "frozen weights"), ("tuned", "trained"))),
    )  # fmt: skip


def _sequential(left: float) -> Markup:
    main, side = left + MAIN, left + SIDE
    norm, mlp = Box.at((main, TOP), 82, 28), Box.at((main, TOP + 52), 82, 28)
    return join(
        _stream(left, TOP),
        arrow(norm.bottom, mlp.top),
        arrow(mlp.bottom, (main, JOIN - 10)),
        arrow((main, 154), (side, 154), (side, 172)),
        _bottleneck((side, 186)),
        arrow((side, 276), (side, JOIN), (main + 10, JOIN), kind="added"),
        block(norm, "`mlp_norm`"),
        block(mlp, "MLP"),
        label("$h$", (main - 12, 154)),
        plus((main, JOIN), "tuned"),
        _notes(left, "$h + ReLU(h W_{down}) W_{up}$", "at site `mlp`, reads its output"),
    )


def _parallel(left: float) -> Markup:
    main, side = left + MAIN, left + SIDE
    norm, mlp = Box.at((main, TOP), 82, 28), Box.at((main, 182), 82, 28)
    return join(
        _stream(left, TOP),
        arrow(norm.bottom, mlp.top),
        arrow(mlp.bottom, (main, JOIN - 10)),
        arrow((main, 104), (side, 104), (side, 122)),
        _bottleneck((side, 136)),
        arrow((side, 226), (side, 238)),
        pill(Box.at((side, 252), 46, 26), "$× s$"),
        arrow((side, 265), (side, JOIN), (main + 10, JOIN), kind="added"),
        block(norm, "`mlp_norm`"),
        block(mlp, "MLP"),
        label("$x$", (main - 12, 104)),
        plus((main, JOIN), "tuned"),
        _notes(left, "$MLP(x) + s · ReLU(x W_{down}) W_{up}$", "at site `mlp`, reads its input"),
    )


def _mam(left: float) -> Markup:
    main, side = left + MAIN, left + SIDE + 2
    attention, slots = Box.at((main, TOP), 82, 28), Box.at((side + 4, TOP), 60, 28)
    norm, mlp, adapter = Box.at((main, 158), 82, 28), Box.at((main, 236), 82, 28), Box.at((side, 236), 74, 28)
    return join(
        _stream(left, TOP, norm.center[1]),
        arrow(slots.left, attention.right, kind="added"),
        arrow(attention.bottom, (main, 112), (left + STREAM + 10, 112)),
        plus((left + STREAM, 112)),
        arrow(norm.bottom, mlp.top),
        arrow((main, 194), (side, 194), adapter.top),
        arrow(mlp.bottom, (main, JOIN - 10)),
        arrow(adapter.bottom, (side, JOIN), (main + 10, JOIN), kind="added"),
        block(attention, "attention"),
        block(slots, "$P_k, P_v$", "tuned"),
        block(norm, "`mlp_norm`"),
        block(mlp, "MLP"),
        block(adapter, "$s$ · adapter", "tuned", size=SMALL),
        plus((main, JOIN), "tuned"),
        _notes(left, "a short prefix, a wide adapter", "at sites `memory` and `mlp`"),
    )


def _stream(left: float, *branches: float) -> Markup:
    """The residual stream of a panel, the branches to what reads it, and the sum at the end."""
    x = left + STREAM
    return join(
        arrow((x, 40), (x, 362), kind="stream"),
        *(arrow((x, y), (left + MAIN - 41, y)) for y in branches),
        arrow((left + MAIN, JOIN + 9), (left + MAIN, BACK), (x + 10, BACK)),
        plus((x, BACK)),
    )


def _bottleneck(first: Point) -> Markup:
    """W down, ReLU and W up, from top to bottom; 104 high."""
    boxes = [
        Box.at((first[0], first[1] + 38 * number), width, 28 if width > 60 else 24)
        for number, width in enumerate((70, 54, 70))
    ]
    flow = [arrow(a.bottom, b.top) for a, b in pairwise(boxes)]
    names = (("$W_{down}$", "tuned"), ("ReLU", "data"), ("$W_{up}$", "tuned"))
    return join(*flow, *(block(box, name, kind) for box, (name, kind) in zip(boxes, names, strict=True)))


def _notes(left: float, formula: str, where: str) -> Markup:
    return join(
        label(formula, (left + PANEL / 2, 380), size=SMALL),
        label(where, (left + PANEL / 2, 399), kind="quiet", size=SMALL),
    )
