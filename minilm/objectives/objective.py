"""Objectives: each hides part of a text, says who may look at whom, and asks for what was hidden.

An `Objective` is a frozen dataclass: the choices one makes, such as the share of tokens to hide. Samplers
(`minilm.objectives.samplers`) say which tokens are read; an objective says what is done with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from minilm.model.visibility import CAUSAL, Visibility, each_row
from minilm.objectives.batch import IGNORE, Batch


@dataclass(frozen=True)
class Example:
    """One text as an objective shows it to a model."""

    tokens: Tensor
    """(T,) int64, what is read."""
    targets: Tensor
    """(T,) int64, what is asked at each position; `IGNORE` where nothing is."""
    visibility: Visibility = CAUSAL
    """Who may look at whom."""


class Objective(ABC):
    """What is done with a text. Subclasses are frozen dataclasses whose fields all have defaults."""

    name: ClassVar[str]
    """As `OBJECTIVES` knows it."""
    lookahead: ClassVar[int] = 0
    """Tokens after those that are read which the targets need."""

    @abstractmethod
    def corrupt(self, tokens: Tensor, generator: torch.Generator) -> Example:
        """What is read of a text (T,), what is asked, and who sees whom.

        Raises:
            ValueError: the tokens are not the ids of one text.
        """

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        """Texts (B, T + lookahead) as one batch of width T."""
        examples = [self.corrupt(row, generator) for row in rows]
        width = rows.size(1) - self.lookahead
        tokens = torch.stack([each.tokens for each in examples])[:, :width]
        targets = torch.stack([each.targets for each in examples])[:, :width]
        return Batch(tokens, targets, visibility=of_all([each.visibility for each in examples]))

    def loss(self, model: Callable[..., Any], batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean of -log P(target) in nats over the targets that count."""
        return cross_entropy(model, batch, label_smoothing)

    def identity(self) -> dict[str, Any]:
        """Name and settings, for a training run to know its checkpoint by."""
        return {"objective": {"name": self.name, **asdict(self)}}  # type: ignore[call-overload]


def cross_entropy(model: Callable[..., Any], batch: Batch, label_smoothing: float = 0.0) -> Tensor:
    """Mean of -log P(target) in nats over the targets that count; 0 where none does."""
    options: dict[str, Any] = {} if batch.attribute is None else {"attribute": batch.attribute}
    if not batch.visibility.is_causal:
        options["visibility"] = batch.visibility
    logits = model(batch.tokens, **options).logits  # (B, T, vocab)
    total = F.cross_entropy(
        logits.flatten(0, 1).float(),
        batch.targets.flatten(),
        ignore_index=IGNORE,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (batch.targets != IGNORE).sum().clamp(min=1)


def of_all(visibilities: list[Visibility]) -> Visibility:
    """The one visibility of all rows, or that of each row."""
    first = visibilities[0]
    return first if all(each is first for each in visibilities) else each_row(visibilities)
