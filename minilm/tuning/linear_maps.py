"""Places of the model by name: the linear map that a site is named after, and keys such as "query-3"."""

from __future__ import annotations

from typing import Any

from torch import nn

from minilm.model.model import MiniLM


def linear_at(model: MiniLM, site: str, layer: int) -> nn.Linear:
    """The map at `query`, `key`, `value`, `output`, `up` or `down` of a layer."""
    block: Any = model.blocks[layer]
    linear: nn.Linear = getattr(block.mlp if site in ("up", "down") else block.attention, site)
    return linear


def place_of(key: str) -> tuple[str, int]:
    """ "query-3" -> ("query", 3)."""
    target, _, layer = key.partition("-")
    return target, int(layer)
