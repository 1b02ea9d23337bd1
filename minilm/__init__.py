"""minilm: a small transformer library written to be read, on which a course on pretraining and tuning stands."""

import torch

from minilm.checkpoint import load_pretrained, save_pretrained
from minilm.config import ModelConfig
from minilm.generation import complete, generate, stream
from minilm.metrics import perplexity
from minilm.model import MiniLM
from minilm.tokenizer import BPETokenizer
from minilm.trace import trace
from minilm.training import TrainingConfig, train

__version__ = "0.1.0"

# A trained model gives most tokens next to no probability, and numbers below 1e-38 halve a processor's speed. They become 0
# in all threads that start after this line, so it stands before torch starts any.
torch.set_flush_denormal(True)

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
