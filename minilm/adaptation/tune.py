"""`tune`: from a base, a method and data to a tuned model, in one call.

model, tok = load_pretrained("storyworld")
tuned = tune(model, tok, "lora", "storyworld-triples")
tuned.write("Mia : owned : red kite")
print(tuned.report())                       # loss, floor, score, what was forgotten, what is stored
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from minilm.adaptation.encoded import BATCH_SIZE, EncodedTask
from minilm.adaptation.strange_tokens import warn_of_strange_tokens
from minilm.adaptation.task_data import Data, task_from
from minilm.adaptation.task_model import TaskModel
from minilm.model.model import MiniLM
from minilm.text.tokenizer import BPETokenizer
from minilm.training import Callback, TrainingConfig, train
from minilm.tuning import METHODS, Method
from minilm.tuning.method import STEPS
from minilm.tuning.tuned import by_name, detached_on_error

EVALUATIONS = 10
"""Looks at the held-out loss in a run."""
OF_TRAINING = set(TrainingConfig.__dataclass_fields__) - {"steps", "seed"}
"""Settings of the training that `tune` passes on."""


def tune(
    model: MiniLM,
    tokenizer: BPETokenizer,
    method: str | Method | Sequence[str | Method] = "lora",
    data: Data | EncodedTask = "storyworld-triples",
    *,
    steps: int = STEPS,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    folder: str | Path | None = None,
    stop: threading.Event | None = None,
    **settings: Any,
) -> TaskModel:
    """Tune a frozen model on a task.

    Args:
        method: a name from `tuning.METHODS`, a method with settings of your own, or several.
        data: the name of a data set, the path of a CSV or JSON Lines file, records, or a task in token ids.
        steps: optimizer steps.
        seed: decides the method's first weights and the order of the examples.
        batch_size: examples in a batch.
        callbacks, progress, folder, stop: as for `minilm.train`: listeners, a progress bar, the folder that keeps the run
            so that it can continue, an event that stops it. Ctrl-C stops it too; the weights learned so far are returned.
        settings: of the data, as for `adaptation.task_from` (n_train, template, columns, options of a task ...), and of
            the training, as for `TrainingConfig` (learning_rate, patience, device ...).

    Raises:
        ValueError: no such method, data or setting; an example longer than the window; an empty split.
        FileNotFoundError: there is no such file.
        DivergenceError: the loss became infinite; lower the learning_rate.
    """
    methods = methods_of(method)
    training = {name: settings.pop(name) for name in OF_TRAINING & settings.keys()}
    task = prepared(data, tokenizer, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuned = TaskModel(model, by_name(methods), task)
    with detached_on_error(tuned):
        batches = task.batches(tuned.window, batch_size, seed)
        if "token_embedding.weight" not in tuned.weights():
            warn_of_strange_tokens(model, task)
        config = recipe_of(methods, {"steps": steps, "seed": seed, **training})
        tuned.result = train(
            tuned,
            batches,
            config,
            evaluate=task.loss,
            sample=first_answer(task),
            callbacks=callbacks,
            progress=progress,
            folder=folder,
            stop=stop,
        )
    return tuned


def methods_of(method: str | Method | Sequence[str | Method]) -> list[Method]:
    """The methods of some names or settings.

    Raises:
        ValueError: there is no method of a name; the message lists those there are.
    """
    several = [method] if isinstance(method, str | Method) else list(method)
    if not several:
        raise ValueError(
            "method must be at least one method, not an empty list: choose from " + ", ".join(METHODS)
        )
    return [named(each) if isinstance(each, str) else each for each in several]


def named(name: str) -> Method:
    """The method of a name, with its default settings."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there is no method {name!r}: {hint}choose from {', '.join(METHODS)}")
    return METHODS[name]()


def prepared(data: Data | EncodedTask, tokenizer: BPETokenizer, settings: dict[str, Any]) -> EncodedTask:
    """The task that some data describes."""
    if not isinstance(data, EncodedTask):
        return task_from(data, tokenizer, **settings)
    if settings:
        raise ValueError(
            f"{', '.join(settings)}: a task in token ids takes no settings of its data: leave them out"
        )
    return data


def recipe_of(methods: Sequence[Method], settings: dict[str, Any]) -> TrainingConfig:
    """Training settings for one method, or for several: those of the one with the lowest rate."""
    most_careful = min(methods, key=lambda each: each.recipe().learning_rate)
    evaluate_every = max(1, int(settings["steps"]) // EVALUATIONS)
    return most_careful.recipe(**{"evaluate_every": evaluate_every, **settings})


def first_answer(task: EncodedTask) -> Callable[[Any], str]:
    """A sample to watch in training: the first held-out prompt and what the model makes of it."""
    record = task.held_out[0]
    return lambda model: f"{record.prompt}\n{task.write(model, [record])[0]}"
