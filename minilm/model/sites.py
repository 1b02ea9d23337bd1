"""Named places in a forward pass where something may be added: the base model's only door.

He et al., *Towards a Unified View of Parameter-Efficient Transfer Learning* (2022), showed that tuning
methods differ in where they act and in what they add. So the model names places and adds whatever it
finds there; it knows no method. A place is a pair (site, layer), and what is added there is a *delta*:

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

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from minilm.model.attention import Attended
from minilm.model.interface import Reading
from minilm.model.slots import Memory

LINEAR_SITES = ("query", "key", "value", "output", "up", "down")
SUBLAYER_SITES = ("attention_out", "mlp", "block")
LAYER_SITES = (*LINEAR_SITES, "memory", "attention", *SUBLAYER_SITES)
SITES = ("embedding", *LAYER_SITES, "logits")

Place = tuple[str, int | None]


class AttentionDelta(NamedTuple):
    """What a delta at the `attention` site adds: before the output map, after it, or both."""

    heads: Tensor | None = None
    """(B, H, T, p), added to each head's output."""
    output: Tensor | None = None
    """(B, T, d), added after the output map."""


class OutputDelta(Protocol):
    """Stands at a linear map or sub-layer."""

    def __call__(self, x: Tensor, y: Tensor, /) -> Tensor:
        """What to add to y, which the map or sub-layer has made of x."""


class EmbeddingDelta(Protocol):
    """Stands before the text."""

    def __call__(self, batch_size: int, /) -> Tensor:
        """Virtual tokens (B, l, d)."""


class MemoryDelta(Protocol):
    """Stands before a layer's keys."""

    def __call__(self, batch_size: int, /) -> Memory:
        """Slots, each a key and a value."""


class HeadsDelta(Protocol):
    """Stands behind a layer's attention."""

    def __call__(self, attended: Attended, /) -> AttentionDelta:
        """What to add before and after the output map."""


class LogitsDelta(Protocol):
    """Stands behind the model."""

    def __call__(self, reading: Reading, /) -> Tensor:
        """The shift (B, T, vocab)."""


Delta = OutputDelta | EmbeddingDelta | MemoryDelta | HeadsDelta | LogitsDelta


class Sites:
    """The deltas of one forward pass, by place.

    Args:
        deltas: for each (site, layer), its deltas, in the order in which they are added.
        position_offset: index of the first text position; a prefix that takes up positions moves it.
    """

    def __init__(self, deltas: Mapping[Place, Iterable[Delta]] | None = None, position_offset: int = 0):
        self.deltas: dict[Place, tuple[Any, ...]] = {p: tuple(here) for p, here in (deltas or {}).items()}
        self.position_offset = position_offset
        for site, layer in self.deltas:
            if site not in SITES:
                raise ValueError(
                    f"there is no site {site!r} (layer {layer}); the sites are {', '.join(SITES)}"
                )
            if (layer is None) != (site not in LAYER_SITES):
                raise ValueError(
                    f"the site {site!r} cannot be at layer {layer}: only embedding and logits have the layer None"
                )

    def at(self, site: str, layer: int | None = None) -> tuple[Delta, ...]:
        """The deltas at one place, possibly none."""
        return self.deltas.get((site, layer), ())

    def add(self, site: str, layer: int, x: Tensor, y: Tensor) -> Tensor:
        """y plus every delta at a linear map or sub-layer that turned x into y."""
        here: tuple[OutputDelta, ...] = self.deltas.get((site, layer), ())
        for delta in here:
            y = y + delta(x, y)
        return y

    def embedding_rows(self, batch_size: int) -> list[Tensor]:
        """Virtual tokens (B, l, d) to be read before the text."""
        here: tuple[EmbeddingDelta, ...] = self.deltas.get(("embedding", None), ())
        return [delta(batch_size) for delta in here]

    def memory(self, layer: int, batch_size: int) -> list[Memory]:
        """Extra keys and values that every query of this layer may attend to."""
        here: tuple[MemoryDelta, ...] = self.deltas.get(("memory", layer), ())
        return [delta(batch_size) for delta in here]

    def attention(self, layer: int, attended: Attended) -> tuple[Tensor, Tensor | None]:
        """The heads' output (B, H, T, p) with its deltas, and what is to be added after the output map."""
        heads, output = attended.output, None
        here: tuple[HeadsDelta, ...] = self.deltas.get(("attention", layer), ())
        for delta in here:
            change = delta(attended)
            heads = heads if change.heads is None else heads + change.heads
            if change.output is not None:
                output = change.output if output is None else output + change.output
        return heads, output

    def shift(self, reading: Reading) -> Tensor:
        """The logits (B, T, vocab) with the shift of every delta at the `logits` site added in turn."""
        here: tuple[LogitsDelta, ...] = self.deltas.get(("logits", None), ())
        for delta in here:
            reading = replace(reading, logits=reading.logits + delta(reading))
        return reading.logits


NO_SITES = Sites()


def concatenate_rows(rows: list[Tensor], x: Tensor) -> Tensor:
    """Virtual rows (B, l, d) before the text's (B, T, d)."""
    return torch.cat([*(row.to(x.dtype) for row in rows), x], dim=1)
