"""How the next token is drawn: temperature, top-k, top-p and seed, checked once and kept together.

The next token is drawn from softmax(z / temperature) after two optional filters: top-k keeps the k likeliest tokens,
top-p (nucleus sampling, Holtzman et al. 2020) the fewest tokens whose probabilities reach p. Every row of a batch has a
random stream of its own, made from (seed, row): a row gets the same tokens in any batch and on any device, and two equal
prompts get different ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from minilm.system.checks import number, whole
from minilm.system.streams import stream


@dataclass(frozen=True)
class Sampling:
    """The settings of a sampler.

    Raises:
        ValueError: a setting is out of range.
    """

    temperature: float = 1.0
    """0 picks the likeliest token; below 1 sharpens the distribution, above 1 flattens it."""
    top_k: int | None = None
    """Draw from the k likeliest tokens only; None draws from all."""
    top_p: float | None = None
    """Draw from the fewest likeliest tokens whose probabilities reach p, 0 < p <= 1; None draws from all."""
    seed: int | None = None
    """Makes a sample repeatable; None draws a fresh one."""

    def __post_init__(self) -> None:
        number("temperature", self.temperature, least=0)
        if self.top_k is not None:
            whole("top_k", self.top_k, least=1)
        check_top_p(self.top_p)
        if self.seed is not None:
            whole("seed", self.seed)

    def probabilities(self, logits: Float[Tensor, "batch vocab"]) -> Float[Tensor, "batch vocab"]:
        """The distribution that the next token is drawn from."""
        return next_token_probabilities(logits, self.temperature, self.top_k, self.top_p)

    def pick(
        self, probabilities: Float[Tensor, "batch vocab"], draw: Float[Tensor, " batch"]
    ) -> Int[Tensor, " batch"]:
        """One token for each row, given a number in [0, 1) for each."""
        return probabilities.argmax(dim=-1) if self.temperature == 0 else pick(probabilities, draw)

    def draws(self, n_row: int, n_step: int) -> Float64[Tensor, "n_row n_step"]:
        """The numbers in [0, 1) that decide each token of each row."""
        return uniform_draws(self.seed, n_row, n_step)


def check_settings(max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise ValueError naming the first setting that is out of range; a temperature of 0 is greedy."""
    whole("max_new_tokens", max_new_tokens, least=0)
    Sampling(temperature, top_k, top_p)


def check_top_p(top_p: float | None) -> None:
    """Raise ValueError unless there is a share of the probability to keep."""
    if top_p is not None and (number("top_p", top_p) <= 0 or top_p > 1):
        raise ValueError(f"top_p must lie in (0, 1] or be None, not {top_p!r}")


def next_token_probabilities(
    logits: Float[Tensor, "batch vocab"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The distribution that a token is drawn from, given its logits.

    >>> next_token_probabilities(torch.tensor([[1.0, 3.0, 3.0]]), top_k=2)
    tensor([[0.0000, 0.5000, 0.5000]])
    """
    logits = logits.float()
    # With the largest at 0, the tiniest temperature can only overflow to -inf.
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / (temperature or 1.0)
    if top_k is not None and top_k < logits.size(-1):
        threshold = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    probabilities = logits.softmax(dim=-1)
    return probabilities if top_p is None or top_p == 1 else keep_nucleus(probabilities, top_p)


def keep_nucleus(probabilities: Float[Tensor, "*rows vocab"], top_p: float) -> Float[Tensor, "*rows vocab"]:
    """The fewest likeliest tokens whose probabilities reach top_p, scaled to sum to 1; 0 for all others.

    >>> keep_nucleus(torch.tensor([0.5, 0.3, 0.2]), top_p=0.8)
    tensor([0.6250, 0.3750, 0.0000])
    """
    ranked, order = probabilities.sort(dim=-1, descending=True)
    # Mass of the tokens ranked above: 0 for the first, which always stays.
    before = ranked.cumsum(dim=-1) - ranked
    kept = ranked.masked_fill(before >= top_p, 0.0)
    kept = kept / kept.sum(dim=-1, keepdim=True)
    return torch.zeros_like(probabilities).scatter(-1, order, kept)


def uniform_draws(seed: int | None, n_row: int, n_step: int) -> Float64[Tensor, "n_row n_step"]:
    """Numbers in [0, 1), one stream a row, made on the CPU so that every device gets the same."""
    # A fresh seed comes from a fresh generator, so that torch's own stays as it is.
    seed = torch.Generator().seed() if seed is None else seed
    rows = [torch.rand(n_step, generator=stream(seed, row), dtype=torch.float64) for row in range(n_row)]
    return torch.stack(rows)


def pick(probabilities: Float[Tensor, "batch vocab"], draw: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """The token at which the cumulative distribution first exceeds the draw.

    >>> pick(torch.tensor([[0.2, 0.5, 0.3]]), torch.tensor([0.6]))
    tensor([1])
    """
    cumulative = probabilities.double().cumsum(dim=-1)  # (B, vocab)
    target = (draw * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=probabilities.size(-1) - 1)
