"""What a lab runs, and what it keeps of it: a model, its settings and its curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import nn

from lessons.widgets.kept_runs import S
from lessons.widgets.views.run import Run
from minilm.objectives import BatchMaker
from minilm.training import TrainingConfig, TrainingResult

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Experiment(Generic[M]):
    """All that one run needs."""

    model: M
    batches: BatchMaker
    config: TrainingConfig
    evaluate: Callable[[M], float]
    """Loss on held-out text, in nats per token."""
    sample: Callable[[M], str]
    """A text written by the model."""


@dataclass(frozen=True)
class LabRun(Generic[M, S]):
    """A finished or stopped run."""

    name: str
    settings: S
    """Values of the sliders; a frozen dataclass."""
    model: M
    """The trained model."""
    result: TrainingResult

    def __repr__(self) -> str:
        return f"{self.name}: {self.settings}, {self.result.steps} of {self.result.records[-1].steps} steps"


def finished(run: LabRun[M, S], number: int) -> Run:
    """A run that was kept, as the dashboard shows it."""
    result, steps = run.result, run.result.records[-1].steps
    state = "stopped" if result.stopped else "finished"
    n_parameter = sum(each.numel() for each in run.model.parameters() if each.requires_grad)
    return Run(
        run.name,
        steps,
        state,
        list(result.records),
        result.evaluations,
        n_parameter,
        str(run.settings),
        number=number,
    )
