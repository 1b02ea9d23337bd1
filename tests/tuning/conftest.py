"""A base model with weights large enough to matter, and every method in a size that suits it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from minilm import MiniLM, ModelConfig
from minilm.tuning import (
    MAM,
    Adapter,
    Auxiliary,
    BitFit,
    FullFineTuning,
    Inducer,
    LoRA,
    MAMInducer,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    Side,
    TunedModel,
    attach,
)

CONFIG = ModelConfig(vocab_size=40, context_length=24, n_layer=2, n_head=2, d_model=16)

METHODS: dict[str, Method | list[Method]] = {
    "fine-tuning": FullFineTuning(),
    "bitfit": BitFit(),
    "prompt": Prompt(length=3),
    "prefix": Prefix(length=3, hidden=8),
    "prefix-direct": Prefix(length=3, reparameterize=False),
    "prefix-shifted": Prefix(length=3, hidden=8, shift_positions=True),
    "pfeiffer": Adapter(bottleneck=4),
    "houlsby": Adapter(bottleneck=4, placement="houlsby", layer_norm=True),
    "block": Adapter(bottleneck=4, placement="block"),
    "parallel": ParallelAdapter(bottleneck=4, scale=2.0),
    "lora": LoRA(rank=2),
    "lora-everywhere": LoRA(rank=2, targets=("query", "key", "value", "output", "up", "down"), bias=True),
    "mam": MAM(length=2, bottleneck=4, hidden=8),
    "lora+adapter": [LoRA(rank=2), Adapter(bottleneck=4)],
    "lora+prefix": [LoRA(rank=2), Prefix(length=3, hidden=8)],
    "inducer": Inducer(key_bottleneck=3, value_bottleneck=4),
    "adaptive": Inducer.adaptive(4),
    "extension": Inducer.extension(4),
    "inducer-with-lora": Inducer.with_lora(3, 4, query_rank=2),
    "mam-inducer": MAMInducer(key_bottleneck=3, value_bottleneck=4, query_rank=2, bottleneck=4),
    "lora+inducer": [LoRA(rank=2, targets=("query",), bias=True), Inducer(3, 4)],
    "inducer-gating": Inducer.gating_variant(3, 4),
    "inducer+prefix": [Inducer(3, 4), Prefix(length=3, hidden=8)],
    "auxiliary": Auxiliary(d_model=8, n_layer=1, n_head=2),
    "auxiliary-features": Auxiliary(d_model=8, n_layer=1, n_head=2, feature_layers=1),
    "lora+auxiliary": [LoRA(rank=2), Auxiliary(d_model=8, n_layer=1, n_head=2, feature_layers=2)],
    "side": Side(d_model=8, n_layer=1, n_head=2),
    "side-copy": Side(copy=True),
    "side+prefix": [Side(d_model=8, n_layer=1, n_head=2), Prefix(length=3, hidden=8)],
    "prompt+auxiliary": [Prompt(length=3), Auxiliary(d_model=8, n_layer=1, n_head=2)],
}
"""Every method and some compositions, in sizes that suit the base."""


@pytest.fixture
def base() -> MiniLM:
    """A model whose weights are large, so that a change anywhere shows in the logits."""
    torch.manual_seed(3)
    model = MiniLM(CONFIG).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def tokens() -> Tensor:
    """(2, 9) ids."""
    return torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(5))


def attach_and_stir(base: MiniLM, methods: Method | list[Method]) -> TunedModel:
    """Attached, and every trained weight moved away from where it started."""
    tuned = attach(base, methods)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    tuned.train()
    return tuned.eval()  # forgets what was produced from the old weights
