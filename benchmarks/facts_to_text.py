"""Facts to text with every method in a size of at most 2% of the base, beside what costs no training and what has no base.

    python benchmarks/facts_to_text.py                 all rows and seeds, results/facts_to_text.json, and a table
    python benchmarks/facts_to_text.py lora prefix     only these rows
    python benchmarks/facts_to_text.py --base FOLDER   on another base

Rows: the methods after `--steps` steps; the base untuned and behind 0, 1, 2, 4, 8 solved examples; a model of the base's
shape that has read nothing, trained on the task alone. The test split is used, kinds of story that the training split has and
kinds that it lacks apart. Learning rates are the methods' own (`benchmarks/rates.py` chose them on the dev split).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cells import Cells, Row, spread
from small_methods import METHODS, Clock, about, base_of, from_scratch, options, run

from minilm import MiniLM, datasets
from minilm.adaptation import EncodedTask, task_from
from minilm.adaptation.known_truth import N_STORY, SEED, divergence_from_world, floor
from minilm.adaptation.report import oracle_for
from minilm.adaptation.scores import score
from minilm.datasets.tasks import StoryTriples
from minilm.datasets.tasks.task import the_world
from minilm.storyworld import Oracle
from minilm.tuning import FullFineTuning

NAME, DIALS = "storyworld-triples", {"facts": 2}
N_TRAIN = 2_000
SHOTS = (0, 1, 2, 4, 8)
WANTED = {
    "fine-tuning": (0.98, 0.95),
    "lora": (0.98, 0.90),
    "adapter": (0.98, 0.90),
    "inducer": (0.98, 0.90),
    "parallel-adapter": (0.95, 0.90),
    "prefix": (0.95, 0.90),
    "mam": (0.95, 0.90),
    "mam-inducer": (0.95, 0.90),
    "bitfit": (0.90, 0.90),
    "prompt": (0.90, 0.80),
}
"""Row -> the shares of objects and of whole facts told that it should reach."""


def tasks(tokenizer, n_test: int) -> dict[str, EncodedTask]:
    """The task with test records of kinds of story seen in training, and of kinds unseen."""
    records = datasets.load(NAME, "test", n=2 * n_test, **DIALS)
    both = {
        "seen": [each for each in records if each.seen],
        "unseen": [each for each in records if not each.seen],
    }
    first = task_from(NAME, tokenizer, n_train=N_TRAIN, n_held_out=n_test, **DIALS)
    seen = StoryTriples(**DIALS)
    unseen = replace(seen, unseen=tuple(plot for plot in seen.plots if plot not in seen.unseen_plots))
    laws = {"seen": seen.law("train"), "unseen": unseen.law("train")}
    return {
        kind: replace(first, held_out=tuple(records[:n_test]), law=laws[kind])
        for kind, records in both.items()
    }


def judged(model: MiniLM, own: dict[str, EncodedTask], shots: int | None = None) -> Row:
    """Loss and scores on both kinds of story."""
    row: Row = {}
    for kind, task in own.items():
        prompts = None if shots is None else task.few_shot(model.window, shots)
        told = score(task.held_out, task.answers(model, prompts))
        objects, whole = told["objects told"], told.get("whole facts told")
        row |= {f"{kind} loss": task.loss(model, prompts), f"{kind} objects": objects, f"{kind} whole": whole}
    return row


def forgetting(model: MiniLM, own: dict[str, EncodedTask]) -> float:
    """KL(oracle || model) on ordinary stories, in nats per token."""
    stories = the_world().sample(N_STORY, seed=SEED, kind="story")
    return divergence_from_world(model, oracle_for(own["seen"].tokenizer), stories)


def cells_of(
    base: MiniLM, own: dict[str, EncodedTask], cells: Cells, args: argparse.Namespace
) -> Iterator[str]:
    """Measure every row that was asked for; yields the names of the rows."""
    for name in args.rows or [*METHODS, *(f"{shots} examples" for shots in SHOTS), "from scratch"]:
        seeds = range(1 if name.endswith("examples") else args.seeds)
        for seed in seeds:
            cells.get(
                f"{name} seed={seed}", lambda name=name, seed=seed: measure(base, own, name, seed, args.steps)
            )
        yield name


def measure(base: MiniLM, own: dict[str, EncodedTask], name: str, seed: int, steps: int) -> Row:
    """One cell."""
    if name.endswith("examples"):
        try:
            return judged(base, own, int(name.split()[0])) | {"stories": forgetting(base, own)}
        except ValueError as error:
            return {"does not fit": str(error)}
    start = from_scratch(base, seed) if name == "from scratch" else base
    method = METHODS.get(name, FullFineTuning())
    clock, tuned = Clock(), run(start, own["seen"], method, steps, seed)
    seconds, count = clock(), tuned.count()
    row = {"seconds": seconds, "stored": count.stored, "share": count.fraction} | judged(tuned, own)
    row |= {"stories": forgetting(tuned, own)}
    tuned.detach()
    return row


def table(cells: Cells, names: Sequence[str]) -> list[str]:
    """Means over seeds, with the lowest and the highest, and whether what is wanted is reached."""
    lines = [
        f"{'row':<18}{'stored':>9}{'share':>8}{'loss':>8}{'objects':>22}{'whole facts':>22}{'unseen':>8}{'s':>6}"
    ]
    for name in names:
        rows = [row for key, row in cells.rows.items() if key.rpartition(" seed=")[0] == name]
        if not rows or "does not fit" in rows[0]:
            lines.append(f"{name:<18}does not fit" if rows else name)
            continue
        size = f"{rows[0]['stored']:>9,}{rows[0]['share']:>8.2%}" if "stored" in rows[0] else " " * 17
        loss = statistics.mean(row["seen loss"] for row in rows)
        seconds = max(row.get("seconds", 0) for row in rows)
        unseen = statistics.mean(row["unseen objects"] for row in rows)
        wanted = WANTED.get(name, (0, 0))
        cell = [
            spread([row[f"seen {key}"] for row in rows], goal)
            for key, goal in zip(("objects", "whole"), wanted, strict=True)
        ]
        lines.append(f"{name:<18}{size}{loss:>8.3f}{cell[0]:>22}{cell[1]:>22}{unseen:>8.3f}{seconds:>6.0f}")
    return lines


def main() -> None:
    """Measure what is missing, write, print."""
    args = options(__doc__, "facts_to_text.json", steps=400, seeds=3, test=150)
    base, tokenizer, fingerprint = base_of(args.base)
    own = tasks(tokenizer, args.test)
    cells = Cells(args.out, about(fingerprint, {"name": NAME, **DIALS}, args, N_TRAIN))
    names = list(cells_of(base, own, cells, args))
    cells.write(floor={kind: floor(task, Oracle(task.law, tokenizer)) for kind, task in own.items()})
    print(*table(cells, names), sep="\n")


if __name__ == "__main__":
    main()
