"""The causal objective: at every position, the next token (Radford et al. 2018, Eq. 1).

hides nothing; position i sees j <= i; asks for the next token

L = -1/T sum_t log P(x_{t+1} | x_1 .. x_t)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from minilm.model.tokens import id_row
from minilm.objectives.batch import IGNORE, Batch
from minilm.objectives.objective import Example, Objective, cross_entropy


@dataclass(frozen=True)
class CausalLM(Objective):
    """Predict the next token from those before it."""

    name: ClassVar[str] = "causal"
    lookahead: ClassVar[int] = 1

    def corrupt(self, tokens: Tensor, generator: torch.Generator) -> Example:
        """All tokens, each asked for the one after it; after the last there is none."""
        tokens = id_row(tokens)
        return Example(tokens, torch.cat([tokens[1:], tokens.new_full((min(len(tokens), 1),), IGNORE)]))

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        """Texts (B, T + 1) as one batch of width T."""
        return Batch(rows[:, :-1], rows[:, 1:])

    def identity(self) -> dict[str, Any]:
        """Nothing: runs from before there were other objectives say nothing of theirs."""
        return {}


next_token_loss = cross_entropy
"""The loss of `CausalLM`, for a batch whose targets are the next tokens."""
