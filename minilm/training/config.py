"""How long, how fast and how carefully to train: one frozen, validated dataclass."""

from __future__ import annotations

from dataclasses import dataclass

CHOICES = {
    "optimizer": ("muon", "adamw"),
    "schedule": ("linear", "cosine", "constant"),
    "precision": ("auto", "float32", "bfloat16"),
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one training run.

    Raises:
        ValueError: a setting is out of range; the message names it and its value.
    """

    steps: int = 1000
    """Optimiser steps in all."""
    learning_rate: float = 3e-3
    """Peak rate of AdamW: for everything, or for what Muon leaves over."""
    matrix_learning_rate: float = 0.02
    """Peak rate of Muon for weight matrices; unused by "adamw"."""
    optimizer: str = "muon"
    """"muon" for the matrices with AdamW for the rest, or "adamw" for all."""
    weight_decay: float = 0.0
    """Pull of every matrix towards zero."""
    schedule: str = "linear"
    """How the rate falls after the warm-up: "linear" or "cosine" to zero, or "constant"."""
    warmup_steps: int = 20
    """Steps over which the rate climbs from zero."""
    cycles: int = 1
    """Times that the rate climbs and falls, each time over twice as many steps as before."""
    gradient_clip: float = 1.0
    """Largest joint norm of all gradients; longer ones are scaled down."""
    accumulation: int = 1
    """Batches whose gradients are added before each step."""
    label_smoothing: float = 0.0
    """Share of the target's probability spread over the whole vocabulary."""
    precision: str = "auto"
    """Of matrix products: "float32", "bfloat16", or "auto" (bfloat16 on CUDA, float32 elsewhere)."""
    compile: bool = False
    """Compile model and loss first, as one; pays on long runs where a compiler is installed."""
    device: str = "auto"
    """"auto", "cuda", "mps" or "cpu"."""
    seed: int = 0
    """Of dropout; batch makers have seeds of their own."""
    evaluate_every: int = 100
    """Steps between evaluations."""
    patience: int = 0
    """Evaluations in a row without a new best that end the run; the best weights are then put back. 0 never does.

    An evaluation that is not a finite number is never the best; one that only a stop asked for does not count."""
    checkpoint_every: int = 500
    """Steps between checkpoints, where a folder is given."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        for name in ("steps", "cycles", "accumulation", "evaluate_every", "checkpoint_every"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {getattr(self, name)!r}")
        if self.steps < 2**self.cycles - 1:
            raise ValueError(
                f"cycles={self.cycles} need at least {2**self.cycles - 1} steps, not {self.steps}"
            )
        for name in ("learning_rate", "matrix_learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        for name in ("weight_decay", "warmup_steps", "patience"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)!r}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), not {self.label_smoothing!r}")
