"""The learned shift of the logits, compared with the exact one, which only a world with an oracle knows.

    exact      log P(x_t | x_<t, a) - log P(x_t | x_<t)               of the oracle
    learned    log P(x_t | x_<t, a) - log P(x_t | x_<t)               of the tuned model and its base

Both are differences of normalised log-probabilities, so the constant that softmax removes plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from minilm.evaluation.log_probs import log_probs

__all__ = ["LIKELY", "WIDEST", "Asked", "ShiftComparison", "compare_shifts", "divergence", "log_probs"]

if TYPE_CHECKING:
    from minilm.storyworld import Oracle
    from minilm.storyworld.world import Attribute
    from minilm.tuning import TunedModel


class Asked(NamedTuple):
    """A story and the attribute it was written for."""

    ids: Sequence[int]
    """Its tokens, without the end-of-text tokens around it."""
    attribute: Attribute
    """As the oracle takes it: ("keyword", "because")."""
    told: Tensor
    """(m,) tokens of the same attribute, as the model takes it."""


WIDEST = 5.0
"""Shifts are clipped to this many nats up or down, since a token that the attribute rules out has a shift of -inf."""
LIKELY = 0.01
"""Only tokens to which the unconditional oracle gives at least this probability are compared."""


@dataclass(frozen=True)
class ShiftComparison:
    """How a tuned model uses its attribute, position by position, compared with the exact answer."""

    exact: Tensor
    """(N,) shift in nats of each token of the stories."""
    learned: Tensor
    """(N,) shift in nats that the model gives to the same tokens."""
    divergence: Tensor
    """(N,) KL(P(. | x_<t, a) of the oracle || tuned model), in nats."""
    divergence_of_base: Tensor
    """(N,) the same for the base, which gets no attribute."""
    error_of_base: Tensor
    """(N,) KL(P(. | x_<t) of the oracle || base): what the base gets wrong about the language itself."""
    stakes: Tensor
    """(N,) KL(P(. | x_<t, a) || P(. | x_<t)) of the oracle: how much the attribute changes here."""
    likely: Tensor
    """(2, M) exact and learned shift of every likely token at every position; clipped to `WIDEST`."""

    def correlation(self, above: float = 0.5, told: bool = False) -> float:
        """Pearson's correlation over tokens whose exact shift exceeds this many nats, up or down; NaN for fewer than two.

        Args:
            told: over the stories' own tokens only, instead of over all likely tokens.
        """
        pairs = torch.stack([self.exact, self.learned]) if told else self.likely  # (2, n)
        return torch.corrcoef(pairs[:, pairs[0].abs() > above])[0, 1].item()

    def closed(self, above: float = 0.1) -> float:
        """Share of the base's divergence that tuning removes, over positions where the attribute changes this much."""
        chosen = self.stakes > above
        return 1 - (self.divergence[chosen].sum() / self.divergence_of_base[chosen].sum()).item()


def compare_shifts(tuned: TunedModel, oracle: Oracle, stories: Sequence[Asked]) -> ShiftComparison:
    """Compare the learned shift with the exact one, at every token of some stories that have their attribute.

    Raises:
        ValueError: no stories, or one that is impossible with its attribute.
    """
    if not stories:
        raise ValueError("there are no stories to compare on: the list is empty")
    rows = [rows_of_story(tuned, oracle, story) for story in stories]
    return ShiftComparison(*(torch.cat(parts, dim=-1) for parts in zip(*rows, strict=True)))


def rows_of_story(tuned: TunedModel, oracle: Oracle, story: Asked) -> tuple[Tensor, ...]:
    """The fields of `ShiftComparison` for one story, over T + 1 positions: the end-of-text token counts too."""
    end = oracle.tokenizer.end_of_text
    told = torch.tensor([*story.ids, end])[:, None]  # (T + 1, 1)
    conditional, free = oracle.log_probs(story.ids, story.attribute), oracle.log_probs(story.ids)
    if torch.isinf(conditional.gather(1, told)).any():
        raise ValueError(
            f"no story with {story.attribute} goes like this: {oracle.tokenizer.decode(list(story.ids))!r}"
        )
    combined = log_probs(tuned, [end, *story.ids], story.told)  # (T + 1, vocab)
    base = log_probs(tuned.base, [end, *story.ids])
    exact = torch.where(free > -torch.inf, conditional - free, 0.0)  # (T + 1, vocab)
    learned = combined - base  # (T + 1, vocab)
    likely = torch.stack([exact, learned])[:, free.exp() >= LIKELY].clamp(-WIDEST, WIDEST)  # (2, M)
    pairs = ((conditional, combined), (conditional, base), (free, base), (conditional, free))
    divergences = [divergence(of, to) for of, to in pairs]
    return exact.gather(1, told)[:, 0], learned.gather(1, told)[:, 0], *divergences, likely


def divergence(
    log_p: Float[Tensor, "*rows vocab"], log_q: Float[Tensor, "*rows vocab"]
) -> Float[Tensor, "*rows"]:
    """KL(p || q) in nats over the last dimension; a token with p = 0 adds nothing.

    >>> divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log())
    tensor(0.1438)
    """
    return torch.where(log_p == -torch.inf, 0.0, log_p.exp() * (log_p - log_q)).sum(dim=-1)
