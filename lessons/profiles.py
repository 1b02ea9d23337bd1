"""The size of the lessons' runs: the same code runs in a test, on a laptop and on a GPU; only sizes differ.

`MINILM_PROFILE=smoke|cpu|gpu` chooses one; if it is unset, the profile is `gpu` where CUDA is available, else `cpu`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

VARIABLE = "MINILM_PROFILE"


@dataclass(frozen=True)
class Profile:
    """A size of the course, with the device it runs on and the time it takes."""

    name: str
    """Its value in `MINILM_PROFILE`."""

    device: str
    """The device that the lessons pass to `minilm`: "cpu" or "cuda"."""

    minutes: float
    """Upper limit on the time of one lesson, in minutes."""

    course_minutes: float
    """Upper limit on the time of all lessons together, in minutes."""

    purpose: str
    """What it is for, in a few words."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= self.course_minutes:
            raise ValueError(
                f"minutes must be positive and at most course_minutes={self.course_minutes}, not {self.minutes}"
            )

    def pick(self, *, smoke: T, cpu: T, gpu: T) -> T:
        """The value for this profile: `steps = profile().pick(smoke=5, cpu=400, gpu=4000)`."""
        return {"smoke": smoke, "cpu": cpu, "gpu": gpu}[self.name]

    def __str__(self) -> str:
        return (
            f"profile {self.name} ({self.purpose}) on {self.device}: "
            f"up to {_minutes(self.minutes)} a lesson, {_minutes(self.course_minutes)} the course"
        )


PROFILES = {
    each.name: each
    for each in (
        Profile("smoke", "cpu", minutes=1, course_minutes=6, purpose="proves that every cell runs"),
        Profile("cpu", "cpu", minutes=3, course_minutes=25, purpose="a laptop"),
        Profile("gpu", "cuda", minutes=3, course_minutes=25, purpose="models 10-30 times larger"),
    )
}


def profile(name: str | None = None) -> Profile:
    """The profile called `name`, by default the one in `MINILM_PROFILE`, or else the one that suits the machine.

    Every lesson calls this first, so it also makes the processor round denormal numbers, which are slow, to zero.

    Raises:
        ValueError: the name is not in `PROFILES`, or it is `gpu` and CUDA is not available.
    """
    # Imported here, so that the build's --check and --help need not wait for torch.
    from minilm.system.devices import flush_denormals

    flush_denormals()
    name = name or os.environ.get(VARIABLE)
    if not name:
        return PROFILES["gpu" if _cuda() else "cpu"]
    if name not in PROFILES:
        raise ValueError(
            f"there is no profile {name!r}: set {VARIABLE} to one of {', '.join(PROFILES)}, or unset it"
        )
    if PROFILES[name].device == "cuda" and not _cuda():
        raise ValueError(f"{VARIABLE}={name} needs a CUDA device, and this machine has none: set it to cpu")
    return PROFILES[name]


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _minutes(count: float) -> str:
    return f"{count:g} minute" if count == 1 else f"{count:g} minutes"
