"""Rows with deltas of their own give what each tuned model gives alone."""

from __future__ import annotations

import pytest
import torch

from minilm import MiniLM, generate
from minilm.tuning import Adapter, FullFineTuning, LoRA, Prefix, Prompt
from minilm.tuning.mixed_batch import MixedBatch
from tests.tuning.conftest import CONFIG, attach_and_stir


@pytest.fixture
def models(base):
    """One model a row: two kinds of memory, two LoRAs, an adapter, and a row without tuning."""
    short = attach_and_stir(base, Prefix(length=2, hidden=8))
    return [
        attach_and_stir(base, LoRA(rank=2)),
        short,
        base,
        attach_and_stir(base, [LoRA(rank=3, targets=("value", "up")), Prefix(length=5, hidden=8)]),
        attach_and_stir(base, Adapter(bottleneck=4, placement="houlsby")),
        short,
    ]


@pytest.mark.parametrize("explicit", [False, True])
def test_each_row_is_read_by_its_own_model(base, models, explicit):
    base.explicit_attention = explicit
    tokens = torch.randint(40, (6, 9), generator=torch.Generator().manual_seed(1))
    mixed = MixedBatch(models)(tokens).logits
    for row, model in enumerate(models):
        torch.testing.assert_close(mixed[row], model(tokens[row : row + 1]).logits[0], atol=1e-5, rtol=1e-5)


def test_a_mixed_batch_generates_what_each_model_generates_alone(models):
    prompts = torch.arange(12).view(6, 2)
    mixed = generate(MixedBatch(models), prompts, 15, temperature=0)
    for row, model in enumerate(models):
        assert torch.equal(mixed[row], generate(model, prompts[row : row + 1], 15, temperature=0)[0])


def test_what_cannot_share_a_batch(base):
    with pytest.raises(ValueError, match="fine-tuning cannot share a batch"):
        MixedBatch([attach_and_stir(base, FullFineTuning()), base])
    with pytest.raises(ValueError, match="prompt cannot share a batch"):
        MixedBatch([attach_and_stir(base, Prompt(length=2)), base])
    with pytest.raises(ValueError, match="must share one base"):
        MixedBatch([base, MiniLM(CONFIG)])
    with pytest.raises(ValueError, match="there are none"):
        MixedBatch([])
    with pytest.raises(ValueError, match="3 rows of tokens for a batch of 1"):
        MixedBatch([base])(torch.zeros(3, 4, dtype=torch.int64))
