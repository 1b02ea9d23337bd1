"""Small models for the tests of the core, with weights large enough that every part of them shows in the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from minilm import MiniLM, ModelConfig

SHAPE = {"vocab_size": 61, "context_length": 24, "n_layer": 3, "n_head": 4, "d_model": 32}


def make_model(seed: int = 0, scale: float = 0.25, **changes: float) -> MiniLM:
    """A model in eval mode. At the usual initial scale of 0.02 attention is all but uniform and hides mistakes."""
    model = MiniLM(ModelConfig(**{**SHAPE, **changes})).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if name.endswith("norm.weight") else 0.0
            parameter.copy_(centre + scale * torch.randn(parameter.shape, generator=generator))
    return model


def make_tokens(*shape: int, seed: int = 0, vocab_size: int = SHAPE["vocab_size"]) -> Tensor:
    """Random ids of this shape, always the same for one seed."""
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))
