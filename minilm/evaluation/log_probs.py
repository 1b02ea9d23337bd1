"""Log-probabilities that a model gives to a text: the numbers behind perplexity, SLOR and the shift of the logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from minilm.model.interface import LanguageModel
from minilm.model.passes import evaluating


@torch.no_grad()
def log_probs(
    model: LanguageModel, tokens: Sequence[int], attribute: Int[Tensor, " m"] | None = None
) -> Float64[Tensor, "time vocab"]:
    """log P of every token that may follow each of `tokens`, in nats, on the CPU.

    >>> from minilm import MiniLM, ModelConfig
    >>> log_probs(MiniLM(ModelConfig.preset("tiny")), [1, 2, 3]).shape
    torch.Size([3, 1024])
    """
    ids = torch.tensor([tokens], device=model.device)  # (1, T)
    with evaluating(model):
        logits = model(ids, attribute=None if attribute is None else attribute[None].to(model.device)).logits
    return logits[0].double().log_softmax(dim=-1).cpu()


def text_log_prob(model: LanguageModel, tokens: Sequence[int]) -> float:
    """ln p(tokens[1:] | tokens[0]), in nats."""
    rows = log_probs(model, tokens[:-1])  # (T - 1, vocab)
    return float(rows.gather(1, torch.tensor(tokens[1:])[:, None]).sum())
