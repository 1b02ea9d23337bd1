"""BitFit: train the biases only (Ben Zaken, Goldberg & Ravfogel, *BitFit*, 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from minilm.model.model import MiniLM
from minilm.system.checks import flag
from minilm.tuning.method import Method
from minilm.tuning.methods.fine_tuning import OwnWeights


@dataclass(frozen=True)
class BitFit(Method):
    """Settings of BitFit.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "bitfit"
    acts_at: ClassVar[str] = "biases"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3, "warmup_steps": 500}

    layer_norm: bool = True
    """Also the biases of LayerNorms; they are biases all the same."""

    def __post_init__(self) -> None:
        flag("layer_norm", self.layer_norm)

    def build(self, base: MiniLM) -> OwnWeights:
        names = [name for name, _ in base.named_parameters() if name.endswith(".bias")]
        return OwnWeights(base, [name for name in names if self.layer_norm or "norm" not in name])
