"""All methods by name, and the table of what each of them costs."""

from __future__ import annotations

import torch

from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM
from minilm.tuning.count import ParameterCount
from minilm.tuning.method import Method
from minilm.tuning.methods.adapter import Adapter
from minilm.tuning.methods.auxiliary import Auxiliary
from minilm.tuning.methods.bitfit import BitFit
from minilm.tuning.methods.fine_tuning import FullFineTuning
from minilm.tuning.methods.inducer import Inducer
from minilm.tuning.methods.lora import LoRA
from minilm.tuning.methods.mam import MAM
from minilm.tuning.methods.mam_inducer import MAMInducer
from minilm.tuning.methods.parallel_adapter import ParallelAdapter
from minilm.tuning.methods.prefix import Prefix
from minilm.tuning.methods.prompt import Prompt
from minilm.tuning.methods.side import Side
from minilm.tuning.tuned import attach

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        FullFineTuning,
        BitFit,
        Prompt,
        Prefix,
        Adapter,
        ParallelAdapter,
        LoRA,
        MAM,
        Inducer,
        MAMInducer,
        Auxiliary,
        Side,
    )
}
"""Name -> class; every one can be made without arguments."""


def count_on(config: ModelConfig, method: Method) -> ParameterCount:
    """What a method costs on a base of this shape, without allocating the base.

    >>> count_on(ModelConfig.preset("gpt2"), LoRA(rank=8)).trained
    294912
    """
    with torch.device("meta"):
        return attach(MiniLM(config), method).count()


def table(config: ModelConfig) -> str:
    """Every method with its default settings: where it acts, what it trains, what it stores."""
    lines = [f"{'method':<18} {'acts at':<30} {'trained':>12} {'stored':>12} {'share':>8}"]
    for name, method in METHODS.items():
        count = count_on(config, method())
        lines.append(
            f"{name:<18} {method.acts_at:<30} {count.trained:>12,} {count.stored:>12,} {count.fraction:>8.2%}"
        )
    return "\n".join(lines)
