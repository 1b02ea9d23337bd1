"""PPLM: steering by gradients during generation, without training a weight (Dathathri et al. 2020, *Plug and Play
Language Models*).

Before each token, a few gradient steps change the keys and values of all earlier tokens, so that the words of a bag
become likelier:

    L = -log sum_{w in bag} p~(w) + 0.01 KL(p~ || p)   H <- H - 0.02 g / |g|^1.5, g = dL/dH, thrice (Eq. 3)
    x_t ~ p~^0.9 p^0.1, among the 10 likeliest                                                  (Section 3.3)

p is the distribution of the unchanged model, p~ the one with the changed keys and values. The changes are kept for
the tokens that follow. Auxiliary tuning pays once, in training; PPLM pays four forward and three backward passes for
every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minilm.generation.requests import check_finite, check_model
from minilm.generation.sampling import next_token_probabilities, pick, uniform_draws
from minilm.model.cache import KVCache
from minilm.model.model import MiniLM
from minilm.model.passes import evaluating
from minilm.model.tokens import check_ids, id_row
from minilm.system.checks import number, whole


@dataclass(frozen=True, kw_only=True)
class PPLM:
    """The paper's settings for bags of words.

    Raises:
        ValueError: a setting is out of range.
    """

    steps: int = 3
    """Gradient steps before each token."""
    step_size: float = 0.02
    """Length of a step, before it is divided by the gradient's norm."""
    gamma: float = 1.5
    """Power of the norm that divides a layer's gradient."""
    kl_scale: float = 0.01
    """Weight of the divergence from the untouched model."""
    fusion: float = 0.9
    """Weight of the changed distribution in the geometric mean that tokens are sampled from."""
    top_k: int = 10
    """Tokens to choose among."""

    def __post_init__(self) -> None:
        whole("steps", self.steps, least=0)
        for name in ("step_size", "gamma", "kl_scale"):
            number(name, getattr(self, name), least=0)
        number("fusion", self.fusion, 0, 1)
        whole("top_k", self.top_k, least=1)

    def generate(
        self,
        model: MiniLM,
        tokens: Int[Tensor, "batch time"],
        bag: Sequence[int],
        max_new_tokens: int,
        seed: int | None = None,
        stop_token: int | None = None,
    ) -> Int[Tensor, "batch longer"]:
        """Continue tokens (B, T) towards the words of a bag: (B, T + new).

        Args:
            bag: ids of the tokens wanted.
            stop_token: a row that produces it is filled up with it.

        Raises:
            ValueError: an empty bag, an id outside the vocabulary, or a text longer than the window.
        """
        check_request(model, tokens, bag, max_new_tokens)
        n_prompt = tokens.size(1)
        tokens, wanted = tokens.to(model.device), id_row(bag, "bag").to(model.device)
        draws = uniform_draws(seed, tokens.size(0), max_new_tokens).to(model.device)  # (B, new)
        with evaluating(model):
            free, past = read(model, tokens[:, :-1], max_new_tokens)
            for draw in draws.unbind(dim=1):
                with torch.no_grad():
                    untouched = model(tokens[:, -1:], cache=free).logits[:, -1].log_softmax(-1)
                moved, past = self.step(model, past, tokens[:, -1:], untouched, wanted)
                fused = self.fusion * moved + (1 - self.fusion) * untouched  # (B, vocab)
                probabilities = next_token_probabilities(fused, top_k=self.top_k)
                check_finite(probabilities)
                token = pick(probabilities, draw)
                if stop_token is not None:
                    token = token.masked_fill((tokens[:, n_prompt:] == stop_token).any(dim=1), stop_token)
                tokens = torch.cat([tokens, token[:, None]], dim=1)
        return tokens

    def step(
        self,
        model: MiniLM,
        past: Past,
        last: Int[Tensor, "batch 1"],
        untouched: Float[Tensor, "batch vocab"],
        wanted: Int[Tensor, " bag"],
    ) -> tuple[Float[Tensor, "batch vocab"], Past]:
        """The moved log-probabilities after the last token, and the keys and values that include it."""
        for _ in range(self.steps if past.length else 0):
            past = self.move(model, past, last, untouched, wanted)
        with torch.no_grad():
            moved = model(last, cache=past).logits[:, -1].log_softmax(-1)
        return moved, past.grown()

    def move(self, model: MiniLM, past: Past, last: Tensor, untouched: Tensor, wanted: Tensor) -> Past:
        """One gradient step on keys and values."""
        keys, values = past.keys.requires_grad_(), past.values.requires_grad_()
        with torch.enable_grad():
            moved = model(last, cache=Past(keys, values)).logits[:, -1].log_softmax(-1)
            gradients = torch.autograd.grad(self.loss(moved, untouched, wanted).sum(), (keys, values))
        of_keys, of_values = (each.square().sum(dim=(2, 3, 4), keepdim=True) for each in gradients)
        norms = (of_keys + of_values).sqrt()
        scale = self.step_size / (norms + 1e-15) ** self.gamma  # (L, B, 1, 1, 1)
        return Past(*(each.detach() - scale * g for each, g in zip((keys, values), gradients, strict=True)))

    def loss(
        self,
        moved: Float[Tensor, "batch vocab"],
        untouched: Float[Tensor, "batch vocab"],
        wanted: Int[Tensor, " bag"],
    ) -> Float[Tensor, " batch"]:
        """-log sum_{w in bag} p~(w) + kl_scale KL(p~ || p), of log-probabilities."""
        divergence = (moved.exp() * (moved - untouched)).sum(dim=-1)
        return self.kl_scale * divergence - moved[:, wanted].logsumexp(dim=-1)


