"""What a training run tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minilm.training.config import TrainingConfig
    from minilm.training.loop import TrainingResult


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


class Callback:
    """Override what you want to hear of; an error you raise ends the run."""

    def on_start(self, run: RunInfo) -> None:
        """Before the first step."""

    def on_step(self, record: StepRecord) -> None:
        """After every step."""

    def on_evaluate(self, record: EvaluationRecord) -> None:
        """After every evaluation."""

    def on_end(self, result: TrainingResult) -> None:
        """After the last step, also of a run that was stopped."""

    def on_error(self, error: BaseException) -> None:
        """In place of `on_end`, if the run ends in an error, which is then raised."""


class ProgressBar(Callback):
    """A line with time left and loss, in a terminal or in a notebook."""

    def on_start(self, run: RunInfo) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(total=run.config.steps, initial=run.first_step, unit="step", desc="training")

    def on_step(self, record: StepRecord) -> None:
        self.bar.set_postfix_str(f"loss {record.loss:.3f}", refresh=False)
        self.bar.update()

    def on_end(self, result: TrainingResult) -> None:
        self.bar.close()

    def on_error(self, error: BaseException) -> None:
        if hasattr(self, "bar"):  # an error may come before it is told of the start
            self.bar.close()
