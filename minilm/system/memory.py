"""How much memory this machine has, for the processor or on an accelerator."""

from __future__ import annotations

import os
from pathlib import Path

import torch

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much a container may use."""


def main_memory() -> int | None:
    """Bytes that this machine, or the container that the process runs in, has; None where the system does not tell."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, some systems not these names
        found = []
    return min([*found, *container_limits()], default=None)


def container_limits() -> list[int]:
    """The limits in bytes that a container sets, if any."""
    texts = [path.read_text().strip() for path in LIMITS if path.is_file()]
    return [int(text) for text in texts if text.isdigit()]


def accelerator_memory(device: torch.device) -> int | None:
    """Bytes on a CUDA device; None for a device that shares the main memory."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
