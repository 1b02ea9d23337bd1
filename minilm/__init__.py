"""minilm: a small transformer library written to be read, on which a course on pretraining and tuning stands."""

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
]
