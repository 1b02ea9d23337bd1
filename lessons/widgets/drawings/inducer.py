"""The drawings of lesson 6: where an inducer stands among queries and keys, and what it computes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, Point, label
from lessons.widgets.drawings.shapes import (
    Box,
    arrow,
    block,
    diamond,
    disc,
    legend,
    line,
    panel,
    pill,
    plus,
    times,
)
from lessons.widgets.views.markup import Markup, join

KEYS = ((36, 64), (98, 56), (128, 94), (30, 128), (112, 146), (164, 62), (206, 76), (236, 132), (140, 190), (214, 196),
        (248, 58), (318, 62), (326, 116), (268, 152), (60, 188), (312, 200), (258, 218), (92, 222), (176, 226))  # fmt: skip
"""Keys of a text, drawn in two dimensions."""
QUERIES = ((76, 100), (178, 134), (284, 100))
FIXED = ((36, 230), (318, 156))
"""The keys of a prefix."""
NEAR = ((16, -15), (-17, -13), (-15, -17))
"""From each query to its virtual key: f_k."""
REACH = 36.0
"""Bandwidth of the kernel."""
POINTS = (
    ("disc", "key of the text"),
    ("disc-seen", "query; % is its attention to virtual keys"),
    ("diamond", "virtual key"),
)


def inducer_points() -> Drawing:
    """Fixed keys beside one key near every query, with the share of attention that they get."""
    panels = (
        (12.0, "prefix: the same keys for every query", "$P_k$ is trained, and stays where it is"),
        (366.0, "inducer: a key near every query", "$P_k = q + f_k(q)$; $f_k$ is trained"),
    )
    shares = shares_of_prefix(), shares_of_inducers()
    return drawing(
        "inducer points",
        "A key counts for the queries near it: the keys of a prefix for few of them, that of an inducer for its own query.",
        "Two planes with the same keys and three queries. In the first stand two fixed keys of a prefix, far from the queries, "
        f"which give them {in_words(shares[0])} of their attention. In the second each query has a virtual key beside it, which "
        f"gets {in_words(shares[1])}.",
        336,
        *(panel(Box(x, 8, 342, 290), title) for x, title, _ in panels),
        *(label(note, (x + 14, 48), anchor="start", kind="quiet", size=SMALL) for x, _, note in panels),
        _plane(panels[0][0], shares[0], FIXED),
        _plane(panels[1][0], shares[1], ()),
        legend((16, 322), POINTS),
    )  # fmt: skip


def kernel(one: Point, other: Point) -> float:
    """Gaussian; exp(q k / h^2) gives the same weights where all keys are equally long."""
    return math.exp(-(math.dist(one, other) ** 2) / (2 * REACH**2))


def shares_of_prefix() -> list[float]:
    """The share of each query's attention that goes to the fixed keys."""
    return [share(query, FIXED) for query in QUERIES]


def shares_of_inducers() -> list[float]:
    """The share of each query's attention that goes to its own virtual key."""
    return [share(query, [near(query, move)]) for query, move in zip(QUERIES, NEAR, strict=True)]


def share(query: Point, added: Sequence[Point]) -> float:
    """What added keys take beside the text's."""
    extra = sum(kernel(query, key) for key in added)
    return extra / (extra + sum(kernel(query, key) for key in KEYS))


def near(query: Point, move: Point) -> Point:
    """A point beside a query."""
    return query[0] + move[0], query[1] + move[1]


def in_words(shares: Sequence[float]) -> str:
    """ "8%, 3% and 7%"."""
    *first, last = (f"{each:.0%}" for each in shares)
    return f"{', '.join(first)} and {last}"


def _plane(left: float, shares: Sequence[float], fixed: Sequence[Point]) -> Markup:
    """One panel: rings of the kernel's reach, keys, queries, and the virtual keys, fixed or beside each query."""

    def at(point: Point) -> Point:
        return left + point[0], point[1] + 38

    moves = [] if fixed else list(zip(QUERIES, NEAR, strict=True))
    return join(
        *(disc(at(query), REACH, "reach") for query in QUERIES),
        *(disc(at(key), 4, "frozen") for key in KEYS),
        *(line(at(query), at(near(query, move)), kind="added") for query, move in moves),
        *(diamond(at(near(query, move)), 7, "tuned") for query, move in moves),
        *(diamond(at(key), 7, "tuned") for key in fixed),
        *(disc(at(query), 6, "seen") for query in QUERIES),
        *(
            label(f"{each:.0%}", (at(query)[0], at(query)[1] + 20), kind="strong", size=SMALL)
            for query, each in zip(QUERIES, shares, strict=True)
        ),
    )


