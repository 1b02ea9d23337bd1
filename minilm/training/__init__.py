"""The one training loop, its settings, and what it tells those who watch."""

from minilm.training.callbacks import Callback, ProgressBar
from minilm.training.config import TrainingConfig
from minilm.training.held_out import DivergenceError
from minilm.training.interrupt import StopFlag
from minilm.training.loop import train
from minilm.training.records import EvaluationRecord, Records, RunInfo, StepRecord, TrainingResult
from minilm.training.resume import OtherRunError

__all__ = [
    "Callback",
    "DivergenceError",
    "EvaluationRecord",
    "OtherRunError",
    "ProgressBar",
    "Records",
    "RunInfo",
    "StepRecord",
    "StopFlag",
    "TrainingConfig",
    "TrainingResult",
    "train",
]
