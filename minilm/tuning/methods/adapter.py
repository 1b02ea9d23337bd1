"""Adapters in sequence: a bottleneck after a sub-layer.

    h <- h + relu(h W_down + b_down) W_up + b_up         h: a sub-layer's output, before it joins the residual stream

Houlsby et al. (*Parameter-Efficient Transfer Learning for NLP*, 2019) place one after attention and one after the MLP,
Pfeiffer et al. (*AdapterFusion*, 2021) after the MLP only. W_up = 0 at the start leaves the base as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.model.sites import Delta, Place
from minilm.system.checks import flag, one_of, whole
from minilm.tuning.linear_maps import place_of
from minilm.tuning.method import Attachment, Method

PLACEMENTS = {"pfeiffer": ("mlp",), "houlsby": ("attention_out", "mlp"), "block": ("block",)}
"""Sites of each placement; "block" adapts the residual stream itself, once a layer."""


@dataclass(frozen=True)
class Adapter(Method):
    """Settings of sequential adapters.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "adapter"
    acts_at: ClassVar[str] = "mlp (attention_out, block)"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3, "warmup_steps": 500}

    bottleneck: int = 16
    """Width between the two maps."""
    placement: str = "pfeiffer"
    """"pfeiffer" (after the MLP), "houlsby" (after attention and MLP), "block" (after the block)."""
    layer_norm: bool = False
    """A LayerNorm of its own before the first map."""

    def __post_init__(self) -> None:
        one_of("placement", self.placement, PLACEMENTS)
        whole("bottleneck", self.bottleneck, least=1)
        flag("layer_norm", self.layer_norm)

    def build(self, base: MiniLM) -> Bottlenecks:
        width = base.config.d_model
        return Bottlenecks(
            base,
            PLACEMENTS[self.placement],
            lambda: Bottleneck(width, self.bottleneck, layer_norm=self.layer_norm),
        )


class Bottleneck(nn.Module):
    """Returns what to add to a sub-layer's output (B, T, d).

    Args:
        reads_input: it reads what the sub-layer has read, in place of what the sub-layer has made of it.
        scale: factor of what it returns.
        layer_norm: a LayerNorm of its own before the first map.
    """

    def __init__(
        self,
        d_model: int,
        bottleneck: int,
        reads_input: bool = False,
        scale: float = 1.0,
        layer_norm: bool = False,
    ):
        super().__init__()
        self.reads_input, self.scale = reads_input, scale
        self.norm = nn.LayerNorm(d_model) if layer_norm else nn.Identity()
        self.down = nn.Linear(d_model, bottleneck)
        self.up = nn.Linear(bottleneck, d_model)
        # Kaiming's initialisation on the way in, zero on the way out: the first pass adds nothing.
        nn.init.kaiming_uniform_(self.down.weight, nonlinearity="relu")
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hidden = F.relu(self.down(self.norm(x if self.reads_input else y)))  # (B, T, r)
        added: Tensor = self.scale * self.up(hidden)  # (B, T, d)
        return added


class Bottlenecks(Attachment):
    """One small module at each of some sites of every layer."""

    def __init__(self, base: MiniLM, sites: Iterable[str], make: Callable[[], Bottleneck]):
        super().__init__()
        self.adapters = nn.ModuleDict(
            {f"{site}-{layer}": make() for layer in range(base.config.n_layer) for site in sites}
        )

    def deltas(self) -> dict[Place, Delta]:
        return {place_of(key): cast(Bottleneck, each) for key, each in self.adapters.items()}
