"""The drawing of the whole model: `transformer()`, with the names of the code and the shapes on its lines."""

from __future__ import annotations

from lessons.widgets.drawings import model
from lessons.widgets.drawings.drawing import Drawing, drawing
from lessons.widgets.drawings.labels import SMALL, label
from lessons.widgets.drawings.shapes import legend
from lessons.widgets.views.markup import Markup, join

CAPTION = "A MiniLM: each block reads the residual stream twice and adds what it found, first attention, then the MLP."
DESCRIPTION = (
    "From top to bottom. Token embedding plus position embedding start the residual stream. In every block, attention "
    "reads the stream through attention_norm and the maps query, key, value and output; the MLP reads it through "
    "mlp_norm and the maps up and down; each result is added to the stream. After the last block come final_norm and "
    "the token embedding, transposed, which gives the logits."
)


def transformer() -> Drawing:
    """The model of lesson 2, from tokens (B, T) to logits (B, T, vocab)."""
    return drawing(
        "transformer", CAPTION, DESCRIPTION, model.HEIGHT,
        model.ground("`blocks[0]` … `blocks[L-1]`"), model.tie(), model.lines(), model.stream(),
        model.weights({}), model.computations(), shapes(),
        legend((model.GROUND.x + 2, model.HEIGHT - 12), (
            ("stream-line", "residual stream"), ("frozen", "weights"), ("data", "no weights"), ("plus", "sum"),
        )),
    )  # fmt: skip


def shapes() -> Markup:
    """What the lines carry: B texts, T tokens, width d, H heads of width p = d / H."""
    places = (
        ((model.TOKENS.right[0] + 10, model.TOKENS.right[1]), "start", "$(B, T)$"),
        ((model.STREAM + 14, model.START + 50), "start", "$(B, T, d)$"),
        ((317, model.ATTENTION - 53), "start", "$(B, H, T, p)$"),
        ((567, model.ATTENTION - 11), "middle", "$(B, T, d)$"),
        ((317, model.MLP - 11), "start", "$(B, T, 4d)$"),
        ((model.LOGITS.bottom[0], model.END + 28), "middle", "$(B, T, vocab)$"),
    )
    shown = (label(text, at, anchor=anchor, kind="quiet", size=SMALL) for at, anchor, text in places)
    words = label(
        "$B$ texts of $T$ tokens, width $d$,\n$H$ heads of width $p = d / H$, $L$ blocks",
        (706, 32),
        anchor="end",
        kind="quiet",
        size=SMALL,
    )
    return join(*shown, words)
