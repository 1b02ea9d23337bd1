"""Where everything of a MiniLM stands in a drawing: its weights by name, its sites by name, its lines.

The stream runs down on the left. Each sub-layer reads it, goes off to the right, and comes back below to add what it
found. The names are the code's own, so a drawing can be painted from what a method says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lessons.widgets.drawings.labels import SMALL, Point, label
from lessons.widgets.drawings.shapes import Box, arrow, block, line, panel, pill, plus, rectangle
from lessons.widgets.views.markup import Markup, join

STREAM, RETURN = 80.0, 694.0
"""x of the residual stream, and of the line on which a sub-layer turns back to it."""
ATTENTION, MLP = 252.0, 400.0
"""y at which the sub-layers read the stream."""
ATTENDED, MAPPED = 344.0, 450.0
"""y at which what they found is added to it."""
START, END = 130.0, 534.0
"""y of the sum that starts the stream, and of the LayerNorm that ends it."""
GROUND = Box(16, 154, 692, 346)
"""One block."""
HEIGHT = 606.0

WEIGHTS: Mapping[str, Box] = MappingProxyType({
    "token_embedding": Box.at((STREAM, 67), 134, 30),
    "position_embedding": Box.at((248, START), 160, 30),
    "blocks.attention_norm": Box.at((166, ATTENTION), 124, 30),
    "blocks.attention.query": Box.at((282, ATTENTION - 42), 60, 28),
    "blocks.attention.key": Box.at((282, ATTENTION), 60, 28),
    "blocks.attention.value": Box.at((282, ATTENTION + 42), 60, 28),
    "blocks.attention.output": Box.at((642, ATTENTION), 66, 30),
    "blocks.mlp_norm": Box.at((146, MLP), 84, 30),
    "blocks.mlp.up": Box.at((282, MLP), 60, 28),
    "blocks.mlp.down": Box.at((642, MLP), 66, 30),
    "final_norm": Box.at((STREAM, END), 106, 30),
})  # fmt: skip
"""Every module that has weights, by its name in the model; a block's without their number."""
TOKENS = Box.at((STREAM, 22), 116, 28)
SOFTMAX = Box.at((458, ATTENTION), 134, 112)
GELU = Box.at((458, MLP), 64, 28)
HEAD = Box.at((270, END), 154, 30)
LOGITS = Box.at((638, END), 136, 28)

SITES: Mapping[str, tuple[Point, str, Point]] = MappingProxyType({
    "embedding": ((STREAM, 101), "start", (16, 0)),
    "query": ((330, ATTENTION - 42), "start", (12, -11)),
    "key": ((330, ATTENTION), "start", (12, -11)),
    "value": ((330, ATTENTION + 42), "start", (12, -11)),
    "memory": ((458, 171), "start", (15, 0)),
    "attention": ((547, ATTENTION), "start", (-12, -18)),
    "output": ((RETURN, 298), "end", (-15, 0)),
    "attention_out": ((500, ATTENDED), "middle", (0, -17)),
    "up": ((330, MLP), "start", (12, -11)),
    "down": ((RETURN, 426), "end", (-15, 0)),
    "mlp": ((500, MAPPED), "middle", (0, -17)),
    "block": ((STREAM, 479), "start", (16, 0)),
    "logits": ((456, END), "middle", (0, -17)),
})  # fmt: skip
"""For every site of `minilm.model.sites`: where it is, and where its name stands from there."""


def weights(kinds: Mapping[str, str], edges: Mapping[str, str] = MappingProxyType({})) -> Markup:
    """All boxes that hold weights, frozen unless `kinds` says otherwise; those in `edges` have a lower edge of that kind."""
    return join(
        *(_weight(name, box, kinds.get(name, "frozen"), edges.get(name)) for name, box in WEIGHTS.items())
    )


def _weight(name: str, box: Box, kind: str, edge: str | None) -> Markup:
    shown = block(box, f"`{name.rpartition('.')[2]}`", kind)
    lower = Box(box.x, box.y + box.height - 5, box.width, 5)
    return shown if edge is None else join(shown, rectangle(lower, edge, 2.5))


def computations(head: str = "frozen") -> Markup:
    """What has no weights of its own: attention itself, the GELU, the head that is the embedding again."""
    return join(
        block(SOFTMAX, "attention\n$softmax(q k^T / √p) v$\nover what a\nquery may see", "data", size=SMALL),
        block(GELU, "GELU", "data"),
        block(HEAD, "`token_embedding`$^T$", head),
        pill(TOKENS, "`tokens`"),
        pill(LOGITS, "`logits`"),
    )


def ground(title: str) -> Markup:
    """The block behind its parts."""
    return panel(GROUND, title, at="end")


def lines() -> Markup:
    """Everything that flows, except the stream itself."""
    return join(_into_the_model(), _attention(), _mlp(), _out_of_the_model())


def stream() -> Markup:
    """The residual stream and the sums that make it."""
    path = arrow((STREAM, START + 9), (STREAM, END - 17), kind="stream")
    return join(path, *(plus((STREAM, y)) for y in (START, ATTENDED, MAPPED)))


def tie() -> Markup:
    """The dotted line between the two uses of the embedding."""
    start, end, low = WEIGHTS["token_embedding"].left, HEAD.bottom, END + 36
    path = line(start, (6, start[1]), (6, low), (end[0], low), end, kind="tie")
    return join(
        path, label("the same weights", (end[0] - 12, low - 10), anchor="end", kind="quiet", size=SMALL)
    )


def enter_memory(kind: str) -> Markup:
    """The way of memory slots into attention."""
    (x, y), _, _ = SITES["memory"]
    return arrow((x, y), SOFTMAX.top, kind=kind)


def _into_the_model() -> Markup:
    embedding, positions = WEIGHTS["token_embedding"], WEIGHTS["position_embedding"]
    return join(
        arrow(TOKENS.bottom, embedding.top),
        arrow(embedding.bottom, (STREAM, START - 10)),
        arrow(positions.left, (STREAM + 10, START)),
    )


def _attention() -> Markup:
    norm, output = WEIGHTS["blocks.attention_norm"], WEIGHTS["blocks.attention.output"]
    maps = [WEIGHTS[f"blocks.attention.{name}"] for name in ("query", "key", "value")]
    fork = norm.right[0] + 12
    return join(
        arrow((STREAM, ATTENTION), norm.left),
        *(arrow(norm.right, (fork, ATTENTION), (fork, each.left[1]), each.left) for each in maps),
        *(arrow(each.right, (SOFTMAX.x, each.right[1])) for each in maps),
        arrow(SOFTMAX.right, output.left),
        arrow(output.right, (RETURN, ATTENTION), (RETURN, ATTENDED), (STREAM + 10, ATTENDED)),
    )


def _mlp() -> Markup:
    norm, up, down = (WEIGHTS[f"blocks.{name}"] for name in ("mlp_norm", "mlp.up", "mlp.down"))
    return join(
        arrow((STREAM, MLP), norm.left),
        arrow(norm.right, up.left),
        arrow(up.right, GELU.left),
        arrow(GELU.right, down.left),
        arrow(down.right, (RETURN, MLP), (RETURN, MAPPED), (STREAM + 10, MAPPED)),
    )


def _out_of_the_model() -> Markup:
    return join(arrow(WEIGHTS["final_norm"].right, HEAD.left), arrow(HEAD.right, LOGITS.left))
