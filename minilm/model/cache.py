"""Keys and values of tokens already read, in memory set aside once.

Reading token t needs the keys and values of tokens 0 .. t-1 and nothing else of them, so a decoder that keeps these
reads each token once: O(T) passes over one token instead of O(T) passes over the whole text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minilm.model.config import ModelConfig


class KVCache:
    """Room for `capacity` tokens in each of `batch_size` rows.

    Rows may differ in length: read them right-padded in one pass, then call `set_lengths`, and every row continues from
    its own last token, one at a time; what its padding left behind is masked until it is overwritten.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int,
        capacity: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ):
        capacity = config.context_length if capacity is None else capacity
        shape = (config.n_layer, batch_size, config.n_head, capacity, config.head_size)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.capacity = capacity
        self.length = 0
        """Columns in use: tokens read so far by the longest row."""
        self.lengths: Tensor | None = None
        """(B,) tokens read by each row, once they differ."""
        self.n_virtual = 0
        """How many of the columns, the first ones, hold virtual tokens and not the text."""
        self.companions: dict[Any, Any] = {}
        """Whatever a delta must remember between decoding steps, under a key of its own."""

    def positions(self, n_token: int) -> Tensor:
        """Positions of the next tokens: (T,), or (B, T) once the rows differ."""
        steps = torch.arange(n_token, device=self.keys.device)
        return self.length + steps if self.lengths is None else self.lengths[:, None] + steps

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, H, T, p) of new tokens; return all that the layer holds, (B, H, S, p)."""
        n_token = keys.size(-2)
        end = self.length + n_token
        if self.lengths is None:
            self.keys[layer, :, :, self.length : end] = keys
            self.values[layer, :, :, self.length : end] = values
        else:
            rows, columns = torch.arange(keys.size(0), device=keys.device), self.lengths
            self.keys[layer, rows, :, columns] = keys[:, :, 0]
            self.values[layer, rows, :, columns] = values[:, :, 0]
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    @property
    def newest(self) -> Tensor | None:
        """(B,) position in the text of the token that each row reads next, once they differ; None as long as they do not."""
        return None if self.lengths is None else self.lengths - self.n_virtual

    def advance(self, n_token: int) -> None:
        """Count tokens whose keys and values every layer has stored."""
        self.length += n_token
        if self.lengths is not None:
            self.lengths = self.lengths + n_token

    def rewind(self, n_token: int) -> None:
        """Forget the newest tokens of all rows; what they left behind is overwritten by the next."""
        self.length -= n_token

    def set_lengths(self, lengths: Tensor) -> None:
        """After a right-padded first pass: the number of real tokens (B,) in each row."""
        self.lengths = self.length - int(lengths.max()) + lengths.to(self.keys.device)
