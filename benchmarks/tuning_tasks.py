"""Every tuning method on several tasks of the story world, beside the untuned base and few-shot prompting; three seeds.

    python benchmarks/tuning_tasks.py                    all tasks and rows, results/tuning_tasks.json and .md
    python benchmarks/tuning_tasks.py sentiment/lora     only these cells

    sentiment    did the story end well, asked of its whole text; the answer is the likelier of two words
    entailment   does a sentence follow from a passage: three words
    keywords     a keyword goes in, a story that has it comes out

Facts to text and questions, which have rows of their own, are measured by `facts_to_text.py` and `questions.py`. Methods
have the sizes of `small_methods.py`; a seed decides the method's first weights and the order of the examples.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cells import Cells, Row, spread
from small_methods import METHODS, base_of, options, run

from minilm import BPETokenizer, MiniLM, datasets
from minilm.adaptation import EncodedTask, task_from
from minilm.adaptation.scores import score


@dataclass(frozen=True)
class Setting:
    """One task of the comparison."""

    data: str
    score: str
    """The score that the table shows."""
    dials: dict[str, Any] = field(default_factory=dict)

    def task(self, tokenizer: BPETokenizer, n_test: int) -> EncodedTask:
        """The task with its test split held out."""
        test = datasets.load(self.data, "test", n=n_test, **self.dials)
        return task_from(self.data, tokenizer, n_held_out=n_test, held_out=test, **self.dials)


TASKS = {
    "sentiment": Setting("storyworld-sentiment", "right"),
    "entailment": Setting("storyworld-entailment", "right"),
    "keywords": Setting("storyworld-keywords", "has the keyword"),
}
SHOTS = 2


def measure(base: MiniLM, task: EncodedTask, row: str, seed: int, steps: int) -> Row:
    """One cell: loss and scores on the test split."""
    if row in METHODS:
        tuned = run(base, task, METHODS[row], steps, seed)
        found = {"stored": tuned.count().stored, "loss": task.loss(tuned)} | score(
            task.held_out, task.answers(tuned)
        )
        tuned.detach()
        return found
    try:
        prompts = task.few_shot(base.window, SHOTS if row == "few-shot" else 0)
    except ValueError as error:
        return {"does not fit": str(error)}
    return {"loss": task.loss(base, prompts)} | score(task.held_out, task.answers(base, prompts))


def summary(cells: Cells, steps: int) -> str:
    """A Markdown table for each task: mean over seeds, with the lowest and the highest."""
    lines = [
        "# Tuning methods on tasks of the story world",
        "",
        f"Written by `benchmarks/tuning_tasks.py`: {steps} steps.",
    ]
    for name, setting in TASKS.items():
        lines += ["", f"## {name}", "", f"| method | stored | loss | {setting.score} |", "|---|---|---|---|"]
        for row in ("untuned", "few-shot", *METHODS):
            found = [each for key, each in cells.rows.items() if key.startswith(f"{name}/{row} ")]
            lines += [table_row(row, found, setting.score)] if found else []
    return "\n".join(lines) + "\n"


def table_row(row: str, found: Sequence[Row], name: str) -> str:
    """One line of the table."""
    if "does not fit" in found[0]:
        return f"| {row} | | does not fit | |"
    loss = statistics.mean(each["loss"] for each in found)
    return (
        f"| {row} | {found[0].get('stored', 0):,} | {loss:.3f} | {spread([each[name] for each in found])} |"
    )


def main() -> None:
    """Measure what is missing, write, print."""
    args = options(__doc__, "tuning_tasks.json", steps=400, seeds=3, test=100)
    base, tokenizer, fingerprint = base_of(args.base)
    cells = Cells(args.out, {"base": fingerprint, "steps": args.steps, "n_test": args.test})
    for name, setting in TASKS.items():
        rows = [
            row for row in ("untuned", "few-shot", *METHODS) if not args.rows or f"{name}/{row}" in args.rows
        ]
        task = setting.task(tokenizer, args.test) if rows else None
        for row in rows:
            for seed in range(args.seeds if row in METHODS else 1):
                key = f"{name}/{row} seed={seed}"
                cells.get(
                    key, lambda task=task, row=row, seed=seed: measure(base, task, row, seed, args.steps)
                )
    cells.write()
    args.out.with_suffix(".md").write_text(summary(cells, args.steps), encoding="utf-8")
    print(summary(cells, args.steps))


if __name__ == "__main__":
    main()
