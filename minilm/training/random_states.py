"""The random generators that dropout draws from: their states, read for a checkpoint and put back from it."""

from __future__ import annotations

import torch
from torch import Tensor

from minilm.training.distributed import World


def random_states(device: torch.device, world: World) -> dict[str, Tensor]:
    """State of every generator, of every process: all of them must call this together."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {
        place(kind, rank): each
        for kind, state in states.items()
        for rank, each in enumerate(world.gather(state, device))
    }


def set_random_states(states: dict[str, Tensor], device: torch.device, rank: int) -> None:
    """Put back what `random_states` read for this process; a generator this machine lacks is passed over."""
    torch.set_rng_state(states[place("cpu", rank)])
    if device.type == "cuda" and place("cuda", rank) in states:
        torch.cuda.set_rng_state(states[place("cuda", rank)], device)


def place(kind: str, rank: int) -> str:
    """The name of a state in the checkpoint: that of the first process is the kind alone."""
    return f"{kind}.{rank}" if rank else kind
