"""How weights move: AdamW for everything, or Muon for the matrices and AdamW for the rest; and the learning rate's course.

AdamW (Loshchilov & Hutter 2019) scales each number's step by the size of its past gradients; `muon` says what Muon does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from minilm.training.muon import Muon


def build_optimizers(
    parameters: Iterable[tuple[str, nn.Parameter]],
    optimizer: str,
    learning_rate: float,
    matrix_learning_rate: float,
    weight_decay: float,
    device: torch.device,
) -> list[torch.optim.Optimizer]:
    """Optimisers for named parameters; each group remembers its peak rate as `peak_learning_rate`.

    Weight decay pulls on matrices only: a bias or a gain has no reason to be small.
    """
    trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    if not trained:
        raise ValueError("there is nothing to train: no parameter has requires_grad set")
    matrices = [
        parameter for name, parameter in trained if optimizer == "muon" and is_hidden_matrix(name, parameter)
    ]
    taken = {id(parameter) for parameter in matrices}
    rest = [parameter for _, parameter in trained if id(parameter) not in taken]
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(Muon(matrices, lr=matrix_learning_rate, weight_decay=weight_decay))
    if rest:
        groups = [
            {
                "params": [parameter for parameter in rest if parameter.dim() >= 2],
                "weight_decay": weight_decay,
            },
            {"params": [parameter for parameter in rest if parameter.dim() < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        optimizers.append(
            torch.optim.AdamW(
                groups, lr=learning_rate, betas=(0.9, 0.95), fused=device.type in ("cuda", "cpu")
            )
        )
    for group in groups_of(optimizers):
        group["peak_learning_rate"] = group["lr"]
    return optimizers


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether a parameter maps activations to activations, as opposed to reading or writing token ids."""
    return parameter.dim() == 2 and "embedding" not in name


def groups_of(optimizers: list[torch.optim.Optimizer]) -> list[dict[str, Any]]:
    """All parameter groups of all optimisers."""
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def set_learning_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Every group's rate becomes factor times its peak."""
    for group in groups_of(optimizers):
        group["lr"] = factor * group["peak_learning_rate"]


def schedule_factor(step: int, steps: int, warmup_steps: int, schedule: str, cycles: int = 1) -> float:
    """The share of the peak learning rate at a step (0-based): a linear climb, then the way down to 0.

    "linear" falls in a straight line, "cosine" along half a cosine, "constant" stays up. With several cycles all of this comes
    again, each time over twice as many steps (warm restarts, Loshchilov & Hutter 2017).
    """
    ends = [steps * (2 ** (number + 1) - 1) // (2**cycles - 1) for number in range(cycles)]
    start, end = next((start, end) for start, end in pairwise([0, *ends]) if step < end)
    return factor_within(step - start, end - start, warmup_steps, schedule)


def factor_within(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """The same in a cycle of so many steps."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(steps - warmup_steps, 1)
    if schedule == "linear":
        return 1 - progress
    return 0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1.0


def optimizer_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """All state of all optimisers as one flat mapping, for a checkpoint."""
    return {
        f"{number}.{index}.{name}": torch.as_tensor(value)
        for number, optimizer in enumerate(optimizers)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer_tensors(optimizers: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took out."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == number:
                state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
