"""What a paper claims beside what was measured: a mean over seeds, its interval, and one of four words for it.

A claim says that one method is better than another. Each seed gives one gain: how much better it was in that run.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Number of runs -> the 97.5% point of Student's t with one degree of freedom less."""


def interval(gains: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95% interval; the half width of one run, or none, is infinite."""
    if len(gains) < 2:
        return (gains[0] if gains else 0.0), float("inf")
    spread = statistics.stdev(gains) / len(gains) ** 0.5
    return statistics.mean(gains), T95[min(len(gains), max(T95))] * spread


def verdict(gains: Sequence[float], margin: float = 0.0) -> str:
    """Whether the mean gain exceeds a margin: confirmed, refuted, not shown (either may be), not tested (no runs)."""
    if not gains:
        return "not tested"
    mean, half = interval(gains)
    if mean - half > margin:
        return "confirmed"
    return "refuted" if mean + half < margin else "not shown"


def in_words(gains: Sequence[float], margin: float = 0.0, unit: str = "") -> str:
    """The verdict with its figures: "confirmed, +0.120 ± 0.034 nats, 5 runs"."""
    if not gains:
        return "not tested"
    mean, half = interval(gains)
    width = "" if half == float("inf") else f" ± {half:.3f}"
    runs = "1 run" if len(gains) == 1 else f"{len(gains)} runs"
    return f"{verdict(gains, margin)}, {mean:+.3f}{width}{unit and ' ' + unit}, {runs}"


def cells(name: str) -> Mapping[str, Mapping[str, Any]]:
    """The cells of a results file that a benchmark wrote, by key; none if it has not been run."""
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else {}


def gains(rows: Mapping[str, Mapping[str, Any]], better: str, worse: str, score: str) -> list[float]:
    """For each seed that both have, how much the score of one row exceeds that of another.

    The keys of the rows are such as "lora seed=0"; the second row may have the same name with other words behind it.
    """
    of = {
        name: {
            key.rpartition("seed=")[2]: row for key, row in rows.items() if key.startswith(f"{name} seed=")
        }
        for name in (better, worse)
    }
    both = [seed for seed in of[better] if seed in of[worse]]
    return [of[better][seed][score] - of[worse][seed][score] for seed in both]
