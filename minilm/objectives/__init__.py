"""What a model is trained to do: which tokens it reads, what is asked of it, and the loss."""

from minilm.objectives.batch import IGNORE, Batch, BatchMaker
from minilm.objectives.causal import next_token_loss
from minilm.objectives.samplers import Completions, Documents, NextToken, Shuffled

__all__ = [
    "IGNORE",
    "Batch",
    "BatchMaker",
    "Completions",
    "Documents",
    "NextToken",
    "Shuffled",
    "next_token_loss",
]
