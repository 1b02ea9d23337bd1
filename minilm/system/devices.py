"""One place that decides where tensors live and in which precision they are multiplied."""

from __future__ import annotations

import contextlib

import torch


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The device to use: "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    if isinstance(name, torch.device):
        name = str(name)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind, _, index = name.partition(":")
    if kind not in available or (index and not index.isdigit()):
        raise ValueError(f"unknown device {name!r}; use one of auto, {', '.join(available)}")
    here = [kind for kind, there in available.items() if there]
    if not available[kind]:
        raise ValueError(
            f"device {name!r} was asked for, but this machine has only {', '.join(here)}; use 'auto'"
        )
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r} was asked for, but there are only {torch.cuda.device_count()} CUDA devices"
        )
    return torch.device(name)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bf16 matrix products run on units of their own: tensor cores, or AMX on a CPU."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def resolve_precision(device: torch.device, precision: str) -> str:
    """What "float32", "bfloat16" or "auto" means on a device: "float32" or "bfloat16".

    "auto" takes bfloat16 on CUDA where it is fast, float32 elsewhere, so that a run on a CPU is repeatable to the bit.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision must be auto, float32 or bfloat16, not {precision!r}")
    if precision == "auto":
        return "bfloat16" if device.type == "cuda" and has_fast_bfloat16(device) else "float32"
    return precision


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """A context in which matrix products run in the given precision; see `resolve_precision`."""
    wanted = resolve_precision(device, precision) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16) if wanted else contextlib.nullcontext()


def flush_denormals() -> None:
    """Let numbers below 1e-38 become 0, in this thread and in all that it starts: call it before torch does any work.

    A trained model gives most tokens next to no probability, and such numbers halve a CPU's speed. Python's own floats below
    2e-308 become 0 as well, so this is for a program to decide, not for a library.
    """
    torch.set_flush_denormal(True)
