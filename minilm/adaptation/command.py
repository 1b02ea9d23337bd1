"""What `minilm tune METHOD DATA` does: tune a base, report how good it is, save it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

if TYPE_CHECKING:
    from minilm.adaptation.task_model import TaskModel

SHOWN = 3
"""Held-out prompts that are answered at the end."""


def tune(
    method: Positional[str],
    data: Positional[str],
    model: str = "storyworld",
    steps: int = 400,
    seed: int = 0,
    learning_rate: float | None = None,
    columns: tuple[str, str] | None = None,
    out: Path | None = None,
    run: Path | None = None,
) -> None:
    """Tune a frozen model on a task, and report how good it is.

    Args:
        method: A name from `minilm methods`, or several with + between them: lora+prefix.
        data: The name of a data set (`minilm data list`), or a CSV, TSV or JSON Lines file.
        model: A bundled model, "gpt2", or a folder.
        steps: Optimizer steps.
        seed: Decides the first weights and the order of the examples.
        learning_rate: Peak rate; the method's own if none is given.
        columns: Of a table, those with the prompt and with the target.
        out: Where the tuned weights go, without the base.
        run: Where the unfinished run is kept; one that is found there continues.
    """
    from minilm.adaptation.tune import tune as tuned_on
    from minilm.checkpoints.folders import load_pretrained
    from minilm.system.devices import flush_denormals
    from minilm.training.run_folder import check_writable
    from minilm.tuning.saving import check_folder

    flush_denormals()
    if out is not None:
        check_folder(out)
        check_writable(out)
    base, tokenizer = load_pretrained(model)
    given = {"learning_rate": learning_rate, "columns": columns}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    tuned = tuned_on(base, tokenizer, method.split("+"), data, steps=steps, seed=seed, folder=run, **settings)
    print(tuned.report())
    print(*samples(tuned), sep="\n")
    if out is not None:
        print(f"saved in {tuned.save(out)}")


def samples(tuned: TaskModel) -> Sequence[str]:
    """Some held-out prompts, each with what the model writes and what it should write."""
    return [
        f"\n{record.prompt}\n  writes {tuned.write(record.prompt)!r}\n  target {record.target!r}"
        for record in tuned.task.held_out[:SHOWN]
    ]
