"""Streams of random numbers: one for every seed and index, so that what is drawn depends on nothing else."""

from __future__ import annotations

import torch


def stream(seed: int, index: int) -> torch.Generator:
    """A new generator, always the same for one seed and index."""
    return torch.Generator().manual_seed((seed * 1_000_003 + index) % 2**63)
