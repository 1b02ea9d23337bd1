"""Attention of one or several models over a text of the reader's, at any layer and head."""

from __future__ import annotations

from lessons.widgets import controls
from lessons.widgets.heads import Heads
from lessons.widgets.model_explorer import LanguageModel, ModelExplorer, Models, traced
from lessons.widgets.views.attention import Attention, Head, attention_view
from minilm import BPETokenizer

LONGEST = 64
"""Tokens of the text that are shown at most."""
MOST_ROWS = 128
"""Tokens that are shown at most for all models together, which keeps the view small."""


class AttentionExplorer(ModelExplorer):
    """Attention weights: lines and matrix for one head; small pictures of all heads below, each of which chooses its head.

        AttentionExplorer(model, tok, "the keeper lit the lamp because")
        AttentionExplorer({"base": model, "prefix": tuned}, tok, text)     # side by side

    Memory slots of prefix-tuning are columns of their own; an inducer's gate is a bar beside each token.

    Args:
        model: a `MiniLM` or a tuned model, or two or more by name.
        text: shown up to 64 tokens, fewer beside more than two models; may hold special tokens.
        layer, head: counted from 1, as on the sliders.
    """

    def __init__(self, model: Models, tokenizer: BPETokenizer, text: str, layer: int = 1, head: int = 1):
        super().__init__(model, tokenizer, text)
        shape = self.model.config
        self.layer = controls.whole("layer", layer, 1, shape.n_layer, "transformer block")
        self.head = controls.whole("head", head, 1, shape.n_head, "attention head of that block")
        self.heads = Heads(self.choose)
        self.arrange([self.text], [self.layer, self.head])
        self.box.children = (*self.box.children, self.heads.box)

    def view(self) -> str:
        self.heads.show(self.attentions(), self.chosen)
        return attention_view(self.attentions(), *self.chosen, heads=False)

    def still(self) -> str:
        return attention_view(self.attentions(), *self.chosen)

    @property
    def chosen(self) -> Head:
        """The chosen layer and head, counted from 0."""
        return self.layer.value - 1, self.head.value - 1

    def choose(self, head: Head) -> None:
        """Move the sliders to a layer and head, counted from 0."""
        self.layer.value, self.head.value = (index + 1 for index in head)

    def attentions(self) -> list[Attention]:
        """What each model does with the beginning of the text; computed once for each text.

        Raises:
            ValueError: the text is empty.
        """
        return self.once(lambda: [self.read(name, model) for name, model in self.models.items()])

    def read(self, name: str, model: LanguageModel) -> Attention:
        """All attention of one model's forward pass over the beginning of the text."""
        ids, cut = self.beginning(min(LONGEST, MOST_ROWS // len(self.models), model.window))
        if not ids:
            raise ValueError("the text is empty: write a few words")
        record = traced(model, ids)
        weights = {
            (layer, head): matrix
            for layer, heads in record.attention.items()
            for head, matrix in enumerate(heads[0].tolist())
        }
        gates = {
            (layer, head): row
            for layer, heads in record.gates.items()
            for head, row in enumerate(heads[0].tolist())
        }
        return Attention([self.tokenizer.token_bytes(id) for id in ids], weights, gates, name, cut)
