"""The laws of the frame, for every method and for compositions of methods."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minilm import MiniLM, generate, trace
from minilm.objectives import NextToken
from minilm.training import TrainingConfig, train
from minilm.tuning import METHODS, Adapter, BitFit, FullFineTuning, LoRA, Method, Prefix, Prompt, attach
from tests.tuning.conftest import CONFIG, attach_and_stir
from tests.tuning.conftest import METHODS as CASES

CHANGES_AT_ONCE = {"mam", "inducer-gating", "side"}
STARTS_AS_BASE = [
    name for name in CASES if name not in CHANGES_AT_ONCE and "prefix" not in name and "prompt" not in name
]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def method(request) -> Method | list[Method]:
    return request.param


def test_every_method_is_made_without_arguments():
    for name, kind in METHODS.items():
        assert kind().name == name
        assert kind().acts_at


def test_attach_then_detach_leaves_the_base_as_it_was(base, tokens, method):
    base.position_embedding.requires_grad_(False)
    flags = {name: weight.requires_grad for name, weight in base.named_parameters()}
    before, weights = base(tokens).logits, [weight.clone() for weight in base.parameters()]
    tuned = attach_and_stir(base, method)
    assert not torch.equal(tuned(tokens).logits, before)
    assert tuned.detach() is base
    assert torch.equal(base(tokens).logits, before)
    assert all(map(torch.equal, weights, base.parameters()))
    assert flags == {name: weight.requires_grad for name, weight in base.named_parameters()}


def test_training_moves_the_attachment_and_no_bit_of_the_base(base, tokens, method):
    before = [weight.clone() for weight in base.state_dict().values()]
    tuned = attach(base, method)
    own = [parameter.clone() for parameter in tuned.parameters()]
    batches = NextToken(list(range(40)) * 3, context_length=8, batch_size=2)
    train(tuned, batches, TrainingConfig(steps=50, optimizer="adamw", device="cpu"), progress=False)
    assert all(map(torch.equal, before, base.state_dict().values()))
    moved = [not torch.equal(old, new) for old, new in zip(own, tuned.parameters(), strict=True)]
    assert sum(moved) == len(moved)


@pytest.mark.parametrize("name", STARTS_AS_BASE)
def test_a_start_that_changes_nothing_gives_the_bases_logits_bit_for_bit(base, tokens, name):
    before = base(tokens).logits
    assert torch.equal(attach(base, CASES[name])(tokens).logits, before)


def test_cached_generation_is_recomputing(base, method):
    tuned = attach_and_stir(base, method)
    prompt = torch.tensor([[1, 2, 3], [4, 5, 6]])
    cached = generate(tuned, prompt, tuned.window - 3, temperature=0)
    slow = prompt
    while slow.size(1) < tuned.window:
        slow = torch.cat([slow, tuned(slow).logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(cached, slow)


def test_padding_on_the_right_changes_nothing_before_it(base, tokens, method):
    tuned = attach_and_stir(base, method)
    padded = torch.cat([tokens, torch.zeros(2, 4, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(tuned(padded).logits[:, :9], tuned(tokens).logits, atol=1e-5, rtol=0)


def test_a_trace_adds_up_and_its_rows_sum_to_one(base, tokens, method):
    tuned = attach_and_stir(base, method)
    with trace(tuned) as seen:
        logits = tuned(tokens).logits
    torch.testing.assert_close(seen.logits.base + seen.logits.shift, logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.logits.base, base(tokens).logits, atol=1e-5, rtol=0)
    for weights in seen.attention.values():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_count_agrees_with_the_tensors(base, method):
    tuned = attach(base, method)
    count = tuned.count()
    assert count.trained == sum(parameter.numel() for parameter in tuned.parameters())
    assert count.base == sum(parameter.numel() for parameter in base.parameters())
    assert count.stored <= count.trained
    assert count.fraction == count.stored / count.base


def test_several_tuned_models_stand_on_one_base(base, tokens):
    one, other = attach_and_stir(base, LoRA(rank=2)), attach_and_stir(base, Prefix(length=2))
    assert one.base is other.base is base
    alone, others = one(tokens).logits, other(tokens).logits
    assert torch.equal(one(tokens).logits, alone)
    one.detach()
    assert torch.equal(other(tokens).logits, others)
    other.detach()
    assert all(weight.requires_grad for weight in base.parameters())


def test_a_tuned_model_that_is_forgotten_lets_go_of_its_base(base):
    attach(base, LoRA(rank=2))  # nobody keeps it
    tuned = attach(base, LoRA(rank=2))
    tuned.detach()
    assert all(weight.requires_grad for weight in base.parameters())


@pytest.mark.parametrize(
    ("method", "drops"),
    [(LoRA(rank=2), False), (Prefix(2), False), (FullFineTuning(), True), (BitFit(), True)],
)
@pytest.mark.parametrize("mode", [True, False])
def test_the_bases_dropout_is_off_unless_its_own_weights_are_trained(tokens, method, drops, mode):
    base = MiniLM(replace(CONFIG, dropout=0.5)).train(mode)
    tuned = attach(base, method).train()
    assert torch.equal(tuned(tokens).logits, tuned(tokens).logits) != drops
    assert torch.equal(tuned.eval()(tokens).logits, tuned(tokens).logits)
    assert tuned.detach().training is mode  # the base's own mode is nobody else's business
    assert all(module.training is mode for module in base.modules())


def test_moving_a_tuned_model_moves_its_base(base):
    tuned = attach(base, LoRA(rank=2)).to(torch.float64)
    assert {tensor.dtype for tensor in (*base.parameters(), *tuned.parameters())} == {torch.float64}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda base: attach(base, LoRA(targets=("query", "gate"))),
            "each of targets must be one of query, key.* not 'gate'",
        ),
        (lambda base: attach(base, LoRA(rank=17)), "rank 17 exceeds 16, the rank of the query map"),
        (lambda base: attach(base, LoRA(rank=0)), "at least 1, not 0"),
        (lambda base: attach(base, LoRA(targets=())), "lora has no parameter to train"),
        (lambda base: attach(base, Prompt(length=24)), "24 virtual positions leave no room"),
        (
            lambda base: attach(base, Prefix(length=30, shift_positions=True)),
            "30 virtual positions leave no room",
        ),
        (lambda base: attach(base, Prefix(length=0)), "length must be a whole number of at least 1, not 0"),
        (lambda base: attach(base, Prompt(length=2, init=(1, 99))), "token id 99 is outside the vocabulary"),
        (
            lambda base: attach(base, Prompt(length=2, init=(1,))),
            "init holds 1 token ids, but the length is 2",
        ),
        (
            lambda base: attach(base, Prefix(init="words")),
            "init must be one of random, vocabulary or 8 token ids",
        ),
        (
            lambda base: attach(base, Adapter(placement="beside")),
            "placement must be one of pfeiffer, .*, not 'beside'",
        ),
        (lambda base: attach(base, [LoRA(), LoRA()]), "two methods are called 'lora': give them names"),
        (lambda base: attach(base, []), "nothing to attach"),
        (lambda base: attach(base, "lora"), "not a tuning method"),
        (lambda base: attach(attach(base, LoRA(rank=2)), BitFit()), "tuned already"),
        (lambda base: attach(base, Prefix()).merge(), "PrefixAttachment cannot be merged"),
        (lambda base: attach(base, [LoRA(rank=2), Adapter()]).merge(), "Bottlenecks cannot be merged"),
    ],
)
def test_bad_input_is_one_clear_error_and_leaves_the_base_alone(base, tokens, make, complaint):
    before = base(tokens).logits
    with pytest.raises(ValueError, match=complaint):
        make(base)
    assert torch.equal(base(tokens).logits, before)


def test_a_failed_attach_leaves_the_base_trainable(base):
    with pytest.raises(ValueError, match="exceeds"):
        attach(base, [BitFit(), LoRA(rank=99)])
    assert all(weight.requires_grad for weight in base.parameters())


def test_two_of_a_kind_under_names_of_their_own(base, tokens):
    tuned = attach(base, {"first": LoRA(rank=2), "second": LoRA(rank=3)})
    assert set(tuned.attachments) == {"first", "second"}
    assert tuned(tokens).logits.shape == (2, 9, 40)


def test_a_detached_model_says_so(base, tokens):
    tuned = attach(base, LoRA(rank=2))
    tuned.detach()
    with pytest.raises(RuntimeError, match="was detached"):
        tuned(tokens)


@pytest.mark.parametrize(
    "methods", [LoRA(rank=2, bias=True), FullFineTuning(), BitFit(), [LoRA(rank=2), BitFit()]]
)
def test_merged_equals_unmerged(base, tokens, methods):
    tuned = attach_and_stir(base, methods)
    before = [weight.clone() for weight in base.parameters()]
    merged = tuned.merge()
    assert isinstance(merged, MiniLM) and merged is not base
    torch.testing.assert_close(merged(tokens).logits, tuned(tokens).logits, atol=1e-5, rtol=1e-5)
    assert all(map(torch.equal, before, base.parameters()))
