"""What happens as inputs grow: the methods of the inducer-tuning paper on questions about one to four stories.

    python benchmarks/long_inputs.py                            all rows, results/long_inputs.json, and a table
    python benchmarks/long_inputs.py inducer prefix --seeds 5   only these rows, five seeds each
    python benchmarks/long_inputs.py --base FOLDER              on another base

Each cell (a row and a seed) is written at once, and is not measured again: the command may be cut off and run again, for some
rows at a time. Chen et al. (2022) claim that inducers gain on prefixes as inputs grow. Here one model is tuned on all four lengths,
a batch of one length after the other, and tested on each by itself, on the test split. Every question has one right answer that
the stories settle, so the floor of the loss is zero.

Rows: `document-blind` is full fine-tuning on the questions without their stories, which is what the questions alone give away;
`untuned` is the base. All others but fine-tuning store as nearly as can be 1.6% of the base's weights, as in the paper, and have its
proportions. The base is that of `long_base.py`. All rates are those of `Method.recipe`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from cells import Cells, Row
from long_base import STORIES, long_base
from small_methods import nearest, options

from minilm import MiniLM, ModelConfig, datasets, train
from minilm.adaptation import EncodedTask, task_from
from minilm.adaptation.scores import score
from minilm.objectives import Batch, Completions
from minilm.tuning import (
    MAM,
    Adapter,
    FullFineTuning,
    Inducer,
    LoRA,
    MAMInducer,
    Method,
    Prefix,
    attach,
)
from minilm.tuning.saving import fingerprint

NAME = "storyworld-questions"
BLIND, UNTUNED = "document-blind", "untuned"
SHARE = 0.016
"""Of the base's weights, which the paper's methods store: 1.6%."""
SIZES: dict[str, Callable[[int], Method]] = {
    "LoRA": lambda n: LoRA(n, 32.0, bias=True),
    "adapter": lambda n: Adapter(n, layer_norm=True),
    "MAM adapter": lambda n: MAM(6, n, 1.0, reparameterize=False),
    "prefix": lambda n: Prefix(n, hidden=128),
    "adaptive": lambda n: Inducer.adaptive(n),
    "extension": lambda n: Inducer.extension(n),
    "gating": lambda n: Inducer.gating_variant(part(2 * n, 3), n),
    "inducer": lambda n: Inducer(part(2 * n, 3), n),
    "inducer + LoRA": lambda n: Inducer.with_lora(part(5 * n, 12), n, query_rank=2 * n),
    "MAM inducer": lambda n: MAMInducer(
        part(n, 7), part(n, 3), query_rank=part(16 * n, 21), bottleneck=2 * n
    ),
}
"""Row -> the method of size n, in the proportions of the paper's table 1."""
ROWS = (BLIND, UNTUNED, *SIZES, "fine-tuning")
CLAIMS = {
    "adaptive over prefix": ("adaptive", "prefix"),
    "extension over adaptive": ("extension", "adaptive"),
    "inducer over extension": ("inducer", "extension"),
    "inducer over gating": ("inducer", "gating"),
    "inducer over prefix": ("inducer", "prefix"),
    "inducer over adapter": ("inducer", "adapter"),
    "inducer + LoRA over inducer": ("inducer + LoRA", "inducer"),
    "inducer + LoRA over LoRA": ("inducer + LoRA", "LoRA"),
    "MAM inducer over MAM adapter": ("MAM inducer", "MAM adapter"),
    "MAM inducer over fine-tuning": ("MAM inducer", "fine-tuning"),
}
"""Claim of the paper -> the row that should be better, and the one that should be worse."""


def part(amount: int, of: int) -> int:
    """A share of a size, rounded, one at least."""
    return max(1, round(amount / of))


def method_of(name: str, shape: ModelConfig) -> Method:
    """The method of a row, in the size that suits a base of this shape."""
    if name not in SIZES:
        return FullFineTuning()
    n_weight = sum(weight.numel() for weight in MiniLM(shape).parameters())
    return nearest(SIZES[name], shape, round(SHARE * n_weight))


