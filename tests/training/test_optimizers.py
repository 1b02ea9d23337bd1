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
STEPS, RATE, DECAY, MU = 5, 0.02, 0.1, 0.95
BFLOAT16 = 2.0**-8
"""A product in bfloat16 keeps 8 bits, so it is off by at most this share of itself."""


def gradients(seed: int) -> list[list[torch.Tensor]]:
    """For every step and shape, a gradient in float64 whose singular values lie between 0.5 and 1.

    The steps of a shape are near one another. So no singular value of a momentum is so small that the five rounds, which
    multiply the smallest by up to 3.4445^5, would turn the rounding of bfloat16 into a step of another direction.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def first(rows: int, columns: int) -> torch.Tensor:
        left, _ = torch.linalg.qr(normal(rows, rows))
        right, _ = torch.linalg.qr(normal(columns, columns))
        n = min(rows, columns)
        return (left[:, :n] * torch.linspace(0.5, 1.0, n, dtype=torch.float64)) @ right[:, :n].T

    means = [first(*shape) for shape in SHAPES]
    return [[(1 + step) * mean + 0.01 * normal(*mean.shape) for mean in means] for step in range(STEPS)]


def by_the_papers_formula(weights: list[torch.Tensor], steps: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """Muon's steps in float64, written a second time: one matrix at a time, by its singular value decomposition."""
    weights, momenta = [w.clone() for w in weights], [torch.zeros_like(w) for w in weights]
    for grads in steps:
        for place, grad in enumerate(grads):
            momenta[place] = MU * momenta[place] + (1 - MU) * grad
            blend = (1 - MU) * grad + MU * momenta[place]
            left, values, right = torch.linalg.svd(blend, full_matrices=False)
            values = values / values.norm()  # the Frobenius norm of the matrix
            for _ in range(5):
                values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
            rows, columns = blend.shape
            step = max(1.0, rows / columns) ** 0.5 * (left * values) @ right
            weights[place] = (1 - RATE * DECAY) * weights[place] - RATE * step
    return weights


def stepped(kind: type, start: list[torch.Tensor], steps: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """The weights after an optimiser's steps, in the precision of the start."""
    parameters = [nn.Parameter(weight.clone()) for weight in start]
    optimizer = kind(parameters, lr=RATE, momentum=MU, weight_decay=DECAY)
    for grads in steps:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad.to(parameter.dtype)
        optimizer.step()
    return [parameter.detach().double() for parameter in parameters]


def relative_error(
    found: list[torch.Tensor], expected: list[torch.Tensor], start: list[torch.Tensor]
) -> float:
    """The largest error of a matrix's whole way, as a share of that way."""
    return max(
        float((one - other).norm() / (other - begin).norm())
        for one, other, begin in zip(found, expected, start, strict=True)
    )


@pytest.mark.parametrize("seed", range(5))
def test_muon_takes_the_steps_of_the_formula_and_of_torchs(seed):
    """Ours in float64 to 11 digits. In bfloat16, where a device is fast in it, each of five rounds rounds eight times.

    torch's rounds three times, after each product with its sum.
    """
    steps = gradients(seed)
    start = [grad / 10 for grad in steps[0]]
    expected = by_the_papers_formula(start, steps)
    assert relative_error(stepped(Muon, start, steps), expected, start) < 1e-11
    single = [weight.float() for weight in start]
    assert relative_error(stepped(torch.optim.Muon, single, steps), expected, start) < 5 * 3 * BFLOAT16
    assert relative_error(stepped(Muon, single, steps), expected, start) < 5 * 8 * BFLOAT16


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
