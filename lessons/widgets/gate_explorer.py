"""The gates of tuned models over a text of the reader's: the attention that each token gives to what tuning added."""

from __future__ import annotations

from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.model_explorer import LanguageModel, ModelExplorer, Models, traced
from lessons.widgets.views.gates import Gates, gates_view
from minilm import BPETokenizer

MEAN = -1
"""The value of the control for the mean of all heads."""


class GateExplorer(ModelExplorer):
    """The same text under several tuned models, each token shaded by its gate.

        GateExplorer({"prefix": with_prefix, "inducer": with_inducer}, tok, text)

    Args:
        models: tuned models by name, each with a prefix or an inducer.
        text: shown as far as the models' windows reach; may hold special tokens.
        layer: counted from 1.
    """

    def __init__(self, models: Models, tokenizer: BPETokenizer, text: str, layer: int = 1):
        super().__init__(models, tokenizer, text)
        shape = self.model.config
        self.layer = controls.whole("layer", layer, 1, shape.n_layer, "transformer block")
        heads = [("mean of all", MEAN), *((str(head + 1), head) for head in range(shape.n_head))]
        self.head = controls.choice("head", heads, MEAN, "attention head of that block")
        self.arrange([self.text], [self.layer, self.head])

    def view(self) -> str:
        ids, cut = self.beginning(min(model.window for model in self.models.values()))
        tokens = [self.tokenizer.token_bytes(id) for id in ids]
        layer, head = self.layer.value, self.head.value
        where = f"layer {layer}, " + ("mean of all heads" if head == MEAN else f"head {head + 1}")
        chosen = {name: layers[layer - 1] for name, layers in self.gates(ids).items()}
        rows = [
            Gates(name, tokens, (gates.mean(dim=0) if head == MEAN else gates[head]).tolist())
            for name, gates in chosen.items()
        ]
        return gates_view(rows, where, cut)

    def gates(self, ids: list[int]) -> dict[str, dict[int, Tensor]]:
        """For each model and layer the gates (heads, T); computed once for each text.

        Raises:
            ValueError: the text is empty, or a model has no gates.
        """
        return self.once(lambda: {name: self.read(name, model, ids) for name, model in self.models.items()})

    def read(self, name: str, model: LanguageModel, ids: list[int]) -> dict[int, Tensor]:
        """One model's gates (heads, T) for each layer."""
        if not ids:
            raise ValueError("the text is empty: write a few words")
        gates = traced(model, ids).gates
        if not gates:
            raise ValueError(f"{name} has no gates: show a model with a prefix or an inducer")
        return {layer: gate[0].cpu() for layer, gate in gates.items()}
