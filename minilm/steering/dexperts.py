"""Steering a model by the difference of the logits of two others; the model itself is not trained.

DExperts (Liu et al. 2021): z = z_base + alpha (z_expert - z_anti), within the top-p tokens of z_base  (Eq. 2)
Proxy-tuning (Liu et al. 2024): the same with alpha = 1 and all tokens; expert and anti-expert are a small
model after and before tuning, and the base is a large one.

The difference of logits is a log-ratio of probabilities, up to a constant. Auxiliary tuning learns such a shift;
here it is computed from two complete language models.
"""

from __future__ import annotations

from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from minilm.generation.requests import check_top_p
from minilm.generation.sampling import keep_nucleus
from minilm.model.cache import KVCache
from minilm.model.interface import LanguageModel, OnBase, Output, Reading
from minilm.model.model import MiniLM
from minilm.model.passes import evaluating
from minilm.model.side_caches import Companion, own_cache
from minilm.model.sites import Sites
from minilm.tuning.guidance import Strength


class Experts(OnBase, nn.Module):
    """A drop-in replacement for the base whose logits are shifted by expert minus anti-expert.

    Args:
        base: the model to be steered.
        expert, anti_expert: models over the same tokens, tuned or not.
        strength: alpha, the factor of their difference.
        top_p: tokens outside the base's own nucleus of this mass cannot be drawn; None allows all tokens.

    Raises:
        ValueError: another vocabulary, or a setting out of range.
    """

    strength = Strength()
    base: MiniLM

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
                    f"an expert with {each.config.vocab_size} tokens does not fit a base with "
                    f"{base.config.vocab_size}: all three must share one tokenizer"
                )
        check_top_p(top_p)
        self.base, self.expert, self.anti_expert = base, expert, anti_expert
        self.strength, self.top_p = strength, top_p
        self.training = False  # the three models keep their own modes; here they are evaluated

    @classmethod
    def proxy(cls, base: MiniLM, tuned: LanguageModel, untuned: LanguageModel) -> Experts:
        """Proxy-tuning: shift the base's logits as tuning has shifted those of a smaller model."""
        return cls(base, tuned, untuned, strength=1.0, top_p=None)

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        *,
        attribute: Int[Tensor, "_ m"] | None = None,
        cache: KVCache | None = None,
    ) -> Output:
        """Next-token logits for tokens (B, T), as `MiniLM.forward`; the attribute goes to the experts."""
        if attribute is not None and not self.takes_attribute:
            raise ValueError("attribute must be None: neither expert takes one")
        sites = Sites({("logits", None): [self.shift]})
        with evaluating(self):
            output: Output = self.base(tokens, attribute=attribute, cache=cache, sites=sites)
        return output

    def shift(self, reading: Reading) -> Float[Tensor, "batch time vocab"]:
        """alpha (z_expert - z_anti), and -inf outside the base's nucleus."""
        shift = self.strength * (self.ask(self.expert, reading) - self.ask(self.anti_expert, reading))
        if self.top_p is None:
            return shift
        nucleus = keep_nucleus(reading.logits.softmax(dim=-1), self.top_p) > 0
        return shift.masked_fill(~nucleus, float("-inf"))

    def ask(self, expert: LanguageModel, reading: Reading) -> Float[Tensor, "batch time vocab"]:
        """An expert's logits for the pass that is under way."""
        cache = own_cache(reading, cast(Companion, expert), getattr(expert, "n_virtual", 0))
        attribute = reading.attribute if expert.takes_attribute else None
        return expert(reading.tokens, attribute=attribute, cache=cache).logits

    @property
    def takes_attribute(self) -> bool:
        """Whether one of the experts takes an attribute."""
        return self.expert.takes_attribute or self.anti_expert.takes_attribute

    @property
    def window(self) -> int:
        """Tokens of text that all three can read in one pass."""
        return min(each.window for each in (self.base, self.expert, self.anti_expert))
