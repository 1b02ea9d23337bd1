"""What to pretrain, on what and for how long: one frozen dataclass, and the settings that the course uses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from minilm.model.config import ModelConfig
from minilm.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a pretraining run; equal recipes give equal models on a CPU."""

    data: str = "stories"
    """A world from `WORLD_OF`, a registered running text such as "tinyshakespeare", or the path of a text file."""
    n_story: int = 50_000
    """Documents to learn from; unused by other data."""
    n_held_out: int = 400
    """Documents to judge by; unused by other data."""
    vocab_size: int = 1536
    """Token ids, the special one included."""
    context_length: int = 128
    """Longest text that the model will read, in tokens."""
    n_layer: int = 3
    """Number of transformer blocks."""
    n_head: int = 12
    """Attention heads in each block."""
    d_model: int = 96
    """Width of the residual stream."""
    dropout: float = 0.0
    """Share of activations dropped; helps where a text is read many times."""
    batch_size: int = 16
    """Windows in a batch."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Steps, rates and device."""

    def shape(self, vocab_size: int) -> ModelConfig:
        """The shape of a model that knows so many token ids: those of the tokenizer, which may be fewer than asked for."""
        return ModelConfig(
            vocab_size=vocab_size,
            context_length=self.context_length,
            n_layer=self.n_layer,
            n_head=self.n_head,
            d_model=self.d_model,
            dropout=self.dropout,
        )

    def with_changes(self, **changes: Any) -> Recipe:
        """A copy with fields of the recipe or of its training settings changed."""
        own = {name: value for name, value in changes.items() if name in self.__dataclass_fields__}
        rest = {name: value for name, value in changes.items() if name not in own}
        return replace(self, **{"training": replace(self.training, **rest), **own})


WORLD_OF = {"storyworld": "documents", "documents": "documents", "stories": "stories"}
"""Names of data that are drawn from a world -> that world, as `StoryWorld` knows it."""
STORY_RATES: dict[str, Any] = {"learning_rate": 0.01, "matrix_learning_rate": 0.03}

RECIPES: dict[str, Recipe] = {
    "lesson": Recipe(training=TrainingConfig(steps=2100, evaluate_every=200, **STORY_RATES)),
    "stories": Recipe(
        n_story=150_000,
        context_length=256,
        batch_size=8,
        training=TrainingConfig(steps=16_000, evaluate_every=2000, **STORY_RATES),
    ),
    "bundled": Recipe(
        data="documents",
        n_story=300_000,
        n_held_out=600,
        vocab_size=2048,
        context_length=336,
        n_layer=4,
        n_head=4,
        d_model=128,
        batch_size=8,
        training=TrainingConfig(
            steps=16_500, cycles=2, evaluate_every=1000, precision="bfloat16", **STORY_RATES
        ),
    ),
    "shakespeare": Recipe(
        data="tinyshakespeare",
        vocab_size=1024,
        context_length=64,
        n_head=4,
        d_model=128,
        batch_size=32,
        training=TrainingConfig(steps=1200, evaluate_every=200),
    ),
    "smoke": Recipe(
        n_story=200,
        n_held_out=16,
        vocab_size=1024,
        context_length=192,
        n_layer=1,
        n_head=4,
        d_model=32,
        batch_size=4,
        training=TrainingConfig(steps=5, warmup_steps=2, evaluate_every=5),
    ),
}
"""Recipes by name: three minutes on two CPU cores ("lesson", "shakespeare"), the checkpoints that come with the course
("bundled": data/storyworld, "stories": data/stories), and a run that only proves that all is well ("smoke")."""
