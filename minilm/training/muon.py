"""Muon: momentum for weight matrices, orthogonalised before every step (Jordan et al. 2024).

    M <- mu M + (1 - mu) G                      momentum of the gradient G
    U  = orthogonalise((1 - mu) G + mu M)       the nearest matrix whose singular values are all about 1
    W <- (1 - eta lambda) W - eta sqrt(max(1, rows / columns)) U

A plain step is dominated by the few directions in which gradients are large; with equal singular values no direction of
the matrix is left behind. It is made for maps between activations, not for embeddings, biases and gains.

`torch.optim.Muon` takes the same steps, one matrix at a time and always in bfloat16. A CPU without units for bfloat16
needs about five times as long for that as for float32, so this one chooses the precision by device and orthogonalises
all matrices of a shape at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from minilm.system.devices import has_fast_bfloat16

NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)
"""Coefficients of the quintic a x + b x^3 + c x^5, chosen so that five rounds bring (0, 1] to about [0.7, 1.2]."""


class Muon(torch.optim.Optimizer):
    """Steps for parameters (rows, columns); every group may have its own `lr`, `momentum` and `weight_decay`.

    Raises:
        ValueError: a parameter is not a matrix.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for parameter in (parameter for group in self.param_groups for parameter in group["params"]):
            if parameter.dim() != 2:
                raise ValueError(
                    f"Muon steps matrices only, not a parameter of shape {tuple(parameter.shape)}"
                )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # it takes no closure
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            for parameters in by_shape(group["params"]):
                self._step_together(parameters, group["lr"], group["momentum"], group["weight_decay"])

    def _step_together(self, parameters: list[nn.Parameter], rate: float, mu: float, decay: float) -> None:
        gradients = [cast(Tensor, each.grad) for each in parameters]
        updates = torch.stack(  # (n, rows, columns)
            [self._momentum(each, gradient, mu) for each, gradient in zip(parameters, gradients, strict=True)]
        )
        rows, columns = updates.shape[1:]
        scaled = rate * max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, orthogonalise(updates), strict=True):
            parameter.mul_(1 - rate * decay).sub_(update, alpha=scaled)

    def _momentum(self, parameter: nn.Parameter, gradient: Tensor, mu: float) -> Tensor:
        """The gradient, blended with what it has been (Nesterov's form)."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - mu)
        return gradient.lerp(momentum, mu)


def by_shape(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """The parameters that have gradients, those of one shape together."""
    groups: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            groups[parameter.shape].append(parameter)
    return list(groups.values())


def orthogonalise(matrices: Tensor, rounds: int = 5) -> Tensor:
    """For matrices U S V' (n, rows, columns), about U V': a polynomial of the matrix drives every singular value to 1.

    It is computed in bfloat16 where that is fast, else in float32; float64 matrices stay in float64.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices  # the products below are smaller for wide matrices
    if x.dtype != torch.float64:
        x = x.to(torch.bfloat16 if has_fast_bfloat16(x.device) else torch.float32)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(rounds):
        gram = x @ x.mT  # (n, rows, rows)
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.mT if tall else x
    return found.to(matrices.dtype)
