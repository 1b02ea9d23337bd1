"""What everything that reads tokens has in common: the interface of a language model, and what a pass returns.

`MiniLM`, a tuned model, a mixed batch, DExperts: whatever generates, is traced or is evaluated here is a `LanguageModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from minilm.model.cache import KVCache
from minilm.model.config import ModelConfig
from minilm.model.visibility import CAUSAL, Visibility


@dataclass
class Output:
    """What one forward pass returns."""

    logits: Tensor
    """(B, T, vocab): row t scores the token after tokens[:, t]."""
    states: list[Tensor]
    """Residual stream (B, T, d) entering block 0 and leaving every block."""

    @property
    def hidden(self) -> Tensor:
        """(B, T, d): the residual stream after the last block, before the final LayerNorm."""
        return self.states[-1]


class LanguageModel(Protocol):
    """Reads tokens (B, T) and scores the next one at every position."""

    training: bool

    @property
    def config(self) -> ModelConfig:
        """The shape of the base."""

    @property
    def window(self) -> int:
        """Tokens of text that one pass can read."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def takes_attribute(self) -> bool:
        """Whether a pass may be given an attribute."""

    @property
    def base(self) -> Decoder:
        """The base model underneath; a base is its own."""

    def __call__(
        self, tokens: Tensor, *, attribute: Tensor | None = None, cache: KVCache | None = None
    ) -> Output:
        """Next-token logits (B, T, vocab) for tokens (B, T)."""

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """An empty cache with room for `capacity` tokens in each row."""


class Decoder(LanguageModel, Protocol):
    """A base model, as a delta at the logits may use it: its parts, and the pieces of its forward pass."""

    token_embedding: nn.Embedding
    blocks: nn.ModuleList

    @property
    def recorder(self) -> object | None:
        """The recorder of this model's passes in this thread, if there is one."""

    def check(self, tokens: Tensor) -> None:
        """Refuse tokens that are not a (B, T) of known ids."""

    def new_pass(self) -> Any:
        """What a pass carries that begins now, in this thread."""

    def embed(self, tokens: Tensor, context: Any) -> Tensor:
        """Token plus position embeddings (B, T, d)."""

    def predict(self, state: Tensor) -> Tensor:
        """Logits (B, T, vocab) read off a residual stream (B, T, d)."""


class OnBase:
    """The part of a `LanguageModel` that a wrapper takes from the base underneath."""

    if TYPE_CHECKING:  # an attribute or a property, as the wrapper has it

        @property
        def base(self) -> Decoder:
            """The base model underneath."""

    @property
    def config(self) -> ModelConfig:
        """The base's shape."""
        return self.base.config

    @property
    def window(self) -> int:
        """Tokens of text that one pass can read."""
        return self.base.window

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.base.device

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """An empty cache, as the base's."""
        return self.base.new_cache(batch_size, capacity)


@dataclass(frozen=True)
class Reading:
    """What a delta at the `logits` site may look at."""

    model: Decoder
    tokens: Tensor
    """(B, T): the text of this pass; with a cache, its newest tokens only."""
    states: list[Tensor]
    """Residual stream (B, T, d) entering block 0 and leaving every block."""
    logits: Tensor
    """(B, T, vocab), with the shifts of earlier deltas already added."""
    attribute: Tensor | None
    """(B, m), the tokens of an attribute, for methods that take one."""
    cache: KVCache | None
    """Keys and values of earlier passes; `cache.companions` is free for a delta's own state."""
    visibility: Visibility = CAUSAL
    """Who may look at whom in this pass, also inside a network that reads along."""
