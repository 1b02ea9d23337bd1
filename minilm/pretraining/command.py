"""What `minilm pretrain` does: looks before it trains, keeps the run by itself, and puts only a finished model in place."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from minilm.checkpoints.folders import check_folder
from minilm.pretraining.estimate import recipe_need
from minilm.pretraining.finished import FILES, difference, is_complete, making_of, read_making, source_digest
from minilm.pretraining.recipe import Recipe
from minilm.pretraining.run import Pretrained, check_recipe, pretrain
from minilm.system.devices import resolve_device
from minilm.system.manifest import check_unchanged
from minilm.training import OtherRunError, StopFlag
from minilm.training.memory import check_memory
from minilm.training.resume import remove_run, steps_reached
from minilm.training.run_folder import check_writable

STOPPED, TERMINATED = 130, 143
"""Exit statuses of a training that Ctrl-C or SIGTERM has stopped and that can be continued: 128 plus the signal's number."""


@dataclass(frozen=True)
class Places:
    """Where the finished model goes, and where the run is kept until then."""

    model: Path
    run: Path
    run_is_ours: bool
    """Whether the run's folder was chosen by the program: then it is removed once the model is saved."""


def places(folder: Path, run: Path | None) -> Places:
    """The two folders, links followed.

    Raises:
        ValueError: the run would be kept in the model's folder, or the model's folder has no name.
    """
    model = Path(os.path.realpath(folder))
    if not model.name:
        raise ValueError(f"{folder} is the root of the disk: name a folder for the model")
    kept = Path(os.path.realpath(run)) if run else model.with_name(f"{model.name}.run")
    if kept == model or model in kept.parents:
        raise ValueError(
            f"the run cannot be kept in {kept}, which belongs to the finished model: give --run another folder, or leave "
            "it out"
        )
    return Places(model, kept, run is None)


def run_pretraining(
    folder: Path, recipe: Recipe, run: Path | None, dtype: torch.dtype | None, overwrite: bool
) -> int:
    """The whole command; returns its exit status.

    Raises:
        ValueError: the recipe is impossible or too large for this machine, or another model or run is there already.
        SaveError: a folder cannot be written to, or holds files of those names that are not minilm's.
    """
    where = places(folder, run)
    check_recipe(recipe)
    source = source_digest(recipe.data)
    making = making_of(recipe, dtype, source)
    if is_finished(where, making, overwrite):
        print(f"already finished: {where.model} holds the model of this very recipe, and nothing was done")
        return 0
    check_folder(where.model)
    for place in (where.model, where.run):
        check_writable(place)
    need = recipe_need(recipe)
    print(f"needs {need}")
    check_memory(need, resolve_device(recipe.training.device))
    return train_and_save(where, recipe, source, dtype, overwrite)


def is_finished(where: Places, making: dict[str, Any], overwrite: bool) -> bool:
    """Whether the model of this making is there already.

    Raises:
        ValueError: another one is there, and `overwrite` does not allow it to be replaced; or it is damaged.
    """
    there = read_making(where.model)
    if there is None:
        return False
    different = difference(there, making) if there else "a recipe that its card does not tell"
    if different is None and is_complete(where.model):
        check_unchanged(where.model, FILES)
        return True
    if not overwrite:
        raise ValueError(
            f"{where.model} holds a finished model with {different or 'files missing'}: choose another folder, or pass "
            "--overwrite to replace it once the new one is finished"
        )
    return False


def train_and_save(
    where: Places, recipe: Recipe, source: str | None, dtype: torch.dtype | None, overwrite: bool
) -> int:
    """Train from where the run stopped; save a finished model, or say how to continue."""
    if reached := steps_reached(where.run):
        print(f"continuing at step {reached:,} of {recipe.training.steps:,}, kept in {where.run}")
    flag = StopFlag()
    with terminate_sets(flag) as terminated:
        try:
            done = pretrain(recipe, folder=where.run, stop=flag)
        except OtherRunError as error:
            if not overwrite:
                raise ValueError(
                    f"{error}; on the command line: choose another folder, or pass --overwrite"
                ) from None
            done = pretrain(recipe, folder=where.run, stop=flag, resume=False)
    if done.result.stopped:
        print(how_it_goes_on(where.run, recipe))
        return TERMINATED if terminated.is_set() else STOPPED
    finish(where, replace(done, source=source), dtype)
    return 0


def finish(where: Places, done: Pretrained, dtype: torch.dtype | None) -> None:
    """Save the model, say how good it is, and put the run's folder away."""
    done.save(where.model, dtype)
    for name, loss in done.yardsticks():
        print(f"{name:<40} {loss:.4f} nats per token  {done.corpus.bits_per_byte(loss):.4f} bits per byte")
    print(f"saved in {where.model}")
    if where.run_is_ours:
        remove_run(where.run)


def how_it_goes_on(run: Path, recipe: Recipe) -> str:
    """What an interrupted command prints: how far the run is, and that nothing is lost."""
    reached = steps_reached(run)
    if not reached:
        return "stopped before the first step was saved; this command starts again"
    return (
        f"stopped at step {reached:,} of {recipe.training.steps:,}; this command continues it (the run is kept in {run}, and no "
        "model was saved)"
    )


@contextmanager
def terminate_sets(flag: threading.Event) -> Iterator[threading.Event]:
    """SIGTERM, by which systems end programs, stops the training after its current step; yields whether it came."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def on_terminate(*_: object) -> None:
        came.set()
        flag.set()

    previous = signal.signal(signal.SIGTERM, on_terminate)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, previous)
