"""Parameter counts of published tables, for GPT-2 small."""

from __future__ import annotations

import pytest

from minilm import ModelConfig
from minilm.tuning import (
    MAM,
    Adapter,
    BitFit,
    FullFineTuning,
    LoRA,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    count_on,
    table,
)
from minilm.tuning.registry import METHODS

GPT2 = ModelConfig.preset("gpt2")
L, D = 12, 768


@pytest.mark.parametrize(
    ("method", "stored", "share"),
    [
        (Adapter(bottleneck=108, placement="block", layer_norm=True), 2_019_600, 1.62),
        (LoRA(rank=54, bias=True), 2_009_088, 1.61),
        (Prefix(length=108), 1_990_656, 1.60),
        (MAM(length=6, bottleneck=102), 2_001_096, 1.61),
    ],
)
def test_rows_of_the_published_table(method: Method, stored: int, share: float):
    count = count_on(GPT2, method)
    assert count.base == 124_439_808
    assert count.stored == stored
    assert round(100 * count.fraction, 2) == share


def test_a_reparameterised_prefix_trains_its_network_too():
    assert count_on(GPT2, Prefix(length=108, hidden=512)).trained == 9_932_288
    assert count_on(GPT2, Prefix(length=108, reparameterize=False)).trained == 1_990_656


@pytest.mark.parametrize(
    ("method", "trained"),
    [
        (FullFineTuning(), 124_439_808),
        (BitFit(), L * (3 * D + D + 4 * D + D + 2 * D) + D),
        (BitFit(layer_norm=False), L * (3 * D + D + 4 * D + D)),
        (Prompt(length=5), 5 * D),
        (LoRA(rank=4, targets=("up",)), L * 4 * (D + 4 * D)),
        (Adapter(bottleneck=7), L * (2 * D * 7 + 7 + D)),
        (Adapter(bottleneck=7, placement="houlsby"), 2 * L * (2 * D * 7 + 7 + D)),
        (ParallelAdapter(bottleneck=7), L * (2 * D * 7 + 7 + D)),
    ],
)
def test_counts_by_formula(method: Method, trained: int):
    assert count_on(GPT2, method).trained == trained


def test_the_table_has_a_line_for_every_method():
    lines = table(GPT2).splitlines()
    assert [line.split()[0] for line in lines] == ["method", *METHODS]
    assert "124,439,808" in lines[1] and "100.00%" in lines[1]
