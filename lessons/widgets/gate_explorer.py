"""Gates under the reader's hands: a text, a layer, and how much each token listens to what tuning added."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.gates import Gates, gates_view
from minilm import BPETokenizer, trace

MEAN = -1
"""Stands for no single head."""


class GateExplorer(Explorer):
    """The same text under several tuned models, each token shaded by its gate.

        GateExplorer({"prefix": with_prefix, "inducer": with_inducer}, tok, text)

    Args:
        models: tuned models by name, each with a prefix or an inducer.
        text: may hold special tokens.
        layer: counted from 1.
    """

    def __init__(self, models: Mapping[str, object], tokenizer: BPETokenizer, text: str, layer: int = 1):
        super().__init__()
        self.models, self.tokenizer = dict(models), tokenizer
        shape = next(iter(self.models.values())).config
        self.text = controls.line("text", text, "Enter shows it")
        self.layer = controls.whole("layer", layer, 1, shape.n_layer, "transformer block")
        heads = [("mean of all", MEAN), *((str(head + 1), head) for head in range(shape.n_head))]
        self.head = controls.choice("head", heads, MEAN, "attention head of that block")
        self._seen: tuple[str, dict[str, dict[int, Tensor]]] | None = None
        self.arrange([self.text], [self.layer, self.head])

    def summary(self) -> str:
        return f"GateExplorer({', '.join(self.models)})"

    def view(self) -> str:
        ids = self.ids()
        tokens = [self.tokenizer.token_bytes(id) for id in ids]
        layer, head = self.layer.value, self.head.value
        where = f"layer {layer}, " + ("mean of all heads" if head == MEAN else f"head {head + 1}")
        rows = [
            Gates(name, tokens, (gates.mean(dim=0) if head == MEAN else gates[head]).tolist())
            for name, gates in ((name, of[layer - 1]) for name, of in self.gates(ids).items())
        ]
        return gates_view(rows, where)

    def ids(self) -> list[int]:
        """The text's tokens, as many as all models read. Raises ValueError if there are none."""
        ids = self.tokenizer.encode(self.text.value)[: min(model.window for model in self.models.values())]
        if not ids:
            raise ValueError("the text is empty: write a few words")
        return ids

    @torch.no_grad()
    def gates(self, ids: list[int]) -> dict[str, dict[int, Tensor]]:
        """For each model and layer the gates (heads, T); computed once a text."""
        if self._seen is None or self._seen[0] != self.text.value:
            of = {}
            for name, model in self.models.items():
                with trace(model) as seen:
                    model(torch.tensor([ids], device=model.device))
                if not seen.gates:
                    raise ValueError(f"{name} has no gates: show a model with a prefix or an inducer")
                of[name] = {layer: gate[0].cpu() for layer, gate in seen.gates.items()}
            self._seen = (self.text.value, of)
        return self._seen[1]
