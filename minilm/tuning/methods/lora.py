"""LoRA: a low-rank change of any linear map (Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2022).

    y = xW + (alpha / rank) drop(x) A B  (+ b)          A: (d_in, rank), B: (rank, d_out)          Eq. 3

A starts random and B at zero, so that tuning starts at the base model; were both zero, neither would get a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.model.passes import dropout
from minilm.model.sites import LINEAR_SITES, Delta, Place
from minilm.system.checks import flag, names, number, share, whole
from minilm.tuning.linear_maps import linear_at, place_of
from minilm.tuning.method import Attachment, Method


@dataclass(frozen=True)
class LoRA(Method):
    """Settings of LoRA.

    Raises:
        ValueError: a setting is out of range, or a target is not a linear site.
    """

    name: ClassVar[str] = "lora"
    acts_at: ClassVar[str] = "query, value (any linear map)"
    published: ClassVar[dict[str, Any]] = {
        "learning_rate": 2e-4,
        "weight_decay": 0.01,
        "warmup_steps": 500,
        "label_smoothing": 0.1,
    }

    rank: int = 8
    """Rank of the change."""
    alpha: float = 16.0
    """The change is scaled by alpha / rank."""
    targets: tuple[str, ...] = ("query", "value")
    """Linear maps to change: query, key, value, output, up, down."""
    dropout: float = 0.0
    """Share of inputs dropped on the low-rank path."""
    bias: bool = False
    """Also add a trained vector to every target's output."""
    rank_stabilised: bool = False
    """Scale by alpha / sqrt(rank) instead (rsLoRA, Kalajdzievski 2023)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", names("targets", self.targets, LINEAR_SITES))
        whole("rank", self.rank, least=1)
        number("alpha", self.alpha)
        share("dropout", self.dropout)
        flag("bias", self.bias)
        flag("rank_stabilised", self.rank_stabilised)

    @property
    def scale(self) -> float:
        """The factor of A B."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilised else self.rank)

    def build(self, base: MiniLM) -> LoRAAttachment:
        return LoRAAttachment(base, self)


class LowRank(nn.Module):
    """The change of one map: x (..., d_in) to (..., d_out)."""

    def __init__(self, linear: nn.Linear, settings: LoRA):
        super().__init__()
        d_in, d_out = linear.in_features, linear.out_features
        self.scale, self.dropout = settings.scale, settings.dropout
        self.A = nn.Parameter(torch.empty(d_in, settings.rank).uniform_(-(d_in**-0.5), d_in**-0.5))
        self.B = nn.Parameter(torch.zeros(settings.rank, d_out))
        self.bias = nn.Parameter(torch.zeros(d_out)) if settings.bias else None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = dropout(x, self.dropout, self)
        change = (x @ self.A) @ (self.scale * self.B)  # (..., rank) -> (..., d_out)
        return change if self.bias is None else change + self.bias


class LoRAAttachment(Attachment):
    """One `LowRank` at every target of every layer."""

    def __init__(self, base: MiniLM, settings: LoRA):
        super().__init__()
        self.settings = settings
        self.changes = nn.ModuleDict()
        for layer in range(base.config.n_layer):
            for target in settings.targets:
                linear = linear_at(base, target, layer)
                largest = min(linear.in_features, linear.out_features)
                if settings.rank > largest:
                    raise ValueError(
                        f"LoRA's rank {settings.rank} exceeds {largest}, the rank of the {target} map itself"
                    )
                self.changes[f"{target}-{layer}"] = LowRank(linear, settings)

    def deltas(self) -> dict[Place, Delta]:
        return {place_of(key): cast(LowRank, change) for key, change in self.changes.items()}

    def merge_into(self, model: MiniLM) -> None:
        """W <- W + scale A B; a linear layer holds W transposed."""
        for key, module in self.changes.items():
            linear, change = linear_at(model, *place_of(key)), cast(LowRank, module)
            linear.weight.add_((change.scale * change.A @ change.B).T)
            if change.bias is not None:
                linear.bias.add_(change.bias)
