"""What holds for one forward pass, and for all passes of one thread inside a `with` block; nothing of it is kept in a model.

Several threads may read one model at once: a lab trains it while an explorer generates from it. So what a reader wants of
its own passes (no dropout, scores that can be looked at, a recorder) is kept for its thread, and each pass takes it
along. A flag of the model would apply to every thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from minilm.model.sites import NO_SITES, Sites
from minilm.model.slots import Memory, present_slots
from minilm.model.visibility import CAUSAL, Visibility

if TYPE_CHECKING:
    from minilm.model.attention import Attended
    from minilm.model.cache import KVCache
    from minilm.model.interface import Reading

T = TypeVar("T")


class Recorder(Protocol):
    """An object that records the passes of a model; `trace` makes one."""

    def keep_attention(self, layer: int, attended: Attended, n_memory: int) -> None: ...
    def keep_logits(self, reading: Reading, combined: Tensor) -> None: ...


@dataclass
class Pass:
    """What one forward pass carries from block to block."""

    sites: Sites = NO_SITES
    cache: KVCache | None = None
    visibility: Visibility = CAUSAL
    """Who may look at whom among the tokens of the text."""
    n_virtual: int = 0
    """Virtual tokens before the text."""
    recorder: Recorder | None = None
    explicit: bool = False
    """Form the attention scores, instead of calling the fused kernel."""
    training: bool = False
    """Dropout is on."""

    def note_virtual(self, n_virtual: int) -> None:
        """There are so many tokens before the text, in this pass and in later ones over the same cache."""
        if self.cache is not None:
            self.cache.n_virtual = n_virtual if self.cache.length == 0 else self.cache.n_virtual
        self.n_virtual = n_virtual if self.cache is None else self.cache.n_virtual

    def visible(self, memory: list[Memory]) -> Visibility:
        """Who may look at whom in a layer with these slots before its keys."""
        n_virtual = self.n_virtual + sum(slots.keys.size(-2) for slots in memory)
        newest = None if self.cache is None else self.cache.newest
        return self.visibility.over(n_virtual, present_slots(memory), newest)

    def drop(self, x: Tensor, share: float) -> Tensor:
        """x with this share of its numbers dropped, in a training pass."""
        return F.dropout(x, share) if self.training and share else x


class Conditions(NamedTuple):
    """What the `with` blocks that a thread is in ask of every pass that it makes."""

    evaluating: bool = False
    """Dropout is off, in whatever mode the model is."""
    explicit: bool = False
    """As for `Pass`."""
    recorders: tuple[tuple[nn.Module, Recorder], ...] = ()
    """Base models, each with its recorder; the newest first."""
    factors: tuple[tuple[object, float], ...] = ()
    """Factors of the logit shifts that replace the attachments' own strengths; the newest first."""

    def recorder_of(self, base: nn.Module) -> Recorder | None:
        """The recorder of this base, if there is one."""
        return (
            next((recorder for each, recorder in self.recorders if each is base), None)
            if self.recorders
            else None
        )


class _ThisThread(threading.local):
    def __init__(self) -> None:
        self.conditions = Conditions()


_HERE = _ThisThread()


def conditions() -> Conditions:
    """What holds for the passes of this thread."""
    return _HERE.conditions


class Under(Generic[T]):
    """Some `Conditions` changed inside a `with` block, in this thread; afterwards as before. The block is given `value`.

    A class with a single assignment at each end, and not a generator: so Ctrl-C finds nothing half done.
    """

    def __init__(self, value: T, **changes: Any):
        self.value, self.changes = value, changes

    def __enter__(self) -> T:
        self.before = _HERE.conditions
        _HERE.conditions = self.before._replace(**self.changes)
        return self.value

    def __exit__(self, *error: object) -> None:
        _HERE.conditions = self.before


def evaluating(model: object = None) -> Under[None]:
    """No dropout in the passes that this thread makes inside. No module's mode is changed: other threads notice nothing.

    Args:
        model: which model is meant, for the reader of the code; whatever runs inside is evaluated.
    """
    return Under(None, evaluating=True)


def unrecorded(base: nn.Module) -> Under[None]:
    """Inside, the passes of a base that this thread makes are not recorded."""
    return Under(None, recorders=tuple(pair for pair in conditions().recorders if pair[0] is not base))


def is_training(module: nn.Module) -> bool:
    """Whether a module trains, in a pass that is not being evaluated."""
    return module.training and not conditions().evaluating


def dropout(x: Tensor, share: float, module: nn.Module) -> Tensor:
    """Dropout inside a delta: x with this share of its numbers dropped while its module trains."""
    return F.dropout(x, share) if share and is_training(module) else x
