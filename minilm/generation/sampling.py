"""Sampling text, one token at a time, with a cache of keys and values; `settings` says how a token is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minilm.generation.requests import check_draws, check_finite, check_model, check_prompt, rows_of
from minilm.generation.settings import (
    Sampling,
    keep_nucleus,
    next_token_probabilities,
    pick,
    uniform_draws,
)
from minilm.generation.speculative import Decoder
from minilm.model.interface import LanguageModel
from minilm.model.passes import evaluating
from minilm.system.checks import whole

__all__ = [
    "Step",
    "complete",
    "generate",
    "keep_nucleus",
    "next_token_probabilities",
    "pick",
    "stream",
    "uniform_draws",
]


class Step(NamedTuple):
    """One sampled token of every row."""

    token: Tensor
    """(B,) ids."""
    probability: Tensor
    """(B,) probability with which each was drawn; under greedy choice, the model's own probability."""
    logits: Tensor
    """(B, vocab) before temperature and filters."""


def generate(
    model: LanguageModel,
    tokens: Int[Tensor, "batch time"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
    attribute: Int[Tensor, "_ m"] | None = None,
    slide: bool = True,
) -> Int[Tensor, "batch longer"]:
    """Continue tokens (B, T) by `max_new_tokens`: (B, T + new), the prompt first.

    >>> from minilm import MiniLM, ModelConfig
    >>> generate(MiniLM(ModelConfig.preset("tiny")), torch.tensor([[1, 2]]), max_new_tokens=3, seed=0).shape
    torch.Size([1, 5])

    Args:
        model: a `MiniLM` or a tuned model.
        temperature, top_k, top_p, seed: how a token is drawn, see `Sampling`; a temperature of 0 is greedy.
        stop_token: a row that produces it is filled up with it.
        attribute: (B, m) tokens, for tuned models that take one.
        slide: beyond the context, reread the last `model.window` tokens for every new one, and warn
            that the beginning is forgotten; False makes it an error.

    Raises:
        ValueError: an empty prompt, an id outside the vocabulary, a setting out of range, or a text
            longer than the context with `slide=False`; or weights that are not numbers (on a CPU).
    """
    sampling = Sampling(temperature, top_k, top_p, seed)
    steps = _start(model, tokens, max_new_tokens, sampling, stop_token, None, attribute, slide)
    new = [step.token for step in steps]
    if not new:
        return tokens
    # Once every row has stopped, the last token is the stop token.
    new += new[-1:] * (max_new_tokens - len(new))
    return torch.cat([tokens.to(new[0].device), torch.stack(new, dim=1)], dim=1)


def complete(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
    attribute: Int[Tensor, "batch m"] | None = None,
) -> list[list[int]]:
    """Continuations of prompts of different lengths, decoded together; each ends before its stop token."""
    texts = rows_of(prompts)
    lengths = torch.tensor([len(text) for text in texts])
    tokens = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)  # (B, T)
    sampling = Sampling(temperature, top_k, top_p, seed)
    steps = _start(model, tokens, max_new_tokens, sampling, stop_token, lengths, attribute, slide=False)
    new = torch.cat([tokens[:, :0], *(step.token[:, None].cpu() for step in steps)], dim=1).tolist()
    return [row[: row.index(stop_token)] if stop_token in row else row for row in new]


def stream(
    model: LanguageModel,
    tokens: Int[Tensor, "batch time"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
    lengths: Int[Tensor, " batch"] | None = None,
    attribute: Int[Tensor, "batch m"] | None = None,
    slide: bool = True,
) -> Iterator[Step]:
    """Stream the continuation one `Step` at a time; it ends early once every row has produced the stop token.

    `lengths` (B,) says how many tokens of each right-padded row are real; such rows cannot slide. Errors are as for
    `generate`, and are raised by this call, before the first token is drawn.
    """
    sampling = Sampling(temperature, top_k, top_p, seed)
    return _start(model, tokens, max_new_tokens, sampling, stop_token, lengths, attribute, slide)


def _start(
    model: LanguageModel,
    tokens: Tensor,
    max_new_tokens: int,
    sampling: Sampling,
    stop: int | None,
    lengths: Tensor | None,
    attribute: Tensor | None,
    slide: bool,
) -> Iterator[Step]:
    check_model(model)
    whole("max_new_tokens", max_new_tokens, least=0)
    check_draws(model, stop, attribute)
    check_prompt(model, tokens, max_new_tokens, slide, lengths)
    decoder = Decoder(model, tokens.to(model.device), max_new_tokens, lengths, attribute)
    draws = sampling.draws(tokens.size(0), max_new_tokens).to(model.device)
    return _steps(decoder, draws, sampling, stop)


@torch.no_grad()
def _steps(
    decoder: Decoder, draws: Float[Tensor, "batch new"], sampling: Sampling, stop: int | None
) -> Iterator[Step]:
    stopped = torch.zeros(draws.size(0), dtype=torch.bool, device=draws.device)
    token, on_cpu = None, draws.device.type == "cpu"
    for draw in draws.unbind(dim=1):
        with evaluating(decoder.model):  # entered anew for each step: the caller may train in between
            logits = decoder.next_logits(token)  # (B, vocab)
        probabilities = sampling.probabilities(logits)
        token = sampling.pick(probabilities, draw)
        if stop is not None:
            token = token.masked_fill(stopped, stop)
            stopped = token == stop
        probability = probabilities.gather(1, token[:, None])[:, 0]
        if on_cpu:  # an accelerator would have to wait at every token
            check_finite(probability)
        yield Step(token, probability, logits)
        if stop is not None and stopped.all():
            return
