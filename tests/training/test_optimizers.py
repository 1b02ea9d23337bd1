"""Muon against torch's, the schedule's shape, and who is stepped by whom."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilm.training.muon import Muon, orthogonalise
from minilm.training.optimizers import build_optimizers, schedule_factor

SHAPES = [(6, 6), (6, 6), (4, 16), (16, 4)]


def test_muon_takes_the_steps_of_torchs():
    """torch's orthogonalises in bfloat16, which keeps 8 bits: that is the tolerance."""
    ours = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    optimizers = [Muon(ours, lr=0.02, weight_decay=0.1), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)]
    for _ in range(5):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=5 * 0.02 * 2**-6, rtol=0)


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 99))
def test_orthogonalised_matrices_have_singular_values_near_one(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator))
    values = torch.linspace(0.2, 1.0, min(rows, columns))
    matrix = left[:, : len(values)] * values @ right[:, : len(values)].T
    found = torch.linalg.svdvals(orthogonalise(matrix[None])[0].double())
    assert found.min() > 0.6 and found.max() < 1.3


def test_muon_refuses_vectors():
    with pytest.raises(ValueError, match=r"not a parameter of shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_muon_skips_what_has_no_gradient():
    parameter = nn.Parameter(torch.ones(2, 2))
    Muon([parameter]).step()
    assert torch.equal(parameter, torch.ones(2, 2))


def test_matrices_go_to_muon_and_embeddings_biases_and_gains_to_adamw(model):
    muon, adamw = build_optimizers(model.named_parameters(), "muon", 1e-3, 0.02, 0.1, torch.device("cpu"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    by_muon = {names[id(parameter)] for group in muon.param_groups for parameter in group["params"]}
    by_adamw = {names[id(parameter)] for group in adamw.param_groups for parameter in group["params"]}
    assert by_muon | by_adamw == set(names.values()) and not by_muon & by_adamw
    assert by_muon == {
        name for name in names.values() if "blocks" in name and name.endswith("weight") and "norm" not in name
    }
    undecayed = next(group for group in adamw.param_groups if group["weight_decay"] == 0)
    assert all(parameter.dim() < 2 for parameter in undecayed["params"])


@settings(deadline=None)
@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 50),
    schedule=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_the_schedule_climbs_then_falls_and_stays_within_bounds(steps, warmup, schedule):
    factors = [schedule_factor(step, steps, warmup, schedule) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    climb, fall = factors[:warmup], factors[warmup:]
    assert climb == sorted(climb)
    assert fall == sorted(fall, reverse=True)
    if fall:
        assert fall[0] == 1


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_every_cycle_is_a_schedule_of_its_own_and_twice_as_long(schedule):
    factors = [schedule_factor(step, 70, 3, schedule, cycles=3) for step in range(70)]
    cycles = factors[:10], factors[10:30], factors[30:]
    for cycle in cycles:
        alone = [schedule_factor(step, len(cycle), 3, schedule) for step in range(len(cycle))]
        assert cycle == alone
