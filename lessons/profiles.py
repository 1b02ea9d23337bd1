"""How large the lessons' runs are: the same code for a test, for a laptop and for a GPU; only sizes differ.

`MINILM_PROFILE=smoke|cpu|gpu` chooses one; left unset, the machine does: `gpu` where CUDA answers, else `cpu`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

VARIABLE = "MINILM_PROFILE"


@dataclass(frozen=True)
class Profile:
    """A size of the course: where it runs, and for how long."""

    name: str
    """What `MINILM_PROFILE` calls it."""

    device: str
    """The device that the lessons hand to `minilm`: "cpu" or "cuda"."""

    minutes: float
    """The longest that one lesson takes from top to bottom, in minutes."""

    course_minutes: float
    """The longest that all lessons together take, in minutes."""

    purpose: str
    """Whom it is for, in a few words."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= self.course_minutes:
            raise ValueError(f"a lesson of {self.minutes} minutes in a course of {self.course_minutes}")

    def pick(self, *, smoke: T, cpu: T, gpu: T) -> T:
        """The one of three values that belongs to this profile: `steps = profile().pick(smoke=5, cpu=400, gpu=4000)`."""
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
    """The profile called `name`; without one, `MINILM_PROFILE`'s; without that, what the machine can do.

    Every lesson asks for it first, so this is also where numbers too small to be fast are told to become zero.

    Raises ValueError for a name that is none of `PROFILES`, and for `gpu` where CUDA does not answer.
    """
    from minilm.system.devices import (
        flush_denormals,  # here, so that the build's --check and --help need not wait
    )

    flush_denormals()
    name = name or os.environ.get(VARIABLE)
    if not name:
        return PROFILES["gpu" if _cuda() else "cpu"]
    if name not in PROFILES:
        raise ValueError(
            f"there is no profile {name!r}: set {VARIABLE} to one of {', '.join(PROFILES)}, or unset it"
        )
    if PROFILES[name].device == "cuda" and not _cuda():
        raise ValueError(f"{VARIABLE}={name} needs a CUDA device and this machine shows none: set it to cpu")
    return PROFILES[name]


def _cuda() -> bool:
    import torch  # here, so that the build's --check and its --help need not wait for it

    return torch.cuda.is_available()


def _minutes(count: float) -> str:
    return f"{count:g} minute" if count == 1 else f"{count:g} minutes"
