"""Sampling text, one token at a time, with a cache of keys and values.

The next token is drawn from softmax(z / temperature) after two optional filters: top-k keeps the k likeliest tokens,
top-p (nucleus sampling, Holtzman et al. 2020) the fewest whose probabilities reach p. Every row of a batch has a random
stream of its own, drawn from (seed, row): a row gets the same tokens in any batch and on any device, and two equal
prompts get different ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from minilm.generation.requests import (
    check_draws,
    check_finite,
    check_model,
    check_prompt,
    check_settings,
    rows_of,
)
from minilm.generation.speculative import Decoder
from minilm.model.passes import evaluating


class Step(NamedTuple):
    """One sampled token of every row."""

    token: Tensor
    """(B,) ids."""
    probability: Tensor
    """(B,) probability with which each was drawn; under greedy choice, the model's own probability."""
    logits: Tensor
    """(B, vocab) before temperature and filters."""


def generate(
    model,
    tokens: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
    attribute: Tensor | None = None,
    slide: bool = True,
) -> Tensor:
    """Continue tokens (B, T) by `max_new_tokens`: (B, T + new), the prompt first.

    Args:
        model: a `MiniLM` or a tuned model.
        temperature: 0 picks the likeliest token; below 1 sharpens, above 1 flattens.
        seed: makes the sample repeatable; None draws a fresh one.
        stop_token: a row that produces it is filled up with it.
        attribute: (B, m) tokens, for tuned models that take one.
        slide: beyond the context, reread the last `model.window` tokens for every new one, and warn
            that the beginning is forgotten; False makes it an error.

    Raises:
        ValueError: an empty prompt, an id outside the vocabulary, a setting out of range, or a text
            longer than the context with `slide=False`; or weights that are not numbers (on a CPU).
    """
    steps = stream(
        model,
        tokens,
        max_new_tokens,
        temperature,
        top_k,
        top_p,
        seed,
        stop_token,
        attribute=attribute,
        slide=slide,
    )
    new = [step.token for step in steps]
    if not new:
        return tokens
    # Once every row has stopped, the last token is the stop token.
    new += new[-1:] * (max_new_tokens - len(new))
    return torch.cat([tokens.to(new[0].device), torch.stack(new, dim=1)], dim=1)


def complete(
    model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
    attribute: Tensor | None = None,
) -> list[list[int]]:
    """Continuations of prompts that differ in length, decoded together; each ends before its stop token."""
    texts = rows_of(prompts)
    lengths = torch.tensor([len(text) for text in texts])
    tokens = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)  # (B, T)
    steps = stream(
        model,
        tokens,
        max_new_tokens,
        temperature,
        top_k,
        top_p,
        seed,
        stop_token,
        lengths,
        attribute,
        slide=False,
    )
    new = torch.cat([tokens[:, :0], *(step.token[:, None].cpu() for step in steps)], dim=1).tolist()
    return [row[: row.index(stop_token)] if stop_token in row else row for row in new]


def stream(
    model,
    tokens: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
    lengths: Tensor | None = None,
    attribute: Tensor | None = None,
    slide: bool = True,
) -> Iterator[Step]:
    """The same, a `Step` at a time; it ends early once every row has produced the stop token.

    `lengths` (B,) says how many tokens of each right-padded row are real; such rows cannot slide. Errors are as for
    `generate`, and are raised by this call, before the first token is drawn.
    """
    check_model(model)
    check_settings(max_new_tokens, temperature, top_k, top_p)
    check_draws(model, seed, stop_token, attribute)
    check_prompt(model, tokens, max_new_tokens, slide, lengths)
    decoder = Decoder(model, tokens.to(model.device), max_new_tokens, lengths, attribute)
    draws = uniform_draws(seed, tokens.size(0), max_new_tokens).to(model.device)
    return _stream(decoder, draws, temperature, top_k, top_p, stop_token)


@torch.no_grad()
def _stream(
    decoder: Decoder,
    draws: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    stop: int | None,
) -> Iterator[Step]:
    stopped = torch.zeros(draws.size(0), dtype=torch.bool, device=draws.device)
    token, on_cpu = None, draws.device.type == "cpu"
    for draw in draws.unbind(dim=1):
        with evaluating(decoder.model):  # entered anew for each step: the caller may train in between
            logits = decoder.next_logits(token)  # (B, vocab)
        probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
        token = probabilities.argmax(dim=-1) if temperature == 0 else pick(probabilities, draw)
        if stop is not None:
            token = token.masked_fill(stopped, stop)
            stopped = token == stop
        probability = probabilities.gather(1, token[:, None])[:, 0]
        if on_cpu:  # an accelerator would have to wait at every token
            check_finite(probability)
        yield Step(token, probability, logits)
        if stop is not None and stopped.all():
            return


def next_token_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The distribution (B, vocab) that a token is drawn from, given logits (B, vocab)."""
    logits = logits.float()
    # With the largest at 0, the tiniest temperature can only overflow to -inf.
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / (temperature or 1.0)
    if top_k is not None and top_k < logits.size(-1):
        threshold = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    probabilities = logits.softmax(dim=-1)
    return probabilities if top_p is None or top_p == 1 else keep_nucleus(probabilities, top_p)


def keep_nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """The fewest likeliest tokens whose probabilities reach top_p, scaled to sum to 1."""
    ranked, order = probabilities.sort(dim=-1, descending=True)
    # Mass of the tokens ranked above: 0 for the first, which always stays.
    before = ranked.cumsum(dim=-1) - ranked
    kept = ranked.masked_fill(before >= top_p, 0.0)
    kept = kept / kept.sum(dim=-1, keepdim=True)
    return torch.zeros_like(probabilities).scatter(-1, order, kept)


def uniform_draws(seed: int | None, n_row: int, n_step: int) -> Tensor:
    """(B, new) numbers in [0, 1), one stream a row, made on the CPU so that every device gets the same."""
    # A fresh seed comes from a fresh generator, so that torch's own stays as it is.
    seed = torch.Generator().seed() if seed is None else seed
    streams = [torch.Generator().manual_seed((seed * 1_000_003 + row) % 2**63) for row in range(n_row)]
    return torch.stack(
        [torch.rand(n_step, generator=generator, dtype=torch.float64) for generator in streams]
    )


def pick(probabilities: Tensor, draw: Tensor) -> Tensor:
    """The token (B,) at which the cumulative distribution first exceeds the draw (B,)."""
    cumulative = probabilities.double().cumsum(dim=-1)  # (B, vocab)
    target = (draw * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=probabilities.size(-1) - 1)
