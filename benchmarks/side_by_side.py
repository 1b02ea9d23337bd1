"""Measuring against a peer in one run: contenders take turns, medians are compared, ratios are printed.

Absolute times say more about the machine, and about what else it is doing, than about the code. A ratio of medians over
turns taken one after the other does not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def take_turns(
    contenders: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call, contenders called in turn; the first `warm_up` rounds are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warm_up + repeats):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def report(title: str, seconds: Mapping[str, list[float]], peer: str, units: float, unit: str) -> None:
    """Print, for each contender, the median rate in `unit` a second and how many times the peer's it is.

    Args:
        units: how many of them one timed call makes.
    """
    print(title)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"  {name:<44} {units / median:>10,.0f} {unit}/s   {medians[peer] / median:5.2f}x")
