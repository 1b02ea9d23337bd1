"""Tuning a base of half precision: the base multiplies in its own, what is trained is kept in float32.

A weight of bfloat16 has 8 bits, and an update of less than 1/256 of it is rounded away; the squares that AdamW averages
underflow in float16. So whatever is trained has at least float32, and what a delta reads and returns is converted on the
way. With a base of float32 or float64 nothing is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from minilm.model.attention import Attended
from minilm.model.interface import Reading
from minilm.model.sites import AttentionDelta, Delta, Place


def trained_precision(dtype: torch.dtype) -> torch.dtype:
    """The precision of what is trained on a base of this one."""
    return torch.promote_types(dtype, torch.float32)


def precision_of(module: nn.Module, otherwise: torch.dtype) -> torch.dtype:
    """The precision of a module's weights; `otherwise` if it has none."""
    return next((weight.dtype for weight in module.parameters()), otherwise)


def in_precision(weights: Mapping[str, Tensor], dtype: torch.dtype) -> Mapping[str, Tensor]:
    """The weights in the base's precision."""
    return {name: weight.to(dtype) for name, weight in weights.items()}


def converted(place: Place, delta: Delta, dtype: torch.dtype) -> Delta:
    """A delta that computes in this precision, whatever the base does. Virtual rows and slots are converted by the model."""
    return delta if place[0] in ("embedding", "memory") else Converted(place[0], delta, dtype)


@dataclass(frozen=True)
class Converted:
    """A delta between two conversions."""

    site: str
    delta: Callable[..., Any]
    dtype: torch.dtype

    def __call__(self, *arguments: Any) -> Any:
        special: dict[str, Callable[..., Any]] = {"attention": self.attention, "logits": self.logits}
        return special.get(self.site, self.sum)(*arguments)

    def sum(self, x: Tensor, y: Tensor) -> Tensor:
        """What is added to y."""
        added: Tensor = self.delta(x.to(self.dtype), y.to(self.dtype))
        return added.to(y.dtype)

    def attention(self, attended: Attended) -> AttentionDelta:
        """What is added to the heads' output and after the output map. Gates are kept where the trace looks for them."""
        names = ("query", "keys", "output", "scores", "weights")
        tensors = {name: getattr(attended, name) for name in names}
        in_own: dict[str, Any] = {
            name: each if each is None else each.to(self.dtype) for name, each in tensors.items()
        }
        own = replace(attended, **in_own)
        dtype = attended.query.dtype
        return AttentionDelta(*(each if each is None else each.to(dtype) for each in self.delta(own)))

    def logits(self, reading: Reading) -> Tensor:
        """The shift of the logits."""
        states = [state if state is None else state.to(self.dtype) for state in reading.states]
        own = replace(reading, states=states, logits=reading.logits.to(self.dtype))
        shift: Tensor = self.delta(own)
        return shift.to(reading.logits.dtype)
