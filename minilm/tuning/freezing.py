"""A base as one tuned model reads it: the same numbers, no gradients, and other weights where a method has its own.

The base itself is not touched. A `FrozenView` has a tree of modules of its own, whose weights are the base's tensors under
another name, so it costs no memory, and any number of threads and tuned models may read one base at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from minilm.model.model import MiniLM


class FrozenView:
    """What a tuned model runs instead of its base. It never changes: for other weights a new one is made.

    Args:
        base: whose numbers it has.
        weights: tensors that stand in for the base's own of the same name.
        training: whether the base's dropout is on.
    """

    def __init__(self, base: MiniLM, weights: Mapping[str, Tensor], training: bool = False):
        self.own = dict(weights)
        self.slots = [each._parameters for each in base.modules() if each._parameters]
        self.addresses = self._look()
        self.model = _twin(base, "", self.own)
        self.model.__dict__["_original"] = (base,)  # not a submodule
        self.model.training = training

    def fits(self, weights: Mapping[str, Tensor]) -> bool:
        """Whether it reads these weights, and what the base has by now: `.to()` gives a parameter new memory."""
        same = len(weights) == len(self.own) and all(
            self.own.get(name) is each for name, each in weights.items()
        )
        return same and self.addresses == self._look()

    def _look(self) -> list[int]:
        """Where the base's weights are in memory: nothing is copied, and a new pass asks each time."""
        return [weight.data_ptr() for here in self.slots for weight in here.values() if weight is not None]


Net = TypeVar("Net", bound=nn.Module)


def _twin(module: Net, prefix: str, own: Mapping[str, Tensor]) -> Net:
    """A module with the same settings and hooks, whose weights are `own` ones or those of the original, frozen."""
    twin = object.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    twin.__dict__["_parameters"] = {
        name: own[prefix + name] if prefix + name in own else weight if weight is None else weight.detach()
        for name, weight in module._parameters.items()
    }
    twin.__dict__["_modules"] = {
        name: _twin(child, f"{prefix}{name}.", own) for name, child in module.named_children()
    }
    return twin
