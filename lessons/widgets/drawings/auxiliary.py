"""The drawings of lesson 8: auxiliary tuning as in Figures 1 and 2 of its report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, Point, label
from lessons.widgets.drawings.shapes import Box, arrow, block, legend, line, pill, plus
from lessons.widgets.views.markup import Markup, join

LEGEND = (("frozen", "frozen"), ("tuned", "trained"), ("data", "no weights"))
TEXT, ATTRIBUTE = "text $x_{<t}$", "attribute $α$"


def auxiliary() -> Drawing:
    """The plain architecture: a small model of its own beside the frozen one (Figure 1)."""
    base, small, total = 200.0, 512.0, (356.0, 292.0)
    read = ((base, TEXT), (small - 58, ATTRIBUTE), (small + 58, TEXT))
    own = (
        "embedding $E_{AUX}$",
        "blocks $T_{AUX}$, few and narrow",
        "$Proj$, which starts at 0;  $E_{AUX}^T$",
    )
    return drawing(
        "auxiliary",
        "Auxiliary tuning, plain: a small model reads attribute and text; its logits are added to the frozen ones.",
        "Two columns. On the left the text goes through the frozen model: embedding, blocks, transposed embedding; they give "
        "z LM. On the right attribute and text go through a trained model of its own, whose last projection starts at zero; "
        "it gives z AUX. The softmax of the sum is the probability of the next token.",
        394,
        *(pill(Box.at((x, 24), 106, 28), text) for x, text in read),
        *(arrow((x, 38), (x, 69)) for x, _ in read),
        column(base, 86, (("embedding $E_{LM}$", "frozen"), ("blocks $T_{LM}$", "frozen"), ("$E_{LM}^T$", "frozen")), 180),
        column(small, 86, [(text, "tuned") for text in own], 240),
        added((base, 231), (small, 231), total),
        softmax(total),
        legend((16, 380), LEGEND),
    )  # fmt: skip


def column(
    x: float, top: float, parts: Sequence[tuple[str, str]], width: float, step: float = 64.0
) -> Markup:
    """Boxes one below the other, each feeding the next: (label, kind)."""
    boxes = [Box.at((x, top + step * number), width, 34) for number in range(len(parts))]
    flow = [arrow(a.bottom, b.top) for a, b in pairwise(boxes)]
    return join(*flow, *(block(box, text, kind) for box, (text, kind) in zip(boxes, parts, strict=True)))


def added(base: Point, small: Point, total: Point) -> Markup:
    """Both models' logits on their way to their sum."""
    y = total[1]
    return join(
        arrow(base, (base[0], y), (total[0] - 10, y)),
        arrow(small, (small[0], y), (total[0] + 10, y), kind="added"),
        plus(total),
        label("$z_{LM}$", ((base[0] + total[0]) / 2, y - 13)),
        label("$z_{AUX}$", ((small[0] + total[0]) / 2, y - 13)),
        label("at position $m + t − 1$", (small[0] + 12, y - 12), anchor="start", kind="quiet", size=SMALL),
    )


def softmax(total: Point) -> Markup:
    """What the sum is for."""
    box = Box.at((total[0], total[1] + 48), 250, 34)
    return join(
        arrow((total[0], total[1] + 9), box.top), block(box, "$softmax = P(x_t | x_{<t}, α)$", "data")
    )


def auxiliary_features() -> Drawing:
    """With feature extraction: the small model reads states of the frozen one's lower layers (Figure 2)."""
    base, read, told, middle, total = 116.0, 330.0, 580.0, 455.0, (284.0, 474.0)
    below = (("$E_{LM}$", "frozen"), ("$T_{LM}$, layers $1..L$", "frozen"))
    return drawing(
        "auxiliary features",
        "Auxiliary tuning with feature extraction: the small model reads states of the frozen one and writes with its embedding.",
        "Attribute and text go through the embedding and the first L layers of the frozen model, each by itself. The text goes on "
        "through the other layers, which gives z LM. Of both, a trained projection plus a trained vector makes features; the "
        "trained T AUX reads the attribute's, then the text's. A second projection, which starts at zero, and the frozen "
        "embedding make z AUX, which is added.",
        578,
        pill(Box.at((base, 22), 104, 28), TEXT), pill(Box.at((told, 22), 106, 28), ATTRIBUTE),
        *(tie(base + 75, told - 75, y) for y in (76, 132)), tie(base + 85, middle - 95, 424),
        label("the same weights,\neach read from position 0", (middle - 107, 104), kind="quiet", size=SMALL),
        arrow((base, 36), (base, 59)), arrow((told, 36), (told, 59)),
        arrow((base, 149), (base, 267)), arrow((base, 172), (read, 172), (read, 191)), arrow((told, 149), (told, 191)),
        column(base, 76, below, 150, step=56), column(told, 76, below, 150, step=56),
        column(base, 284, (("$T_{LM}$, layers $L+1..N$", "frozen"), ("$E_{LM}^T$", "frozen")), 170, step=140),
        *(feature(x, name) for x, name in ((read, "txt"), (told, "att"))),
        block(Box.at((middle, 312), 330, 34), "$T_{AUX}$ reads $[h_{att} ; h_{txt}]$", "tuned"),
        arrow((middle, 329), (middle, 351)),
        column(middle, 368, (("$Proj'$, which starts at 0", "tuned"), ("$E_{LM}^T$", "frozen")), 190, step=56),
        added((base, 441), (middle, 441), total),
        softmax(total),
        legend((16, 564), LEGEND),
    )  # fmt: skip


def tie(start: float, end: float, y: float) -> Markup:
    """The dotted line between two uses of the same weights."""
    return line((start, y), (end, y), kind="tie")


def feature(x: float, name: str) -> Markup:
    """Proj, and the vector that says what is read, on the way into T_AUX."""
    return join(
        arrow((x, 221), (x, 238)),
        arrow((x + 52, 248), (x + 10, 248), kind="added"),
        arrow((x, 257), (x, 295)),
        block(Box.at((x, 206), 92, 30), "$Proj$", "tuned"),
        plus((x, 248)),
        block(Box.at((x + 75, 248), 46, 26), f"$Z_{{{name}}}$", "tuned"),
        label(f"$h_{{{name}}}$", (x - 20, 276)),
    )
