"""How fast a lesson's model trains while torch's threads wait in different ways, on an idle and on a busy machine.

    python benchmarks/waiting.py        writes benchmarks/results/waiting.json

Each cell is a process of its own, since OpenMP reads its settings once; the ways take turns, so that a drift of the machine
meets all of them. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "waiting.json"
WAYS = {
    "spin (torch's default)": {"OMP_WAIT_POLICY": "ACTIVE"},
    "short spin (minilm's)": {"GOMP_SPINCOUNT": "10000"},
    "sleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
BUSY = (0, 1)
"""Other processes that keep a core busy each."""
REPEATS, STEPS, WARM_UP = 5, 60, 10


def main() -> None:
    if sys.argv[1:] == ["train"]:
        print(tokens_per_second())
        return
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for n_busy in BUSY:
        with busy(n_busy):
            for _ in range(REPEATS):
                for name, settings in WAYS.items():
                    rates[f"{n_busy} busy"][name].append(measure(settings))
    about = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "unit": "tokens/s",
    }
    medians = {
        load: {name: round(statistics.median(each)) for name, each in ways.items()}
        for load, ways in rates.items()
    }
    RESULTS.write_text(
        json.dumps({**about, "median": medians, "all": rates}, indent=2) + "\n", encoding="utf-8"
    )
    print(json.dumps(medians, indent=2))


def measure(settings: dict[str, str]) -> float:
    """Tokens a second of one fresh process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, __file__, "train"], env=clean | settings, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


@contextmanager
def busy(n: int) -> Iterator[None]:
    """So many processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        time.sleep(1)
        yield
    finally:
        for each in others:
            each.kill()


def tokens_per_second() -> float:
    """Training the model of lesson 3 on random tokens."""
    import torch

    from minilm import MiniLM, ModelConfig, TrainingConfig, train
    from minilm.objectives import NextToken

    torch.manual_seed(0)
    model = MiniLM(ModelConfig(vocab_size=1536, context_length=128, n_layer=3, n_head=12, d_model=96))
    batches = NextToken(torch.randint(1536, (50_000,)), context_length=128, batch_size=16)
    records = train(model, batches, TrainingConfig(steps=STEPS), progress=False).records
    return (STEPS - WARM_UP) * 16 * 128 / (records[-1].seconds - records[WARM_UP - 1].seconds)


if __name__ == "__main__":
    main()
