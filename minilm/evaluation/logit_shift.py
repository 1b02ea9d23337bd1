"""The learned shift of the logits beside the exact one, which only a world with an oracle knows.

    exact      log P(x_t | x_<t, a) - log P(x_t | x_<t)               of the oracle
    learned    log P(x_t | x_<t, a) - log P(x_t | x_<t)               of the tuned model and its base

Both are differences of normalised log-probabilities, so that the constant which softmax takes away plays no
part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from minilm.model.passes import evaluating

if TYPE_CHECKING:
    from minilm.storyworld import Oracle
    from minilm.storyworld.world import Attribute
    from minilm.tuning import TunedModel


class Asked(NamedTuple):
    """A story and what was asked of it."""

    ids: Sequence[int]
    """Its tokens, without the end-of-text tokens around it."""
    attribute: Attribute
    """As the oracle is asked: ("keyword", "because")."""
    told: Tensor
    """(m,) tokens by which the model is told."""


WIDEST = 5.0
"""Shifts beyond this many nats count as this much: that of a token which is ruled out is -inf."""
LIKELY = 0.01
"""Tokens with at least this chance, by the oracle that was told nothing, may well come."""


@dataclass(frozen=True)
class ShiftComparison:
    """What a tuned model makes of its attribute, position by position, beside what can be known."""

    exact: Tensor
    """(N,) shift in nats of each token of the stories."""
    learned: Tensor
    """(N,) the same of the model."""
    divergence: Tensor
    """(N,) KL(P(. | x_<t, a) of the oracle || tuned model), in nats."""
    divergence_of_base: Tensor
    """(N,) the same of the base, which was told nothing."""
    error_of_base: Tensor
    """(N,) KL(P(. | x_<t) of the oracle || base): what the base gets wrong about the language itself."""
    stakes: Tensor
    """(N,) KL(P(. | x_<t, a) || P(. | x_<t)) of the oracle: how much the attribute changes here."""
    likely: Tensor
    """(2, M) exact and learned shift of every token that may well come, anywhere; within `WIDEST`."""

    def correlation(self, above: float = 0.5, told: bool = False) -> float:
        """Pearson's, over tokens whose exact shift exceeds this many nats, up or down; NaN for fewer than
        two.

        Args:
            told: over the stories' own tokens only, instead of over all that may well come in their place.
        """
        pairs = torch.stack([self.exact, self.learned]) if told else self.likely  # (2, n)
        return torch.corrcoef(pairs[:, pairs[0].abs() > above])[0, 1].item()

    def closed(self, above: float = 0.1) -> float:
        """Share of the base's divergence that is gone where the attribute changes this much."""
        chosen = self.stakes > above
        return 1 - (self.divergence[chosen].sum() / self.divergence_of_base[chosen].sum()).item()


def compare_shifts(tuned: TunedModel, oracle: Oracle, stories: Sequence[Asked]) -> ShiftComparison:
    """The learned shift beside the exact one, at every token of some stories that have their attribute.

    Raises:
        ValueError: no stories, or one that cannot be told with its attribute.
    """
    if not stories:
        raise ValueError("there are no stories to compare on: the list is empty")
    rows = [rows_of_story(tuned, oracle, story) for story in stories]
    return ShiftComparison(*(torch.cat(parts, dim=-1) for parts in zip(*rows, strict=True)))


def rows_of_story(tuned: TunedModel, oracle: Oracle, story: Asked) -> tuple[Tensor, ...]:
    """The fields of `ShiftComparison` for one story, over T + 1 positions, its end-of-text token's too."""
    end = oracle.tokenizer.end_of_text
    told = torch.tensor([*story.ids, end])[:, None]  # (T + 1, 1)
    conditional, free = oracle.log_probs(story.ids, story.attribute), oracle.log_probs(story.ids)
    if torch.isinf(conditional.gather(1, told)).any():
        raise ValueError(
            f"no story with {story.attribute} goes like this: {oracle.tokenizer.decode(story.ids)!r}"
        )
    combined = log_probs(tuned, [end, *story.ids], story.told)  # (T + 1, vocab)
    base = log_probs(tuned.base, [end, *story.ids])
    exact = torch.where(free > -torch.inf, conditional - free, 0.0)  # (T + 1, vocab)
    learned = combined - base  # (T + 1, vocab)
    likely = torch.stack([exact, learned])[:, free.exp() >= LIKELY].clamp(-WIDEST, WIDEST)  # (2, M)
    pairs = ((conditional, combined), (conditional, base), (free, base), (conditional, free))
    divergences = [divergence(of, to) for of, to in pairs]
    return exact.gather(1, told)[:, 0], learned.gather(1, told)[:, 0], *divergences, likely


@torch.no_grad()
def log_probs(model, tokens: Sequence[int], attribute: Tensor | None = None) -> Tensor:
    """log P of every token that may follow each of `tokens`, in nats: (T, vocab) of float64 on the CPU."""
    options = {} if attribute is None else {"attribute": attribute[None].to(model.device)}
    with evaluating(model):
        logits = model(torch.tensor([tokens], device=model.device), **options).logits[0]  # (T, vocab)
    return logits.double().log_softmax(dim=-1).cpu()


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) in nats over the last dimension; what p rules out costs nothing."""
    return torch.where(log_p == -torch.inf, 0.0, log_p.exp() * (log_p - log_q)).sum(dim=-1)
