"""Side-tuning, DExperts and proxy-tuning: their equations, and texts that grow as if reread."""

from __future__ import annotations

import pytest
import torch

from minilm import MiniLM, ModelConfig, generate, trace
from minilm.generation import complete
from minilm.objectives import NextToken
from minilm.steering import Experts
from minilm.training import TrainingConfig, train
from minilm.tuning import Auxiliary, LoRA, Prompt, Side, attach, strength
from tests.tuning.conftest import CONFIG, attach_and_stir


def other_model(seed: int, **changes: int) -> MiniLM:
    """Another model over the same tokens, with large weights."""
    torch.manual_seed(seed)
    model = MiniLM(ModelConfig(**{**vars(CONFIG), "d_model": 8, **changes})).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_side_tuning_is_its_equation(base, tokens):
    tuned = attach_and_stir(base, Side(d_model=8, n_layer=1, n_head=2)).to(torch.float64)
    side = tuned.attachments["side"]
    share = 1 / (1 + torch.exp(-side.gate))
    expected = share * base(tokens).logits + (1 - share) * side.network(tokens).logits
    assert (tuned(tokens).logits - expected).abs().max() <= 1e-10
    assert abs(share.item() - 0.5) > 1e-3


def test_side_tuning_begins_half_way_or_at_the_base(base, tokens):
    half = attach(base, Side(d_model=8, n_layer=1, n_head=2))
    side = half.attachments["side"].network(tokens).logits
    torch.testing.assert_close(half(tokens).logits, 0.5 * base(tokens).logits + 0.5 * side)
    assert torch.equal(attach(base, Side(copy=True))(tokens).logits, base(tokens).logits)


def test_weight_decay_does_not_pull_on_the_mixture(base):
    """With next to no learning rate but a strong pull, the matrices shrink and a stays."""
    tuned = attach(base, Side(d_model=8, n_layer=1, n_head=2))
    with torch.no_grad():
        tuned.attachments["side"].gate.fill_(2.0)
    weight = tuned.attachments["side"].network.blocks[0].mlp.up.weight
    before = weight.norm().item()
    settings = {"optimizer": "adamw", "learning_rate": 1e-6, "weight_decay": 1e5, "device": "cpu"}
    batches = NextToken(list(range(40)) * 3, context_length=8, batch_size=2)
    train(tuned, batches, TrainingConfig(steps=5, warmup_steps=0, **settings), progress=False)
    assert weight.norm().item() < 0.9 * before
    assert tuned.attachments["side"].gate.item() == pytest.approx(2.0, abs=1e-4)


def test_a_trace_sees_the_base_where_an_expert_stands_on_it_too(base, tokens):
    steered = Experts.proxy(base, attach_and_stir(base, LoRA(2)), base)
    with trace(base) as alone:
        base(tokens)
    with trace(steered) as seen:
        combined = steered(tokens).logits
    assert all(torch.equal(seen.attention[layer], alone.attention[layer]) for layer in alone.attention)
    torch.testing.assert_close(seen.logits.combined, combined)


def test_experts_move_the_base_by_their_difference_within_its_nucleus(base, tokens):
    expert, anti = other_model(1), other_model(2, n_layer=1)
    steered = Experts(base, expert, anti, strength=1.5, top_p=0.7)
    z, z_expert, z_anti = (model(tokens).logits for model in (base, expert, anti))
    logits = steered(tokens).logits
    for row, own, up, down in zip(logits[0], z[0], z_expert[0], z_anti[0], strict=True):
        ranked = own.softmax(-1).sort(descending=True)
        n_kept = int((ranked.values.cumsum(-1) < 0.7).sum()) + 1  # the fewest that reach 0.7
        kept = ranked.indices[:n_kept]
        assert torch.isfinite(row).sum() == n_kept
        torch.testing.assert_close(row[kept], (own + 1.5 * (up - down))[kept])


def test_proxy_tuning_keeps_every_token(base, tokens):
    small = other_model(1)
    tuned = attach_and_stir(small, LoRA(rank=2))
    logits = Experts.proxy(base, tuned, small)(tokens).logits
    torch.testing.assert_close(logits, base(tokens).logits + tuned(tokens).logits - small(tokens).logits)
    assert torch.isfinite(logits).all()


def test_experts_decode_as_if_they_reread(base):
    attribute = torch.tensor([[3, 4], [5, 6]])
    told = attach_and_stir(other_model(1), [Prompt(length=2), Auxiliary(d_model=8, n_layer=1, n_head=2)])
    steered = Experts(base, told, other_model(2), strength=1.5, top_p=0.9)
    prompt = torch.tensor([[1, 2, 3], [4, 5, 6]])
    n_new = steered.window - 3
    assert steered.window == told.window == base.window - 2
    cached = generate(steered, prompt, n_new, temperature=0, attribute=attribute)
    slow = prompt
    while slow.size(1) < steered.window:
        logits = steered(slow, attribute=attribute).logits
        slow = torch.cat([slow, logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(cached, slow)


def test_side_tuning_continues_prompts_of_different_lengths_as_each_alone(base):
    tuned = attach_and_stir(base, Side(d_model=8, n_layer=1, n_head=2))
    prompts = [[1, 2, 3, 4, 5], [6, 7]]
    together = complete(tuned, prompts, 8)
    assert together == [complete(tuned, [prompt], 8)[0] for prompt in prompts]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda base: Experts(base, other_model(1, vocab_size=41), base), "an expert with 41 tokens"),
        (lambda base: Experts(base, base, base, top_p=0), r"top_p must lie in \(0, 1\]"),
        (lambda base: Experts(base, base, base, strength=-2), "not -2"),
        (lambda base: Side(d_model=10, n_head=4), "not divisible by n_head=4"),
        (lambda base: strength(attach(base, Side()), 2).__enter__(), "'side' has no strength"),
    ],
)
def test_bad_settings_are_one_clear_error(base, make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make(base)
