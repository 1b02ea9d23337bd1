"""Parallel adapters: a bottleneck beside the MLP instead of after it (He et al. 2022, section 4.6).

MLP(x) + scale (relu(x W_down + b_down) W_up + b_up)         x: the MLP's own input, after its LayerNorm
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from minilm.model.model import MiniLM
from minilm.system.checks import number, whole
from minilm.tuning.method import Method
from minilm.tuning.methods.adapter import Bottleneck, Bottlenecks


@dataclass(frozen=True)
class ParallelAdapter(Method):
    """Settings of parallel adapters.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "parallel-adapter"
    acts_at: ClassVar[str] = "mlp"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "label_smoothing": 0.1, "warmup_steps": 500}

    bottleneck: int = 16
    """Width between the two maps."""
    scale: float = 1.0
    """Factor of what is added; 4 for summarisation in the paper."""

    def __post_init__(self) -> None:
        whole("bottleneck", self.bottleneck, least=1)
        number("scale", self.scale)

    def build(self, base: MiniLM) -> Bottlenecks:
        width = base.config.d_model
        return Bottlenecks(base, ["mlp"], lambda: Bottleneck(width, self.bottleneck, True, self.scale))