def tasks(tokenizer, n_train: int, n_test: int, blind: bool) -> dict[int, EncodedTask]:
    """Number of stories -> the questions about so many; without the stories, if blind."""
    found = {}
    for stories in STORIES:
        dials = {"stories": stories, "turns": 1, "history": 0}
        test = datasets.load(NAME, "test", n=n_test, **dials)
        task = task_from(NAME, tokenizer, n_train=n_train, n_held_out=n_test, held_out=test, **dials)
        halves = {
            half: tuple(replace(each, document="") if blind else each for each in getattr(task, half))
            for half in ("records", "held_out")
        }
        found[stories] = replace(task, **halves)
    return found


class ByLength:
    """A batch of each length in turn, so that little is padding."""

    def __init__(self, makers: Sequence[Completions]):
        self.makers = makers

    def batch(self, index: int) -> Batch:
        """The batch with this index, always the same."""
        turn, length = divmod(index, len(self.makers))
        return self.makers[length].batch(turn)


def tuned_on(base: MiniLM, method: Method, own: Sequence[EncodedTask], steps: int, seed: int):
    """A model tuned on all lengths; the seed decides its first weights and the order of the questions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuned = attach(base, method)
    batches = ByLength([task.batches(tuned.window, seed=seed) for task in own])
    if train(tuned, batches, method.recipe(steps=steps, seed=seed), progress=False).stopped:
        raise KeyboardInterrupt  # half a run is no result
    return tuned.eval()


def measure(base: MiniLM, name: str, own: dict[int, EncodedTask], steps: int, seed: int) -> Row:
    """One cell: exact answers, F1 and loss for each number of stories."""
    model = base
    if name != UNTUNED:
        model = tuned_on(base, method_of(name, base.config), list(own.values()), steps, seed)
    found = [score(task.held_out, task.answers(model)) for task in own.values()]
    row: Row = {key: [each[key] for each in found] for key in ("exact", "F1")}
    row["loss"] = [task.loss(model) for task in own.values()]
    if model is not base:
        row["stored"] = model.count().stored
        model.detach()
    return row


def table(cells: Cells) -> list[str]:
    """Exact answers for each number of stories: means over seeds."""
    lines = [f"{'row':<16}{'stored':>9}{'seeds':>6}" + "".join(f"{n:>9}" for n in STORIES)]
    for name in ROWS:
        rows = [row for key, row in cells.rows.items() if key.rpartition(" seed=")[0] == name]
        if rows:
            means = [statistics.mean(each) for each in zip(*(row["exact"] for row in rows), strict=True)]
            shares = "".join(f"{mean:>9.1%}" for mean in means)
            lines.append(f"{name:<16}{rows[0].get('stored', 0):>9,}{len(rows):>6}{shares}")
    return lines


def lengths(own: dict[int, EncodedTask]) -> list[float]:
    """Mean tokens of a question with its stories, for each number of them."""
    return [statistics.mean(len(prompt) for prompt, _ in task.judged) for task in own.values()]


def main() -> None:
    """Measure what is missing, write, print."""
    numbers = {"steps": 1500, "seeds": 3, "train": 2000, "test": 200, "base_steps": 2000, "documents": 20_000}
    args: argparse.Namespace = options(__doc__, "long_inputs.json", **numbers)
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        raise SystemExit(f"rows must be among {', '.join(ROWS)}, not {', '.join(unknown)}")
    base, tokenizer = long_base(args.base, args.base_steps, args.documents)
    seeing, blind = (tasks(tokenizer, args.train, args.test, blind) for blind in (False, True))
    sizes = {"steps": args.steps, "n_train": args.train, "n_test": args.test}
    cells = Cells(args.out, {"base": fingerprint(base), "task": NAME, "stories": list(STORIES), **sizes})
    for seed in range(args.seeds):
        for name in args.rows or ROWS:
            if name != UNTUNED or seed == 0:
                own = blind if name == BLIND else seeing
                cells.get(
                    f"{name} seed={seed}",
                    lambda own=own, name=name, seed=seed: measure(base, name, own, args.steps, seed),
                )
    cells.write(tokens=lengths(seeing), claims=CLAIMS)
    print(*table(cells), sep="\n")


if __name__ == "__main__":
    main()
