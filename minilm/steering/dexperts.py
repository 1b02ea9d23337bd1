"""Steering a model by the difference of two others, with no training of its own.

DExperts (Liu et al. 2021): z = z_base + alpha (z_expert - z_anti), within the top-p tokens of z_base  (Eq. 2)
Proxy-tuning (Liu et al. 2024): the same with alpha = 1 and all tokens; expert and anti-expert are a small
model after and before tuning, and the base is a large one.

The difference of logits is a log-ratio of probabilities, up to a constant: what one model knows and the
other does not. It is auxiliary tuning's shift, taken from two whole language models instead of being
learnt.
"""

from __future__ import annotations

from torch import Tensor, nn

from minilm.generation.requests import check_top_p
from minilm.generation.sampling import keep_nucleus
from minilm.model.cache import KVCache
from minilm.model.interface import LanguageModel, OnBase, Output, Reading
from minilm.model.model import MiniLM
from minilm.model.passes import evaluating
from minilm.model.side_caches import own_cache
from minilm.model.sites import Sites
from minilm.tuning.guidance import Strength


class Experts(OnBase, nn.Module):
    """Reads and generates like the base, with an expert's and an anti-expert's word heard.

    Args:
        base: the model to be steered.
        expert, anti_expert: models over the same tokens, tuned or not.
        strength: alpha, a factor of their difference.
        top_p: tokens outside the base's own nucleus of this mass cannot be drawn; None lets all in.

    Raises:
        ValueError: another vocabulary, or a setting out of range.
    """

    strength = Strength()

    def __init__(
        self,
        base: MiniLM,
        expert: LanguageModel,
        anti_expert: LanguageModel,
        strength: float = 2.0,
        top_p: float | None = 0.9,
    ):
        super().__init__()
        for each in (expert, anti_expert):
            if each.config.vocab_size != base.config.vocab_size:
                raise ValueError(
                    f"an expert with {each.config.vocab_size} tokens cannot speak to a base with "
                    f"{base.config.vocab_size}: all three must share one tokenizer"
                )
        check_top_p(top_p)
        self.base, self.expert, self.anti_expert = base, expert, anti_expert
        self.strength, self.top_p = strength, top_p
        self.training = False  # the three models keep their own modes; here they are evaluated

    @classmethod
    def proxy(cls, base: MiniLM, tuned: LanguageModel, untuned: LanguageModel) -> Experts:
        """Proxy-tuning: the base, moved as tuning moved a smaller model."""
        return cls(base, tuned, untuned, strength=1.0, top_p=None)

    def forward(
        self, tokens: Tensor, *, attribute: Tensor | None = None, cache: KVCache | None = None
    ) -> Output:
        """Next-token logits for tokens (B, T), as `MiniLM.forward`; the attribute goes to the experts."""
        if attribute is not None and not self.takes_attribute:
            raise ValueError("attribute must be None: neither expert takes one")
        sites = Sites({("logits", None): [self.shift]})
        with evaluating(self):
            return self.base(tokens, attribute=attribute, cache=cache, sites=sites)

    def shift(self, reading: Reading) -> Tensor:
        """alpha (z_expert - z_anti), and -inf outside the base's nucleus: (B, T, vocab)."""
        shift = self.strength * (self.ask(self.expert, reading) - self.ask(self.anti_expert, reading))
        if self.top_p is None:
            return shift
        nucleus = keep_nucleus(reading.logits.softmax(dim=-1), self.top_p) > 0
        return shift.masked_fill(~nucleus, float("-inf"))

    def ask(self, expert: LanguageModel, reading: Reading) -> Tensor:
        """An expert's logits (B, T, vocab) for the pass that is under way."""
        cache = own_cache(reading, expert, getattr(expert, "n_virtual", 0))
        attribute = reading.attribute if expert.takes_attribute else None
        return expert(reading.tokens, attribute=attribute, cache=cache).logits

    @property
    def takes_attribute(self) -> bool:
        """Whether one of the experts reads an attribute."""
        return self.expert.takes_attribute or self.anti_expert.takes_attribute

    @property
    def window(self) -> int:
        """Tokens of text that all three can read in one pass."""
        return min(each.window for each in (self.base, self.expert, self.anti_expert))
