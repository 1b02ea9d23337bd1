"""A frozen model with tuning methods attached: the one idea of tuning, in code.

He et al., *Towards a Unified View of Parameter-Efficient Transfer Learning* (2022): every method adds something at a
place of a frozen network. So a `TunedModel` is a base model and a set of attachments; a pass collects what stands where
and runs the base with it. The base is shared, never copied and never changed, so many tuned models can stand on one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from minilm.model.cache import KVCache
from minilm.model.interface import OnBase, Output
from minilm.model.model import MiniLM
from minilm.model.sites import Delta, Place, Sites
from minilm.model.tokens import in_words
from minilm.model.visibility import CAUSAL, Visibility
from minilm.system.content_digests import digest
from minilm.tuning.count import Count, ParameterCount
from minilm.tuning.freezing import FrozenView
from minilm.tuning.kept import Kept
from minilm.tuning.method import Attachment, Method
from minilm.tuning.precision import converted, in_precision, precision_of, trained_precision
from minilm.tuning.saving import save


class TunedModel(OnBase, nn.Module):
    """Reads and generates like a `MiniLM`. Make one with `attach`."""

    def __init__(self, base: MiniLM, methods: Mapping[str, Method]):
        super().__init__()
        # in a tuple, so that the base's weights do not count among this module's
        self._base: tuple[MiniLM, ...] = (base,)
        self._view: FrozenView | None = None
        self.methods = dict(methods)
        with torch.device(base.device):
            attachments = {name: method.build(base) for name, method in methods.items()}
        self.attachments = cast(
            Mapping[str, Attachment], nn.ModuleDict(attachments).to(trained_precision(base.dtype))
        )
        self.position_offset = sum(each.position_offset for each in attachments.values())
        self.n_virtual = sum(each.n_virtual for each in attachments.values())
        if self.window < 1:
            raise ValueError(
                f"{self.position_offset + self.n_virtual} virtual positions leave no room for text in a context of "
                f"{base.config.context_length}: choose a shorter length"
            )
        if not self.parameters_to_train():
            raise ValueError(f"{', '.join(methods)} has no parameter to train: choose sizes above zero")
        self._converted = Kept()
        self.eval()

    @property
    def base(self) -> MiniLM:
        """The frozen model underneath."""
        if not self._base:
            raise RuntimeError("this tuned model was detached from its base; attach its methods again")
        return self._base[0]

    @property
    def window(self) -> int:
        """Tokens of text that one pass can read: the context, less what virtual tokens take up."""
        return self.base.window - self.position_offset - self.n_virtual

    def sites(self) -> Sites:
        """The deltas of the next pass, by place."""
        places: dict[Place, list[Delta]] = defaultdict(list)
        dtype = self.base.dtype
        for attachment, own in zip(self.attachments.values(), self._precisions, strict=True):
            for place, delta in attachment.deltas().items():
                places[place].append(delta if own == dtype else converted(place, delta, own))
        return Sites(places, self.position_offset)

    def weights(self) -> Mapping[str, Tensor]:
        """Weights that stand in for the base's own, in its precision."""
        own = {name: weight for each in self.attachments.values() for name, weight in each.weights().items()}
        dtype = self.base.dtype
        if all(weight.dtype == dtype for weight in own.values()):
            return own
        first = next(iter(own.values()))
        weights: Mapping[str, Tensor] = self._converted.get(
            self.training, first, lambda: in_precision(own, dtype)
        )
        return weights

    def forward(
        self,
        tokens: Tensor,
        *,
        attribute: Tensor | None = None,
        cache: KVCache | None = None,
        visibility: Visibility = CAUSAL,
    ) -> Output:
        """Next-token logits for tokens (B, T), as `MiniLM.forward`.

        Args:
            attribute: (B, m) int64, for methods that take one.

        Raises:
            ValueError: as `MiniLM.forward`, or an attribute for methods that take none.
        """
        self.check_attribute(attribute)
        options = {
            "attribute": attribute,
            "cache": cache,
            "sites": self.sites(),
            "visibility": visibility,
        }
        if torch.compiler.is_compiling() and self._view:  # a compiler follows tensors, and makes no modules
            output: Output = functional_call(self._view.model, dict(self.weights()), (tokens,), options)
        else:
            output = self.frozen()(tokens, **options)
        return output

    @property
    def takes_attribute(self) -> bool:
        """Whether one of the methods reads an attribute."""
        return any(each.takes_attribute for each in self.attachments.values())

    def check_attribute(self, attribute: Tensor | None) -> None:
        """Raise ValueError for an attribute that no method reads."""
        if attribute is not None and not self.takes_attribute:
            raise ValueError(
                f"attribute must be None: {', '.join(self.methods)} takes none; auxiliary tuning does"
            )

    def frozen(self) -> MiniLM:
        """The base as this model reads it: without gradients, and with the weights that stand in for the base's own."""
        weights, view = self.weights(), self._view
        if view is None or not view.fits(weights):
            self._view = view = self._new_view(weights)
        return view.model

    def _new_view(self, weights: Mapping[str, Tensor]) -> FrozenView:
        """The base's dropout is on only where its own weights are trained."""
        return FrozenView(self.base, weights, self.training and bool(weights))

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """An empty cache with room for `capacity` tokens and for the virtual ones before them."""
        capacity = self.window if capacity is None else capacity
        return self.base.new_cache(batch_size, capacity + self.n_virtual)

    def identity(self) -> dict[str, Any]:
        """What decides its results besides the trained weights: the methods' settings, and the base with every weight."""
        methods = {name: {"method": each.name, **each.settings()} for name, each in self.methods.items()}
        heard = {n: each.strength for n, each in self.attachments.items() if hasattr(each, "strength")}
        base = {**self.base.identity(), "weights": digest(self.base.state_dict())}
        return {"methods": methods, "strengths": heard, "base": base}

    def parameters_to_train(self) -> list[nn.Parameter]:
        """What an optimiser should be given."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def count(self) -> Count:
        """How many parameters are trained, stored, and frozen underneath."""
        stored = [tensor for each in self.attachments.values() for tensor in each.stored().values()]
        return ParameterCount(
            sum(parameter.numel() for parameter in self.parameters_to_train()),
            sum(tensor.numel() for tensor in stored),
            sum(parameter.numel() for parameter in self.base.parameters()),
        )

    def detach(self) -> MiniLM:
        """The base, bit for bit as it was before `attach`; this tuned model is then of no more use."""
        base = self.base
        self._base, self._view = (), None
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
        """Training mode for the attachments, and for the weights that stand in for the base's own."""
        super().train(mode)
        self._converted.forget()
        self._look_anew()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TunedModel:
        """`.to(...)` moves the base along."""
        self.base._apply(fn, recurse)  # type: ignore[no-untyped-call]  # of torch
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._look_anew()
        return self

    def _look_anew(self) -> None:
        """Look again at the base and at the precision of the attachments."""
        if self._base:
            self._precisions = [precision_of(each, self.base.dtype) for each in self.attachments.values()]
            self._view = self._new_view(self.weights())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_view": None}  # a copy looks at the copied base

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.train(self.training)


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
    if not isinstance(model, MiniLM):
        raise ValueError(f"model must be a MiniLM, not {in_words(model)}: load_pretrained gives one")
    named = methods if isinstance(methods, Mapping) else by_name(methods)
    for name, method in named.items():
        check_method(method)
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"a method's name must be a word without a dot, not {name!r}")
    if not named:
        raise ValueError("there is nothing to attach: the list of methods is empty")
    return TunedModel(model, named)


def check_method(method: object) -> None:
    """Raise ValueError for what is not a method with its settings."""
    if not isinstance(method, Method):
        made = (
            ": it must be made first, with its settings, as in LoRA(rank=8)"
            if isinstance(method, type)
            else ""
        )
        raise ValueError(f"{in_words(method)} is not a tuning method{made}; see tuning.METHODS")


def by_name(methods: Method | Sequence[Method]) -> dict[str, Method]:
    """Methods under their own names."""
    named: dict[str, Method] = {}
    several = methods if isinstance(methods, list | tuple) else [cast(Method, methods)]
    for method in several:
        check_method(method)
        if method.name in named:
            raise ValueError(
                f"two methods are called {method.name!r}: give them names, "
                f'attach(model, {{"first": ..., "second": ...}})'
            )
        named[method.name] = method
    return named


@contextmanager
def detached_on_error(tuned: TunedModel) -> Iterator[TunedModel]:
    """Detach the base if an error is raised inside."""
    try:
        yield tuned
    except Exception:
        tuned.detach()
        raise
