"""What a run tells: its settings before the first step, every step, every evaluation, the result."""

from __future__ import annotations

from dataclasses import dataclass, field

from minilm.training.config import TrainingConfig


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step."""

    step: int
    """1 for the first."""
    steps: int
    """Of how many."""
    loss: float
    """Of the batch before the step, in nats per target."""
    learning_rate: float
    """Of AdamW at this step."""
    gradient_norm: float
    """Before clipping."""
    tokens_per_second: float
    """Tokens read in this step, over its time."""
    seconds: float
    """Since the run began."""


@dataclass(frozen=True)
class EvaluationRecord:
    """One look at held-out text."""

    step: int
    """After how many steps."""
    loss: float | None
    """In nats per token; None where no evaluation was asked for."""
    sample: str | None = None
    """A text the model made."""


@dataclass(frozen=True)
class RunInfo:
    """What is known before the first step."""

    config: TrainingConfig
    n_parameter: int
    """Parameters that will be trained."""
    device: str
    first_step: int = 0
    """Steps that an earlier part of the run has taken."""
    records: list[StepRecord] = field(default_factory=list)
    """Their records."""


@dataclass
class TrainingResult:
    """What a run leaves behind, besides the trained model."""

    steps: int = 0
    """Optimiser steps taken, earlier parts of a resumed run included."""
    records: list[StepRecord] = field(default_factory=list)
    """One for every step."""
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    """One for every evaluation."""
    stopped: bool = False
    """Whether somebody stopped it before its last step."""
    stopped_early: bool = False
    """Whether it ended because held-out text was no longer predicted better (`TrainingConfig.patience`)."""
    seconds: float = 0.0
    """Time it took, earlier parts included."""

    @property
    def loss(self) -> float:
        """Mean training loss of the last steps (at most 20), in nats per target."""
        last = [record.loss for record in self.records[-20:]]
        return sum(last) / len(last) if last else float("nan")
