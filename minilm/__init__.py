"""minilm: a small transformer library written to be read, on which a course on pretraining and tuning stands."""

from minilm.checkpoint import load_pretrained, save_pretrained
from minilm.config import ModelConfig
from minilm.generation import complete, generate, stream
from minilm.metrics import perplexity
from minilm.model import MiniLM
from minilm.tokenizer import BPETokenizer
from minilm.trace import trace
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
