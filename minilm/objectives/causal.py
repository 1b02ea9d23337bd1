"""The causal objective: at every position, the next token (Radford et al. 2018, Eq. 1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from minilm.objectives.batch import IGNORE, Batch


def next_token_loss(model, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
    """Mean of -log P(target) in nats over the targets that count; 0 where none does."""
    options = {} if batch.attribute is None else {"attribute": batch.attribute}
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
