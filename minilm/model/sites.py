"""Named places in a forward pass where something may be added: the base model's only door.

He et al., *Towards a Unified View of Parameter-Efficient Transfer Learning* (2022), showed that tuning
methods differ in where they act and in what they add. So the model names places and adds whatever stands
there; it knows no method. A place is a pair (site, layer), and what stands there is a *delta*:

| site                                            | a delta is called as                     | and returns                          |
|-------------------------------------------------|------------------------------------------|--------------------------------------|
| `query` `key` `value` `output` `up` `down`      | `delta(x, y)`, for the map y = xW + b    | what to add to y                     |
| `attention_out` `mlp` `block`                   | `delta(x, y)`, a sub-layer's in and out  | what to add to y                     |
| `embedding` (layer None)                        | `delta(batch_size)`                      | rows (B, l, d) to put before the text|
| `memory`                                        | `delta(batch_size)`                      | `Memory(keys, values)`               |
| `attention`                                     | `delta(attended)`                        | `AttentionDelta(heads, output)`      |
| `logits` (layer None)                           | `delta(reading)`                         | the shift (B, T, vocab)              |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minilm.model.interface import Reading

LINEAR_SITES = ("query", "key", "value", "output", "up", "down")
SUBLAYER_SITES = ("attention_out", "mlp", "block")
LAYER_SITES = (*LINEAR_SITES, "memory", "attention", *SUBLAYER_SITES)
SITES = ("embedding", *LAYER_SITES, "logits")

Place = tuple[str, int | None]
Delta = Callable[..., Any]


class Memory(NamedTuple):
    """What a delta at the `memory` site adds: slots that every query of its row may attend to."""

    keys: Tensor
    """(B, H, l, p)."""
    values: Tensor
    """(B, H, l, p)."""
    seen: Tensor | None = None
    """(B, l) booleans, False where a row has fewer slots than others; None if all have all."""


class AttentionDelta(NamedTuple):
    """What a delta at the `attention` site adds: before the output map, after it, or both."""

    heads: Tensor | None = None
    """(B, H, T, p), added to each head's output."""
    output: Tensor | None = None
    """(B, T, d), added after the output map."""


class Sites:
    """The deltas of one forward pass, by place.

    Args:
        deltas: for each (site, layer), the deltas that stand there, in the order they are added.
        position_offset: index of the first text position; a prefix that takes up positions moves it.
    """

    def __init__(self, deltas: Mapping[Place, Iterable[Delta]] | None = None, position_offset: int = 0):
        self.deltas = {place: tuple(here) for place, here in (deltas or {}).items()}
        self.position_offset = position_offset
        for site, layer in self.deltas:
            if site not in SITES:
                raise ValueError(
                    f"there is no site {site!r} (layer {layer}); the sites are {', '.join(SITES)}"
                )
            if (layer is None) != (site not in LAYER_SITES):
                raise ValueError(
                    f"the site {site!r} cannot stand at layer {layer}: only embedding and logits have the layer None"
                )

    def at(self, site: str, layer: int | None = None) -> tuple[Delta, ...]:
        """The deltas standing at one place, possibly none."""
        return self.deltas.get((site, layer), ())

    def add(self, site: str, layer: int, x: Tensor, y: Tensor) -> Tensor:
        """y plus every delta at a linear map or sub-layer that turned x into y."""
        for delta in self.deltas.get((site, layer), ()):
            y = y + delta(x, y)
        return y

    def embedding_rows(self, batch_size: int) -> list[Tensor]:
        """Virtual tokens (B, l, d) to be read before the text."""
        return [delta(batch_size) for delta in self.at("embedding")]

    def memory(self, layer: int, batch_size: int) -> list[Memory]:
        """Extra keys and values that every query of this layer may attend to."""
        return [delta(batch_size) for delta in self.at("memory", layer)]

    def attention(self, layer: int, attended: Any) -> tuple[Tensor, Tensor | None]:
        """The heads' output (B, H, T, p) with its deltas, and what is to be added after the output map."""
        heads, output = attended.output, None
        for delta in self.at("attention", layer):
            change = delta(attended)
            heads = heads if change.heads is None else heads + change.heads
            if change.output is not None:
                output = change.output if output is None else output + change.output
        return heads, output

    def shift(self, reading: Reading) -> Tensor:
        """The logits (B, T, vocab) with the shift of every delta at the `logits` site added in turn."""
        for delta in self.at("logits"):
            reading = replace(reading, logits=reading.logits + delta(reading))
        return reading.logits


NO_SITES = Sites()


def concatenate_rows(rows: list[Tensor], x: Tensor) -> Tensor:
    """Virtual rows (B, l, d) before the text's (B, T, d)."""
    return torch.cat([*(row.to(x.dtype) for row in rows), x], dim=1)


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
