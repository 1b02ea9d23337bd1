"""Products of weights that are kept while nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def version(weights: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Changes with a write into a weight, and costs nothing to look at. Fused optimisers write without changing it."""
    return tuple((weight._version, weight.data_ptr()) for weight in weights)


def multiplied_in(device: torch.device) -> torch.dtype | None:
    """The precision of matrix products where autocast decides about it; None where the tensors do."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


class Kept:
    """One product. While its owner trains, or where gradients are recorded, it is made again for every pass."""

    def __init__(self) -> None:
        self._made: tuple[Any, Any] | None = None
        self._n_forgotten = 0

    def forget(self) -> None:
        """Make it again: its owner has been trained, or is about to be."""
        self._n_forgotten += 1

    def get(self, training: bool, weight: Tensor, make: Callable[[], Any]) -> Any:
        """What `make` makes.

        Args:
            training: whether its owner trains.
            weight: one of those that it is made of; if this one is moved or written to, it is made again as well.
        """
        if training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return make()
        made = self._made
        now = (self._n_forgotten, weight._version, weight.data_ptr(), multiplied_in(weight.device))
        if made is None or made[0] != now:
            self._made = made = (now, make())
        return made[1]
