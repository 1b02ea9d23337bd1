"""Batches: token ids with their targets, and who makes them.

A batch maker is any object with `batch(index) -> Batch` that is a pure function of its index. So the place in the
data is one whole number, any worker can make any batch, and an interrupted run continues with the very same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from minilm.model.tokens import in_words
from minilm.model.visibility import CAUSAL, Visibility

IGNORE = -100
"""A target that no loss counts: padding, prompts, attributes."""


@dataclass(frozen=True)
class Batch:
    """Token ids and what should follow each of them.

    Raises:
        ValueError: they are not tensors of one shape.
    """

    tokens: Tensor
    """(B, T) int64, what the model reads."""
    targets: Tensor
    """(B, T) int64: targets[:, t] should follow tokens[:, t]; `IGNORE` where nothing is asked."""
    attribute: Tensor | None = None
    """(B, m) int64, for methods that take one."""
    visibility: Visibility = CAUSAL
    """Who may look at whom while the tokens are read."""

    def __post_init__(self) -> None:
        for name in ("tokens", "targets", *([] if self.attribute is None else ["attribute"])):
            if not isinstance(getattr(self, name), Tensor):
                raise ValueError(f"{name} must be a tensor of ids, not {in_words(getattr(self, name))}")
        if self.targets.shape != self.tokens.shape:
            raise ValueError(
                f"targets must be of the tokens' shape {tuple(self.tokens.shape)}, one for each, not of "
                f"{tuple(self.targets.shape)}"
            )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        attribute = None if self.attribute is None else self.attribute.to(device)
        return Batch(self.tokens.to(device), self.targets.to(device), attribute, self.visibility)


class BatchMaker(Protocol):
    """Where batches come from; `minilm.objectives.samplers` has several.

    It should also have `identity() -> dict`: its settings by name, and digests of all that it reads
    (`minilm.system.content_digests`). By it a training run knows its own checkpoint; of a maker without one, only some
    batches are compared. And it may have `objective`, whose loss is then trained; without one it is the next token's.
    """

    def batch(self, index: int) -> Batch:
        """The batch with this index, always the same."""
