"""Where the model keeps the linear map that a site is named after."""

from __future__ import annotations

from typing import Any

from torch import nn

from minilm.model.model import MiniLM


def linear_at(model: MiniLM, site: str, layer: int) -> nn.Linear:
    """The map at `query`, `key`, `value`, `output`, `up` or `down` of a layer."""
    block: Any = model.blocks[layer]
    linear: nn.Linear = getattr(block.mlp if site in ("up", "down") else block.attention, site)
    return linear
