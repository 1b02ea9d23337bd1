"""The explorers: from a slider's move to the new view, and what a saved notebook holds of it.

A text of 64 tokens, a model of 4 layers with 4 heads each. A view that takes longer than 150 ms feels late. The time
is the kernel's: to compute, to draw, and to pass the HTML to the widget. What is computed once for each text, such as
the forward pass of the attention explorer, is not part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median
from typing import Any

import torch

from lessons.widgets import AttentionExplorer, Explorer
from lessons.widgets.examples import TEXT, makers, tiny, turned

N_TOKEN, REPEATS, LATE, LARGEST = 64, 15, 0.150, 150_000
MOVES: dict[str, tuple[str, list[float]]] = {
    "AttentionExplorer": ("head", [1, 2, 3, 4]),
    "GateExplorer": ("layer", [1, 2, 3, 4]),
    "LensExplorer": ("position", [3, 4, 5]),
    "ShiftExplorer": ("strength", [0.5, 1.0, 1.5]),
    "Playground": ("seed", [1, 2, 3]),
    "SmoothingExplorer": ("bandwidth", [0.5, 0.6, 0.7]),
    "BPEStepper": ("step", [1, 2, 3]),
}
"""Explorer -> a slider of it, and values to move it to."""


def make() -> Iterator[tuple[str, Explorer, Any, list[float]]]:
    """Name, explorer, slider and values; every explorer as large as it can be."""
    of = tiny(n_layer=4, d_model=128, context_length=128)
    largest = {"Playground": {"length": N_TOKEN}, "SmoothingExplorer": {"n": 400}}
    one = AttentionExplorer(of.model, of.tokenizer, TEXT)
    yield "AttentionExplorer, one model", one, one.head, [1, 2, 3, 4]
    for name, (slider, values) in MOVES.items():
        explorer = turned(makers(of)[name]("the" if name == "Playground" else TEXT), **largest.get(name, {}))
        yield name, explorer, getattr(explorer, slider), values


def seconds(move: Callable[[], None]) -> float:
    """How long a move takes, in the median."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        move()
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    """A line for each explorer."""
    torch.set_num_threads(1)
    print(f"{'explorer':<28} {'update':>10} {'of 150 ms':>10} {'saved view':>12} {'of 150 KB':>10}")
    for name, explorer, slider, values in make():
        following = cycle(values)
        took = seconds(lambda slider=slider, following=following: setattr(slider, "value", next(following)))
        assert explorer.error is None, explorer.error
        size = len(explorer._repr_mimebundle_()["text/html"].encode())
        print(f"{name:<28} {1000 * took:>7.1f} ms {took / LATE:>10.0%} {size:>10,} B {size / LARGEST:>10.0%}")


if __name__ == "__main__":
    main()
