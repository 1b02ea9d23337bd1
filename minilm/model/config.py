"""The shape of a model: one frozen, validated dataclass, and a few named sizes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from minilm.system.checks import one_of, positive, share, whole


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides which tensors a `MiniLM` has.

    Raises:
        ValueError: a size is not a positive whole number, `d_model` is not divisible by `n_head`,
            or `dropout` is outside [0, 1).
    """

    vocab_size: int
    """Number of token ids the model knows; the tokenizer's `vocab_size`."""
    context_length: int = 128
    """Longest sequence, in tokens, that one forward pass can read."""
    n_layer: int = 4
    """Number of transformer blocks."""
    n_head: int = 4
    """Attention heads in each block."""
    d_model: int = 128
    """Width of the residual stream."""
    dropout: float = 0.0
    """Share of activations dropped while training: embeddings, attention weights, sub-layer outputs."""
    layer_norm_epsilon: float = 1e-5
    """Added to the variance inside every LayerNorm."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "n_layer", "n_head", "d_model"):
            whole(name, getattr(self, name), least=1)
        if self.d_model % self.n_head:
            raise ValueError(
                f"d_model={self.d_model} is not divisible by n_head={self.n_head}: every head gets "
                f"d_model / n_head dimensions; try d_model={self.n_head * -(-self.d_model // self.n_head)}"
            )
        share("dropout", self.dropout)
        positive("layer_norm_epsilon", self.layer_norm_epsilon)

    @property
    def head_size(self) -> int:
        """p = d_model / n_head, the width of one head's queries, keys and values."""
        return self.d_model // self.n_head

    @property
    def d_mlp(self) -> int:
        """Width of the hidden layer of each MLP: four times the residual stream, as in GPT-2."""
        return 4 * self.d_model

    @classmethod
    def preset(cls, name: str, **changes: Any) -> ModelConfig:
        """A named size, with any field changed.

        >>> ModelConfig.preset("small", vocab_size=512).d_mlp
        512
        """
        one_of("name", name, PRESETS)
        unknown = set(changes) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"ModelConfig has no field {min(unknown)!r}")
        return cls(**{**PRESETS[name], **changes})


PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"vocab_size": 1024, "context_length": 128, "n_layer": 2, "n_head": 4, "d_model": 96},
    "small": {"vocab_size": 1024, "context_length": 128, "n_layer": 4, "n_head": 4, "d_model": 128},
    "base": {"vocab_size": 4096, "context_length": 256, "n_layer": 6, "n_head": 6, "d_model": 384},
    "gpt2": {"vocab_size": 50257, "context_length": 1024, "n_layer": 12, "n_head": 12, "d_model": 768},
}
