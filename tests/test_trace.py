"""What `trace` shows is what happened, and looking changes nothing."""

from __future__ import annotations

import pytest
import torch
from core_models import SHAPE, make_model, make_tokens
from torch import Tensor

from minilm import MiniLM, generate, trace
from minilm.model import Output
from minilm.model.sites import AttentionDelta, Memory, Sites
from minilm.tuning.methods.gate import gate

LAYERS, HEADS, P = range(SHAPE["n_layer"]), SHAPE["n_head"], SHAPE["d_model"] // SHAPE["n_head"]


class Tuned:
    """The least that `trace` asks of a tuned model: a base, and a call."""

    def __init__(self, base: MiniLM, sites: Sites):
        self.base, self.sites = base, sites

    def __call__(self, tokens: Tensor) -> Output:
        return self.base(tokens, sites=self.sites)


def with_memory(n_slot: int) -> Sites:
    """Random memory slots in every layer but the last."""
    slots = torch.randn(2, HEADS, n_slot, P)
    return Sites(
        {
            ("memory", layer): [lambda n: Memory(*slots[:, None].expand(-1, n, -1, -1, -1))]
            for layer in LAYERS[:-1]
        }
    )


def test_attention_rows_sum_to_one_and_do_not_look_ahead() -> None:
    model, tokens = make_model(), make_tokens(2, 7)
    with trace(model) as t:
        model(tokens)
    assert list(t.attention) == list(LAYERS)
    for weights in t.attention.values():
        assert weights.shape == (2, HEADS, 7, 7)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 7))
        assert not weights.triu(1).any()
    assert t.gates == {}


def test_the_weights_are_those_that_made_the_output() -> None:
    """From the traced weights and the values alone follows what the attention of each layer added."""
    model, tokens = make_model(), make_tokens(2, 7)
    with torch.no_grad(), trace(model) as t:
        model(tokens)
    for layer, block in enumerate(model.blocks):
        with torch.no_grad():
            x = block.attention_norm(t.states[layer])
            value = block.attention.value(x).unflatten(-1, (HEADS, P)).transpose(1, 2)
            gathered = (t.attention[layer] @ value).transpose(1, 2).flatten(2)
            y = t.states[layer] + block.attention.output(gathered)
            y = y + block.mlp.down(
                torch.nn.functional.gelu(block.mlp.up(block.mlp_norm(y)), approximate="tanh")
            )
        torch.testing.assert_close(y, t.states[layer + 1], rtol=0, atol=1e-4)


def test_memory_slots_come_first_and_their_mass_is_the_gate() -> None:
    model, tokens = make_model(), make_tokens(2, 7)
    with trace(tuned := Tuned(model, with_memory(3))) as t:
        tuned(tokens)
    for layer in LAYERS[:-1]:
        weights = t.attention[layer]
        assert weights.shape == (2, HEADS, 7, 10)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 7))
        assert (weights[..., 0, :4] > 0).all()
        assert not weights[..., 0, 4:].any()
        torch.testing.assert_close(t.gates[layer], weights[..., :3].sum(-1))
    assert LAYERS[-1] not in t.gates


def test_virtual_tokens_are_columns_and_ask_nothing() -> None:
    model, rows = make_model(), torch.randn(1, 2, SHAPE["d_model"])
    tuned = Tuned(model, Sites({("embedding", None): [lambda n: rows.expand(n, -1, -1)]}))
    with trace(tuned) as t:
        tuned(make_tokens(2, 7))
    assert t.attention[0].shape == (2, HEADS, 7, 9)
    torch.testing.assert_close(t.gates[0], t.attention[0][..., :2].sum(-1))
    assert t.states[0].shape == (2, 7, SHAPE["d_model"])


def test_a_gate_that_a_delta_asked_for_is_kept() -> None:
    kept = []

    def delta(attended) -> AttentionDelta:
        kept.append(gate(attended, attended.query.sum(-1)))
        return AttentionDelta()

    tuned = Tuned(make_model(), Sites({("attention", 1): [delta]}))
    with trace(tuned) as t:
        tuned(make_tokens(2, 7))
    assert list(t.gates) == [1]
    assert torch.equal(t.gates[1], kept[0])


@pytest.mark.parametrize("inside", [False, True])
def test_base_shift_and_combined_whether_asked_for_inside_or_after(inside: bool) -> None:
    model, tokens = make_model(), make_tokens(2, 7)
    tuned = Tuned(model, Sites({("mlp", 1): [lambda x, y: x]}))
    base, combined = model(tokens).logits, tuned(tokens).logits
    with trace(tuned) as t:
        tuned(tokens)
        logits = t.logits if inside else None
    logits = logits or t.logits
    torch.testing.assert_close(logits.base, base, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits.combined, combined, rtol=0, atol=1e-5)
    assert torch.equal(logits.shift, logits.combined - logits.base)
    assert logits.shift.abs().max() > 0.1
    assert torch.equal(t.tokens, tokens)


def test_the_base_itself_shifts_by_exactly_nothing() -> None:
    model = make_model()
    with trace(model) as t:
        model(make_tokens(2, 7))
    assert not t.logits.shift.any()


def test_looking_changes_nothing_afterwards() -> None:
    model, tokens = make_model(), make_tokens(2, 7)
    before = model(tokens).logits
    with pytest.raises(RuntimeError, match="on purpose"), trace(model):
        model(tokens)
        raise RuntimeError("on purpose")
    assert model.recorder is None
    assert torch.equal(model(tokens).logits, before)


def test_the_last_pass_is_the_one_that_is_held() -> None:
    model = make_model()
    with trace(model) as t:
        model(make_tokens(2, 7))
        model(make_tokens(1, 4))
    assert t.attention[0].shape == (1, HEADS, 4, 4)
    assert t.logits.combined.shape[:2] == (1, 4)


def test_nothing_traced_and_half_a_text_are_refused() -> None:
    model = make_model()
    with trace(model) as t, pytest.raises(RuntimeError, match="call the model inside"):
        _ = t.logits
    with trace(model) as t:
        generate(model, torch.ones(1, 4, dtype=torch.int64), 3, seed=0)
    assert t.attention[0].shape == (
        1,
        HEADS,
        1,
        6,
    )  # one token, though its guesses could have been read ahead
    with pytest.raises(RuntimeError, match="trace one pass over the whole text"):
        _ = t.logits
    with trace(model) as t:
        model(make_tokens(1, 4), cache=model.new_cache(1))
    assert not t.logits.shift.any()
