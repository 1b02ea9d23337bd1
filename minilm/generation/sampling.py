"""Sampling text, one token at a time, with a cache of keys and values.

The next token is drawn from softmax(z / temperature) after two optional filters: top-k keeps the k likeliest tokens,
top-p (nucleus sampling, Holtzman et al. 2020) the fewest whose probabilities reach p. Every row of a batch has a random
stream of its own, drawn from (seed, row): a row gets the same tokens in any batch and on any device, and two equal
prompts get different ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from minilm.generation.speculative import Decoder
from minilm.model.passes import evaluating
from minilm.model.tokens import check_ids


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
            longer than the context with `slide=False`.
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
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ValueError("every prompt needs at least one token; start a text with tok.end_of_text")
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    tokens = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
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
    check_settings(max_new_tokens, temperature, top_k, top_p)
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
    token = None
    for draw in draws.unbind(dim=1):
        with evaluating(decoder.model):  # entered anew for each step: the caller may train in between
            logits = decoder.next_logits(token)  # (B, vocab)
        probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
        token = probabilities.argmax(dim=-1) if temperature == 0 else pick(probabilities, draw)
        if stop is not None:
            token = token.masked_fill(stopped, stop)
            stopped = token == stop
        yield Step(token, probabilities.gather(1, token[:, None])[:, 0], logits)
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


def check_settings(max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise ValueError naming the first setting that is out of range."""
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must not be negative, but is {max_new_tokens}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be 0 (greedy) or a positive number, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1 or None, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1] or be None, not {top_p}")


def check_prompt(
    model, tokens: Tensor, max_new_tokens: int, slide: bool, lengths: Tensor | None = None
) -> None:
    """Refuse prompts that the model cannot read; warn when the window will have to slide."""
    if tokens.dim() != 2 or tokens.numel() == 0:
        raise ValueError(
            f"a prompt must be a (batch, time) tensor with at least one token, not of shape {tuple(tokens.shape)}; "
            "start a text with tok.end_of_text"
        )
    check_ids(tokens, model.config.vocab_size)
    if lengths is not None and not 1 <= int(lengths.min()) <= int(lengths.max()) <= tokens.size(1):
        raise ValueError(
            f"lengths must lie in 1 .. {tokens.size(1)}, the width of the batch, not {lengths.tolist()}"
        )
    needed = tokens.size(1) + max_new_tokens - 1  # the last token is never read
    if needed > model.window and (not slide or lengths is not None):
        raise ValueError(
            f"a prompt of {tokens.size(1)} tokens and {max_new_tokens} new ones do not fit into a window of "
            f"{model.window}: shorten them, or pass slide=True to forget the beginning"
        )
    if needed > model.window:
        warnings.warn(
            f"the text outgrows the window of {model.window} tokens: from there on each token sees only the last "
            f"{model.window}, and is slower",
            stacklevel=4,
        )
