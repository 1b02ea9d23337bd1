"""The base stays as it is: no gradients while anything is attached to it, and its own flags back afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, WeakSet

from torch import nn


@dataclass
class _Frozen:
    """What a base was like before, and who holds it."""

    required: dict[str, bool]
    holders: WeakSet = field(default_factory=WeakSet)


_FROZEN: WeakKeyDictionary[nn.Module, _Frozen] = WeakKeyDictionary()


def freeze(base: nn.Module, holder: object) -> None:
    """Switch the base's gradients off for as long as at least one holder has it."""
    if base not in _FROZEN:
        _FROZEN[base] = _Frozen({name: weight.requires_grad for name, weight in base.named_parameters()})
    _FROZEN[base].holders.add(holder)
    base.requires_grad_(False)


def release(base: nn.Module, holder: object) -> None:
    """Let go; the last holder to do so gives the base its own flags back."""
    frozen = _FROZEN.get(base)
    if frozen is None or holder not in frozen.holders:
        return
    frozen.holders.discard(holder)
    if not frozen.holders:
        for name, weight in base.named_parameters():
            weight.requires_grad_(frozen.required[name])
        del _FROZEN[base]