class Past(KVCache):
    """Keys and values (L, B, H, S, p) that gradients flow through: new ones are concatenated, not written in place."""

    def __init__(self, keys: Tensor, values: Tensor):
        self.keys, self.values, self.lengths, self.companions, self.n_virtual = keys, values, None, {}, 0
        self.length = self.capacity = keys.size(-2)
        self.new: list[tuple[Tensor, Tensor]] = []

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.new.append((keys, values))
        return torch.cat([self.keys[layer], keys], dim=-2), torch.cat([self.values[layer], values], dim=-2)

    def grown(self) -> Past:
        """These keys and values, and those of the tokens that were read after them."""
        keys, values = (torch.stack(each) for each in zip(*self.new, strict=True))
        return Past(torch.cat([self.keys, keys], dim=-2), torch.cat([self.values, values], dim=-2))


@torch.no_grad()
def read(model: MiniLM, tokens: Tensor, max_new_tokens: int) -> tuple[KVCache, Past]:
    """The model's keys and values for tokens (B, T), T perhaps 0: one copy to keep, one copy to change."""
    free = model.new_cache(tokens.size(0), tokens.size(1) + max_new_tokens)
    if tokens.size(1):
        model(tokens, cache=free)
    return free, Past(*(each[..., : free.length, :].clone() for each in (free.keys, free.values)))


def check_request(model: MiniLM, tokens: Tensor, bag: Sequence[int], max_new_tokens: int) -> None:
    """Raise ValueError for a request that cannot be met; the message says why."""
    check_model(model)
    model.check(tokens)
    wanted = id_row(bag, "bag")
    if not len(wanted):
        raise ValueError("the bag of words is empty: give the ids of the tokens that should become likelier")
    check_ids(wanted, model.config.vocab_size)
    whole("max_new_tokens", max_new_tokens)
    if max_new_tokens < 1 or tokens.size(1) + max_new_tokens - 1 > model.window:
        raise ValueError(
            f"{tokens.size(1)} tokens and {max_new_tokens} new ones: there must be at least one new "
            f"token, and all must fit into a window of {model.window}"
        )
