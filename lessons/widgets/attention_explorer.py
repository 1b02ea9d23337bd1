"""Attention under the reader's hands: a text, a layer, a head, and one or two models."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.heads import Heads
from lessons.widgets.views.attention import Attention, Place, attention_view
from minilm import BPETokenizer, trace

LONGEST = 64
"""Tokens of the text that are shown."""
MOST_ROWS = 128
"""Rows of all models together, at most: beside many models the text is cut, which keeps the view light."""


class AttentionExplorer(Explorer):
    """Who attends to whom: lines and matrix for one head; all heads small below, each of which leads into it.

        AttentionExplorer(model, tok, "the keeper lit the lamp because")
        AttentionExplorer({"base": model, "prefix": tuned}, tok, text)     # side by side

    Memory slots of prefix-tuning are columns of their own; an inducer's gate is a bar beside each token.

    Args:
        model: a `MiniLM` or a tuned model, or two or more by name.
        text: shown up to 64 tokens, fewer beside more than two models; may hold special tokens.
        layer, head: counted from 1, as on the sliders.
    """

    def __init__(self, model, tokenizer: BPETokenizer, text: str, layer: int = 1, head: int = 1):
        super().__init__()
        self.models = dict(model) if isinstance(model, Mapping) else {"": model}
        self.tokenizer = tokenizer
        shape = next(iter(self.models.values())).config
        self.text = controls.line("text", text, "Enter shows it")
        self.layer = controls.whole("layer", layer, 1, shape.n_layer, "transformer block")
        self.head = controls.whole("head", head, 1, shape.n_head, "attention head of that block")
        self.heads = Heads(self.choose)
        self._seen: tuple[str, list[Attention]] | None = None
        self.arrange([self.text], [self.layer, self.head])
        self.box.children = (*self.box.children, self.heads.box)

    def summary(self) -> str:
        names = ", ".join(filter(None, self.models))
        return f"AttentionExplorer({names})"

    def view(self) -> str:
        self.heads.show(self.looks(), self.place)
        return attention_view(self.looks(), *self.place, heads=False)

    def still(self) -> str:
        return attention_view(self.looks(), *self.place)

    @property
    def place(self) -> Place:
        """The chosen layer and head, counted from 0."""
        return self.layer.value - 1, self.head.value - 1

    def choose(self, place: Place) -> None:
        """Move the sliders to a head, counted from 0."""
        self.layer.value, self.head.value = (index + 1 for index in place)

    def looks(self) -> list[Attention]:
        """What each model does with the text; computed once a text."""
        if self._seen is None or self._seen[0] != self.text.value:
            self._seen = (
                self.text.value,
                [
                    look(model, self.tokenizer, self.text.value, name, MOST_ROWS // len(self.models))
                    for name, model in self.models.items()
                ],
            )
        return self._seen[1]


@torch.no_grad()
def look(model, tokenizer: BPETokenizer, text: str, name: str = "", longest: int = LONGEST) -> Attention:
    """All attention of one forward pass over the beginning of a text.

    Args:
        longest: tokens at most; 64 at most, and no more than the model's window.

    Raises:
        ValueError: the text is empty.
    """
    ids = tokenizer.encode(text)[: min(LONGEST, longest, model.window)]
    if not ids:
        raise ValueError("the text is empty: write a few words")
    with trace(model) as seen:
        model(torch.tensor([ids], device=model.device))
    weights = {
        (layer, head): matrix
        for layer, heads in seen.attention.items()
        for head, matrix in enumerate(heads[0].tolist())
    }
    gates = {
        (layer, head): row
        for layer, heads in seen.gates.items()
        for head, row in enumerate(heads[0].tolist())
    }
    return Attention([tokenizer.token_bytes(id) for id in ids], weights, gates, name)
