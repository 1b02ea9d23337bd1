"""Several processes as one trainer: data parallelism under `torchrun`, and nothing at all without it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """The processes that train together."""

    rank: int = 0
    """This process's number."""
    size: int = 1
    """How many there are."""

    @property
    def is_main(self) -> bool:
        """Whether this process reports and saves."""
        return self.rank == 0

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model, averaging its gradients with the others' after every backward pass."""
        if self.size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)

    def mean(self, value: Tensor) -> Tensor:
        """A number's mean over all processes."""
        if self.size == 1:
            return value
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
        return value / self.size

    def gather(self, value: Tensor, device: torch.device) -> list[Tensor]:
        """A tensor of every process, in the order of their numbers; each gets them all."""
        if self.size == 1:
            return [value]
        mine = value.to(device)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        torch.distributed.all_gather(parts, mine)
        return [part.to(value.device) for part in parts]

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether any process raised the flag; all of them get the same answer."""
        return flag if self.size == 1 else bool(self.mean(torch.tensor(float(flag), device=device)) > 0)

    def local_device(self, device: torch.device) -> torch.device:
        """Each process on a machine takes the GPU of its own number."""
        if self.size > 1 and device.type == "cuda":
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        return device


@contextlib.contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """The world that `torchrun` describes in the environment; a world of one without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    already_joined = torch.distributed.is_initialized()
    if not already_joined:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        if not already_joined:
            torch.distributed.destroy_process_group()


def synchronise_later(model: nn.Module) -> contextlib.AbstractContextManager[object]:
    """A context in which gradients accumulate without being averaged: all but the last part of a batch."""
    later: Callable[[], contextlib.AbstractContextManager[object]] = getattr(
        model, "no_sync", contextlib.nullcontext
    )
    return later()
