"""The one training loop, its settings, and what it tells those who watch."""

from minilm.training.callbacks import Callback, EvaluationRecord, ProgressBar, RunInfo, StepRecord
from minilm.training.config import TrainingConfig
from minilm.training.loop import DivergenceError, StopFlag, TrainingResult, train

__all__ = [
    "Callback",
    "DivergenceError",
    "EvaluationRecord",
    "ProgressBar",
    "RunInfo",
    "StepRecord",
    "StopFlag",
    "TrainingConfig",
    "TrainingResult",
    "train",
]
