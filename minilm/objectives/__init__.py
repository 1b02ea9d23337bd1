"""What a model is trained to predict: objectives, the samplers that choose their tokens, and batches with their targets."""

from minilm.objectives.batch import IGNORE, Batch, BatchMaker
from minilm.objectives.causal import CausalLM, next_token_loss
from minilm.objectives.objective import Example, Objective
from minilm.objectives.registry import OBJECTIVES, objective_of
from minilm.objectives.samplers import (
    Completions,
    Documents,
    NextToken,
    PackedDocuments,
    PromptTargets,
    RandomWindows,
    Shuffled,
)

__all__ = [
    "IGNORE",
    "OBJECTIVES",
    "Batch",
    "BatchMaker",
    "CausalLM",
    "Completions",
    "Documents",
    "Example",
    "NextToken",
    "Objective",
    "PackedDocuments",
    "PromptTargets",
    "RandomWindows",
    "Shuffled",
    "next_token_loss",
    "objective_of",
]
