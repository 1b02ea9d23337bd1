"""Numbers that say how good a model is, in units that can be compared across tokenizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int
from torch import Tensor

from minilm.generation.requests import check_model
from minilm.model.interface import LanguageModel
from minilm.model.passes import evaluating
from minilm.model.tokens import id_row
from minilm.objectives.batch import IGNORE, Batch
from minilm.objectives.causal import next_token_loss
from minilm.system.checks import whole


class Perplexity(NamedTuple):
    """How well a model predicts a text."""

    nats_per_token: float
    """Mean of -log P(token); the training loss."""
    n_token: int
    """Tokens that were predicted."""

    @property
    def value(self) -> float:
        """exp(nats per token): the number of equally likely tokens the model is as unsure as."""
        return math.exp(self.nats_per_token)

    def bits_per_byte(self, n_byte: int) -> float:
        """Bits for the whole text over its bytes: comparable across tokenizers."""
        return bits_per_byte(self.nats_per_token, self.n_token, n_byte)


def bits_per_byte(nats_per_token: float, n_token: int, n_byte: int) -> float:
    """A loss in a unit that does not depend on the tokenizer.

    >>> bits_per_byte(math.log(2), n_token=100, n_byte=400)
    0.25
    """
    return nats_per_token * n_token / math.log(2) / n_byte


@torch.no_grad()
def perplexity(model: LanguageModel, tokens: Tensor | Sequence[int], batch_size: int = 16) -> Perplexity:
    """Perplexity of one text, every token after the first predicted once.

    >>> from minilm import MiniLM, ModelConfig
    >>> perplexity(MiniLM(ModelConfig.preset("tiny")), [1, 2, 3]).n_token
    2

    The text is read in windows that overlap by half, and a token is scored in the window that gives it at
    least half a window of context (the first window scores all of its tokens).

    Raises:
        ValueError: fewer than two tokens, several texts, or what is not a row of ids.
    """
    check_model(model)
    whole("batch_size", batch_size, least=1)
    if isinstance(tokens, Tensor) and tokens.dim() == 2 and len(tokens) == 1:
        tokens = tokens[0]
    tokens = id_row(tokens)
    if len(tokens) < 2:
        raise ValueError(f"a text of {len(tokens)} tokens leaves nothing to predict; it needs two or more")
    window = min(model.window, len(tokens) - 1)
    stride = max(window // 2, 1)
    total, scored_until = 0.0, 0
    with evaluating(model):
        for starts in torch.split(torch.arange(0, len(tokens) - window + stride - 1, stride), batch_size):
            starts = starts.clamp(max=len(tokens) - 1 - window)
            index = starts[:, None] + torch.arange(window)  # (B, T)
            loss = token_losses(model, tokens[index], tokens[index + 1])  # (B, T)
            for start, row in zip(starts.tolist(), loss, strict=True):
                total += row[scored_until - start :].sum().item()
                scored_until = start + window
    return Perplexity(total / (len(tokens) - 1), len(tokens) - 1)


def token_losses(
    model: LanguageModel, tokens: Int[Tensor, "batch time"], targets: Int[Tensor, "batch time"]
) -> Float64[Tensor, "batch time"]:
    """-log P(target) in nats for every position."""
    logits = model(tokens.to(model.device)).logits.float()  # (B, T, vocab)
    return F.cross_entropy(logits.transpose(1, 2), targets.to(model.device), reduction="none").double()


@torch.no_grad()
def mean_loss(model: LanguageModel, batches: Sequence[Batch]) -> float:
    """Loss in nats per token over fixed batches, each target weighing the same.

    Raises:
        ValueError: there is no target to predict in any batch.
    """
    total, count = 0.0, 0
    with evaluating(model):
        for batch in batches:
            n_target = int((batch.targets != IGNORE).sum())
            total += next_token_loss(model, batch.to(model.device)).item() * n_target
            count += n_target
    if not count:
        raise ValueError("there is nothing to predict: the batches hold no target")
    return total / count
