"""The logit lens over a text of the reader's: what each layer would predict, for one model or for several."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.model_explorer import LanguageModel, ModelExplorer, Models, traced
from lessons.widgets.views.lens import Layer, Reading, lens_view
from minilm import BPETokenizer, MiniLM

LONGEST = 40
"""Tokens that are shown at most, the end-of-text token before the text included."""
N_TOP = 4
MOST_LAYERS = 250
"""Texts are cut so that tokens x layers x models is at most this, which keeps the view small."""


class LensExplorer(ModelExplorer):
    """The next-token prediction after every layer, with the rank and probability of the token that does come.

        LensExplorer(model, tok, "Because Ruby had no friends, she")
        LensExplorer({"base": model, "tuned": tuned}, tok, text)

    Each residual stream is read by the model's own last LayerNorm and embedding (nostalgebraist, *Interpreting GPT: the
    logit lens*, 2020); the last row is the model's output, with whatever tuning added to it.

    Args:
        model: a `MiniLM` or a tuned model, or several by name.
        text: read after the end-of-text token; at most 39 of its tokens are shown, fewer for deep models.
    """

    def __init__(self, model: Models, tokenizer: BPETokenizer, text: str):
        super().__init__(model, tokenizer, text)
        self.position = controls.whole(
            "position", 0, 0, 0, "whose predictions show until you point at another token"
        )
        self.arrange([self.text], [self.position])
        self.position.value = self.position.max

    def view(self) -> str:
        beginning, cut = self.beginning(self.longest() - 1)
        ids = [self.tokenizer.end_of_text, *beginning]
        self.position.max = len(ids) - 1
        readings = [(name, self.read(model, ids)) for name, model in self.models.items()]
        return lens_view([self.tokenizer.token_bytes(id) for id in ids], readings, self.position.value, cut)

    def longest(self) -> int:
        """Number of tokens, end-of-text included, that fit into the models and into the view; at least 1."""
        models = self.models.values()
        n_row = sum(model.config.n_layer + 1 for model in models)
        return max(1, min(LONGEST, MOST_LAYERS // n_row, *(model.window for model in models)))

    @torch.no_grad()
    def read(self, model: LanguageModel, ids: list[int]) -> list[Reading]:
        """What the model would predict after each token, layer by layer."""
        record = traced(model, ids)
        base = model if isinstance(model, MiniLM) else model.base
        logits = [base.predict(state) for state in record.states[:-1]] + [record.logits.combined]
        believed = torch.stack(
            [each[0].float().softmax(dim=-1).cpu() for each in logits], dim=1
        )  # (T, layers, vocab)
        return [
            [self.layer(row, target) for row in rows]
            for rows, target in zip(believed, [*ids[1:], None], strict=True)
        ]

    def layer(self, believed: Tensor, target: int | None) -> Layer:
        """Probabilities (vocab,) after one layer as the view shows them."""
        best = believed.topk(min(N_TOP, len(believed)))
        top = [
            (self.tokenizer.token_bytes(id), p)
            for id, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        if target is None:
            return Layer(top)
        return Layer(top, 1 + int((believed > believed[target]).sum()), believed[target].item())
