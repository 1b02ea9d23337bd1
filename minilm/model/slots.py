"""Slots before a layer's keys: pairs of key and value that belong to no token, which every query of their row may see.

A prefix has the same slots for all rows of a batch. In a batch of several tuned models a row may lack some of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Memory(NamedTuple):
    """What a delta at the `memory` site adds: slots that every query of its row may attend to."""

    keys: Tensor
    """(B, H, l, p)."""
    values: Tensor
    """(B, H, l, p)."""
    seen: Tensor | None = None
    """(B, l) booleans, False where a row has fewer slots than others; None if all have all."""


def before_text(memory: list[Memory], keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Memory slots before the text's keys and values (B, H, S, p): each (B, H, l + S, p)."""
    all_keys = torch.cat([*(slots.keys.to(keys.dtype) for slots in memory), keys], dim=-2)
    all_values = torch.cat([*(slots.values.to(values.dtype) for slots in memory), values], dim=-2)
    return all_keys, all_values


def present_slots(memory: list[Memory]) -> Tensor | None:
    """(B, l) booleans over the slots of all deltas, False where a row lacks one; None if no row lacks any."""
    if all(slots.seen is None for slots in memory):
        return None
    return torch.cat(
        [
            slots.keys.new_ones(slots.keys[:, 0, :, 0].shape, dtype=torch.bool)
            if slots.seen is None
            else slots.seen
            for slots in memory
        ],
        dim=1,
    )
