"""MAM inducer: mix and match with an inducer in the place of the prefix (Chen et al. 2022).

An inducer and a LoRA on the query in attention, a parallel adapter beside the MLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from minilm.model.model import MiniLM
from minilm.tuning.composite import Combination
from minilm.tuning.method import Method
from minilm.tuning.methods.inducer import Inducer
from minilm.tuning.methods.parallel_adapter import ParallelAdapter


@dataclass(frozen=True)
class MAMInducer(Method):
    """Settings of the MAM inducer.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "mam-inducer"
    acts_at: ClassVar[str] = "attention, query, mlp"
    published: ClassVar[dict[str, Any]] = Inducer.published

    key_bottleneck: int = 3
    """r_k of the inducer; 0 leaves the virtual key on the query itself."""
    value_bottleneck: int = 7
    """r_v of the inducer."""
    query_rank: int = 16
    """Rank of the LoRA on the query."""
    bottleneck: int = 42
    """Width of the adapter."""
    scale: float = 1.0
    """Factor of the adapter."""
    init: str = "identity"
    """As for `Inducer`."""
    query_alpha: float = 32.0
    """alpha of the LoRA."""
    query_dropout: float = 0.1
    """Dropout of the LoRA."""

    def __post_init__(self) -> None:
        self.inducer, self.adapter  # noqa: B018 - to be validated now

    @property
    def inducer(self) -> Inducer:
        """The part in attention, query included."""
        return Inducer(
            self.key_bottleneck,
            self.value_bottleneck,
            init=self.init,
            query_rank=self.query_rank,
            query_alpha=self.query_alpha,
            query_dropout=self.query_dropout,
        )

    @property
    def adapter(self) -> ParallelAdapter:
        """The part beside the MLP."""
        return ParallelAdapter(self.bottleneck, self.scale)

    def build(self, base: MiniLM) -> Combination:
        return Combination({"inducer": self.inducer.build(base), "adapter": self.adapter.build(base)})
