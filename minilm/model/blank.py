"""Models whose weights are not drawn at random, because others take their place at once."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWS = ("normal_", "uniform_", "kaiming_uniform_")
"""In-place draws, of tensors and of `torch.nn.init`."""


class BlankWeights(TorchFunctionMode):
    """A context manager: where modules made inside would draw weights at random, they get memory as it is.

    That is faster, and the random generator stays where it was.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(function, "__name__", None) in DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        if function is torch.randn:
            function = torch.empty
        return function(*args, **(kwargs or {}))