def inducer() -> Drawing:
    """From a query to its virtual key, the gate, and what is added to the layer's output."""
    return drawing(
        "inducer",
        "Inducer-tuning, one head: the virtual key of a query decides the gate λ, and λ times its virtual value is added.",
        "Above, frozen: a query with keys and values gives the attention o, which goes through the output map to y. Below, "
        "trained: f_k moves the query to its virtual key P_k; the gate λ compares the score of P_k with the log-sum of all "
        "scores of the text; f_v of the query, times λ, is added to y.",
        400,
        panel(Box(12, 8, 696, 112), "frozen", at="end"),
        _frozen(),
        _gate(),
        _value(),
        label("extended, as drawn: all heads are summed, and one more bias is added, without $λ$\n"
              "not extended: $f_v$ has width $p$, and $λ f_v(q)$ is added to $o$, before `output`",
              (16, 354), anchor="start", kind="quiet", size=SMALL),
        legend((16, 388), (("tuned", "trained, in each head"), ("frozen", "frozen weights"), ("data", "no weights"))),
    )  # fmt: skip


ROW, LOG_SUM, KEY, VALUE = 72.0, 160.0, 230.0, 306.0
"""y of attention, of its log-sum, of f_k and of f_v."""
BUS, SUM = 92.0, 636.0
"""x of the line that hands out the query, and of the sum at the end."""


def _frozen() -> Markup:
    attention, output = Box.at((240, ROW), 164, 56), Box.at((470, ROW), 78, 32)
    return join(
        arrow((76, ROW - 14), (158, ROW - 14)),
        arrow((BUS, VALUE), (BUS, ROW + 14), (158, ROW + 14)),
        line((66, KEY), (BUS, KEY)),
        arrow(attention.right, output.left),
        arrow(output.right, (SUM - 10, ROW)),
        arrow((SUM + 9, ROW), (682, ROW)),
        pill(Box.at((50, ROW - 14), 52, 26), "$K$, $V$"),
        pill(Box.at((50, KEY), 34, 26), "$q$"),
        block(attention, "attention\n$softmax(q K^T / √p) V$", "data"),
        block(output, "`output`"),
        plus((SUM, ROW)),
        label("$o$", (374, ROW - 12)),
        label("$y$", (692, ROW)),
    )


def _gate() -> Markup:
    """The virtual key, its score, and the gate."""
    log_sum, f_k = Box.at((240, LOG_SUM), 164, 34), Box.at((216, KEY), 90, 34)
    score, gate = Box.at((438, KEY), 104, 34), Box(520, 140, 92, 110)
    return join(
        arrow((240, ROW + 28), log_sum.top),
        arrow((BUS, KEY), f_k.left),
        arrow((BUS, 196), (316, 196), (316, KEY - 10)),
        arrow(f_k.right, (306, KEY)),
        arrow((325, KEY), score.left),
        arrow(score.right, (gate.x, KEY)),
        arrow(log_sum.right, (gate.x, LOG_SUM)),
        block(log_sum, "$log Σ_j exp(q · k_j / √p)$", "data"),
        block(f_k, "$f_k$", "tuned"),
        plus((316, KEY)),
        label("$P_k$", (354, KEY - 12)),
        block(score, "$q · P_k / √p$", "data"),
        block(gate, "gate\n$λ = σ(s − z)$", "data"),
        label("$z$", (428, LOG_SUM - 12)),
        label("$s$", (505, KEY - 12)),
    )


def _value() -> Markup:
    """The virtual value on its way to the sum."""
    f_v, product = Box.at((216, VALUE), 90, 34), (566.0, VALUE)
    return join(
        arrow((BUS, VALUE), f_v.left),
        arrow(f_v.right, (product[0] - 10, VALUE)),
        arrow((566, 250), (566, VALUE - 10)),
        arrow((product[0] + 9, VALUE), (SUM, VALUE), (SUM, ROW + 10), kind="added"),
        block(f_v, "$f_v$", "tuned"),
        times(product),
        label("$f_v(q)$, extended: width $d$", (400, VALUE - 13)),
        label("$λ$", (578, 272), anchor="start"),
    )
