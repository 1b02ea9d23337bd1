"""The logit lens under the reader's hands: what each layer would predict, for one model or for several."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.lens import Layer, Reading, lens_view
from minilm import BPETokenizer, trace

LONGEST = 40
N_GUESS = 4
MOST_LAYERS = 250
"""Predictions shown in all: texts are cut so that tokens x layers x models stay below, which keeps the view light."""


class LensExplorer(Explorer):
    """The next-token prediction after every layer, with the rank and probability of the token that does come.

        LensExplorer(model, tok, "Because Ruby had no friends, she")
        LensExplorer({"base": model, "tuned": tuned}, tok, text)

    Each residual stream is read by the model's own last LayerNorm and embedding (nostalgebraist, *Interpreting GPT: the
    logit lens*, 2020); the last row is the model's output, whatever tuning did to it.

    Args:
        model: a `MiniLM` or a tuned model, or several by name.
        text: read after the end-of-text token; its first 40 tokens at most, fewer for deep models.
    """

    def __init__(self, model, tokenizer: BPETokenizer, text: str):
        super().__init__()
        self.models = dict(model) if isinstance(model, Mapping) else {"": model}
        self.tokenizer = tokenizer
        self.text = controls.line("text", text, "Enter shows it")
        self.position = controls.whole(
            "position", 0, 0, 0, "whose predictions show until you point at another token"
        )
        self.arrange([self.text], [self.position])
        self.position.value = self.position.max

    def summary(self) -> str:
        return f"LensExplorer({', '.join(filter(None, self.models))})"

    def view(self) -> str:
        ids = [self.tokenizer.end_of_text, *self.tokenizer.encode(self.text.value)][: self.longest()]
        self.position.max = len(ids) - 1
        readings = [(name, self.read(model, ids)) for name, model in self.models.items()]
        return lens_view([self.tokenizer.token_bytes(id) for id in ids], readings, self.position.value)

    def longest(self) -> int:
        """Tokens that fit into the models and into the view."""
        n_row = sum(model.config.n_layer + 1 for model in self.models.values())
        return min(LONGEST, MOST_LAYERS // n_row, *(model.window for model in self.models.values()))

    @torch.no_grad()
    def read(self, model, ids: list[int]) -> list[Reading]:
        """What the model would say after each token, layer by layer."""
        with trace(model) as seen:
            model(torch.tensor([ids], device=model.device))
        base = getattr(model, "base", model)
        logits = [base.predict(state) for state in seen.states[:-1]] + [seen.logits.combined]
        believed = [each[0].float().softmax(dim=-1).cpu() for each in logits]
        believed = torch.stack(believed, dim=1)  # (T, layers, vocab)
        following = [*ids[1:], None]
        return [
            Reading([self.layer(row, target) for row in rows])
            for rows, target in zip(believed, following, strict=True)
        ]

    def layer(self, believed: Tensor, target: int | None) -> Layer:
        """One row (vocab,) of probabilities as the view wants it."""
        best = believed.topk(min(N_GUESS, len(believed)))
        guesses = [
            (self.tokenizer.token_bytes(id), p)
            for id, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        if target is None:
            return Layer(guesses)
        return Layer(guesses, 1 + int((believed > believed[target]).sum()), believed[target].item())
