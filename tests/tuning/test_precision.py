"""Every method on bases of half and double precision: it reads, it learns, and it comes back from its file."""

from __future__ import annotations

import pytest
import torch

from minilm import generate, trace
from minilm.objectives import Batch, NextToken
from minilm.training import TrainingConfig, train
from minilm.tuning import METHODS, Auxiliary, CachedBase, LoRA, Prefix, attach, load
from tests.tuning.conftest import METHODS as CASES
from tests.tuning.conftest import attach_and_stir

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
KINDS = {type(case).name: case for case in reversed(CASES.values()) if not isinstance(case, list)}
TOLERANCE = {torch.bfloat16: 0.25, torch.float16: 0.03, torch.float64: 1e-4}
"""Of logits around 5, read off by a base of this precision."""


class OneBatch:
    """The same texts at every step, so that the loss falls from step to step."""

    def batch(self, index: int) -> Batch:
        return NextToken([3, 5, 7] * 20, 8, 4).batch(0)


@pytest.fixture(params=PRECISIONS.values(), ids=PRECISIONS.keys())
def precision(request) -> torch.dtype:
    return request.param


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def method(request):
    return request.param


def test_these_are_all_methods():
    assert KINDS.keys() == METHODS.keys()


def test_it_reads_what_the_same_method_reads_on_a_base_of_float32(base, tokens, method, precision):
    tuned = attach_and_stir(base, method)
    weights, expected = tuned.state_dict(), tuned(tokens).logits
    rough = attach(base.to(precision), method)
    rough.load_state_dict(weights)
    logits = rough.eval()(tokens).logits
    assert logits.dtype == precision
    torch.testing.assert_close(logits.float(), expected, atol=TOLERANCE[precision], rtol=0.05)


def test_it_learns_and_the_base_keeps_every_bit(base, method, precision):
    base.to(precision)
    before = [weight.clone() for weight in base.state_dict().values()]
    tuned = attach(base, method)
    config = TrainingConfig(steps=12, optimizer="adamw", learning_rate=0.03, warmup_steps=0, device="cpu")
    losses = torch.tensor(
        [record.loss for record in train(tuned, OneBatch(), config, progress=False).records]
    )
    assert losses.isfinite().all()
    assert losses[-1] < losses[0] - 0.02
    assert all(map(torch.equal, before, base.state_dict().values()))
    trained = {weight.dtype for weight in tuned.parameters()}
    assert trained == {torch.promote_types(precision, torch.float32)}  # no update is rounded away


def test_it_comes_back_from_its_file(base, tokens, method, precision, tmp_path):
    tuned = attach_and_stir(base.to(precision), method)
    tuned.save(tmp_path / "adapter")
    again = load(base, tmp_path / "adapter")
    assert torch.equal(again(tokens).logits, tuned(tokens).logits)
    assert torch.equal(generate(again, tokens, 5, seed=0), generate(tuned, tokens, 5, seed=0))


def test_a_tuned_model_may_be_converted_after_it_was_made(base, tokens, method, precision, tmp_path):
    tuned = attach_and_stir(base, method)
    expected = tuned(tokens).logits
    tuned.to(precision)
    assert {weight.dtype for each in (base, tuned) for weight in each.parameters()} == {precision}
    torch.testing.assert_close(tuned(tokens).logits.float(), expected, atol=TOLERANCE[precision], rtol=0.05)
    tuned.save(tmp_path / "adapter")
    assert torch.equal(load(base, tmp_path / "adapter")(tokens).logits, tuned(tokens).logits)


def test_looking_inside_works_in_half_precision(base, tokens, precision):
    tuned = attach_and_stir(base.to(precision), CASES["inducer-with-lora"])
    with trace(tuned) as seen:
        tuned(tokens)
    assert set(seen.gates) == {0, 1}
    assert seen.logits.shift.abs().max() > 0


def test_kept_states_work_in_half_precision(base, tokens, precision, tmp_path):
    tuned = attach_and_stir(base.to(precision), Auxiliary(d_model=8, n_layer=1, n_head=2, feature_layers=1))
    for _ in range(2):
        cached = CachedBase(tuned, folder=tmp_path)
        torch.testing.assert_close(cached(tokens).logits, tuned(tokens).logits, atol=0.1, rtol=0.05)


def test_a_start_from_words_works_in_half_precision(base, tokens, precision):
    base.to(precision)
    words = (4, 8, 15)
    tuned = attach(base, Prefix(length=3, reparameterize=False, init=words, shift_positions=True))
    together = torch.cat([torch.tensor([words, words]), tokens], dim=1)
    torch.testing.assert_close(tuned(tokens).logits, base(together).logits[:, 3:], atol=0.3, rtol=0.1)
    attach(base, Prefix(length=3, hidden=8, init=words, fit_steps=3))


def test_merging_into_half_precision_rounds_once(base, precision):
    tuned = attach_and_stir(base.to(precision), LoRA(rank=2))
    change = tuned.attachments["lora"].changes["query-0"]
    expected = base.blocks[0].attention.query.weight + (change.scale * change.A @ change.B).T
    assert torch.equal(tuned.merge().blocks[0].attention.query.weight, expected.to(precision))
