"""The drawings of lesson 7 about low-rank changes and adapters."""

from __future__ import annotations

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, label
from lessons.widgets.drawings.shapes import Box, arrow, block, legend, panel, pill, plus
from lessons.widgets.views.markup import Markup, join

SIDE, RANK = 104.0, 24.0
"""Of the square that stands for W, and of its thin factors: d and r."""


def lora() -> Drawing:
    """A frozen map with a low-rank path beside it, and the same after merging."""
    return drawing(
        "lora",
        "LoRA: a change of low rank is trained beside a frozen map, and can be added to its weights afterwards.",
        "While training, x goes through the frozen matrix W, d by d, and through the trained factors A, d by r, and B, r by d, "
        "whose product is scaled by alpha over r; both results are added. After merging there is one matrix, W plus alpha "
        "over r times A B.",
        336,
        _training(),
        _merged(),
        legend((16, 322), (("frozen", "frozen"), ("tuned", "trained"), ("merged", "both in one matrix"))),
    )  # fmt: skip


def _training() -> Markup:
    whole = Box.at((212, 110), SIDE, SIDE)
    a, b = Box.at((172, 226), RANK, SIDE - 20), Box.at((252, 226), SIDE - 20, RANK)
    scale, total = (342.0, 226.0), (342.0, 110.0)
    return join(
        panel(Box(12, 8, 396, 290), "while training"),
        arrow((76, 110), whole.left),
        arrow((76, 110), (108, 110), (108, 226), a.left),
        arrow(a.right, b.left),
        arrow(b.right, (scale[0] - 27, scale[1])),
        arrow((scale[0], scale[1] - 14), (total[0], total[1] + 10), kind="added"),
        arrow(whole.right, (total[0] - 10, total[1])),
        arrow((total[0] + 9, total[1]), (378, 110)),
        pill(Box.at((52, 110), 48, 26), "$x$"),
        block(whole, "$W$\n$d × d$"),
        block(a, "$A$", "tuned"),
        block(b, "$B$", "tuned"),
        pill(Box.at(scale, 54, 28), "$× α / r$"),
        plus(total),
        label("$y$", (388, 110)),
        label("$d × r$", (172, 282), kind="quiet", size=SMALL),
        label("$r × d$", (252, 252), kind="quiet", size=SMALL),
        label("$A$ starts random, $B$ at 0", (394, 282), anchor="end", kind="quiet", size=SMALL),
    )


def _merged() -> Markup:
    whole = Box.at((566, 110), SIDE, SIDE)
    return join(
        panel(Box(420, 8, 288, 290), "after `merge()`"),
        arrow((490, 110), whole.left),
        arrow(whole.right, (654, 110)),
        pill(Box.at((466, 110), 48, 26), "$x$"),
        block(whole, "$W'$\n$d × d$", "merged"),
        label("$y$", (664, 110)),
        label("$W' = W + (α / r) A B$", (564, 206)),
        label("no extra work in a pass,\nno extra memory", (564, 246), kind="quiet", size=SMALL),
    )
