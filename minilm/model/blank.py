"""Models whose weights are not drawn at random, because others take their place at once."""

from __future__ import annotations

from typing import Any

from torch.overrides import TorchFunctionMode

DRAWS = ("normal_", "uniform_", "zero_", "fill_")


class BlankWeights(TorchFunctionMode):
    """A context manager: modules made inside get memory for their weights, with whatever stands in it.

    Nothing is drawn, so it is faster, and the random generator is where it was.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        of_init = getattr(function, "__module__", None) == "torch.nn.init"
        if of_init or getattr(function, "__name__", None) in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))
