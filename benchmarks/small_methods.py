"""The methods that the benchmarks compare, each in a size of at most 2% of the bundled base; and how one run is made."""

from __future__ import annotations

import argparse
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cells import RESULTS, Row

from minilm import BPETokenizer, MiniLM, ModelConfig, load_pretrained, tune
from minilm.adaptation.encoded import EncodedTask
from minilm.adaptation.task_model import TaskModel
from minilm.system.devices import flush_denormals
from minilm.tuning import (
    MAM,
    Adapter,
    BitFit,
    FullFineTuning,
    Inducer,
    LoRA,
    MAMInducer,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    count_on,
)
from minilm.tuning.saving import fingerprint

METHODS: dict[str, Method] = {
    "fine-tuning": FullFineTuning(),
    "lora": LoRA(4),
    "adapter": Adapter(8),
    "inducer": Inducer(2, 4),
    "parallel-adapter": ParallelAdapter(8),
    "prefix": Prefix(8, hidden=128),
    "mam": MAM(4, 4, 1.0, hidden=128),
    "mam-inducer": MAMInducer(2, 2, query_rank=2, bottleneck=4),
    "bitfit": BitFit(),
    "prompt": Prompt(16),
}
"""Row -> the method in a size that stores at most `SHARE` of the base."""
SHARE = 0.02


def nearest(make: Callable[[int], Method], shape: ModelConfig, budget: int) -> Method:
    """The method of the size, from 1 to half the model's width, that stores a number nearest to a budget."""

    def stored(n: int) -> int:
        return count_on(shape, make(n)).stored

    sizes = range(1, shape.d_model // 2 + 1)
    above = min(
        bisect_left(sizes, budget, key=stored), len(sizes) - 1
    )  # the first size that is too large, or the last
    return make(min(sizes[above], sizes[max(above - 1, 0)], key=lambda n: abs(stored(n) - budget)))


def options(description: str | None, out: str, **numbers: int) -> argparse.Namespace:
    """The arguments that all these benchmarks take: the rows, the base, the results file, and some whole numbers."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", help="only these; all if none is named")
    parser.add_argument("--base", default="storyworld", help="a bundled checkpoint or a folder")
    parser.add_argument("--out", type=Path, default=RESULTS / out, help="where the results are kept")
    for name, default in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    return parser.parse_args()


def base_of(name: str) -> tuple[MiniLM, BPETokenizer, str]:
    """A base, its tokenizer and its fingerprint."""
    flush_denormals()
    model, tokenizer = load_pretrained(name)
    return model, tokenizer, fingerprint(model)


def about(fingerprint: str, task: dict[str, Any], args: argparse.Namespace, n_train: int) -> Row:
    """What all cells of a comparison share; cells of another base, task or budget are measured anew."""
    budget = {"steps": args.steps, "n_train": n_train, "n_test": args.test}
    return {"base": fingerprint, "task": task, **budget}


def run(base: MiniLM, task: EncodedTask, method: Method, steps: int, seed: int, **training: Any) -> TaskModel:
    """One tuned model, without a word; evaluated at the end only."""
    settings = {"device": "cpu", "evaluate_every": steps, "progress": False, **training}
    tuned = tune(base, task.tokenizer, method, task, steps=steps, seed=seed, **settings)
    if tuned.result.stopped:
        raise KeyboardInterrupt  # half a run is no result
    return tuned


def from_scratch(base: MiniLM, seed: int) -> MiniLM:
    """A model of the base's shape that has read nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MiniLM(base.config).eval()


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self.started
