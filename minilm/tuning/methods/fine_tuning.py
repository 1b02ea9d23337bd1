"""Full fine-tuning: a copy of every weight, trained. The baseline of all methods that train less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.tuning.method import Attachment, Method


@dataclass(frozen=True)
class FullFineTuning(Method):
    """Train everything. It has no settings; the base is kept, its copy is trained."""

    name: ClassVar[str] = "fine-tuning"
    acts_at: ClassVar[str] = "every weight"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 6.25e-5, "warmup_steps": 500}
    suited: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3}

    def build(self, base: MiniLM) -> OwnWeights:
        return OwnWeights(base, [name for name, _ in base.named_parameters()])


class OwnWeights(Attachment):
    """Trained copies of some of the base's weights, which stand in for them in every pass."""

    def __init__(self, base: MiniLM, names: Iterable[str]):
        super().__init__()
        originals = dict(base.named_parameters())
        # A parameter's name must not contain a dot.
        self.copies = nn.ParameterDict(
            {name.replace(".", "/"): nn.Parameter(originals[name].detach().clone()) for name in names}
        )

    def weights(self) -> dict[str, Tensor]:
        return {key.replace("/", "."): copy for key, copy in self.copies.items()}

    def merge_into(self, model: MiniLM) -> None:
        model.load_state_dict(self.weights(), strict=False)
