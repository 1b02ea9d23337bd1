"""Random streams: every random thing (a row, a batch, a story) has a generator of its own, made from (seed, index).

So its numbers depend neither on how many others there are nor on the order in which they are asked for, and any worker
can make any of them.
"""

from __future__ import annotations

import random

import torch


def stream(seed: int, index: int) -> torch.Generator:
    """The generator of one thing, on the CPU.

    >>> torch.rand(1, generator=stream(3, 7)) == torch.rand(1, generator=stream(3, 7))
    tensor([True])
    """
    return torch.Generator().manual_seed((seed * 1_000_003 + index) % 2**63)


def python_stream(seed: int, index: int) -> random.Random:
    """The same for Python's own random numbers: choices, shuffles.

    >>> python_stream(3, 7).random() == python_stream(3, 7).random()
    True
    """
    return random.Random(f"{seed}/{index}")
