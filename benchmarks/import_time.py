"""How much longer `import minilm` takes than `import torch` alone, each in a fresh interpreter, in turn."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from functools import partial

from side_by_side import take_turns


def main() -> None:
    """Print the median seconds of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    commands = {name: [sys.executable, "-c", f"import {name}"] for name in ("torch", "minilm")}
    contenders = {name: partial(subprocess.run, command, check=True) for name, command in commands.items()}
    medians = {name: statistics.median(times) for name, times in take_turns(contenders, repeats).items()}
    for name, median in medians.items():
        print(f"  import {name:<10} {median:6.2f} s   {median / medians['torch']:5.2f}x")


if __name__ == "__main__":
    main()
