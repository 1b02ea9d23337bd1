"""How much memory a training will need, told before it starts: an estimate from shapes alone.

    weights w, gradients w, optimiser 2w (AdamW) or w and the largest matrices some times over (Muon)
    activations: N (20 L d + 3 V) numbers for N = B T tokens, which the backward pass reads again

The counts 20 and 3 are what `MiniLM` keeps for each token in a block and at the logits, as measured; an attention that
drops weights holds its matrices too. The tests hold the sum against the measured peak.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from minilm.model.config import ModelConfig
from minilm.system.memory import accelerator_memory, main_memory
from minilm.training.config import TrainingConfig

FLOAT = 4
"""Bytes of a number."""
PER_BLOCK, PER_LOGIT, PER_DROPOUT, PER_ATTENTION = 20, 3, 6, 5
"""Numbers kept for the backward pass: per token and width in a block, per logit; with dropout also per width and weight."""
MUON_COPIES = 8
"""Copies of the matrices of one shape, while Muon orthogonalises them together."""
EVALUATED_ROWS = 32
"""Texts that an evaluation reads at once."""
PROGRAM = 350_000_000
"""Bytes of Python and torch, before any model."""
LOWER = {
    "activations": "batch_size or context_length",
    "data": "n_story, or train on a smaller text",
}
"""What makes a part smaller; d_model and n_layer make the rest so."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a training needs at its peak, in parts."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    data: int
    """The text, as token ids and while they are made."""
    program: int = PROGRAM

    @property
    def on_device(self) -> int:
        """Bytes needed on an accelerator, where there is one."""
        return self.weights + self.gradients + self.optimizer + self.activations

    @property
    def total(self) -> int:
        """All parts."""
        return self.on_device + self.data + self.program

    @property
    def largest(self) -> str:
        """Name of the largest part, Python itself aside."""
        parts = asdict(self) | {"program": 0}
        return max(parts, key=parts.__getitem__)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in asdict(self).items())
        return f"about {gigabytes(self.total)} of memory ({parts})"


def training_need(
    shape: ModelConfig, config: TrainingConfig, batch_size: int, data: int = 0, held_out: bool = True
) -> MemoryNeed:
    """An estimate for training all parameters of a `MiniLM` on windows of its context length.

    Args:
        batch_size: B, windows in a batch.
        data: bytes that the text takes.
        held_out: whether it is evaluated, which reads `EVALUATED_ROWS` texts at once.
    """
    matrices, rest, largest = count_weights(shape)
    weights = FLOAT * (matrices + rest)
    both = 2 * FLOAT * (matrices + rest)
    muon = FLOAT * (matrices + 2 * rest + MUON_COPIES * largest)
    activations = FLOAT * batch_size * shape.context_length * kept_per_token(shape)
    evaluated = FLOAT * EVALUATED_ROWS * shape.context_length * (2 * shape.vocab_size + 12 * shape.d_model)
    return MemoryNeed(
        weights=weights * (2 if config.patience else 1),  # the best ones are kept as well
        gradients=weights,
        optimizer=muon if config.optimizer == "muon" else both,
        activations=max(activations, evaluated if held_out else 0),
        data=data,
    )


def count_weights(shape: ModelConfig) -> tuple[int, int, int]:
    """Numbers in the matrices between activations, in all other parameters, and in the largest group of equal matrices."""
    d, n_layer = shape.d_model, shape.n_layer
    matrices = n_layer * 12 * d * d
    rest = (shape.vocab_size + shape.context_length) * d + n_layer * 13 * d + 2 * d
    return matrices, rest, n_layer * 4 * d * d


def kept_per_token(shape: ModelConfig) -> int:
    """Numbers that the forward pass keeps of every token."""
    block = PER_BLOCK * shape.d_model
    if shape.dropout:
        block += PER_DROPOUT * shape.d_model + PER_ATTENTION * shape.n_head * shape.context_length
    return shape.n_layer * block + PER_LOGIT * shape.vocab_size


def check_memory(need: MemoryNeed, device: torch.device) -> None:
    """Refuse a training that this machine cannot hold.

    Raises:
        ValueError: it needs more than there is; the message says what to lower.
    """
    accelerator, main = accelerator_memory(device), main_memory()
    if accelerator is not None and need.on_device > accelerator:
        raise ValueError(too_much(need, need.on_device, accelerator, f"the device {device}"))
    wanted = need.total if accelerator is None else need.data + need.program
    if main is not None and wanted > main:
        raise ValueError(too_much(need, wanted, main, "this machine"))


def too_much(need: MemoryNeed, wanted: int, there: int, where: str) -> str:
    """What the refusal says."""
    lower = LOWER.get(need.largest, "d_model or n_layer")
    return (
        f"the training needs {need}; {gigabytes(wanted)} of it on {where}, which has {gigabytes(there)}. Most of it is "
        f"for {need.largest}: lower {lower}"
    )


def gigabytes(size: int) -> str:
    """Bytes for people to read."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
