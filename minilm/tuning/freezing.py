"""A base as one tuned model reads it: the same numbers, no gradients, and other weights where a method has its own.

The base itself is not touched. A `FrozenView` has a tree of modules of its own, whose weights are the base's tensors under
another name, so it costs no memory, and any number of threads and tuned models may read one base at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
        self.slots = list(_slots(base))
        self.addresses = self._look()
        self.model: MiniLM = _twin(base, "", self.own)
        self.model.__dict__["_original"] = (base,)  # not a submodule
        self.model.training = training

    def fits(self, weights: Mapping[str, Tensor]) -> bool:
        """Whether it reads these weights, and what the base has by now: `.to()` gives a parameter new memory."""
        same = len(weights) == len(self.own) and all(
            self.own.get(name) is each for name, each in weights.items()
        )
        return same and self.addresses == self._look()

    def _look(self) -> list[int]:
        return [parameters[name].data_ptr() for parameters, name in self.slots]


def _slots(module: nn.Module) -> Iterator[tuple[dict, str]]:
    """Where each weight is kept."""
    for each in module.modules():
        yield from (
            (each._parameters, name) for name, weight in each._parameters.items() if weight is not None
        )


def _twin(module: nn.Module, prefix: str, own: Mapping[str, Tensor]) -> nn.Module:
    """A module with the same settings and hooks, whose weights are `own` ones or those of the original, frozen."""
    twin = object.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    twin.__dict__["_parameters"] = {
        name: own[prefix + name] if prefix + name in own else _frozen(weight)
        for name, weight in module._parameters.items()
    }
    twin.__dict__["_modules"] = {
        name: _twin(child, f"{prefix}{name}.", own) for name, child in module._modules.items()
    }
    return twin


def _frozen(weight: nn.Parameter | None) -> Tensor | None:
    """The same memory, without gradients."""
    return None if weight is None else weight.detach()
