"""Each method against its formula, evaluated by other means."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm import MiniLM, trace
from minilm.generation.few_shot import few_shot_prompt
from minilm.tuning import Adapter, LoRA, ParallelAdapter, Prefix, Prompt, attach
from minilm.tuning.methods.prefix import keys_and_values
from tests.tuning.conftest import CONFIG, attach_and_stir


def test_lora_is_a_change_of_the_weight(base, tokens):
    tuned = attach_and_stir(base, LoRA(rank=3, alpha=5, targets=("key", "down"), bias=True))
    expected = MiniLM(CONFIG).eval()
    expected.load_state_dict(base.state_dict())
    for layer, block in enumerate(expected.blocks):
        for site, linear in (("key", block.attention.key), ("down", block.mlp.down)):
            change = tuned.attachments["lora"].changes[f"{site}-{layer}"]
            linear.weight.data += 5 / 3 * (change.A @ change.B).T
            linear.bias.data += change.bias
    torch.testing.assert_close(tuned(tokens).logits, expected(tokens).logits, atol=1e-5, rtol=1e-5)


def test_rank_stabilised_lora_divides_by_the_root():
    assert LoRA(rank=16, alpha=8).scale == 0.5
    assert LoRA(rank=16, alpha=8, rank_stabilised=True).scale == 2.0


def test_loras_first_gradient_reaches_b_and_not_a(base, tokens):
    tuned = attach(base, LoRA(rank=2))
    tuned(tokens).logits.square().sum().backward()
    change = tuned.attachments["lora"].changes["query-0"]
    assert change.A.grad.abs().max() == 0
    assert change.B.grad.abs().max() > 0


def test_loras_dropout_falls_on_its_own_path_only(base, tokens):
    tuned = attach(base, LoRA(rank=2, dropout=0.9))
    assert torch.equal(tuned.train()(tokens).logits, base(tokens).logits)  # B is zero
    tuned = attach_and_stir(base, LoRA(rank=2, dropout=0.9))
    assert not torch.equal(tuned.train()(tokens).logits, tuned(tokens).logits)


def test_the_prefix_is_a_gate_between_two_attentions(base, tokens):
    """He et al. 2022, Eq. 7, with the gate that the trace reports."""
    tuned = attach_and_stir(base, Prefix(length=3, reparameterize=False))
    slots = tuned.attachments["prefix"].slots
    with trace(tuned) as seen:
        tuned(tokens)
    inputs = base.blocks[0].attention_norm(seen.states[0])
    query, key, value = (
        getattr(base.blocks[0].attention, name)(inputs).unflatten(-1, (2, 8)).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    causal = torch.ones(9, 9).tril().log()
    alone = (query @ key.mT / 8**0.5 + causal).softmax(-1) @ value
    of_prefix = (query @ slots[0, 0].mT / 8**0.5).softmax(-1) @ slots[0, 1]
    gate = seen.gates[0][..., None]
    whole = torch.cat([slots[0, 1].expand(2, -1, -1, -1), value], dim=-2)
    torch.testing.assert_close(
        seen.attention[0] @ whole, (1 - gate) * alone + gate * of_prefix, atol=1e-5, rtol=1e-5
    )


def test_a_prefix_made_of_words_is_their_keys_and_values(base, tokens):
    """With the words' own keys and values, and positions counted on, the text reads as if they stood before it."""
    words = (4, 8, 15)
    tuned = attach(base, Prefix(length=3, reparameterize=False, init=words, shift_positions=True))
    together = torch.cat([torch.tensor([words, words]), tokens], dim=1)
    torch.testing.assert_close(tuned(tokens).logits, base(together).logits[:, 3:], atol=1e-4, rtol=1e-4)


def test_the_network_is_fitted_to_the_words(base):
    words = (4, 8, 15)
    target = keys_and_values(base, torch.tensor(words))
    errors = []
    for steps in (0, 500):
        torch.manual_seed(0)
        tuned = attach(base, Prefix(length=3, hidden=32, init=words, fit_steps=steps))
        errors.append((tuned.attachments["prefix"].produce() - target).square().mean().item())
    assert errors[1] < 0.7 * errors[0]


def test_what_a_prefix_produces_follows_its_training(base, tokens):
    tuned = attach(base, Prefix(length=3, hidden=8))
    with torch.no_grad():
        before = tuned(tokens).logits
    tuned.train()
    with torch.no_grad():
        tuned.attachments["prefix"].network.second.bias += 1.0
    tuned.eval()
    with torch.no_grad():
        assert not torch.allclose(before, tuned(tokens).logits)


def test_a_prompt_made_of_words_reads_like_the_words(base, tokens):
    words = (4, 8, 15)
    tuned = attach(base, Prompt(length=3, init=words))
    together = torch.cat([torch.tensor([words, words]), tokens], dim=1)
    torch.testing.assert_close(tuned(tokens).logits, base(together).logits[:, 3:], atol=1e-5, rtol=1e-5)
    assert tuned.window == 21


def test_adapters_by_hand(base, tokens):
    """One block's MLP output, adapted, for both orders."""
    for method, name in (
        (Adapter(bottleneck=4, layer_norm=True), "adapter"),
        (ParallelAdapter(4, scale=3.0), "parallel-adapter"),
    ):
        tuned = attach_and_stir(base, method)
        adapter, block = tuned.attachments[name].adapters["mlp-1"], base.blocks[1]
        with trace(tuned) as seen:
            tuned(tokens)
        before, after = seen.states[1], seen.states[2]
        middle = before + _attention(block, before)
        x = block.mlp_norm(middle)
        hidden = torch.nn.functional.gelu(x @ block.mlp.up.weight.T + block.mlp.up.bias, approximate="tanh")
        y = hidden @ block.mlp.down.weight.T + block.mlp.down.bias
        source, scale = (adapter.norm(y), 1.0) if name == "adapter" else (x, 3.0)
        inner = (source @ adapter.down.weight.T + adapter.down.bias).clamp(min=0)
        added = scale * (inner @ adapter.up.weight.T + adapter.up.bias)
        torch.testing.assert_close(after, middle + y + added, atol=1e-4, rtol=1e-4)
        tuned.detach()


def _attention(block, state):
    """Explicit causal attention of a block on a residual stream."""
    x = block.attention_norm(state)
    maps = (block.attention.query, block.attention.key, block.attention.value)
    query, key, value = (each(x).unflatten(-1, (2, 8)).transpose(1, 2) for each in maps)
    causal = torch.ones(x.size(1), x.size(1)).tril().log()
    heads = (query @ key.mT / 8**0.5 + causal).softmax(-1) @ value
    return block.attention.output(heads.transpose(1, 2).flatten(2))


@settings(deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=6),
    n_prompt=st.integers(1, 5),
    room=st.integers(5, 30),
)
def test_few_shot_prompts_fit_and_end_with_the_question(lengths, n_prompt, room):
    examples = [([1] * question, [2] * answer) for question, answer in lengths]
    prompt = few_shot_prompt(examples, [3] * n_prompt, [0], room)
    assert len(prompt) <= room
    assert prompt[-n_prompt:] == [3] * n_prompt
    shown = prompt.count(0)
    assert prompt[:-n_prompt] == [token for q, a in examples[:shown] for token in (*q, *a, 0)]
    if shown < len(examples):
        assert len(prompt) + sum(map(len, examples[shown])) + 1 > room


def test_a_prompt_without_room():
    with pytest.raises(ValueError, match="9 tokens does not fit into 8"):
        few_shot_prompt([], [1] * 9, [0], 8)
