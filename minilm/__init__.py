"""minilm: a small transformer library written to be read, the basis of a course on pretraining and tuning."""

from typing import Any

from minilm.system.waiting import wait_briefly

wait_briefly()  # before torch is loaded, which reads the setting once

from minilm.checkpoints.folders import load_pretrained, save_pretrained
from minilm.evaluation.perplexity import perplexity
from minilm.generation.sampling import complete, generate, stream
from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM
from minilm.model.tracing import trace
from minilm.text.tokenizer import BPETokenizer
from minilm.training import TrainingConfig, train

__version__ = "0.1.0"

__all__ = [
    "BPETokenizer",
    "MiniLM",
    "ModelConfig",
    "TrainingConfig",
    "complete",
    "generate",
    "load_pretrained",
    "perplexity",
    "save_pretrained",
    "stream",
    "trace",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """`tune`, which needs data sets and the story world, is loaded when it is first asked for."""
    if name == "tune":
        from minilm.adaptation.tune import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
