"""How near three minutes of pretraining come to the floor, and to a 5-gram model on real text.

    python benchmarks/pretraining.py            both recipes
    python benchmarks/pretraining.py lesson     one of them

The yardsticks are in the same run: the floor is exact, and the 5-gram model reads the same tokens.
"""

from __future__ import annotations

import sys

from minilm.pretraining import RECIPES, pretrain

NAMES = ("lesson", "shakespeare")


def main(names: list[str]) -> None:
    """Train by each recipe and print its losses beside its yardsticks."""
    for name in names or NAMES:
        done = pretrain(RECIPES[name], progress=False)
        print(f"{name}: {done.result.steps} steps in {done.result.seconds / 60:.1f} minutes")
        for yardstick, loss in done.yardsticks():
            bits = done.corpus.bits_per_byte(loss)
            print(f"  {yardstick:<40} {loss:.4f} nats per token   {bits:.4f} bits per byte")
        if done.gap is not None:
            print(f"  {done.gap:.1%} above the floor")


if __name__ == "__main__":
    main(sys.argv[1:])
