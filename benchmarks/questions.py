"""Questions about one story with every method, beside a model that never sees the story.

    python benchmarks/questions.py                 all rows and seeds, results/questions.json, and a table
    python benchmarks/questions.py lora prefix     only these rows
    python benchmarks/questions.py --base FOLDER   on another base

Rows: the methods after `--steps` steps; `document-blind`, full fine-tuning on the questions without their story, which is
what the questions alone give away; the base untuned; a model of its shape that has read nothing, trained on the task. An
answer is right if it is one of the acceptable ones, word for word. Test split. The story settles every answer, so the floor
of the loss is zero.
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
from minilm.adaptation.scores import score
from minilm.tuning import FullFineTuning

NAME = "storyworld-questions"
DIALS = {"stories": 1, "turns": 1, "history": 0}
N_TRAIN = 4_000
BLIND, MOST_BLIND, LEAST_GAIN = "document-blind", 0.35, 0.30
WANTED = {"fine-tuning": 0.85}


def tasks(tokenizer, n_test: int) -> dict[bool, EncodedTask]:
    """The task, and the same without its documents (True)."""
    test = datasets.load(NAME, "test", n=n_test, **DIALS)
    seeing = task_from(NAME, tokenizer, n_train=N_TRAIN, n_held_out=n_test, held_out=test, **DIALS)
    halves = (
        tuple(replace(each, document="") for each in half) for half in (seeing.records, seeing.held_out)
    )
    return {
        False: seeing,
        True: EncodedTask(*halves, tokenizer, seeing.template, f"{NAME} without documents"),
    }


def judged(model: MiniLM, task: EncodedTask) -> Row:
    """Loss and scores."""
    return {"loss": task.loss(model)} | score(task.held_out, task.answers(model))


def measure(base: MiniLM, own: dict[bool, EncodedTask], name: str, seed: int, steps: int) -> Row:
    """One cell."""
    task = own[name == BLIND]
    if name == "untuned":
        return judged(base, task)
    start = from_scratch(base, seed) if name == "from scratch" else base
    clock, tuned = Clock(), run(start, task, METHODS.get(name, FullFineTuning()), steps, seed)
    seconds, count = clock(), tuned.count()
    row = {"seconds": seconds, "stored": count.stored, "share": count.fraction} | judged(tuned, task)
    tuned.detach()
    return row


def cells_of(
    base: MiniLM, own: dict[bool, EncodedTask], cells: Cells, args: argparse.Namespace
) -> Iterator[str]:
    """Measure every row that was asked for; yields the names of the rows."""
    for name in args.rows or [BLIND, *METHODS, "untuned", "from scratch"]:
        for seed in range(1 if name == "untuned" else args.seeds):
            cells.get(
                f"{name} seed={seed}", lambda name=name, seed=seed: measure(base, own, name, seed, args.steps)
            )
        yield name


def table(cells: Cells, names: Sequence[str]) -> list[str]:
    """Means over seeds, with the lowest and the highest; a star where what is wanted is not reached."""
    of = {
        name: [row for key, row in cells.rows.items() if key.rpartition(" seed=")[0] == name]
        for name in names
    }
    blind = statistics.mean(row["exact"] for row in of[BLIND]) if of.get(BLIND) else 0.0
    lines = [f"{'row':<18}{'stored':>9}{'share':>8}{'loss':>8}{'exact':>22}{'F1':>8}{'s':>6}"]
    for name, rows in of.items():
        goal = WANTED.get(name, blind + LEAST_GAIN if name in METHODS else 0.0)
        size = f"{rows[0]['stored']:>9,}{rows[0]['share']:>8.2%}" if "stored" in rows[0] else " " * 17
        loss, f1 = (statistics.mean(row[key] for row in rows) for key in ("loss", "F1"))
        exact = spread([row["exact"] for row in rows], goal)
        seconds = max(row.get("seconds", 0) for row in rows)
        lines.append(f"{name:<18}{size}{loss:>8.3f}{exact:>22}{f1:>8.3f}{seconds:>6.0f}")
    verdict = "at most" if blind <= MOST_BLIND else "MORE THAN"
    return [*lines, f"document-blind {blind:.1%}: {verdict} {MOST_BLIND:.0%}"]


def main() -> None:
    """Measure what is missing, write, print."""
    args = options(__doc__, "questions.json", steps=600, seeds=3, test=300)
    base, tokenizer, fingerprint = base_of(args.base)
    own = tasks(tokenizer, args.test)
    cells = Cells(args.out, about(fingerprint, {"name": NAME, **DIALS}, args, N_TRAIN))
    names = list(cells_of(base, own, cells, args))
    cells.write()
    print(*table(cells, names), sep="\n")


if __name__ == "__main__":
    main()
