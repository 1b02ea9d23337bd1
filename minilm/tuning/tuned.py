"""A frozen model with tuning methods attached: the one idea of tuning, in code.

He et al., *Towards a Unified View of Parameter-Efficient Transfer Learning* (2022): every method adds something at a
place of a frozen network. So a `TunedModel` is a base model and a set of attachments; a pass collects what stands where
and runs the base with it. The base is shared, never copied and never changed, so many tuned models can stand on one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from minilm.model.cache import KVCache
from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM, Output
from minilm.model.sites import Sites
from minilm.tuning.freezing import freeze, release
from minilm.tuning.method import Attachment, Method
from minilm.tuning.saving import save


@dataclass(frozen=True)
class Count:
    """Parameters, as published tables count them."""

    trained: int
    """That training changes."""
    stored: int
    """That have to be kept for the tuned model; a prefix, for one, drops the network that produced it."""
    base: int
    """Of the base model."""

    @property
    def fraction(self) -> float:
        """stored / base."""
        return self.stored / self.base


class TunedModel(nn.Module):
    """Reads and generates like a `MiniLM`. Make one with `attach`."""

    def __init__(self, base: MiniLM, methods: Mapping[str, Method]):
        super().__init__()
        self._base = (base,)  # in a tuple, so that the base's weights do not count among this module's
        self.methods = dict(methods)
        with torch.device(base.device):
            attachments = {name: method.build(base) for name, method in methods.items()}
        self.attachments: Mapping[str, Attachment] = nn.ModuleDict(attachments)
        self.position_offset = sum(each.position_offset for each in attachments.values())
        self.n_virtual = sum(each.n_virtual for each in attachments.values())
        if self.window < 1:
            raise ValueError(
                f"{self.position_offset + self.n_virtual} virtual positions leave no room for text in a context of "
                f"{base.config.context_length}: choose a shorter length"
            )
        if not self.parameters_to_train():
            raise ValueError(f"{', '.join(methods)} has no parameter to train: choose sizes above zero")
        freeze(base, self)
        self.eval()

    @property
    def base(self) -> MiniLM:
        """The frozen model underneath."""
        if not self._base:
            raise RuntimeError("this tuned model was detached from its base; attach its methods again")
        return self._base[0]

    @property
    def config(self) -> ModelConfig:
        """The base's shape."""
        return self.base.config

    @property
    def window(self) -> int:
        """Tokens of text that one pass can read: the context, less what virtual tokens take up."""
        return self.base.window - self.position_offset - self.n_virtual

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.base.device

    def sites(self) -> Sites:
        """What stands where in the next pass."""
        places = defaultdict(list)
        for attachment in self.attachments.values():
            for place, delta in attachment.deltas().items():
                places[place].append(delta)
        return Sites(places, self.position_offset)

    def weights(self) -> dict[str, Tensor]:
        """Weights that stand in for the base's own."""
        return {name: weight for each in self.attachments.values() for name, weight in each.weights().items()}

    def forward(
        self, tokens: Tensor, *, attribute: Tensor | None = None, cache: KVCache | None = None
    ) -> Output:
        """Next-token logits for tokens (B, T), as `MiniLM.forward`.

        Args:
            attribute: (B, m) int64, for methods that take one.
        """
        options = {"attribute": attribute, "cache": cache, "sites": self.sites()}
        weights = self.weights()
        if weights:
            return functional_call(self.base, weights, (tokens,), options)
        return self.base(tokens, **options)

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """An empty cache with room for `capacity` tokens and for the virtual ones before them."""
        capacity = self.window if capacity is None else capacity
        return self.base.new_cache(batch_size, capacity + self.n_virtual)

    def parameters_to_train(self) -> list[nn.Parameter]:
        """What an optimiser should be given."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def count(self) -> Count:
        """How many parameters are trained, stored, and frozen underneath."""
        stored = [tensor for each in self.attachments.values() for tensor in each.stored().values()]
        return Count(
            sum(parameter.numel() for parameter in self.parameters_to_train()),
            sum(tensor.numel() for tensor in stored),
            sum(parameter.numel() for parameter in self.base.parameters()),
        )

    def detach(self) -> MiniLM:
        """The base, bit for bit as it was before `attach`; this tuned model is then of no more use."""
        base = self.base
        release(base, self)
        self._base = ()
        return base

    def merge(self) -> MiniLM:
        """A model of the base's shape that gives the same logits without any attachment.

        Raises:
            ValueError: one of the methods cannot be written into weights.
        """
        merged = deepcopy(self.base)
        with torch.no_grad():
            for attachment in self.attachments.values():
                attachment.merge_into(merged)
        return merged.requires_grad_(True).eval()

    def save(self, folder: str | Path) -> Path:
        """Write the attachments, not the base; `tuning.load` reads them."""
        return save(self, folder)

    def train(self, mode: bool = True) -> TunedModel:
        """Training mode for the attachments. The base keeps its dropout off unless its own weights are trained."""
        super().train(mode)
        if self._base:
            self.base.train(mode and any(each.weights() for each in self.attachments.values()))
        return self

    def _apply(self, fn, recurse: bool = True) -> TunedModel:
        """`.to(...)` moves the base along."""
        self.base._apply(fn, recurse)
        return super()._apply(fn, recurse)


def attach(model: MiniLM, methods: Method | Sequence[Method] | Mapping[str, Method]) -> TunedModel:
    """Attach one or several tuning methods to a model and freeze it.

    Args:
        methods: a method, several of different kinds, or a mapping if two of a kind need names.

    Raises:
        ValueError: a method does not fit the model, two bear the same name, or the model is tuned already.
    """
    if isinstance(model, TunedModel):
        raise ValueError(
            "this model is tuned already: attach all methods at once, attach(base, [one, other])"
        )
    named = methods if isinstance(methods, Mapping) else by_name(methods)
    if not named:
        raise ValueError("there is nothing to attach: the list of methods is empty")
    return TunedModel(model, named)


def by_name(methods: Method | Sequence[Method]) -> dict[str, Method]:
    """Methods under their own names."""
    named: dict[str, Method] = {}
    for method in [methods] if isinstance(methods, Method) else methods:
        if not isinstance(method, Method):
            raise ValueError(f"{method!r} is no tuning method; see tuning.METHODS")
        if method.name in named:
            raise ValueError(
                f"two methods are called {method.name!r}: give them names, "
                f'attach(model, {{"first": ..., "second": ...}})'
            )
        named[method.name] = method
    return named


@contextmanager
def detached_on_error(tuned: TunedModel) -> Iterator[TunedModel]:
    """Lets the base go if what happens inside fails."""
    try:
        yield tuned
    except Exception:
        tuned.detach()
        raise
