"""The one training loop, its settings, and what it tells those who watch."""

from minilm.training.callbacks import Callback, ProgressBar
from minilm.training.config import TrainingConfig
from minilm.training.loop import DivergenceError, StopFlag, train
from minilm.training.records import EvaluationRecord, RunInfo, StepRecord, TrainingResult

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
