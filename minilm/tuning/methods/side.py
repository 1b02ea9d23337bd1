"""Side-tuning: a second network beside the frozen one, and a learnt mixture of the two (Zhang et al. 2020,
*Side-Tuning: A Baseline for Network Adaptation via Additive Side Networks*).

    R(x) = sigmoid(a) B(x) + (1 - sigmoid(a)) S(x)          a = 0 to begin with                        (Eq. 1)

Both read the same input. A new side network knows nothing, so the mixture starts with logits half as large
as the base's. The paper starts S as a copy of the base, or of a smaller network that was taught to be like
it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from minilm.model.config import ModelConfig
from minilm.model.interface import Output, Reading
from minilm.model.model import MiniLM
from minilm.model.side_caches import own_cache
from minilm.model.sites import Delta, Place
from minilm.system.checks import flag
from minilm.tuning.method import Attachment, Method


@dataclass(frozen=True)
class Side(Method):
    """Settings of side-tuning.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "side"
    acts_at: ClassVar[str] = "logits"
    suited: ClassVar[dict[str, Any]] = {"learning_rate": 1e-1}

    d_model: int = 64
    """Width of the side network."""
    n_layer: int = 2
    """Its transformer blocks."""
    n_head: int = 4
    """Heads in each block."""
    copy: bool = False
    """Start as a copy of the base, whatever the sizes above: then tuning starts at the base itself."""

    def __post_init__(self) -> None:
        flag("copy", self.copy)
        self.config(vocab_size=1, context_length=1)  # refuses sizes that make no model

    def config(self, vocab_size: int, context_length: int) -> ModelConfig:
        """The side network's shape, for a base with this vocabulary and context."""
        return ModelConfig(
            vocab_size=vocab_size,
            context_length=context_length,
            n_layer=self.n_layer,
            n_head=self.n_head,
            d_model=self.d_model,
        )

    def build(self, base: MiniLM) -> SideAttachment:
        return SideAttachment(base, self)


class SideAttachment(Attachment):
    """The side network S and the mixture's a."""

    def __init__(self, base: MiniLM, settings: Side):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))  # a: no matrix, so no weight decay pulls on it
        if settings.copy:
            self.network = deepcopy(base).requires_grad_(True)
        else:
            self.network = MiniLM(settings.config(base.config.vocab_size, base.config.context_length))

    def deltas(self) -> dict[Place, Delta]:
        return {("logits", None): self.shift}

    def shift(self, reading: Reading) -> Tensor:
        """R - B = (1 - sigmoid(a)) (S - B): (B, T, vocab)."""
        cache = own_cache(reading, self.network)
        read: Output = self.network(reading.tokens, cache=cache, visibility=reading.visibility)
        side = read.logits  # (B, T, vocab)
        return torch.sigmoid(-self.gate) * (side - reading.logits)
