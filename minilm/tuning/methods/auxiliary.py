"""Auxiliary tuning: a small model whose logits are added to a frozen one's (Zeldes, Padnos, Sharir & Peleg,
*Technical Report: Auxiliary Tuning and its Application to Conditional Text Generation*, 2020).

    P(x_t | x_<t, a) = softmax(z_LM(x_<t) + z_AUX([a ; x_<t]))                                        (Eq. 4)

By Bayes' rule P(x_t | x_<t, a) is proportional to P(x_t | x_<t) P(a | x_t, x_<t), so what the sum's second
term has to learn is log P(a | x_t, x_<t), up to a constant: it never has to learn the language. The
attribute a is m tokens before the text, so the shift of token x_t is read at position m + t - 1. The last
projection starts at zero, and with it the shift. Without an attribute the auxiliary model reads the text
alone, as when a base is to be moved to other texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm.model.cache import KVCache
from minilm.model.config import ModelConfig
from minilm.model.interface import Reading
from minilm.model.model import MiniLM
from minilm.model.passes import Pass
from minilm.model.side_caches import own_cache
from minilm.model.sites import Delta, Place
from minilm.system.checks import whole
from minilm.tuning.attributes import check_attribute
from minilm.tuning.guidance import Strength, check_strength
from minilm.tuning.method import Attachment, Method
from minilm.tuning.methods.auxiliary_features import FeatureNetwork


@dataclass(frozen=True)
class Auxiliary(Method):
    """Settings of auxiliary tuning.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "auxiliary"
    acts_at: ClassVar[str] = "logits"

    d_model: int = 64
    """Width of the auxiliary model."""
    n_layer: int = 2
    """Its transformer blocks."""
    n_head: int = 4
    """Heads in each block."""
    feature_layers: int = 0
    """Layers of the base that extract features; 0, the plain architecture, has an embedding of its own."""
    attribute_length: int = 16
    """Most tokens that an attribute may have."""
    columns: tuple[int, int] | None = None
    """Which of the attribute's columns it reads, (first, end), where models share them; None: all."""
    strength: float = 1.0
    """Factor of the shift to begin with; see `minilm.tuning.guidance`."""

    def __post_init__(self) -> None:
        whole("feature_layers", self.feature_layers, least=0)
        whole("attribute_length", self.attribute_length, least=1)
        if self.columns is not None and not is_range(self.columns):
            raise ValueError(f"columns must be (first, end) with first < end, not {self.columns!r}")
        self.config(vocab_size=1, context_length=1)  # refuses sizes that make no model
        check_strength(self.strength)

    def config(self, vocab_size: int, context_length: int) -> ModelConfig:
        """The auxiliary model's shape, for a base with this vocabulary and context."""
        return ModelConfig(
            vocab_size=vocab_size,
            context_length=context_length + self.attribute_length,
            n_layer=self.n_layer,
            n_head=self.n_head,
            d_model=self.d_model,
        )

    def build(self, base: MiniLM) -> AuxiliaryAttachment:
        if self.feature_layers > base.config.n_layer:
            raise ValueError(
                f"feature_layers is {self.feature_layers}, but the base has {base.config.n_layer}"
            )
        return AuxiliaryAttachment(base, self)


def is_range(columns: object) -> bool:
    """Whether these are two whole numbers, 0 <= first < end."""
    if not isinstance(columns, tuple) or [type(each) for each in columns] != [int, int]:
        return False
    return bool(0 <= columns[0] < columns[1])


class AuxiliaryAttachment(Attachment):
    """The auxiliary model, and its strength."""

    strength = Strength()
    takes_attribute = True

    def __init__(self, base: MiniLM, settings: Auxiliary):
        super().__init__()
        self.settings, self.strength = settings, settings.strength
        self.config = settings.config(base.config.vocab_size, base.config.context_length)
        self.feature_layers = settings.feature_layers
        self.network = (
            FeatureNetwork(self.config, base.config.d_model, settings.feature_layers)
            if settings.feature_layers
            else PlainNetwork(self.config)
        )

    def deltas(self) -> dict[Place, Delta]:
        return {("logits", None): self.shift}

    def shift(self, reading: Reading) -> Tensor:
        """strength z_AUX([a ; x]) for every token that may follow those of the pass: (B, T, vocab)."""
        attribute = self.own_columns(reading)
        n_before = 0 if attribute is None else attribute.size(1)
        cache = own_cache(reading, self, n_before)
        if cache is not None and cache.length > 0:
            attribute = None  # read in an earlier pass
        shift: Tensor = self.network(reading, attribute, cache, self.strength)
        return shift

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """Room for the auxiliary model's keys and values."""
        weight = self.network.project_out.weight
        return KVCache(self.config, batch_size, capacity, weight.device, weight.dtype)

    def own_columns(self, reading: Reading) -> Tensor | None:
        """The attribute (B, m) that this model takes, or None."""
        if reading.attribute is None:
            return None
        check_attribute(
            reading.attribute, reading.tokens.size(0), self.settings.attribute_length, self.settings.columns
        )
        return (
            reading.attribute
            if self.settings.columns is None
            else reading.attribute[:, slice(*self.settings.columns)]
        )


class PlainNetwork(nn.Module):
    """A small language model, embedding and all, with one more map before its logits that starts at zero."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.model = MiniLM(config)
        self.project_out = nn.Linear(config.d_model, config.d_model, bias=False)
        nn.init.zeros_(self.project_out.weight)

    def forward(
        self, reading: Reading, attribute: Tensor | None, cache: KVCache | None, strength: float
    ) -> Tensor:
        """strength z_AUX (B, T, vocab) for the tokens of a pass."""
        model, n_token = self.model, reading.tokens.size(1)
        context = Pass(cache=cache, visibility=reading.visibility)
        tokens = reading.tokens if attribute is None else torch.cat([attribute, reading.tokens], dim=1)
        model.check(tokens)
        x = model.embed(tokens, context)  # (B, m + T, d_aux)
        context.note_virtual(tokens.size(1) - n_token)
        for block in model.blocks:
            x = block(x, context)
        h = strength * self.project_out(model.final_norm(x[:, -n_token:]))  # (B, T, d_aux)
        return F.linear(h, model.token_embedding.weight)
