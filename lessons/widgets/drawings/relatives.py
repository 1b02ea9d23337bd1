"""The drawing of auxiliary tuning's relatives at the logits: side-tuning and DExperts."""

from __future__ import annotations

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, label
from lessons.widgets.drawings.shapes import Box, arrow, block, legend, line, panel, pill, plus, times
from lessons.widgets.views.markup import Markup, join


def logit_relatives() -> Drawing:
    """Side-tuning mixes two logits by a trained share; DExperts adds a difference of two logits."""
    return drawing(
        "logit relatives",
        "Relatives of auxiliary tuning: side-tuning mixes the logits of two models, DExperts adds the difference of two others.",
        "Two panels. Side-tuning: the same text goes through the frozen base B and a trained side network S; their logits are "
        "weighed by sigma of a and one minus it, and added. DExperts: the text goes through the base, an expert and an "
        "anti-expert, which were tuned before; alpha times the difference of their logits is added to the base's.",
        326,
        _side(12.0),
        _experts(366.0),
        legend((16, 312), (("frozen", "frozen"), ("tuned", "trained"), ("follows", "another model, trained before"))),
    )  # fmt: skip


def _side(left: float) -> Markup:
    y, low = 104.0, 178.0
    base, side, total = Box.at((left + 130, y), 80, 40), Box.at((left + 130, low), 80, 40), (left + 290, y)
    share, rest = Box.at((left + 226, y), 50, 28), Box.at((left + 226, low), 78, 28)
    return join(
        panel(Box(left, 8, 342, 276), "side-tuning"),
        arrow((left + 66, y), base.left),
        arrow((left + 66, y), (left + 80, y), (left + 80, low), side.left),
        line(base.right, share.left),
        line(side.right, rest.left),
        arrow(share.right, (total[0] - 10, y)),
        arrow(rest.right, (total[0], low), (total[0], y + 10), kind="added"),
        arrow((total[0] + 9, y), (left + 322, y)),
        pill(Box.at((left + 41, y), 50, 28), "$x_{<t}$"),
        block(base, "base $B$"),
        block(side, "side $S$", "tuned"),
        pill(share, "$σ(a)$", "tuned"),
        pill(rest, "$1 − σ(a)$", "tuned"),
        plus(total),
        label("$z$", (left + 330, y)),
        label("$z = σ(a) B(x) + (1 − σ(a)) S(x)$", (left + 171, 242)),
        label("$a$ is trained, and starts at 0", (left + 171, 264), kind="quiet", size=SMALL),
    )


def _experts(left: float) -> Markup:
    y, expert_y, anti_y = 76.0, 132.0, 188.0
    base, expert, anti = (Box.at((left + 134, each), 100, 36) for each in (y, expert_y, anti_y))
    difference, total = (left + 222, expert_y), (left + 306, y)
    factor = Box.at((left + 268, expert_y), 42, 26)
    return join(
        panel(Box(left, 8, 342, 276), "DExperts"),
        *(
            arrow((left + 62, y), (left + 70, y), (left + 70, each.left[1]), each.left)
            for each in (expert, anti)
        ),
        arrow((left + 62, y), base.left),
        arrow(base.right, (total[0] - 10, y)),
        arrow(expert.right, (difference[0] - 10, expert_y)),
        arrow(anti.right, (difference[0], anti_y), (difference[0], expert_y + 10)),
        line((difference[0] + 9, expert_y), factor.left),
        arrow(factor.right, (total[0], expert_y), (total[0], y + 10), kind="added"),
        arrow((total[0] + 9, y), (left + 326, y)),
        pill(Box.at((left + 36, y), 50, 28), "$x_{<t}$"),
        block(base, "base"),
        block(expert, "expert", "follows"),
        block(anti, "anti-expert", "follows"),
        times(difference, "−"),
        pill(factor, "$× α$"),
        plus(total),
        label("$z^+$", (left + 198, expert_y - 12), size=SMALL),
        label("$z^−$", (left + 206, anti_y - 12), size=SMALL),
        label("$z$", (left + 333, y)),
        label("$z = z_{base} + α (z^+ − z^−)$", (left + 171, 242)),
        label(
            "proxy-tuning: $α = 1$, experts smaller than the base",
            (left + 171, 264),
            kind="quiet",
            size=SMALL,
        ),
    )
