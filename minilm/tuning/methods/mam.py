"""MAM, mix and match: a short prefix in attention, a scaled parallel adapter beside the MLP (He et al. 2022, section 4.6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from minilm.model.model import MiniLM
from minilm.tuning.composite import Combination
from minilm.tuning.method import Method
from minilm.tuning.methods.parallel_adapter import ParallelAdapter
from minilm.tuning.methods.prefix import Prefix


@dataclass(frozen=True)
class MAM(Method):
    """Settings of MAM."""

    name: ClassVar[str] = "mam"
    acts_at: ClassVar[str] = "memory, mlp"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "label_smoothing": 0.1, "warmup_steps": 500}
    suited: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3}

    length: int = 8
    """Slots of the prefix; 30 for summarisation in the paper."""
    bottleneck: int = 16
    """Width of the adapter; 512 for summarisation in the paper."""
    scale: float = 4.0
    """Factor of the adapter."""
    reparameterize: bool = True
    """As for `Prefix`."""
    hidden: int = 800
    """Width of the prefix's network."""
    init: str | tuple[int, ...] = "vocabulary"
    """As for `Prefix`."""

    def __post_init__(self) -> None:
        self.prefix, self.adapter  # noqa: B018 - to be validated now

    @property
    def prefix(self) -> Prefix:
        """The part in attention."""
        return Prefix(self.length, self.reparameterize, self.hidden, self.init)

    @property
    def adapter(self) -> ParallelAdapter:
        """The part beside the MLP."""
        return ParallelAdapter(self.bottleneck, self.scale)

    def as_stored(self) -> MAM:
        return replace(self, reparameterize=False, init="random")

    def build(self, base: MiniLM) -> Combination:
        return Combination({"prefix": self.prefix.build(base), "adapter": self.adapter.build(base)})
