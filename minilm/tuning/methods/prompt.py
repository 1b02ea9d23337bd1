"""Prompt tuning: trained vectors before the text's embeddings (Lester et al. 2021).

They are read as if they were tokens, so they take up positions of the context and can steer every layer above; they are
never predicted, and the loss is over the text alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.model.sites import Delta, Place
from minilm.model.tokens import id_row
from minilm.system.checks import whole
from minilm.tuning.method import Attachment, Method


@dataclass(frozen=True)
class Prompt(Method):
    """Settings of prompt tuning.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "prompt"
    acts_at: ClassVar[str] = "embedding"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 0.3, "warmup_steps": 500, "weight_decay": 1e-5}
    suited: ClassVar[dict[str, Any]] = {"learning_rate": 1.0}

    length: int = 8
    """Virtual tokens before the text."""
    init: str | tuple[int, ...] = "vocabulary"
    """"random", "vocabulary" (embeddings of tokens drawn at random), or the ids of `length` tokens to start from."""

    def __post_init__(self) -> None:
        check_virtual_tokens(self.length, self.init, ("random", "vocabulary"))

    def as_stored(self) -> Prompt:
        return replace(self, init="random")

    def build(self, base: MiniLM) -> PromptAttachment:
        return PromptAttachment(base, self)


class PromptAttachment(Attachment):
    """The vectors, (l, d)."""

    def __init__(self, base: MiniLM, settings: Prompt):
        super().__init__()
        self.n_virtual = settings.length
        self.vectors = nn.Parameter(first_vectors(base, settings))

    def deltas(self) -> dict[Place, Delta]:
        return {("embedding", None): lambda batch_size: self.vectors.expand(batch_size, -1, -1)}


def first_vectors(base: MiniLM, settings: Prompt) -> Tensor:
    """Where the vectors (l, d) start."""
    embedding = base.token_embedding.weight.detach()
    if settings.init == "random":
        return torch.empty(settings.length, base.config.d_model).normal_(std=0.02)
    if settings.init == "vocabulary":
        return embedding[torch.randint(base.config.vocab_size, (settings.length,))].clone()
    return embedding[token_ids(cast(tuple[int, ...], settings.init), base)].clone()


def check_virtual_tokens(length: int, init: str | tuple[int, ...], choices: tuple[str, ...]) -> None:
    """Raise ValueError for lengths below one, unknown ways to start, and a start of another length."""
    whole("length", length, least=1)
    if isinstance(init, str) and init in choices:
        return
    if not isinstance(init, list | tuple):
        raise ValueError(f"init must be one of {', '.join(choices)} or {length} token ids, not {init!r}")
    if len(id_row(init, "init")) != length:
        raise ValueError(f"init holds {len(init)} token ids, but the length is {length}: make them equal")


def token_ids(ids: tuple[int, ...], base: MiniLM) -> Tensor:
    """The ids as a tensor (l,), all of them known to the base."""
    tokens = id_row(ids, "init")
    base.check(tokens[None])
    return tokens
