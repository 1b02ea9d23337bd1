"""Attention three times: fused, explicit, and as loops in float64; with causal, ragged and widened keys."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minilm.model.attention import Attended, attend
from minilm.model.visibility import CAUSAL, fixed
from minilm.tuning.methods.gate import gate


def draw(B: int, H: int, T: int, S: int, p: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A query (B, H, T, p), keys and values (B, H, S, p)."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(1.5 * torch.randn(B, H, n, p, generator=generator) for n in (T, S, S))


def by_loops(query: Tensor, keys: Tensor, values: Tensor, sees: Tensor) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp, one query and one key at a time, in float64; `sees` is (B, H, T, S)."""
    query, keys, values = query.double(), keys.double(), values.double()
    B, H, T, p = query.shape
    output, log_sums = torch.zeros(B, H, T, p, dtype=torch.float64), torch.zeros(B, H, T, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                seen = [s for s in range(keys.size(2)) if sees[b, h, t, s]]
                kernel = [math.exp(query[b, h, t] @ keys[b, h, s] / math.sqrt(p)) for s in seen]
                log_sums[b, h, t] = math.log(sum(kernel))
                output[b, h, t] = sum(k * values[b, h, s] for k, s in zip(kernel, seen, strict=True)) / sum(
                    kernel
                )
    return output, log_sums


def causal(B: int, H: int, T: int, S: int) -> Tensor:
    """Which keys each query sees, from the definition: j <= i + (S - T)."""
    return torch.tensor([[j <= i + S - T for j in range(S)] for i in range(T)]).expand(B, H, T, S)


shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(0, 5), st.integers(1, 5)
)


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 10_000))
def test_fused_and_explicit_are_the_definition(shape: tuple[int, ...], seed: int) -> None:
    B, H, T, extra, p = shape
    query, keys, values = draw(B, H, T, T + extra, p, seed)
    expected, _ = by_loops(query, keys, values, causal(B, H, T, T + extra))
    for explicit in (False, True):
        output = attend(query, keys, values, explicit=explicit).output
        assert (output - expected).abs().max() < 1e-5


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 10_000))
def test_a_mask_of_ragged_rows_is_obeyed(shape: tuple[int, ...], seed: int) -> None:
    B, H, _, extra, p = shape
    query, keys, values = draw(B, H, 1, 1 + extra, p, seed)
    lengths = torch.randint(1, extra + 2, (B,), generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(1 + extra) < lengths[:, None])[:, None, None, :]
    expected, _ = by_loops(query, keys, values, mask.expand(B, H, 1, 1 + extra))
    for explicit in (False, True):
        output = attend(query, keys, values, fixed(mask), explicit=explicit).output
        assert (output - expected).abs().max() < 1e-5


def test_weights_are_a_distribution_over_what_may_be_seen() -> None:
    attended = attend(*draw(2, 3, 5, 9, 4), explicit=True)
    torch.testing.assert_close(attended.weights.sum(-1), torch.ones(2, 3, 5))
    assert not attended.weights[~causal(2, 3, 5, 9)].any()
    assert (attended.weights[causal(2, 3, 5, 9)] > 0).all()


def test_the_causal_mask_counts_from_the_right() -> None:
    assert torch.equal(CAUSAL.mask(3, 5), causal(1, 1, 3, 5)[0, 0])


def test_gradients_of_both_agree() -> None:
    gradients = []
    for explicit in (False, True):
        leaves = [tensor.requires_grad_() for tensor in draw(2, 2, 6, 8, 4)]
        attend(*leaves, explicit=explicit).output.square().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    for fused, explicit in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, explicit, rtol=1e-4, atol=1e-5)


def test_dropped_weights_keep_the_expected_output() -> None:
    query, keys, values = draw(1, 1, 4, 4, 8)
    plain = attend(query, keys, values).output
    for explicit in (False, True):
        many = [attend(query, keys, values, dropout=0.2, explicit=explicit).output for _ in range(800)]
        assert (torch.stack(many).mean(0) - plain).abs().max() < 0.25
        assert torch.stack(many).std(0).max() > 0.1


def own_scores(attended: Attended) -> Tensor:
    """Scores s_i of one virtual key a query, from very low to very high."""
    return torch.linspace(-6, 6, attended.query.size(-2)).expand(attended.query.shape[:-1])


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("explicit", [False, True])
def test_the_gate_is_the_share_that_one_more_key_would_take(extra: int, explicit: bool) -> None:
    query, keys, values = draw(2, 3, 5, 5 + extra, 4)
    attended = attend(query, keys, values, explicit=explicit)
    own = own_scores(attended)
    _, log_sums = by_loops(query, keys, values, causal(2, 3, 5, 5 + extra))
    expected = own.exp() / (own.exp() + log_sums.exp())
    assert (gate(attended, own) - expected).abs().max() < 1e-5
    assert len(attended.gates) == 1
    torch.testing.assert_close(attended.output, attend(query, keys, values).output)


def test_the_gate_obeys_a_mask_of_ragged_rows() -> None:
    query, keys, values = draw(2, 3, 1, 6, 4)
    mask = (torch.arange(6) < torch.tensor([[6], [2]]))[:, None, None, :]
    gates = [
        gate(attend(query, keys, values, fixed(mask), explicit=explicit), torch.ones(2, 3, 1))
        for explicit in (False, True)
    ]
    torch.testing.assert_close(*gates, rtol=0, atol=1e-6)


def test_gradients_pass_through_the_gate_that_is_computed_in_blocks() -> None:
    gradients = []
    for fused in (False, True):
        query, keys, values = (tensor.requires_grad_() for tensor in draw(2, 2, 5, 7, 4))
        attended = attend(query, keys, values, explicit=not fused)
        own = own_scores(attended).clone().requires_grad_()
        gate(attended, own).square().sum().backward()
        gradients.append((query.grad, keys.grad, own.grad))
    for plain, fused in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, fused, rtol=1e-4, atol=1e-6)
